"""How long the command line takes to answer about a store of many cells, as a user waits for it."""

import subprocess
import sys
from dataclasses import replace

import pytest

from dofbook.experiments import run_cells
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.store import Store, encode

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
SWEEP = ["--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs", "1"]


@pytest.fixture(scope="module", params=[100, 2000, 11_000])
def store(request, tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    base = CellConfig(task=TASK, d=2)
    (stored,) = run_cells([base], folder / "one")
    rows, found = stored.table.to_pandas(), Store(folder / "cells")
    found.root.mkdir()
    for seed in range(request.param):
        cell = replace(base, seeds=(seed,))
        own = rows.assign(seed=seed, cell=cell.name)
        found.path(cell.name).write_bytes(encode(cell, own, stored.provenance))
    return found


@pytest.mark.parametrize(
    "line", [["status"], ["sweep", *SWEEP, "--dims", "2", "--runs", "1", "--dry-run"]],
    ids=["status", "dry-run"],
)  # fmt: skip
def test_an_answer_about_many_cells(benchmark, store, line):
    command = [sys.executable, "-m", "dofbook", *line, "--store", str(store.root)]

    def answer():
        subprocess.run(command, check=True, capture_output=True)

    benchmark.pedantic(answer, rounds=3, warmup_rounds=1)  # the first reads, and keeps an index
