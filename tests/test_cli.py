"""The command line: what it prints, writes and refuses."""

import contextlib
import dataclasses
import gc
import importlib.util
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pandas as pd
import pytest
from run_rows import complete

import dofbook
from dofbook import __version__, cli, provenance
from dofbook.commands.app import COMMANDS, build_app
from dofbook.commands.describing import described
from dofbook.datasets import DATASET_NAMES, locate
from dofbook.experiments import (
    cell as cell_module,
    config as config_module,
    index as index_module,
    verification,
)
from dofbook.experiments.options import GRID_OPTIONS, PROFILES, make_sweep
from dofbook.experiments.paper import PAPER_FIGURES
from dofbook.experiments.spectra import SpectrumCell
from dofbook.experiments.store import Store
from dofbook.interrupts import heard_interrupts
from dofbook.methods import RandomAffine, methods
from dofbook.networks import NETWORK_NAMES
from dofbook.success.tables import threshold_table
from dofbook.training import TaskConfig
from dofbook.training.config import OBJECTIVES

SMALL = [
    "--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs", "1",
    "--dims", "1,4", "--runs", "2",
]  # fmt: skip


def run(*arguments: str, cwd=None, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dofbook", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, **more)


def cells_of(line: list[str]) -> list:
    """List the cells that a command line describes."""
    _, bound, _ = build_app().parse_args(line)
    return (described(bound.arguments.get("chosen")) or make_sweep()).cells()


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A small sweep of real training through the installed command."""
    folder = tmp_path_factory.mktemp("swept")
    done = run("sweep", *SMALL, "--store", "store", "--table", "out/table.parquet", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress line outside a terminal
    assert "4 cells: 0 were stored, 4 computed, 0 failed." in done.stdout
    return folder


def tree(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_sweep_writes_the_tidy_table_and_its_origin(swept):
    frame = pd.read_parquet(swept / "out" / "table.parquet")
    assert len(frame) == 4 * 2 * 2  # cells x runs x checkpoints
    assert not frame.duplicated(["cell", "seed", "step"]).any()
    affine = frame[frame["method"] == "affine"]
    assert set(affine["d"]) == {1, 4}
    assert set(frame.loc[frame["method"] == "full", "learning_rate"]) == {0.05, 0.01}
    origin = json.loads((swept / "out" / "table.provenance.json").read_text())
    assert set(origin["cells"]) == set(frame["cell"])
    assert origin["environments"][0]["versions"]["dofbook"] == __version__


def test_status_of_a_store_and_of_a_larger_sweep(swept, capsys, monkeypatch):
    monkeypatch.chdir(swept)
    before = tree(swept)
    assert cli.main(["status"]) == 0
    assert "4 cells in store: 4 done." in capsys.readouterr().out
    larger = [*SMALL[:-4], "--dims", "1,4,8", "--burn-in-steps", "0,3", "--runs", "2"]
    assert cli.main(["status", *larger]) == 0
    out = capsys.readouterr().out
    assert "8 cells in store: 4 done, 4 missing." in out
    rows = [line.split() for line in out.splitlines() if line.split()[2:3] == ["affine"]]
    assert {(row[3], row[4]): row[5:] for row in rows} == {
        (t, d): ["1", "0", "0", "0"] if t == "0" and d != "8" else ["0", "0", "1", "0"]
        for t in "03"
        for d in "148"
    }
    assert tree(swept) == before


def test_status_tells_the_rate_of_the_device_used_last_and_names_it(tmp_path, capsys):
    """Eight fast cells of a GPU, then two slow ones of a CPU: 0.5 cells a minute, not 5."""
    store = Store(tmp_path)
    for d in range(1, 11):
        cell = config_module.CellConfig(task=TaskConfig("digits", "mlp"), d=d)
        device = ("gpu", "H100") if d < 9 else ("cpu", "cpu")
        environment = {"devices": [dict(zip(("platform", "kind"), device, strict=True))]}
        began = f"2030-01-01T12:{2 * d:02}:00+00:00"
        seconds = 1.0 if d < 9 else 120.0
        origin = {"environment": environment, "started": began, "wall_seconds": seconds}
        store.write(cell, tell(cell), origin)
    wanted = ["--dataset", "digits", "--network", "mlp", "--dims", "9,10,11", "--runs", "1"]
    line = ["status", "--store", str(tmp_path), *wanted, "--no-baseline"]
    assert cli.main(["status", "--store", str(tmp_path)]) == 0
    assert "30 cells per hour on cpu, 1.0 at a time." in capsys.readouterr().out
    assert cli.main(line) == 0
    assert "30 cells per hour on cpu, 1.0 at a time; about 2.0 min left." in capsys.readouterr().out


def test_status_names_damage_and_changes_nothing(swept, tmp_path, capsys):
    (tmp_path / "0123456789abcdef.parquet").write_bytes(b"junk")
    assert cli.main(["status", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "left out: " in out
    assert "holds no cells" in out
    assert tree(tmp_path) == {"0123456789abcdef.parquet"}


def test_table_of_the_whole_store_and_of_one_sweep(swept, tmp_path, capsys):
    whole, part = tmp_path / "new" / "whole.parquet", tmp_path / "part.parquet"
    store = ["--store", str(swept / "store")]
    assert cli.main(["table", *store, "-o", str(whole)]) == 0
    assert whole.read_bytes() == (swept / "out" / "table.parquet").read_bytes()
    one = [*SMALL[:-4], "--dims", "4,64", "--runs", "2", "--no-baseline"]
    assert cli.main(["table", *store, *one, "-o", str(part)]) == 0
    assert "1 of 2 cells are missing" in capsys.readouterr().out
    assert set(pd.read_parquet(part)["d"]) == {4}


def events_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_dry_run_lists_cells_steps_memory_and_time_and_writes_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", *SMALL, "--dry-run", "--measure", "--table", "t.parquet"]) == 0
    out = capsys.readouterr().out
    assert "4 cells in store: 4 missing. Left: 4 cells, 8 steps, " in out
    assert "one after the other on this machine; up to " in out
    said, header, *rows = (line.split() for line in out.splitlines()[:-1])
    assert said[:3] == ["4", "cells", "wanted;"]
    assert header[5:] == ["state", "runs", "steps", "memory", "time"]
    assert [row[4:8] for row in rows] == 2 * [["full", "missing", "2", "2"]] + [
        [d, "missing", "2", "2"] for d in "14"
    ]
    assert tree(tmp_path) == set()


def test_a_dry_run_knows_the_times_of_what_is_stored(swept, monkeypatch, capsys):
    """And measures nothing then: the same cells with one more d are predicted from the store."""
    from dofbook.experiments import estimates

    monkeypatch.chdir(swept)
    monkeypatch.setattr(estimates, "measure_rates", None)
    larger = [*SMALL[:-4], "--dims", "1,4,64", "--runs", "2"]
    assert cli.main(["sweep", *larger, "--dry-run", "--measure", "--json"]) == 0
    *done, new = events_of(capsys.readouterr().out)
    assert [event["state"] for event in done] == 4 * ["done"]
    assert all(event["seconds"] == 0 for event in done)
    assert (new["d"], new["state"], new["runs_together"]) == (64, "missing", 1)
    assert 0 < new["seconds"] < 60
    assert new["bytes"] > 4 * 64 * 2410


@pytest.mark.parametrize(
    ("dims", "said"),
    [
        ("1,4", r"4 cells in store: 4 done\. Nothing is left\."),
        ("1,4,64", r"5 .*: 4 done, 1 missing\. Left: 1 cells, \d+ s on the .* last \(cpu\); .*"),
    ],
)  # fmt: skip
def test_a_dry_run_answers_without_jax_and_pandas(swept, dims, said):
    line = ["sweep", *SMALL[:-4], "--dims", dims, "--runs", "2", "--dry-run"]
    script = (
        "import sys\nfrom dofbook.cli import main\n"
        f"assert main({line}) == 0\n"
        "refused = ['--retries=-1'], ['--chunk', '0'], ['--executor', 'dask', '--workers', '0']\n"
        f"assert {{main([*{line}, *options]) for options in refused}} == {{2}}\n"
        "more = ['--executor', 'dask', '--chunk', '2', '--retries', '2', '--quiet']\n"
        f"assert main([*{line}, *more]) == 0\n"
        "assert not {'jax', 'pandas', 'scipy', 'sklearn'} & set(sys.modules), 'imported too much'\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=swept)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(said, done.stdout.splitlines()[-1])
    assert set(done.stdout.splitlines()[3].split()[-3:]) == {"-"}  # of a cell that is done


def test_a_damaged_cell_is_named_by_every_command_until_it_is_computed_again(
    swept, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(shutil.copytree(swept, tmp_path / "copy"))
    cell = next(Path("store").glob("*.parquet"))
    cell.write_bytes(cell.read_bytes()[:3000])
    lines = [["table", "--csv"], ["thresholds", "store", "--level", "0.1"]]
    assert cli.main(["verify", "--sample", "9"]) == 1
    assert f"{cell} cannot be verified: it is cut short" in capsys.readouterr().err
    for _ in range(2):  # the first moves the file aside
        for line in lines:
            assert cli.main(line) == 1
            said, named = capsys.readouterr()
            assert said and f"{cell.stem}." in named
        assert cli.main(["status"]) == 0
        assert f"left out: {cell.with_suffix('.corrupt-1')}: it was" in capsys.readouterr().out
    assert cli.main(["sweep", *SMALL, "--quiet"]) == 0
    for line in (*lines, ["status"], ["verify", "--sample", "9"]):
        assert cli.main(line) == 0
    assert "left out" not in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are pipes with names")
def test_an_output_replaces_no_pipe(swept, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(shutil.copytree(swept, tmp_path / "copy"))
    for name in ("pipe", "pipe.parquet", "pipe.ipynb"):
        os.mkfifo(name)
    chapter = str(Path(__file__).parents[1] / "book" / "errata.md")
    for line in (
        ["table", "--csv", "-o", "pipe"],
        ["table", "-o", "pipe.parquet"],
        ["sweep", *SMALL, "--table", "pipe.parquet"],
        ["run", chapter, "-o", "pipe.ipynb"],
    ):
        assert cli.main(line) == 2
        assert "is a device, a pipe or a socket; name a file." in capsys.readouterr().err
    assert all(path.is_fifo() for path in Path().glob("pipe*"))


def test_a_large_file_that_is_no_table_is_not_read(tmp_path, capsys):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**40)  # most file systems store no byte of it
    assert cli.main(["thresholds", str(tmp_path / "large"), "--level", "0.9"]) == 2
    assert "cannot be read as Parquet" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_tables_are_read_without_threads_that_abort_a_process_at_its_end(swept, tmp_path):
    out = str(tmp_path / "t.parquet")
    lines = [["table", "-o", out], ["status"]]
    lines += [["thresholds", source, "--level", "0.5"] for source in (out, "store")]
    script = (
        "import os, pandas, scipy.stats\nfrom dofbook.cli import main\n"
        "before = os.listdir('/proc/self/task')\n"
        f"assert [main(line) for line in {lines}] == 4 * [0]\n"
        "assert os.listdir('/proc/self/task') == before\n"
    )
    # Linear algebra starts threads of its own, when it is imported or later.
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=swept, env=alone)
    assert done.returncode == 0, done.stderr


def test_a_dry_run_of_an_empty_store_knows_no_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", *SMALL, "--dry-run", "--json"]) == 0
    plans = events_of(capsys.readouterr().out)
    assert [(plan["steps"], plan["bytes"], plan["seconds"]) for plan in plans] == 4 * [(None,) * 3]
    assert cli.main(["sweep", *SMALL, "--dry-run"]) == 0
    *_, row, end = capsys.readouterr().out.splitlines()
    assert row.split()[-3:] == ["-", "-", "?"] and "4 cells, time unknown; with --measure" in end
    assert cli.main(["sweep", *SMALL, "--measure"]) == 2
    assert "--measure belongs to --dry-run" in capsys.readouterr().err
    assert tree(tmp_path) == set()


def tell(cell, data_dir=None, batching=None):
    """Rows without training, with every metric."""
    rows = {"cell": cell.name, "seed": cell.seeds, "step": 0, "d": cell.d or 2410}
    for metric in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        rows[metric] = rows[f"best_{metric}"] = [(cell.d or 0) / 100 + s / 1000 for s in cell.seeds]
    return complete(cell, rows)


def test_events_for_machines(tmp_path, monkeypatch, capsys):
    def broken(cell, data_dir=None):
        if cell.d == 4:
            raise FloatingPointError("nothing but NaN")
        return tell(cell)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", broken)
    assert cli.main(["sweep", *SMALL, "--json", "--retries", "2"]) == 1
    start, *cells, end = events_of(capsys.readouterr().out)
    assert start == {"event": "start", "store": "store", "cells": 4, "stored": 0, "missing": 4}
    assert [event["state"] for event in cells] == 3 * ["done"] + 2 * ["retried"] + ["failed"]
    assert all("nothing but NaN" in event["error"] for event in cells[3:])
    assert end == {"event": "end", "stored": 0, "computed": 3, "failed": 1}
    monkeypatch.setattr(cell_module, "run_cell", tell)
    assert cli.main(["sweep", *SMALL, "--json", "--table", "t.parquet"]) == 0
    *_, end, table = events_of(capsys.readouterr().out)
    assert end == {"event": "end", "stored": 3, "computed": 1, "failed": 0}
    assert table == {"event": "table", "path": "t.parquet", "rows": 8}
    assert cli.main(["status", *SMALL, "--json"]) == 0
    (status,) = events_of(capsys.readouterr().out)
    assert (status["done"], status["failed"], status["missing"]) == (4, 0, 0)
    assert status["cells_per_hour"] > 0 and status["seconds_left"] == 0


def test_parts_share_a_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", tell)
    for part in ("1/3", "2/3", "3/3"):
        assert cli.main(["sweep", *SMALL, "--part", part]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == ["2", "1", "1"]
    assert "0 were stored" in out.splitlines()[-1]
    assert cli.main(["status", *SMALL]) == 0
    assert "4 cells in store: 4 done." in capsys.readouterr().out


def test_an_adaptive_sweep(tmp_path, monkeypatch, capsys):
    """Accuracy is d/100 + seed/1000, so every threshold is known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", tell)
    wanted = ["sweep", *SMALL[:-4], "--dims", "1:91:x1.2", "--adaptive", "--level", "0.205,0.5"]
    wanted += ["--runs", "8", "--delta", "0.5", "--half-width", "0.3"]
    assert cli.main([*wanted, "--dry-run"]) == 0
    assert "at most" in capsys.readouterr().out
    assert tree(tmp_path) == set()
    assert cli.main([*wanted, "--json", "--table", "t.parquet"]) == 0
    out = events_of(capsys.readouterr().out)
    low, high = (event for event in out if event["event"] == "threshold")
    assert set(low["hits"]) == {22}  # the first of the grid with d/100 >= 0.205
    assert set(high["hits"]) == {55}
    assert low["lower"] < 20.5 < low["upper"] and high["lower"] < 50 < high["upper"]
    trained = sum(event["event"] == "cell" for event in out)
    assert trained == low["trainings"] == len(pd.read_parquet("t.parquet"))
    assert 3 * trained < low["initializations"] * 24
    assert cli.main(wanted) == 0
    out = capsys.readouterr().out
    assert "test_accuracy 0.5: d* = 5" in out and "at 95%, 4 initializations" in out


def test_verify_repeats_runs_and_notices_a_lie(swept, tmp_path, monkeypatch, capsys):
    shutil.copytree(swept / "store", tmp_path / "store")
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    assert cli.main(["verify", *SMALL[:-4], "--dims", "4", "--runs", "2", "--no-baseline"]) == 0
    out = capsys.readouterr().out
    assert "d = 4" in out and "): identical; losses differ by 0.0e+00" in out
    assert "1 of 1 cells were checked, 0 failed." in out
    assert {path: path.read_bytes() for path in (tmp_path / "store").iterdir()} == before
    store = Store(tmp_path / "store")
    found = store.read(cells_of(["sweep", *SMALL])[0].name)
    lie = found.table.to_pandas()
    lie["train_loss"] *= 1 + 1e-6
    store.write(found.config, lie, found.provenance)
    assert cli.main(["verify", *SMALL, "--sample", "9", "--json"]) == 1
    checks = events_of(capsys.readouterr().out)
    (wrong,) = [check for check in checks if not check["passed"]]
    assert (wrong["cell"], wrong["state"]) == (found.config.name, "close")
    assert wrong["bits_expected"]
    assert len(checks) == 4


def test_a_failing_cell_gives_exit_code_1_and_its_traceback(tmp_path, monkeypatch, capsys):
    def broken(cell, data_dir=None):
        if cell.d == 4:
            raise FloatingPointError("nothing but NaN")
        return complete(cell, {"seed": cell.seeds, "step": 0})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", broken)
    assert cli.main(["sweep", *SMALL, "--table", "t.parquet"]) == 1
    captured = capsys.readouterr()
    assert "4 cells: 0 were stored, 3 computed, 1 failed." in captured.out
    failure, table = captured.err.splitlines()
    assert "FloatingPointError: nothing but NaN; its traceback is in store/" in failure
    (record,) = Path("store").glob("*.failed.json")
    assert str(record) in failure and "raise FloatingPointError" in record.read_text()
    assert "t.parquet is not written" in table
    assert not (tmp_path / "t.parquet").exists()
    assert cli.main(["status", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "3 done, 1 failed." in out
    assert "FloatingPointError: nothing but NaN" in out
    assert cli.main(["status"]) == 0
    assert "3 done, 1 failed." in capsys.readouterr().out


BAD = [
    "swep",
    "--colour",
    "sweep --colour red",
    "sweep more",
    "sweep --dims",
    "sweep --runs 1 --runs 2",
    "sweep --dry-run=maybe",
    "sweep --store=",
    "sweep --method nowhere_at_all:Method",
    "sweep --method math:prod",
    "sweep --objective speed",
    "sweep --solver exact",
    "sweep --runs 1000000000 --dry-run",
    "sweep --adaptive --level 0.5 --runs 1000000000 --dry-run",
    "sweep --table /proc/x.parquet",
    "sweep --table /proc/x/y.parquet --dry-run",
    "sweep --store FOLDER.parquet --table FOLDER.parquet/new/table.parquet",
    "table --store FOLDER.parquet -o FOLDER.parquet/0123456789abcdef.parquet",
    "table --store FOLDER.parquet -o FOLDER.parquet/rows.csv --csv",
    "spectra",
    "list",
    "list nothing",
    "completion",
    "completion tcsh",
    "thresholds",
    "thresholds FILE",
    "thresholds FILE --level 0.5",
    "thresholds missing --level 0.5",
    "thresholds FOLDER.parquet --level 0.5",
    "figures FILE -o FILE",
    "figures FILE",
    "run CHAPTER.md -o CHAPTER.md",
    "sweep --data",
    "sweep --dataset mnits",
    "sweep --dataset mnist --data-dir /does/not/exist",
    "sweep --network conv9",
    "sweep --network lenet",  # digits are too small for it
    "sweep --pooling median",
    "sweep --convention mine",
    "sweep --profile huge",
    "sweep --dims 0",
    "sweep --dims -4,8",
    "sweep --dims 1,x",
    "sweep --dims 1.5",
    "sweep --dims 4,4",
    "sweep --dims octaves:0",
    "sweep --dims octaves:many",
    "sweep --dims 8:1:x2",
    "sweep --dims 1:8:2",
    "sweep --dims 1:8:x1",
    "sweep --dims 1:8:xnan",
    "sweep --dims 1,10000000",  # d > D
    "sweep --burn-in-steps -1",
    "sweep --burn-in-steps a",
    "sweep --burn-in-steps 0,0",
    "sweep --runs 0",
    "sweep --runs 2.5",
    "sweep --first-seed -1",
    "sweep --epochs 0",
    "sweep --batch-size 0",
    "sweep --batch-size many",
    "sweep --checkpoints-per-epoch 0",
    "sweep --learning-rate nan",
    "sweep --learning-rate -0.1",
    "sweep --learning-rate inf",
    "sweep --train-size 0",
    "sweep --train-size 1000000",
    "sweep --test-size -5",
    "sweep --figure 99",
    "sweep --figure 2-mnist --dims 4",
    "sweep --figure 2-mnist --profile reduced",
    "sweep --figure 2-mnist --adaptive --level 0.5",
    "sweep --method magic",
    "sweep --directions helical",
    "sweep --method lottery_ticket --directions sparse",
    "sweep --basis centred",  # affine subspaces have no trajectory
    "sweep --method lottery_subspace --spacing 0",
    "sweep --method lottery_ticket --iterations 0",
    "sweep --executor slurm",
    "sweep --executor local --workers 2",
    "sweep --executor dask --workers 0",
    "sweep --workers two",
    "sweep --scheduler nowhere",
    "sweep --scheduler tcp://a:1 --scheduler-file f",
    "sweep --scheduler tcp://a:1 --workers 2",
    "sweep --part 0/4",
    "sweep --part 5/4",
    "sweep --part 3",
    "sweep --retries -1",
    "sweep --batching magic",
    "sweep --chunk 0",
    "sweep --precision bf16",
    "sweep --adaptive",
    "sweep --level 0.5",
    "sweep --adaptive --level high",
    "sweep --adaptive --level 1.5",
    "sweep --adaptive --level 0.5 --metric speed",
    "sweep --adaptive --level 0.5 --half-width 0",
    "sweep --adaptive --level 0.5 --delta 1",
    "sweep --adaptive --level 0.5 --confidence nan",
    "sweep --adaptive --level 0.5 --runs 1",
    "sweep --adaptive --level 0.5 --part 1/2",
    "sweep --adaptive --level 0.5 --method lottery_ticket",
    "sweep --adaptive --level 0.5 --dims 1,10000000",
    "sweep --store FILE",
    "sweep --store FILE/store",
    "sweep --store /proc/nowhere",
    "sweep --table table.csv",
    "sweep --table FILE/table.parquet",
    "sweep --table FOLDER.parquet",
    "status --store missing",
    "status --store FILE",
    "status --store FOLDER.parquet --dims x",
    "table --store missing -o t.parquet",
    "table --store FOLDER.parquet -o t.parquet",
    "table --store FOLDER.parquet",
    "verify --store missing",
    "verify --store FOLDER.parquet",
    "figures missing.parquet -o figures",
    "figures FILE -o figures",
    "figures FILE -o figures --figure figure_99",
    "run missing.md -o out.ipynb",
    "run FILE -o out.ipynb",
    "run CHAPTER.md",
    "run CHAPTER.md -o out.txt",
    "run CHAPTER.md -o FOLDER.parquet",
    "run CHAPTER.md -o out.ipynb -p runs",
    "run CHAPTER.md -o out.ipynb -p 2=3",
    "run CHAPTER.md -o out.ipynb -p runs=2 -p runs=3",
    "run CHAPTER.md -o out.ipynb --cell-timeout 0",
    "run CHAPTER.md -o out.ipynb --start-timeout -3",
    "info --jsn",
]


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_sentence_exit_code_2_and_nothing_written(
    line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DOFBOOK_DATA_DIR", raising=False)
    (tmp_path / "FILE").write_text("plain text")
    (tmp_path / "FOLDER.parquet").mkdir()
    (tmp_path / "CHAPTER.md").write_text("# No kernel\n")
    before = tree(tmp_path)
    assert cli.main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dofbook: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith(".\n")
    assert tree(tmp_path) == before


def test_exit_codes_of_the_real_process(tmp_path):
    done = run("sweep", "--runs", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dofbook: runs is 0; it must be a whole number of at least 1.\n"


def test_help_and_version_answer_without_jax():
    script = (
        "import sys, dofbook\nfrom dofbook.cli import main\n"
        "for arguments in (['--version'], ['--help'], [], ['list', '--help'], ['swep']):\n"
        "    main(arguments)\n"
        "assert not {'jax', 'numpy', 'pandas'} & set(sys.modules), 'imported too much'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"dofbook {__version__}\n")


def test_help_of_a_command_answers_without_jax():
    script = (
        "import sys\nfrom dofbook.cli import main\nfrom dofbook.commands.app import COMMANDS\n"
        "assert main(['sweep', '--help']) == 0\n"
        "assert not {'jax', 'pandas', 'scipy'} & set(sys.modules), 'imported too much'\n"
        "for command in COMMANDS:\n"
        "    assert main([command, '--help']) == 0\n"
        "assert 'jax' not in sys.modules, 'imported too much'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sweeps_need_none_of_the_optional_packages():
    script = (
        "import sys\n"
        "for name in ('matplotlib', 'sklearn', 'papermill', 'jupytext', 'nbformat',\n"
        "             'tensorflow_datasets', 'tensorflow'):\n"
        "    sys.modules[name] = None  # importing it raises ImportError\n"
        "from dofbook.cli import main\n"
        "import dofbook.experiments.tables\n"
        "assert main(['status', '--store', '.', '--dims', '1']) == 0\n"
        "assert main(['run', 'x.md', '-o', 'x.ipynb']) == 2\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pip install 'dofbook[book]'" in done.stderr


def test_help_names_every_data_set_network_and_profile(capsys):
    assert cli.main(["sweep", "--help"]) == 0
    text = capsys.readouterr().out
    for name in (*DATASET_NAMES, *NETWORK_NAMES, *PROFILES, *methods()):
        assert name in text


def test_every_option_is_a_field_of_the_dataclasses():
    """And every field of a type the command line has is an option."""
    _, bound, _ = build_app().parse_args(["sweep", "--runs", "3"])
    options = {field.name for field in dataclasses.fields(bound.arguments["chosen"])}
    task = {field.name for field in dataclasses.fields(TaskConfig)}
    task -= {"optimizer", "burn_in_optimizer"}  # dataclasses themselves
    own = {name for kind in methods().values() for name in kind.options()}
    others = {"profile", "figure", "method", "convention", "learning_rate", "no_baseline"}
    assert options == task | own | set(GRID_OPTIONS) | others | {"burn_in_steps"}


def test_every_flag_reaches_the_configuration():
    """Each option changes the cells, so none is accepted and ignored."""
    values = {
        "profile": "paper", "dataset": "mnist", "network": "conv3", "pooling": "average",
        "dims": "3:9:x3", "burn_in_steps": "5", "runs": "4", "first_seed": "7", "epochs": "9",
        "batch_size": "64", "learning_rate": "0.2", "train_size": "50", "test_size": "60",
        "checkpoints_per_epoch": "3", "convention": "released_code", "method": "full",
        "directions": "sparse", "figure": "2-mnist", "extra_burn_in_step": "1",
        "objective": "regression", "linearized_at": "9", "baseline_learning_rates": "0.3,0.4",
        "directions_seed": "3",
    }  # fmt: skip
    of_lottery = {
        "basis": "centred", "spacing": "3", "trajectory_steps": "9", "extra_first_step": "1",
    }  # fmt: skip
    of_tickets = {"pruning_epochs": "7", "iterations": "2", "retraining": "released_code",
                  "weight_decay": "0.5"}  # fmt: skip
    _, bound, _ = build_app().parse_args(["sweep", "--runs", "3"])
    options = {field.name for field in dataclasses.fields(bound.arguments["chosen"])}
    flags = {"nested", "no_baseline"}
    ours = [kind for kind in methods().values() if kind.__module__.startswith("dofbook.")]
    of_others = {name for kind in methods().values() if kind not in ours for name in kind.options()}
    of_others -= {name for kind in ours for name in kind.options()}
    assert {*values, *of_lottery, *of_tickets, *flags, "solver"} == options - of_others
    for method, chosen in (("lottery_subspace", of_lottery), ("lottery_ticket", of_tickets)):
        for name, value in chosen.items():
            line = ["sweep", "--method", method, "--" + name.replace("_", "-"), value]
            assert cells_of(line) != make_sweep(method=method).cells(), line
    lines = [["--" + name.replace("_", "-"), value] for name, value in values.items()]
    for line in [*lines, ["--nested"], ["--no-baseline"]]:
        assert cells_of(["sweep", *line]) != make_sweep().cells(), line
    linear = ["sweep", "--linearized-at", "9"]
    assert cells_of([*linear, "--solver", "exact"]) != cells_of(linear)


MINE = """
from dataclasses import dataclass
from typing import ClassVar, Literal
from dofbook.methods import RandomAffine

@dataclass(frozen=True)
class Mine(RandomAffine):
    \"\"\"Lay a subspace of my own.

    Args:
        width: How wide it is. It is wide.
    \"\"\"

    width: int = 5
    shape: Literal["round", "square"] = "round"
    parts: list[int] | None = None  # no type of the command line's
    name: ClassVar[str] = "my_methods:Mine"
"""


def test_a_method_of_ones_own_brings_its_options(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_methods.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["sweep", "--help"]) == 0
    assert "--width" not in capsys.readouterr().out
    assert cli.main(["sweep", "--method", "my_methods:Mine", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--width N: my_methods:Mine: How wide it is. [default: 5]" in text
    assert (
        "--shape VALUE: my_methods:Mine: shape. [default: round] [choices: round, square]" in text
    )
    assert "--parts" not in text
    line = ["sweep", "--method=my_methods:Mine", "--width", "7", "--dims", "4", "--no-baseline"]
    (cell,) = cells_of(line)
    assert (cell.method.width, cell.method.shape, type(cell.method).__name__) == (
        7,
        "round",
        "Mine",
    )
    assert cli.main([*line, "--width", "wide"]) == 2
    del sys.modules["my_methods"], cell
    gc.collect()
    assert "my_methods:Mine" not in methods()


def test_an_option_of_several_methods_is_as_the_one_that_is_named_has_it(
    tmp_path, monkeypatch, capsys
):
    own = MINE.replace("my_methods", "same_options").replace("RandomAffine", "Method")
    own = own.replace("width", "basis")
    own = own.replace('shape: Literal["round", "square"] = "round"', 'directions: str = "loss"')
    (tmp_path / "same_options.py").write_text(own)
    monkeypatch.syspath_prepend(tmp_path)
    line = ["sweep", "--method", "same_options:Mine"]
    assert cli.main([*line, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    others = r"(\S+, )*"  # classes of other tests
    assert re.search(
        rf"--basis N: {others}same_options:Mine: How wide it is\. \[default: 5\]", text
    )
    assert re.search(rf"affine, {others}same_options:Mine: directions\. \[default: loss\]", text)
    (cell,) = cells_of([*line, "--basis", "7", "--dims", "4", "--no-baseline"])
    assert cell.method == type(cell.method)(basis=7)
    for kept, shown in (([], "gaussian"), (["--method", "lottery_subspace"], "increments")):
        assert cli.main(["sweep", *kept, "--help"]) == 0
        assert f"[default: {shown}]" in capsys.readouterr().out
    assert cli.main(["sweep", "--method", "--help"]) == 0


def test_a_method_defined_here_is_an_option_at_once(capsys):
    @dataclasses.dataclass(frozen=True)
    class Here(RandomAffine):
        depth: float = 0.5
        name = "here"

    assert cli.main(["table", "--help"]) == 0
    assert "--depth X: here: depth. [default: 0.5]" in capsys.readouterr().out
    del Here
    gc.collect()
    assert "here" not in methods()


# --- help, names and completion -------------------------------------------------------------------


def test_no_command_prints_help(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == text
    assert all(f"  {name}: {words}\n" in text for name, (_, words) in COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_its_own_options_once(command, capsys):
    assert cli.main([command, "--help"]) == 0
    text = capsys.readouterr().out
    options = [line.split()[0] for line in text.splitlines() if line.startswith("  --")]
    assert len(options) == len(set(options))
    assert "--help" not in options and "--version" not in options
    assert ("--dims" in options) == (command in ("sweep", "status", "table", "verify"))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("swep", "; did you mean sweep? See dofbook --help."),
        ("sweep --metod affine", "; did you mean --method? See dofbook sweep --help."),
        ("info --jsn", "; did you mean --json? See dofbook info --help."),
        ("list network", '; did you mean "networks"? See dofbook list --help.'),
        ("sweep --executor dsk", '; did you mean "dask"? See dofbook sweep --help.'),
    ],
)
def test_the_nearest_name_is_offered(line, meant, capsys):
    assert cli.main(line.split()) == 2
    assert capsys.readouterr().err.endswith(meant + "\n")


@pytest.mark.parametrize(
    ("what", "names"),
    [("datasets", DATASET_NAMES), ("networks", NETWORK_NAMES), ("methods", None),
     ("objectives", OBJECTIVES), ("figures", PAPER_FIGURES)],
)  # fmt: skip
def test_lists(what, names, capsys):
    names = methods() if names is None else names  # other tests may have defined some
    assert cli.main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in (*COMMANDS, "burn-in-steps", "lottery_subspace", "half-width"):
        assert word in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


# --- tables and thresholds ------------------------------------------------------------------------


def test_a_table_as_csv(swept, tmp_path, capsys):
    store, path = ["--store", str(swept / "store")], tmp_path / "new" / "rows.csv"
    assert cli.main(["table", *store, "--csv"]) == 0
    text = capsys.readouterr().out
    rows = pd.read_parquet(swept / "out" / "table.parquet")
    read = pd.read_csv(io.StringIO(text)).assign(variant="")
    pd.testing.assert_frame_equal(read[list(rows)], rows, check_dtype=False, rtol=1e-6)
    assert cli.main(["table", *store, "--csv", "-o", str(path), "--quiet"]) == 0
    assert path.read_text() == text
    assert capsys.readouterr().out == ""


def test_thresholds_of_a_table_and_of_a_store(swept, capsys):
    table, store = (str(swept / part) for part in ("out/table.parquet", "store"))
    wanted = ["--level", "0.05,0.99", "--metric", "train_accuracy", "--delta", "0.5"]
    assert cli.main(["thresholds", table, *wanted, "--csv"]) == 0
    text = capsys.readouterr().out
    runs = pd.read_parquet(table)
    found = threshold_table(runs, "train_accuracy", [0.05, 0.99], delta=0.5, interval="inverted")
    assert text == found.to_csv(index=False)
    assert cli.main(["thresholds", store, *wanted, "--csv"]) == 0
    assert capsys.readouterr().out == text
    assert cli.main(["thresholds", store, *wanted]) == 0
    out = capsys.readouterr().out
    header, *lines = out.splitlines()
    assert header.split()[3:] == ["t", "level", "d*", "interval", "runs"]
    for level, line in zip((0.05, 0.99), lines, strict=True):
        value = dofbook.threshold(runs, "train_accuracy", level, delta=0.5)
        assert value.value_text() in line and value.interval_text() in line


def test_levels_and_files_that_cannot_be_are_refused(swept, tmp_path, capsys):
    for level in ("2", "90", "-0.5"):
        assert cli.main(["thresholds", str(swept / "store"), "--level", level]) == 2
    assert cli.main(["table", "--store", str(swept / "store"), "--csv", "-o", str(tmp_path)]) == 2
    assert f"{tmp_path} is a folder; name a file." in capsys.readouterr().err


def test_in_a_terminal_a_sweep_speaks_at_once_and_names_the_cell_that_runs(tmp_path):
    parent, child = os.openpty()
    termios.tcsetwinsize(child, (24, 100))
    command = [sys.executable, "-m", "dofbook", "sweep", *SMALL, "--no-baseline"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=child, stderr=child) as running:
        os.close(child)
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(parent, 4096):
                said += part
    os.close(parent)
    assert running.returncode == 0
    first, *_, last = said.decode().split("\r\n")[:-1]
    assert first == "2 cells, 0 of them in store"
    assert "now affine, t = 0, d = 4" in said.decode()
    assert last == "2 cells: 0 were stored, 2 computed, 0 failed."


def test_tables_never_change_the_store_they_are_made_from(swept, capsys, monkeypatch):
    monkeypatch.chdir(swept)
    before = {path: path.read_bytes() for path in (swept / "store").iterdir()}
    cell = min(before).name
    assert cli.main(["table", "-o", f"store/{cell}"]) == 2
    assert cli.main(["sweep", *SMALL, "--table", f"out/../store/{cell}"]) == 2
    assert capsys.readouterr().err.count("lies in the store") == 2
    assert {path: path.read_bytes() for path in (swept / "store").iterdir()} == before


def test_a_cell_lost_during_a_sweep_fails_it(tmp_path, monkeypatch, capsys):
    store = Store(tmp_path / "store")

    def losing(cell, data_dir=None):
        for name in store.names()[:1]:
            store.path(name).unlink()
        return tell(cell)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", losing)
    assert cli.main(["sweep", *SMALL, "--table", "t.parquet"]) == 1
    err = capsys.readouterr().err
    assert "3 cells left the store while the sweep ran" in err
    assert "t.parquet is not written" in err and not (tmp_path / "t.parquet").exists()
    monkeypatch.setattr(cell_module, "run_cell", tell)
    assert cli.main(["sweep", *SMALL, "--table", "t.parquet"]) == 0
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == 8


def test_quiet_says_nothing_but_errors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cell_module, "run_cell", tell)
    monkeypatch.setattr(index_module, "commit", lambda: {"commit": "b" * 40})
    assert cli.main(["sweep", *SMALL, "--quiet", "--table", "t.parquet"]) == 0
    monkeypatch.setattr(index_module, "commit", lambda: {"commit": "c" * 40})
    assert cli.main(["table", "--quiet", "-o", "u.parquet"]) == 0
    assert cli.main(["status", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().err.startswith("dofbook: 4 of 4 stored cells were computed by")
    assert cli.main(["sweep", "--quiet", "--runs", "0"]) == 2
    assert capsys.readouterr().err != ""


def test_spectra_are_cells_of_a_figure_that_thresholds_pass_over(swept, tmp_path, capsys):
    name = "10-mnist-conv2"
    assert cells_of(["sweep", "--figure", name]) == PAPER_FIGURES[name]["cells"]
    shutil.copytree(swept / "store", tmp_path / "store")
    store, level = Store(tmp_path / "store"), ["--level", "0.5", "--csv"]
    assert cli.main(["thresholds", str(swept / "store"), *level]) == 0
    before = capsys.readouterr().out
    spectrum = SpectrumCell(task=TaskConfig("digits", "mlp"))
    rows = {"cell": spectrum.name, "seed": [0], "basis": "centred", "singular_value": 2.5}
    for place in (store, Store(tmp_path / "spectra")):
        place.write(spectrum, pd.DataFrame(rows), {})
    assert cli.main(["thresholds", str(store.root), *level]) == 0
    assert capsys.readouterr().out == before
    assert cli.main(["thresholds", str(tmp_path / "spectra"), *level]) == 2
    assert "holds no runs" in capsys.readouterr().err
    assert cli.main(["table", "--store", str(tmp_path / "spectra"), "--csv"]) == 0
    assert capsys.readouterr().out.endswith(f"{spectrum.name},0,centred,2.5\n")


# --- streams, devices and interrupts --------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirection", "arguments", "code", "complaint"),
    [
        (">/dev/full", "--help", 1, "dofbook: standard output cannot be written: No space left"),
        (">/dev/full", "list datasets", 1, "dofbook: standard output cannot be written: No space"),
        (">&-", "--help", 0, ""),
        (">&-", "swep", 2, "dofbook: there is no command 'swep'"),
        ("2>&-", "swep", 2, ""),
        ("2>/dev/full", "swep", 2, ""),
        (">/dev/full 2>/dev/full", "--version", 1, ""),
        (">&- 2>&-", "--version", 0, ""),
        ("| true", "list datasets", 1, ""),
    ],
)
def test_streams_that_take_nothing(redirection, arguments, code, complaint, tmp_path):
    line = f"set -o pipefail; {sys.executable} -m dofbook {arguments} {redirection}"
    for unbuffered in ("", "1"):
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == code
        assert done.stderr.startswith(complaint) if complaint else done.stderr == ""
        assert done.stderr.count("\n") <= 1


def test_streams_of_few_letters(tmp_path, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    (tmp_path / "Größe").mkdir()
    assert cli.main(["status", "--store", str(tmp_path / "Größe")]) == 0
    assert sys.stdout.buffer.getvalue().endswith(b"Gr\\xf6\\xdfe holds no cells.\n")
    assert cli.main(["status", "--store", "Größe"]) == 2
    assert sys.stderr.buffer.getvalue() == b"dofbook: there is no store Gr\\xf6\\xdfe.\n"


def test_no_device_is_one_sentence(tmp_path):
    line = ["sweep", *SMALL, "--dry-run", "--measure"]
    done = run(*line, cwd=tmp_path, env=os.environ | {"JAX_PLATFORMS": "cuda"})
    assert done.returncode == 2
    assert done.stderr.startswith("dofbook: JAX finds no device with JAX_PLATFORMS=cuda: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "4 cells wanted; looking at what they take on this machine.\n"


def test_an_interrupt_that_python_drops_is_heard():
    """JAX has a garbage collection callback, and Python drops what is raised in one."""
    sent = []

    def interrupted_here(phase, info):
        if not sent:
            sent.append(phase)
            signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(interrupted_here)
    try:
        with pytest.raises(KeyboardInterrupt), heard_interrupts():
            gc.collect()
            assert sent  # and lost
            time.sleep(60)
    finally:
        gc.callbacks.remove(interrupted_here)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_every_command_can_be_interrupted(swept, monkeypatch, capsys):
    def interrupted(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.chdir(swept)
    monkeypatch.setattr(verification, "draw_sample", interrupted)
    monkeypatch.setattr("dofbook.commands.status.print_plan", interrupted)
    for line in (["verify"], ["sweep", *SMALL, "--dry-run"]):
        assert cli.main(line) == 130
        assert capsys.readouterr().err == "dofbook: interrupted.\n"


def test_info_reads_the_same_for_people_and_machines(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("DOFBOOK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"] == provenance.versions()
    assert facts["data"] == {name: locate(name, tmp_path) for name in DATASET_NAMES}
    assert facts["machine"]["cores"] >= 1
    assert cli.main(["info"]) == 0
    text = capsys.readouterr().out
    assert facts["versions"]["jax"] in text
    packages = ("tensorflow_datasets", "tensorflow")
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    assert len(facts["download_needs"]) == len(absent)
    said = "a sweep needs the official files" if absent else "would be downloaded"
    assert text.count(said) == len(DATASET_NAMES) - 1


def test_figures_are_drawn_from_a_table_of_a_sweep(swept, tmp_path, capsys):
    table, out = swept / "out" / "table.parquet", tmp_path / "new" / "figures"
    assert cli.main(["figures", str(table), "-o", str(out)]) == 0
    paths = [out / f"figure_{number}.png" for number in (2, 3, 12)]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    chosen = ["--figure", "figure_2", "--metric", "test_loss", "--delta", "0.5"]
    assert cli.main(["figures", str(table), "-o", str(out), *chosen, "--format", "svg"]) == 0
    assert tree(out) == {*(path.name for path in paths), "figure_2.svg"}


@pytest.mark.parametrize("wrong", [["--metric", "loss"], ["--delta", "2"]])
def test_wrong_figure_options_write_nothing(swept, tmp_path, capsys, wrong):
    table = swept / "out" / "table.parquet"
    assert cli.main(["figures", str(table), "-o", str(tmp_path / "f"), *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert tree(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("JAX_ENABLE_X64", "banana", "JAX cannot be imported: invalid truth value 'banana' for"),
        (
            "PYTHONOPTIMIZE",
            "2",
            "PYTHONOPTIMIZE=2 drops what help and checks are made of; unset it",
        ),
    ],
)
def test_an_environment_in_which_nothing_can_run_is_one_sentence(tmp_path, name, value, said):
    done = run("info", cwd=tmp_path, env=os.environ | {name: value})
    assert done.returncode == 2
    assert done.stderr.startswith(f"dofbook: {said}") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("burn_in_steps", "a", "column burn_in_steps must hold real numbers"),
        ("d", [[1], [2]], "column d has shape"),
        ("d", [math.nan, 2.0], "column d holds nan"),
        ("d", [math.inf, 2.0], "column d holds inf"),
        ("seed", [0.5, 1.0], "column seed must hold whole numbers"),
        ("step", [[1], [2]], "column step has shape"),
        ("method", [["a"], ["b"]], "column method must hold words"),
        ("method", None, "column method must hold words"),
    ],
)
def test_a_table_of_something_else_is_one_sentence(tmp_path, capsys, column, values, said):
    rows = {"dataset": "digits", "network": "mlp", "method": "affine", "burn_in_steps": 0}
    rows |= {"d": [4, 8], "seed": 0, "step": 5, "best_test_accuracy": [0.3, 0.9], column: values}
    pd.DataFrame(rows).to_parquet(tmp_path / "foreign.parquet")
    assert cli.main(["thresholds", str(tmp_path / "foreign.parquet"), "--level", "0.5"]) == 2
    assert said in capsys.readouterr().err


def test_a_chapter_s_output_that_cannot_be_written_is_refused_first(capsys):
    chapter = str(Path(__file__).parents[1] / "book" / "errata.md")
    assert cli.main(["run", chapter, "-o", "/proc/x.ipynb"]) == 2
    assert "/proc/x.ipynb cannot be written" in capsys.readouterr().err
