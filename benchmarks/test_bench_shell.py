"""How long the command line takes to answer about a store of many cells, as a user waits for it.

The largest memory of an answer (MB) stands beside its time.
"""

import subprocess
import sys
from dataclasses import replace

import pytest

from dofbook.experiments import run_cells
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.store import Store, encode

TASK = TaskConfig(network="mlp", train_size=100, test_size=50, epochs=1)
SWEEP = ["--network", "mlp", "--train-size", "100", "--test-size", "50", "--epochs", "1"]
# a small process starts the command: a child begins with the memory of its parent
MEMORY = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


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
    "line",
    [["status"], ["sweep", *SWEEP, "--dims", "2", "--runs", "1", "--dry-run"],
     ["table", "-o", "table.parquet"]],
    ids=["status", "dry-run", "table"],
)  # fmt: skip
def test_an_answer_about_many_cells(benchmark, store, line, tmp_path):
    command = [sys.executable, "-m", "dofbook", *line, "--store", str(store.root)]

    def answer():
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    benchmark.pedantic(answer, rounds=3, warmup_rounds=1)  # the first reads, and keeps an index
    told = subprocess.run([sys.executable, "-c", MEMORY, *command], capture_output=True,
                          text=True, cwd=tmp_path)  # fmt: skip
    benchmark.extra_info["megabytes"] = int(told.stdout.split()[-1]) // 1000
