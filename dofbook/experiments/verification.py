"""Run a random sample of stored runs again and compare: does this machine give what the store says?

On a CPU of the same model, with as many cores and the same versions of JAX, unbatched runs repeat
bit by bit. Elsewhere sums are added in another order, and the best values a, b of a run agree
within tolerances: |a - b| <= 0.1 (0.1 + loss), and 0.02 for an accuracy. Between batched and
sequential runs of Conv-2 on digits (480 steps, 359 test images, d = 64 to 512, 12 runs) they
differed by at most 0.065 (0.1 + loss) and 0.009; single checkpoints may by more.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from dofbook import checks
from dofbook.errors import InputError, RunFailed
from dofbook.experiments.cell import run_cell as run_one
from dofbook.experiments.config import Cell, with_code
from dofbook.experiments.contents import DamagedCell
from dofbook.experiments.executors import RunCell, machine_kind
from dofbook.experiments.identity import check_origin, settings
from dofbook.experiments.store import Store, StoredCell
from dofbook.provenance import environment
from dofbook.training import Batching, make_task

LOSS_FLOOR, LOSS_TOLERANCE, ACCURACY_TOLERANCE = 0.1, 0.1, 0.02

Agreement = Literal["identical", "close", "different"]


@dataclass(frozen=True)
class Check:
    """Tell how the run of one seed, repeated in so many seconds, compares with the stored one.

    Its state is "identical" in every bit, as this machine should repeat it if ``bits_expected``,
    "close" within the tolerances, or "different". ``loss_difference`` is the largest
    |a - b| / (0.1 + a) of the best losses, ``accuracy_difference`` the largest |a - b|.

    >>> from dofbook.training import TaskConfig
    >>> Check(Cell(task=TaskConfig()), 0, "close", True, 0.01, 0.0, 2.5).passed
    False
    """

    cell: Cell
    seed: int
    state: Agreement
    bits_expected: bool
    loss_difference: float
    accuracy_difference: float
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the run agrees as well as this machine should make it."""
        return self.state == "identical" or (self.state == "close" and not self.bits_expected)


def repeats_bits(stored: StoredCell, batching: Batching) -> bool:
    """Tell whether this machine should repeat a cell bit by bit: unbatched, and from its like.

    >>> from dofbook.training import TaskConfig
    >>> repeats_bits(StoredCell(Cell(task=TaskConfig()), None, {}), Batching())
    False
    """
    origin, here = stored.provenance, environment()
    there = origin.get("environment") or {}
    then, packages = there.get("versions") or {}, ("jax", "jaxlib", "flax", "optax")
    return (
        there.get("devices") == here["devices"]
        and all(device["platform"] == "cpu" for device in here["devices"])
        and all(then.get(name) == here["versions"].get(name) for name in packages)
        and origin.get("machine") == machine_kind()
        and origin.get("settings", settings()) == settings()
        and "parts" not in origin
        and not (origin.get("batching") or {}).get("batched")
        and not batching.batched
    )


def compare(stored: pd.DataFrame, repeated: pd.DataFrame) -> tuple[Agreement, float, float]:
    """Give state, loss and accuracy difference of a ``Check`` of two runs.

    Every number is compared bit by bit, and by tolerance the best values, or all without any.

    >>> rows = pd.DataFrame({"step": [0, 12], "best_test_loss": [2.3, 1.9]})
    >>> compare(rows, rows.assign(best_test_loss=[2.3, 1.95]))
    ('close', 0.025, 0.0)
    """
    values = list(repeated.select_dtypes("floating"))
    said = [name for name in repeated if name not in (*values, "cell")]
    if not {*values, *said} <= {*stored} or any(
        stored[name].tolist() != repeated[name].tolist() for name in said
    ):
        return "different", np.inf, np.inf
    best = [name for name in stored if name.startswith("best_")]
    pairs = ((stored[name].to_numpy(), repeated[name].to_numpy()) for name in values)
    if all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
        return "identical", 0.0, 0.0
    gaps = {name: _gap(stored, repeated, name) for name in best or values}
    loss, accuracy = (
        max((gap for name, gap in gaps.items() if name.endswith("accuracy") == up), default=0.0)
        for up in (False, True)
    )
    close = loss <= LOSS_TOLERANCE and accuracy <= ACCURACY_TOLERANCE
    return ("close" if close else "different"), loss, accuracy


def _gap(stored: pd.DataFrame, repeated: pd.DataFrame, name: str) -> float:
    """Measure how far the last best values are apart, or all values where there is no best."""
    last = slice(-1, None) if name.startswith("best_") else slice(None)
    a, b = (frame[name].to_numpy(float)[last] for frame in (stored, repeated))
    with np.errstate(invalid="ignore"):
        scale = 1.0 if name.endswith("accuracy") else LOSS_FLOOR + np.abs(a)
        gaps = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b) / scale)
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))


def draw_sample(names: Sequence[str], size: int, seed: int) -> list[str]:
    """Draw so many names without replacement; all of them if there are fewer.

    >>> draw_sample(["a", "b", "c"], 2, seed=0)
    ['b', 'c']
    """
    checks.integer("sample", size, 1)
    if not names:
        raise InputError("the store holds none of the cells asked for.")
    rng = np.random.default_rng(seed)
    return [str(names[i]) for i in rng.choice(len(names), min(size, len(names)), replace=False)]


def verify(
    store: Store, names: Sequence[str], seed: int = 0, data_dir: str | None = None,
    batching: Batching | None = None, run_cell: RunCell = run_one,
) -> Iterator[Check]:  # fmt: skip
    """Run one seed of each cell again and compare, changing nothing in the store.

    ``names`` are hashes; ``seed`` draws the run of each cell; ``data_dir`` as in ``datasets.load``.
    InputError if a cell was computed from other data or other code than is found here, RunFailed
    if it is damaged.

    >>> list(verify(Store("nowhere"), []))
    []
    """
    batching = batching or Batching()
    for name in names:
        try:
            stored = store.read(name)
        except DamagedCell as problem:
            raise RunFailed(f"{store.path(name)} cannot be verified: {problem}.") from None
        cell = with_code(stored.config)
        chosen = int(np.random.default_rng([seed, int(name, 16)]).choice(cell.seeds))
        check_origin(stored, cell, make_task(cell.task, data_dir))
        begin = time.perf_counter()
        repeated = run_cell(cell.with_seed(chosen), data_dir, batching)  # type: ignore[call-arg]
        seconds = time.perf_counter() - begin
        rows = stored.table.to_pandas(use_threads=False)
        state, loss, accuracy = compare(rows[rows["seed"] == chosen], repeated)
        expected = repeats_bits(stored, batching)
        yield Check(cell, chosen, state, expected, loss, accuracy, seconds)
