"""How commands write times and sizes, and how they read where to run."""

import argparse

import pytest

from dofbook.commands.arguments import make_setting, take_part
from dofbook.commands.output import duration, memory
from dofbook.experiments.dask_executor import DaskExecutor
from dofbook.experiments.executors import InProcessExecutor
from dofbook.training.batched import Batching

USUAL = {
    "store": "store", "json": False, "executor": None, "scheduler": None, "scheduler_file": None,
    "workers": None, "batching": "auto", "chunk": None, "precision": "float32", "data_dir": None,
    "retries": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"), (0.2, "0 s"), (99, "99 s"), (100, "1.7 min"), (1800, "30 min"),
        (7200, "2.0 h"), (100_000, "28 h"), (864_000, "10.0 days"),
    ],
)  # fmt: skip
def test_times(seconds, text):
    assert duration(seconds) == text


def test_sizes():
    assert [memory(size) for size in (2**20, 900 * 2**20, 3 * 2**29)] == [
        "1 MiB",
        "900 MiB",
        "1.5 GiB",
    ]


@pytest.mark.parametrize(
    ("options", "executor"),
    [
        ({}, InProcessExecutor),
        ({"executor": "local"}, InProcessExecutor),
        ({"executor": "dask"}, DaskExecutor()),
        ({"workers": 3}, DaskExecutor(workers=3)),
        ({"scheduler": "tcp://a:1"}, DaskExecutor(scheduler="tcp://a:1")),
        ({"scheduler_file": "f"}, DaskExecutor(scheduler_file="f")),
    ],
)
def test_executors(options, executor):
    found = make_setting(argparse.Namespace(**USUAL | options)).executor
    assert found == executor if isinstance(executor, DaskExecutor) else type(found) is executor


def test_the_choice_of_batching_reaches_the_cells():
    plain = make_setting(argparse.Namespace(**USUAL))
    chosen = make_setting(argparse.Namespace(**USUAL | {"batching": "batched", "chunk": 3}))
    assert chosen.run_cell.keywords == {"batching": Batching("batched", 3)}
    assert chosen.run_cell.func is plain.run_cell


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_are_a_partition(count):
    cells = list(range(20))
    parts = [take_part(cells, f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(sum(parts, [])) == cells
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
