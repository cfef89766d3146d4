"""A store is read without a reader's code: what it names is not imported, and may be gone."""

import importlib
import sys
from dataclasses import replace

import pytest

from dofbook.cli import main
from dofbook.experiments import config
from dofbook.experiments.config import CellConfig, TaskConfig, cell_from_json
from dofbook.experiments.index import read_headers
from dofbook.experiments.store import Store
from dofbook.experiments.timing import fit_rates

TASK = ["--dataset", "digits", "--network", "mlp", "--epochs", "1", "--train-size", "100"]
TASK += ["--test-size", "50"]
MODULE = """
from dataclasses import dataclass
from typing import ClassVar

from dofbook.experiments.config import Cell
from dofbook.methods import RandomAffine
from dofbook.training import TaskConfig


@dataclass(frozen=True)
class Mine(RandomAffine):
    foreign_depth: int = 2  # another name than the options of other tests
    name: ClassVar[str] = "foreign_code:Mine"


@dataclass(frozen=True, kw_only=True)
class Count(Cell):
    kind: ClassVar[str] = "foreign_code:Count"
    d: int = 5

    def place(self):
        return super().place() | {"d": self.d}

    def parts(self, task, seed):
        yield {"number": range(3)}


def counts():
    return [Count(task=TaskConfig("digits", "mlp"), seeds=(0,))]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a store with the code of a module that is then gone; importing it would tell."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = tmp_path / "foreign_code.py"
    module.write_text(MODULE)
    importlib.invalidate_caches()
    line = ["sweep", *TASK, "--method", "foreign_code:Mine", "--dims", "2,4", "--runs", "1"]
    runs, counts = str(tmp_path / "runs"), str(tmp_path / "counts")
    assert main([*line, "--no-baseline", "--store", runs, "--quiet"]) == 0
    assert main(["sweep", "--figure", "foreign_code:counts", "--store", counts, "--quiet"]) == 0
    sys.modules.pop("foreign_code")
    module.write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\nexit(7)"
    )
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("foreign_code", None)


def test_status_table_and_thresholds_need_no_code(folder, capsys):
    for name, said in (("runs", "foreign_code:Mine 0 2"), ("counts", "foreign_code:Count 0 5")):
        assert main(["status", "--store", str(folder / name)]) == 0
        assert said in " ".join(capsys.readouterr().out.split())
        table = str(folder / f"{name}.parquet")
        assert main(["table", "--store", str(folder / name), "-o", table]) == 0
    capsys.readouterr()
    assert main(["thresholds", str(folder / "runs"), "--level", "0.99"]) == 0
    assert "foreign_code:Mine" in capsys.readouterr().out
    assert not (folder / "imported").exists()


def test_only_running_again_needs_the_code(folder, capsys):
    for name in ("runs", "counts"):
        assert main(["verify", "--store", str(folder / name)]) == 2
        assert "foreign_code called sys.exit(7)" in capsys.readouterr().err
    (folder / "foreign_code.py").write_text(MODULE)
    for name in ("runs", "counts"):
        assert main(["verify", "--store", str(folder / name), "--sample", "1"]) == 0


def test_what_is_only_named_keeps_its_name_its_place_and_its_rate(folder):
    headers, left_out = read_headers(Store(folder / "runs"))
    cells = [header.config for header in headers.values()]
    assert left_out == {} and {cell.name for cell in cells} == set(headers)
    assert {cell.place()["method"] for cell in cells} == {"foreign_code:Mine"}
    assert not any(cell.method.is_nested for cell in cells)
    assert len(fit_rates(headers.values())) == 1
    for cell in (*cells, *(h.config for h in read_headers(Store(folder / "counts"))[0].values())):
        assert cell_from_json(config.canonical_json(cell)) == cell
        assert cell.with_seed(5).seeds == (5,) and cell.with_seed(5).name != cell.name
        assert cell.with_seed(cell.seeds[0]).name == cell.name


def test_a_cell_of_another_version_is_one_line(folder, monkeypatch, capsys):
    place, known = Store(folder / "runs"), CellConfig(task=TaskConfig("digits", "mlp"), d=3)
    rows = place.read(place.names()[0]).table.to_pandas()
    monkeypatch.setattr(config, "SCHEMA_VERSION", 99)
    later = replace(known, seeds=(3,))
    place.write(later, rows.assign(cell=later.name, seed=3), {})
    file = place.path(later.name)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(folder)
    said = f"{file}: the cell has schema version 99; this dofbook reads 1."
    assert main(["status", "--store", str(place.root)]) == 0
    printed = capsys.readouterr().out
    assert f"left out: {said}\n" in printed and "2 cells" in printed
    table = ["table", "--store", str(place.root), "-o", str(folder / "t.parquet"), "--quiet"]
    for line in (table, ["thresholds", str(place.root), "--level", "0.1"]):
        assert main(line) == 1  # what is made lacks a cell that is there
        said_now = f"dofbook: {said.replace(': ', ' is left out: ', 1)}\n"
        assert capsys.readouterr().err == said_now and file.exists()
    assert (folder / "t.parquet").exists()


def test_a_method_must_not_share_the_name_and_so_the_cells_of_its_base(folder, capsys):
    (folder / "foreign_code.py").write_text(
        MODULE.replace('    name: ClassVar[str] = "foreign_code:Mine"\n', "")
    )
    line = ["sweep", *TASK, "--method", "foreign_code:Mine", "--dims", "2", "--store"]
    assert main([*line, str(folder / "shared")]) == 2
    assert "has the name 'affine'; it needs a `name` of its own" in capsys.readouterr().err
    assert not (folder / "shared").exists()
