"""The store keeps a result whole or not at all, and notices every kind of damage."""

import contextlib
import datetime as dt
import hashlib
import json
import os
import pickle  # noqa: S403
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from run_rows import complete

from dofbook.errors import InputError
from dofbook.experiments import executors, store as store_module, timing
from dofbook.experiments.config import CellConfig, TaskConfig, cell_from_json
from dofbook.experiments.executors import Outcome, run_sweep
from dofbook.experiments.index import read_headers
from dofbook.experiments.store import (
    DamagedCell,
    Store,
    StoredCell,
    StoreError,
    decode,
    encode,
    write_atomically,
)
from dofbook.experiments.tables import ORDER, read_cells, run_record, table, write_table
from dofbook.methods import FullSpace, RandomAffine

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
CELL = CellConfig(task=TASK, d=4, seeds=(0, 1))
PROVENANCE = {"wall_seconds": 1.5, "environment": {"versions": {"jax": "0"}}, "dataset": None}


def make_rows(cell: CellConfig, data_dir=None) -> pd.DataFrame:
    """Rows of the shape ``run_cell`` gives, a function of the run alone."""
    records = []
    for seed in cell.seeds:
        for step in (0, 7):
            name, t = cell.method.name, cell.method.t
            draw = random.Random(f"{name} {cell.d} {t} {seed} {step}")
            records.append(
                {
                    "cell": cell.name,
                    "dataset": cell.task.dataset,
                    "network": cell.task.network,
                    "method": name,
                    "burn_in_steps": t,
                    "d": cell.d or 1000,
                    "learning_rate": cell.task.optimizer.learning_rate,
                    "seed": seed,
                    "step": step,
                    "train_loss": draw.random(),
                }
            )
    return complete(cell, records)


def grid(seeds=(0, 1)) -> list[CellConfig]:
    return [
        CellConfig(task=TASK, d=d, method=RandomAffine(t), seeds=seeds)
        for d in (1, 2, 4)
        for t in (0, 8)
    ] + [CellConfig(task=TASK, method=FullSpace(), d=None, seeds=seeds)]


def fill(store: Store, cells) -> Store:
    for cell in cells:
        store.write(cell, make_rows(cell), PROVENANCE)
    return store


def files(store: Store) -> set[str]:
    return {path.name for path in store.root.iterdir()}


def test_a_cell_comes_back_as_it_was(tmp_path):
    store = fill(Store(tmp_path / "new" / "store"), [CELL])
    found = store.read(CELL.name)
    assert found.config == CELL
    assert found.provenance == PROVENANCE
    pd.testing.assert_frame_equal(found.table.to_pandas(), make_rows(CELL))
    assert files(store) == {f"{CELL.name}.parquet"}


def test_any_parquet_reader_opens_a_cell_file(tmp_path):
    store = fill(Store(tmp_path), [CELL])
    path = store.path(CELL.name)
    pd.testing.assert_frame_equal(pd.read_parquet(path), make_rows(CELL))
    metadata = pq.read_metadata(path).metadata
    assert cell_from_json(metadata[b"dofbook.config"].decode()) == CELL
    assert json.loads(metadata[b"dofbook.provenance"]) == PROVENANCE


def test_every_flipped_bit_and_every_cut_is_noticed():
    data = encode(CELL, make_rows(CELL), PROVENANCE)
    assert decode(CELL.name, data).config == CELL
    draw = random.Random(0)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << draw.randrange(8)
        with pytest.raises(DamagedCell):
            decode(CELL.name, bytes(damaged))
        with pytest.raises(DamagedCell):
            decode(CELL.name, data[:position])
    with pytest.raises(DamagedCell):
        decode(CELL.name, data + b"\0")


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def foreign(path):
    pd.DataFrame({"x": [1]}).to_parquet(path)


def text(path):
    path.write_text("not a table")


def another_cell(path):
    other = replace(CELL, d=5)
    path.write_bytes(encode(other, make_rows(other), PROVENANCE))


@pytest.mark.parametrize("damage", [cut, flip, empty, foreign, text, another_cell])
def test_a_damaged_cell_is_kept_aside_reported_and_recomputed(tmp_path, caplog, damage):
    cells = grid()
    whole, store = Store(tmp_path / "whole"), Store(tmp_path / "store")
    for one in (whole, store):
        assert run_sweep(cells, one, run_cell=make_rows).computed == len(cells)
    victim = store.path(cells[3].name)
    for number in (1, 2):
        damage(victim)
        content = victim.read_bytes()
        report = run_sweep(cells, store, run_cell=make_rows)
        assert (report.stored, report.computed, report.failures) == (len(cells) - 1, 1, {})
        aside = store.root / f"{cells[3].name}.corrupt-{number}"
        assert aside.read_bytes() == content
        assert aside.name in caplog.text
    for one, name in ((whole, "a.parquet"), (store, "b.parquet")):
        write_table(one, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_another_schema_version_is_left_out_not_moved_aside(tmp_path, monkeypatch, caplog):
    import dofbook.experiments.config as config

    monkeypatch.setattr(config, "SCHEMA_VERSION", 99)
    store = fill(Store(tmp_path), [CELL])
    before = files(store)
    monkeypatch.undo()
    with pytest.raises(InputError, match="holds none of the cells"):
        table(store)
    assert "schema version 99" in caplog.text
    assert files(store) == before


def test_a_failed_cell_is_recorded_the_others_go_on_and_success_clears_it(tmp_path):
    cells, store = grid(), Store(tmp_path)

    def sometimes(cell, data_dir=None):
        if cell.d == 2:
            raise ZeroDivisionError("no two")
        return make_rows(cell)

    report = run_sweep(cells, store, run_cell=sometimes)
    expected = {cell.name for cell in cells if cell.d == 2}
    assert set(report.failures) == set(store.failures()) == expected
    assert report.computed == len(cells) - len(expected)
    for name, failed in store.failures().items():
        assert failed.config.name == name
        assert "ZeroDivisionError: no two" in failed.traceback
    report = run_sweep(cells, store, run_cell=make_rows)
    assert (report.stored, report.computed) == (len(cells) - 2, 2)
    assert store.failures() == {}
    assert files(store) == {f"{cell.name}.parquet" for cell in cells}


def test_the_record_of_a_failure_is_the_latest(tmp_path):
    class Killed:
        """An executor whose workers die."""

        def map(self, run, cells):
            yield from ((cell, Outcome(0.0, "KilledWorker now")) for cell in cells)

    store = Store(tmp_path)
    store.write_failure(CELL, "OldError: from last month", {})
    report = run_sweep([CELL], store, Killed(), run_cell=make_rows)
    assert report.failures[CELL.name] == "KilledWorker now"
    assert store.failures()[CELL.name].traceback == "KilledWorker now"


def test_an_interrupted_cell_leaves_nothing_behind(tmp_path):
    cells, store = grid(), Store(tmp_path)

    def interrupted(cell, data_dir=None):
        if cell == cells[2]:
            raise KeyboardInterrupt
        return make_rows(cell)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(cells, store, run_cell=interrupted)
    assert files(store) == {f"{cell.name}.parquet" for cell in cells[:2]}


def test_the_store_refuses_to_mix_data(tmp_path):
    cells, store = grid(), Store(tmp_path)
    run_sweep(cells[:3], store, run_cell=make_rows)
    found = store.read(cells[0].name)
    altered = {**found.provenance, "dataset": {"source": "elsewhere", "fingerprint": "0"}}
    store.write(cells[0], make_rows(cells[0]), altered)
    with pytest.raises(InputError, match="computed from other digits data"):
        run_sweep(cells, store, run_cell=make_rows)


def test_the_table_does_not_depend_on_order_or_times(tmp_path):
    cells = grid()
    contents = set()
    for number in range(4):
        order = random.Random(number).sample(cells, len(cells))
        store = Store(tmp_path / str(number))
        for cell in order:
            store.write(cell, make_rows(cell), {**PROVENANCE, "wall_seconds": float(number)})
        write_table(store, tmp_path / f"{number}.parquet")
        contents.add((tmp_path / f"{number}.parquet").read_bytes())
    assert len(contents) == 1
    frame = pd.read_parquet(tmp_path / "0.parquet")
    assert len(frame) == len(cells) * 2 * 2
    keys = [name for name in ORDER if name in frame]
    pd.testing.assert_frame_equal(frame, frame.sort_values(keys, ignore_index=True))


def test_a_run_that_is_in_two_cells_counts_once(tmp_path):
    few, many = grid(seeds=(0, 1)), grid(seeds=(1, 0, 2, 3))
    both = table(fill(Store(tmp_path / "both"), few + many)).drop(columns="cell")
    alone = table(fill(Store(tmp_path / "alone"), many)).drop(columns="cell")
    pd.testing.assert_frame_equal(both, alone)
    chosen = table(Store(tmp_path / "both"), [cell.name for cell in few])
    assert set(chosen["seed"]) == {0, 1}


def test_the_provenance_beside_a_table_accounts_for_it(tmp_path):
    import hashlib

    cells = grid()
    store = fill(Store(tmp_path / "store"), cells)
    rows = write_table(store, tmp_path / "deep" / "t.parquet")
    origin = json.loads((tmp_path / "deep" / "t.provenance.json").read_text())
    content = (tmp_path / "deep" / "t.parquet").read_bytes()
    assert origin["table_sha256"] == hashlib.sha256(content).hexdigest()
    assert rows == len(pd.read_parquet(tmp_path / "deep" / "t.parquet"))
    assert origin["wall_seconds"] == pytest.approx(1.5 * len(cells))
    assert origin["seeds"] == [0, 1]
    assert origin["environments"] == [PROVENANCE["environment"]]
    assert {name: cell_from_json(json.dumps(raw)) for name, raw in origin["cells"].items()} == {
        cell.name: cell for cell in cells
    }


def test_what_compute_records_beside_the_rows(tmp_path):
    import jax

    store = Store(tmp_path)
    run_sweep([CELL], store, run_cell=make_rows)
    recorded = store.read(CELL.name).provenance
    assert recorded["environment"]["versions"]["jax"] == jax.__version__
    assert recorded["environment"]["devices"][0]["platform"] == jax.devices()[0].platform
    assert len(recorded["dataset"]["fingerprint"]) == 64
    assert recorded["wall_seconds"] >= 0
    assert pd.Timestamp(recorded["started"]).utcoffset() == pd.Timedelta(0)


def test_strangers_in_the_folder_are_left_alone(tmp_path):
    store = fill(Store(tmp_path), [CELL])
    strangers = {"notes.txt": b"x", "mine.parquet": b"x", "0123456789abcdef.failed.json": b"{"}
    for name, content in {**strangers, f".{CELL.name}.parquet.1-2.tmp": b"half"}.items():
        (tmp_path / name).write_bytes(content)
    assert store.names() == [CELL.name]
    assert store.failures() == {}
    assert [cell.config for cell in read_cells(store)] == [CELL]
    assert all((tmp_path / name).read_bytes() == content for name, content in strangers.items())


def test_an_empty_store_has_no_table(tmp_path):
    with pytest.raises(InputError, match="holds none of the cells"):
        table(Store(tmp_path))


def test_a_full_disk_leaves_the_old_file_and_no_part_of_the_new(tmp_path):
    """A limit on file size makes the system refuse the write half way, as a full disk does."""
    path = tmp_path / "x"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StoreError, match="cannot write"):
            write_atomically(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_write_that_stops_before_the_renaming_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomically(path, b"old")

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"old"]


def test_a_store_that_vanishes_stops_the_sweep_with_one_sentence(tmp_path):
    store = Store(tmp_path / "store")

    def vandal(cell, data_dir=None):
        shutil.rmtree(store.root)
        store.root.write_text("now a file")
        return make_rows(cell)

    with pytest.raises(StoreError, match="cannot write"):
        run_sweep(grid(), store, run_cell=vandal)


def test_an_interrupt_that_is_swallowed_takes_effect_after_the_cell(tmp_path):
    """Python drops exceptions raised in garbage collection callbacks, of which JAX has one."""
    cells, store = grid(), Store(tmp_path)

    def swallowing(cell, data_dir=None):
        if cell == cells[1]:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        return make_rows(cell)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(cells, store, run_cell=swallowing)
    assert files(store) == {f"{cell.name}.parquet" for cell in cells[:2]}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_an_executor_is_given_can_be_sent_to_another_process(tmp_path):
    """The contract of ``Executor``: a function of one cell that writes to the store itself."""
    cells, store, order = grid(), Store(tmp_path), []

    class Posting:
        def map(self, run, cells):
            for cell in reversed(cells):
                order.append(cell)
                there = pickle.loads(pickle.dumps((run, cell)))  # noqa: S301
                yield cell, pickle.loads(pickle.dumps(there[0](there[1])))  # noqa: S301

    report = run_sweep(cells, store, executor=Posting(), run_cell=make_rows)
    assert (report.computed, order) == (len(cells), cells[::-1])
    assert set(store.names()) == {cell.name for cell in cells}


def aged(path, seconds):
    path.write_bytes(b"half")
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_sweep_removes_what_killed_processes_left_and_nothing_else(tmp_path, monkeypatch):
    """By age alone: no process is probed, which on some systems would end it."""
    monkeypatch.delattr(store_module.os, "kill")
    hour, day = 3600, 86400
    orphans = {".x.parquet.host-12-": 2 * hour, ".x.parquet.12-": day, ".probe-": 2 * hour}
    alive = {".y.parquet.host-12-": 100, ".y.parquet.12-": 0.9 * hour, ".probe-": 100}
    for number, (start, age) in enumerate([*orphans.items(), *alive.items()]):
        end = "" if start == ".probe-" else ".tmp"
        aged(tmp_path / f"{start}{number:08x}{end}", age)
    for stranger in (".notes.tmp", ".notes-old.tmp", "probe-00000000", ".x.parquet"):
        aged(tmp_path / stranger, 9 * day)
    kept = {path.name for path in tmp_path.iterdir()} - {
        ".x.parquet.host-12-00000000.tmp",
        ".x.parquet.12-00000001.tmp",
        ".probe-00000002",
    }
    assert len(kept) == 7
    run_sweep([CELL], Store(tmp_path), run_cell=make_rows)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, f"{CELL.name}.parquet"}


def test_a_killed_writer_leaves_an_orphan_that_the_next_sweep_or_table_removes(tmp_path):
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom dofbook.experiments import store\n"
        "store.os.replace = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.write_atomically(Path(sys.argv[1]) / 't.parquet', b'new')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    (orphan,) = tmp_path.iterdir()
    store_module.remove_orphans(tmp_path, time.time())
    assert orphan.exists()
    old = time.time() - 4000
    os.utime(orphan, (old, old))
    store = fill(Store(tmp_path / "store"), [CELL])
    write_table(store, tmp_path / "other.parquet")
    assert orphan.exists()
    write_table(store, tmp_path / "t.parquet")
    assert not orphan.exists()


def test_a_cell_that_another_sweep_stored_meanwhile_is_not_computed_again(tmp_path):
    cells, store, ran = grid(), Store(tmp_path), []

    def racing(cell, data_dir=None):
        ran.append(cell)
        if cell == cells[0]:
            fill(store, cells[1:4])  # what the other sweep does in that time
        return make_rows(cell)

    report = run_sweep(cells, store, run_cell=racing)
    assert (report.stored, report.computed) == (3, len(cells) - 3)
    assert ran == [cells[0], *cells[4:]]


@pytest.mark.parametrize("hours", [-30, 30])
def test_clocks_that_differ_change_no_result(tmp_path, monkeypatch, hours):
    """Two hosts, one with a wrong clock, fill one store."""
    cells, store, real = grid(), Store(tmp_path / "store"), dt.datetime

    class Wrong(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + dt.timedelta(hours=hours)

    monkeypatch.setattr(executors, "datetime", Wrong)
    run_sweep(cells[:3], store, run_cell=make_rows)
    monkeypatch.setattr(executors, "datetime", real)
    run_sweep(cells, store, run_cell=make_rows)
    write_table(store, tmp_path / "skewed.parquet")
    write_table(fill(Store(tmp_path / "plain"), cells), tmp_path / "plain.parquet")
    assert (tmp_path / "skewed.parquet").read_bytes() == (tmp_path / "plain.parquet").read_bytes()
    assert 1 <= timing.parallelism(read_cells(store)) <= len(cells)


# --- sealed files that do not hold what their name says ------------------------------------------

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def real_rows(cell=CELL) -> pd.DataFrame:
    """Rows with every column of a cell's, as training gives them."""
    rows = make_rows(cell).replace({"step": {7: 1}})
    rows["train_images"], rows["nested"], rows["epochs"] = 100, False, 1
    for metric in METRICS:
        rows[metric] = rows[f"best_{metric}"] = 0.5
    return rows


def lie(**changes):
    return lambda rows: rows.assign(**changes)


LIES = {
    "no rows": lambda rows: rows[:0],
    "half the rows": lambda rows: rows[::2],
    "one run": lambda rows: rows[:2],
    "a row twice": lambda rows: pd.concat([rows, rows[-1:]]),
    "another cell's": lie(cell="0123456789abcdef"),
    "another d": lie(d=5),
    "another method": lie(method="full"),
    "another data set": lie(dataset="mnist"),
    "another t": lie(burn_in_steps=4),
    "nested": lie(nested=True),
    "other seeds": lambda rows: rows.assign(seed=rows.seed + 1),
    "other steps": lambda rows: rows.assign(step=rows.step * 2),
    "accuracy 7": lie(test_accuracy=7.0),
    "accuracy below 0": lie(best_train_accuracy=-0.1),
    "no accuracy": lie(test_accuracy=float("nan")),
    "loss below 0": lie(train_loss=-1.0),
    "an extra column": lie(note="x"),
    "no parameters": lambda rows: rows.drop(columns="D"),
    "no best": lambda rows: rows.drop(columns="best_test_accuracy"),
    "text for a number": lie(train_loss="0.5"),
    "a number for text": lie(method=3),
    "fractions of seeds": lambda rows: rows.assign(seed=rows.seed + 0.0),
    "no seeds": lambda rows: rows.drop(columns="seed"),
    "no steps": lambda rows: rows.drop(columns="step"),
}


@pytest.mark.parametrize("name", LIES)
def test_sealed_rows_that_are_not_the_cell_s_are_moved_aside(tmp_path, name):
    store = Store(tmp_path)
    store.write(CELL, real_rows(), PROVENANCE)
    assert store.take(CELL.name) is not None
    store.write(CELL, LIES[name](real_rows()), PROVENANCE)
    with pytest.raises(DamagedCell):
        store.read(CELL.name)
    assert store.take(CELL.name) is None
    assert files(store) == {f"{CELL.name}.corrupt-1"}
    assert run_sweep([CELL], store, run_cell=lambda cell, _: real_rows()).computed == 1


DEEP = "[" * 10**5
ORIGINS = ["5", "null", "[]", '"x"', "{", DEEP, '{"environment": 5}', '{"wall_seconds": "abc"}']
ORIGINS += ['{"environment": {"devices": [5]}}', '{"environment": {"git": 7}}', '{"started": 5}']


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_cell_that_says_nonsense_of_its_run_is_damaged(tmp_path, origin, monkeypatch):
    store = fill(Store(tmp_path), [CELL])
    honest = store_module.seal
    wrong = {"dofbook.provenance": origin}
    monkeypatch.setattr(store_module, "seal", lambda t, about: honest(t, about | wrong))
    store.path(CELL.name).write_bytes(store_module.encode(CELL, real_rows(), {}))
    with pytest.raises(DamagedCell, match="where it comes from"):
        store.read(CELL.name)


@pytest.mark.parametrize("config", ["[]", "null", "{not", DEEP, "5"])
def test_a_sealed_file_that_describes_no_cell_is_damaged(config):
    about = {"dofbook.config": config, "dofbook.provenance": "{}"}
    data = store_module.seal(pa.Table.from_pandas(real_rows()), about)
    with pytest.raises(DamagedCell, match="not a cell's"):
        store_module.decode(hashlib.sha256(config.encode()).hexdigest()[:16], data)


def test_rows_of_no_training_set_or_of_endless_training_are_refused_at_once(tmp_path):
    store = Store(tmp_path)
    long = replace(CELL, task=replace(CELL.task, epochs=10**8))
    for cell, rows in (
        (CELL, real_rows().assign(train_images=pd.Series([None] * 4, dtype="Int64"))),
        (long, real_rows().assign(cell=long.name, epochs=10**8)),
    ):
        store.write(cell, rows, PROVENANCE)
        with pytest.raises(DamagedCell):
            store.read(cell.name)


@pytest.mark.parametrize("record", [DEEP, "5", '{"config": "' + DEEP + '", "traceback": ""}'])
def test_what_is_no_record_of_a_failure_is_named(tmp_path, caplog, record):
    (tmp_path / "a.failed.json").write_text(record)
    assert Store(tmp_path).failures() == {}
    assert "is not the record of a failed cell" in caplog.text


def test_losses_that_diverged_are_not_a_lie(tmp_path):
    rows = real_rows().assign(train_loss=float("nan"), test_loss=float("inf"))
    store = Store(tmp_path)
    store.write(CELL, rows, PROVENANCE)
    assert store.read(CELL.name).table.num_rows == 4


def test_a_small_file_that_unpacks_to_a_large_one_is_not_unpacked(tmp_path, monkeypatch):
    store = Store(tmp_path)
    many = pd.DataFrame({"cell": CELL.name, "seed": 0, "step": 0}, index=range(10**6))
    long = real_rows().assign(variant="x" * 10**8)
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self, **_: pytest.fail("it was unpacked"))
    for rows in (many, long):
        store.write(CELL, rows, PROVENANCE)
        assert store.path(CELL.name).stat().st_size < 10**7
        with pytest.raises(DamagedCell, match="rows of"):
            store.read(CELL.name)


def test_only_regular_files_of_bounded_size_are_opened(tmp_path, monkeypatch):
    store = Store(tmp_path)
    path = store.path(CELL.name)
    makers = [
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        path.mkdir,
        lambda: path.write_bytes(b"0" * 5000),
    ]
    monkeypatch.setattr(store_module, "_LARGEST_FILE", 4000)
    for number, make in enumerate(makers, 1):
        make()
        assert store.take(CELL.name) is None
        assert (tmp_path / f"{CELL.name}.corrupt-{number}").is_symlink() == (number == 2)
    record = tmp_path / f"{CELL.name}.failed.json"
    os.mkfifo(record)
    assert store.failures() == {}
    record.unlink()
    record.symlink_to("/dev/zero")
    assert store.failures() == {}


def test_a_cell_that_may_not_be_read_is_moved_aside_and_blocks_no_other(
    tmp_path, monkeypatch, caplog
):
    store = Store(tmp_path)
    store.write(CELL, real_rows(), PROVENANCE)
    real = store_module.read_regular

    def refused(path, largest):
        if path == store.path(CELL.name):
            raise PermissionError(13, "Permission denied")
        return real(path, largest)

    monkeypatch.setattr(store_module, "read_regular", refused)
    assert "permission denied" in read_headers(store)[1][CELL.name]
    assert store.take(CELL.name) is None
    assert "it cannot be read: permission denied; moved to" in caplog.text and not store.names()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_a_store_that_no_folder_can_be_is_one_sentence(tmp_path, name):
    with pytest.raises(InputError, match="the store .* cannot be"):
        Store(tmp_path / name)


def test_cells_that_no_column_tells_apart_make_no_table(tmp_path):
    store, other = Store(tmp_path), replace(TASK, extra_burn_in_step=1)
    cells = [
        CellConfig(task=task, d=d, seeds=(0,)) for task, d in ((TASK, 2), (other, 4), (TASK, 8))
    ]
    run_sweep(cells, store, progress=False)
    with pytest.raises(InputError, match="task.extra_burn_in_step, and would make one curve"):
        table(store)
    assert table(store, [cells[0].name, cells[2].name]).d.unique().tolist() == [2, 8]


def test_a_link_to_itself_is_moved_aside_as_what_is_no_file(tmp_path, caplog):
    store = Store(tmp_path)
    store.path(CELL.name).symlink_to(store.path(CELL.name).name)
    assert store.take(CELL.name) is None
    assert "it is not a regular file; moved to" in caplog.text and store.names() == []


def test_the_record_of_a_failure_that_vanishes_is_no_trouble(tmp_path, monkeypatch, caplog):
    store = Store(tmp_path)
    store.write_failure(CELL, "a\nb", {})
    real = store_module.read_regular

    def late(path, largest):
        path.unlink()
        return real(path, largest)

    monkeypatch.setattr(store_module, "read_regular", late)
    assert store.failures() == {}
    assert caplog.text == ""


def test_a_run_record_says_each_thing_once():
    environment = {"git": None, "devices": [{"kind": "cpu"}]}
    environment["versions"] = dict.fromkeys(
        ("python", "jax", "flax", "optax", "numpy", "dofbook"), "1"
    )
    cells = [
        StoredCell(
            CellConfig(task=TaskConfig(network="mlp", epochs=epochs), d=4, seeds=(0, 1)), None,
            {"environment": environment, "dataset": {"source": source}, "wall_seconds": 1.2},
        )
        for epochs, source in ((20, "digits"), (5, "digits; 100 training images"))
    ]  # fmt: skip
    record = run_record(cells)
    assert record["data"] == "digits: all / 100 training images"
    assert record.epochs == "5, 20" and record.network == "mlp"
    assert record.training.count("batches of 128") == 1
    assert record["device and versions"].count("jax") == 1
