"""Estimates of steps, memory and time, against counts, XLA and made-up wall times."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import pytest

from dofbook.experiments import estimates, timing
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.cuts import CutCell
from dofbook.experiments.spectra import SpectrumCell
from dofbook.experiments.store import StoredCell
from dofbook.methods import (
    FullSpace,
    LotterySubspace,
    LotteryTicket,
    Method,
    RandomAffine,
    RandomPruning,
)
from dofbook.training import make_task
from dofbook.training.batched import Batching, run_bytes, tree_bytes

TASK = TaskConfig(network="mlp", train_size=300, test_size=100, epochs=2, batch_size=128)
NOON = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)


def stored(cell, seconds, start=0.0, device="cpu") -> StoredCell:
    started = (NOON + dt.timedelta(seconds=start)).isoformat()
    environment = {"devices": [{"platform": device}]}
    origin = {"wall_seconds": seconds, "started": started, "environment": environment}
    return StoredCell(cell, None, origin)


@pytest.mark.parametrize(
    "method",
    [
        RandomAffine(),
        FullSpace(),
        RandomAffine(directions="sparse"),
        RandomAffine(directions="fastfood"),
        RandomAffine(directions="hadamard"),
        RandomPruning(),
        LotterySubspace(spacing=1),
        LotteryTicket(),
    ],
    ids=lambda method: method.label,
)
def test_shapes_are_those_of_the_subspace(method):
    task = make_task(TASK)
    d = None if isinstance(method, FullSpace) else 3
    shapes = method.shapes(d, task.network.D)
    assert tree_bytes(shapes) == tree_bytes(method.subspace(task, 0, d))
    assert shapes.directions.d == (d or task.network.D)


def test_steps_and_memory_of_a_cell():
    need = estimates.cell_need(CellConfig(task=TASK, d=9, method=RandomAffine(5), seeds=(0, 1)))
    assert need.steps == 2 * (2 * 3 + 5)
    assert need.together == 1  # on a CPU
    both = Batching("batched")
    together = estimates.cell_need(CellConfig(task=TASK, d=9, seeds=(0, 1)), batching=both)
    assert (together.together, together.bytes) == (2, 2 * need.run_bytes)
    larger = estimates.cell_need(CellConfig(task=TASK, d=1009))
    assert larger.run_bytes - need.run_bytes == 1000 * (4 * 2410 + 4 * 5)


def test_little_memory_makes_small_chunks(monkeypatch):
    cell = CellConfig(task=TASK, d=9, seeds=tuple(range(10)))
    each = estimates.cell_need(cell).run_bytes
    monkeypatch.setattr(estimates, "free_bytes", lambda device: 5 * each)
    assert estimates.cell_need(cell, batching=Batching("batched")).together == 4


def test_the_model_recovers_made_up_times():
    truth = timing.Rates(fixed=2.0, once=0.0, per_epoch=0.3, per_dimension=1e-3)
    cells = [
        CellConfig(task=replace(TASK, epochs=epochs), d=d, seeds=tuple(range(runs)))
        for d, epochs, runs in ((4, 1, 3), (64, 2, 3), (256, 3, 1), (1024, 1, 5), (16, 3, 2))
    ]
    rates = timing.fit_rates(stored(cell, truth.seconds(cell)) for cell in cells)
    other = CellConfig(task=replace(TASK, epochs=7), d=512, seeds=(0, 1))
    assert timing.predict(rates, [other]) == pytest.approx(truth.seconds(other), rel=1e-3)
    full = replace(other, method=FullSpace(), d=None)
    assert timing.predict(rates, [full]) == pytest.approx(truth.seconds(full), rel=1e-3)


def test_a_single_stored_cell_predicts_itself_and_unknown_tasks_are_unknown():
    cell = CellConfig(task=TASK, d=64, seeds=(0, 1))
    rates = timing.fit_rates([stored(cell, 10.0)])
    assert timing.predict(rates, [cell, cell]) == pytest.approx(20.0)
    assert timing.predict(rates, [replace(cell, d=4096)]) < 40
    assert timing.predict(rates, [replace(cell, task=replace(TASK, network="lenet"))]) is None


def test_times_of_another_device_do_not_count():
    cell = CellConfig(task=TASK, d=64)
    cells = [stored(cell, 1000.0, 0, "cpu"), stored(cell, 10.0, 5000, "gpu")]
    assert timing.predict(timing.fit_rates(cells), [cell]) == pytest.approx(10.0)


def test_lottery_methods_pay_for_their_full_training():
    rates = timing.Rates(0.0, 0.0, 1.0, 0.0)
    plain = CellConfig(task=TASK, d=4)
    subspace = replace(plain, method=LotterySubspace())
    ticket = replace(plain, method=LotteryTicket())
    assert [rates.seconds(c) for c in (plain, subspace, ticket)] == [2.0, 4.0, 4.0]


def test_parallel_cells_are_seen_in_their_times():
    cell = CellConfig(task=TASK)
    after = [stored(cell, 10.0, start) for start in (0, 10, 20)]
    assert timing.parallelism(after) == pytest.approx(1.0)
    beside = [stored(cell, 10.0, start) for start in (0, 0, 5, 5)]
    assert timing.parallelism(beside) == pytest.approx(40 / 15)
    assert timing.parallelism([]) == 1.0


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_wrong_clock_cannot_make_it_slower_than_one_at_a_time(hours):
    cell = CellConfig(task=TASK)
    cells = [stored(cell, 10.0, 0), stored(cell, 10.0, 3600 * hours), stored(cell, 10.0, 5)]
    assert 1.0 <= timing.parallelism(cells) <= 3.0


@dataclass(frozen=True)
class Own(Method):
    """Lay nothing: what is timed needs no training before it."""

    directions: str = "loss"

    name: ClassVar[str] = "own_estimated"


@pytest.mark.parametrize("method", [RandomAffine(), Own(), LotteryTicket()])
def test_a_measurement_gives_rates_for_every_cell_of_a_task(method):
    cell = CellConfig(task=TASK, d=32, seeds=(0, 1), method=method)
    rates = estimates.measure_rates(cell, largest=8)
    assert min(rates.fixed, rates.once, rates.per_epoch, rates.per_dimension) >= 0
    longer = replace(cell, task=replace(TASK, epochs=20))
    assert rates.seconds(cell) <= rates.seconds(longer) <= 10 * rates.seconds(cell) + 1e-9


def test_rates_follow_from_the_clock_and_are_never_negative(monkeypatch):
    """A clock of our own: a first call of 3 s, a second of 1 s; then the other way round."""
    cell = CellConfig(task=TASK, d=32, seeds=(0, 1))
    monkeypatch.setattr(estimates, "_time", lambda run: (3.0, 1.0))
    rates = estimates.measure_rates(cell, largest=8)
    assert rates.fixed == pytest.approx(2.0)
    assert rates.once == pytest.approx(1.0 / 8)
    monkeypatch.setattr(estimates, "_time", lambda run: (1.0, 3.0))
    rates = estimates.measure_rates(cell, largest=8)
    assert rates.fixed == 0.0


def test_measuring_batched_runs():
    cell = CellConfig(task=TASK, d=4, seeds=(0, 1, 2))
    rates = estimates.measure_rates(cell, 4, batching=Batching("batched"))
    assert rates.per_epoch > 0
    assert rates.per_dimension == 0  # a single d tells nothing of the rise


def test_memory_of_a_batched_cell_matches_its_arrays():
    task, cell = make_task(TASK), CellConfig(task=TASK, d=9)
    real = run_bytes(task, cell.method.subspace(task, 0, 9))
    assert estimates.cell_need(cell).run_bytes == real
    assert estimates.data_bytes(cell) == sum(leaf.nbytes for leaf in jax.tree.leaves(task.arrays))


def test_cells_of_every_kind_have_a_cost():
    cells = [
        CellConfig(task=replace(TASK, linearized_at=3), d=4),
        CellConfig(task=replace(TASK, linearized_at=3, solver="exact"), d=4),
        CutCell(task=TASK, optimum_steps=6, grid=3),
        SpectrumCell(task=TASK, seeds=(0, 1)),
    ]
    for cell in cells:
        need = estimates.cell_need(cell)
        assert need.steps > 0 and need.bytes > 0
        rates = timing.fit_rates([stored(cell, 10.0)])
        assert timing.predict(rates, [cell, cell]) == pytest.approx(20.0)
    assert len({cell.work().kind for cell in cells}) == len(cells)
