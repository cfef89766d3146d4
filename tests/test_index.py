"""The index of a store: quick where it is right, and never believed where it could be wrong."""

import os
from dataclasses import replace

import pandas as pd
import pytest

from dofbook import cli
from dofbook.experiments import index, run_cells
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.index import FILE, read_headers
from dofbook.experiments.store import Store, encode

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
CELLS = [CellConfig(task=TASK, d=2, seeds=(seed,)) for seed in range(60)]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    (stored,) = run_cells(CELLS[:1], tmp_path_factory.mktemp("one"))
    return stored


def write(store: Store, cell: CellConfig, result, **about) -> None:
    rows = result.table.to_pandas().assign(seed=cell.seeds[0], cell=cell.name)
    store.root.mkdir(exist_ok=True)
    store.path(cell.name).write_bytes(encode(cell, rows, {**result.provenance, **about}))


@pytest.fixture
def store(tmp_path, result):
    found = Store(tmp_path / "store")
    for cell in CELLS:
        write(found, cell, result)
    return found


def reads(store: Store, monkeypatch) -> list[str]:
    """Name the cells whose files are read."""
    names, real = [], Store.read
    monkeypatch.setattr(Store, "read", lambda self, name: names.append(name) or real(self, name))
    headers, damaged = read_headers(store)
    monkeypatch.setattr(Store, "read", real)
    assert damaged == {}
    assert {header.config for header in headers.values()} == set(CELLS)
    return names


def test_every_cell_is_read_once_and_then_only_what_changed(store, result, monkeypatch):
    assert len(reads(store, monkeypatch)) == 60
    assert reads(store, monkeypatch) == []
    write(store, CELLS[3], result, wall_seconds=12.5)
    assert reads(store, monkeypatch) == [CELLS[3].name]
    assert read_headers(store)[0][CELLS[3].name].provenance["wall_seconds"] == 12.5
    os.utime(store.path(CELLS[5].name))  # touched: read again, to be sure
    assert set(reads(store, monkeypatch)) == {CELLS[3].name, CELLS[5].name}


def test_a_file_damaged_or_deleted_after_it_was_indexed_is_seen(store):
    read_headers(store)
    path = store.path(CELLS[7].name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    store.path(CELLS[8].name).unlink()
    headers, damaged = read_headers(store)
    assert list(damaged) == [CELLS[7].name]
    assert len(headers) == 58 and CELLS[8].name not in headers


@pytest.mark.parametrize("content", [b"", b"PAR1 no index", None])
def test_an_index_that_cannot_be_read_is_made_anew(store, monkeypatch, content):
    read_headers(store)
    file = store.root / FILE
    if content is None:  # sealed, but another table
        from dofbook.experiments.store import pa, seal

        content = seal(pa.table({"name": ["a"]}), {})
    file.write_bytes(content)
    assert len(reads(store, monkeypatch)) == 60
    assert reads(store, monkeypatch) == []


def test_small_stores_and_those_that_may_only_be_read_go_without(
    store, result, monkeypatch, tmp_path
):
    small = Store(tmp_path / "small")
    write(small, CELLS[0], result)
    read_headers(small)
    assert not (small.root / FILE).exists()

    def refuse(*_):
        raise index.StoreError("read only")

    monkeypatch.setattr(index, "write_atomically", refuse)
    assert len(reads(store, monkeypatch)) == 60
    assert not (store.root / FILE).exists()


def test_the_index_is_no_cell_and_changes_no_table(store, capsys, tmp_path):
    assert cli.main(["status", "--store", str(store.root)]) == 0
    first = capsys.readouterr().out
    assert (store.root / FILE).exists() and len(store.names()) == 60
    assert cli.main(["status", "--store", str(store.root)]) == 0
    assert capsys.readouterr().out == first
    table = tmp_path / "table.parquet"
    assert cli.main(["table", "--store", str(store.root), "-o", str(table)]) == 0
    assert pd.read_parquet(table).seed.nunique() == 60


def test_a_header_is_that_of_its_own_file(store, result):
    """A file under another cell's name is damaged, however well it is sealed."""
    read_headers(store)
    foreign = replace(CELLS[0], seeds=(99,))
    rows = result.table.to_pandas().assign(seed=99, cell=foreign.name)
    store.path(CELLS[1].name).write_bytes(encode(foreign, rows, result.provenance))
    assert list(read_headers(store)[1]) == [CELLS[1].name]
