"""How commands write times and sizes, and how they read where to run."""

import pytest

from dofbook.commands.output import Output, cause, duration, memory
from dofbook.commands.running import Running
from dofbook.experiments.dask_executor import DaskExecutor
from dofbook.training.batched import Batching


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
        ({}, None),  # in this process
        ({"executor": "local"}, None),
        ({"executor": "dask"}, DaskExecutor()),
        ({"workers": 3}, DaskExecutor(workers=3)),
        ({"scheduler": "tcp://a:1"}, DaskExecutor(scheduler="tcp://a:1")),
        ({"scheduler_file": "f"}, DaskExecutor(scheduler_file="f")),
    ],
)
def test_executors(options, executor):
    assert Running(**options).keywords(Output())["executor"] == executor


def test_the_choice_of_batching_reaches_the_cells():
    plain = Running().keywords(Output())["run_cell"]
    chosen = Running(batching="batched", chunk=3).keywords(Output())["run_cell"]
    assert chosen.keywords == {"batching": Batching("batched", 3)}
    assert chosen.func is plain


def test_the_cause_of_a_failure_inside_jax():
    """JAX adds a remark on the frames it hides below what went wrong."""
    text = (
        "Traceback (most recent call last):\n  ...\nTypeError: no such shape\n"
        "--------------------\nFor simplicity, JAX has removed its internal frames from the "
        "traceback of the following exception. Set JAX_TRACEBACK_FILTERING=off to include these.\n"
    )
    assert cause(text) == "TypeError: no such shape"
    assert cause("Traceback ...\nValueError: no\n") == "ValueError: no"


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_are_a_partition(count):
    cells = list(range(20))
    parts = [Running(part=f"{i}/{count}").take_part(cells) for i in range(1, count + 1)]
    assert sorted(sum(parts, [])) == cells
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
