"""Trainings that an adaptive sweep needs, against a full nested grid that gives the same interval.

The quadratic well is exact, so first successes agree seed by seed. On digits a training may fail at
a d above its first success; the two intervals then agree to within a step of the grid.
"""

import jax
import numpy as np
import pytest

from dofbook.experiments import octaves
from dofbook.experiments.adaptive import AdaptiveConfig, run_adaptive, search
from dofbook.experiments.config import SweepConfig, TaskConfig
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.store import Store
from dofbook.experiments.tables import table
from dofbook.geometry.quadratic import (
    QuadraticWell,
    isotropic_direction,
    log_uniform_spectrum,
    minimum_losses,
)
from dofbook.methods import RandomAffine
from dofbook.success.bisection import quantile_interval


def _report(benchmark, name, config, known, intervals, runs) -> None:
    trainings, full = known[-1].trainings, runs * len(config.grid)
    for found, interval in zip(known, intervals, strict=True):
        benchmark.extra_info[f"{config.metric} {found.level:g}"] = (
            f"{found.threshold}, full grid {interval}"
        )
    benchmark.extra_info |= {"what": name, "trainings": trainings, "full": full}
    assert 3 * trainings <= full


def test_quadratic_well(benchmark):
    """Quarter octaves up to 724, one loss level, delta = 0.1, to 0.25 octaves either way."""
    grid = octaves(724, 1, 2**0.25)
    D, most = 1000, 20
    well = QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(0), D))
    losses = minimum_losses(well, jax.random.key(1), most, random_direction=True)
    losses = losses / well.initial_loss
    sweep = SweepConfig(task=TaskConfig(network="mlp"), dims=grid, runs=most)
    config = AdaptiveConfig(sweep, (0.2,), "train_loss", half_width=0.25)

    def attempt(probes):
        return {(seed, point): losses[seed, grid[point]] for seed, point in probes}

    *_, known = benchmark.pedantic(lambda: list(search(config, attempt)), rounds=1)
    runs = len(known[0].hits)
    hits = (losses[:runs, list(grid)] <= 0.2).argmax(axis=1)
    interval = quantile_interval(grid, hits, config.delta, config.confidence)
    assert known[0].hits == tuple(hits)
    assert known[0].threshold == interval
    _report(benchmark, "quadratic well", config, known, [interval], runs)


@pytest.mark.timeout(1800)
def test_digits(benchmark, tmp_path):
    """Half octaves from 4 to 512, eight initializations of the MLP, test accuracy 0.9."""
    grid = octaves(512, 4, 2**0.5)
    task = TaskConfig(network="mlp")
    nested = (RandomAffine(nested=True),)
    sweep = SweepConfig(task, nested, grid, runs=8, baseline_learning_rates=())
    config = AdaptiveConfig(sweep, (0.9,), half_width=0.01)  # as narrow as eight can make it
    *_, known = benchmark.pedantic(
        lambda: list(run_adaptive(config, nested[0], Store(tmp_path / "adaptive"))), rounds=1
    )
    run_sweep(sweep.cells(), Store(tmp_path / "full"))
    runs = table(Store(tmp_path / "full")).groupby(["seed", "d"])
    reached = runs["best_test_accuracy"].max().unstack().to_numpy() >= 0.9
    hits = np.where(reached.any(axis=1), reached.argmax(axis=1), len(grid))
    interval = quantile_interval(grid, hits, config.delta, config.confidence)
    found = known[0].threshold
    ends = np.log2([[t.lower, t.value, t.upper] for t in (found, interval)])
    assert np.abs(np.diff(ends, axis=0)).max() <= 0.5
    _report(benchmark, "digits", config, known, [interval], 8)
