"""Adaptive sweeps: the same first successes and intervals as a full grid, from few trainings."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given, strategies as st
from run_rows import complete
from scipy.stats import norm, t as student

from dofbook.errors import InputError, RunFailed
from dofbook.experiments.adaptive import AdaptiveConfig, probe_cell, run_adaptive, search
from dofbook.experiments.config import SweepConfig, TaskConfig
from dofbook.experiments.options import make_sweep, octaves
from dofbook.experiments.store import Store
from dofbook.geometry.quadratic import (
    QuadraticWell,
    isotropic_direction,
    log_uniform_spectrum,
    minimum_losses,
)
from dofbook.methods import FullSpace, LotteryTicket, RandomAffine, RandomPruning
from dofbook.success.bisection import Search, quantile_interval, reach

TASK = TaskConfig(network="mlp", train_size=200, test_size=100, epochs=4)
GRID = octaves(362, 1, 2**0.25)


@given(st.integers(1, 60), st.data())
def test_a_search_finds_the_first_success_in_logarithmic_time(n, data):
    hit, guess = data.draw(st.integers(0, n)), data.draw(st.integers(-3, n + 3))
    found, asked = Search(n), []
    while not found.done:
        asked.append(found.ask(guess))
        found.tell(asked[-1], asked[-1] >= hit)
    assert found.succeeded == hit
    assert len(set(asked)) == len(asked)
    assert all(0 <= point < n for point in asked)
    away = abs(min(max(guess, 0), n - 1) - hit)
    assert len(asked) <= 3 + 2 * np.log2(away + 1)


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 30), st.data())
def test_a_search_ends_next_to_a_failure_whatever_the_outcomes(outcomes, guess, data):
    """Training can fail above a success; what is reported still is an observed first success."""
    n, found = len(outcomes), Search(len(outcomes))
    for point in data.draw(st.lists(st.integers(0, n - 1), max_size=4)):  # other levels' probes
        found.tell(point, outcomes[point])
    for _ in range(2 * n):
        if found.done:
            break
        point = found.ask(guess)
        assert point not in found.outcomes
        found.tell(point, outcomes[point])
    assert found.done
    assert found.succeeded == n or outcomes[found.succeeded]
    assert found.failed == -1 or not outcomes[found.failed]


def test_at_one_half_the_interval_is_students_and_half_a_step_on_each_side():
    grid, hits = octaves(1000, 1, 2**0.25), [20, 23, 21, 26, 22, 24]
    found = quantile_interval(grid, hits, 0.5, 0.95)
    logs = np.log2([np.sqrt(grid[h] * grid[h - 1]) for h in hits])
    half = student.ppf(0.975, 5) * logs.std(ddof=1) / np.sqrt(6)
    step = np.mean([np.log2(grid[h] / grid[h - 1]) for h in hits])
    reaches = half + step / 2
    np.testing.assert_allclose(
        np.log2([found.lower, found.upper]), logs.mean() + [-reaches, reaches]
    )
    assert found.value == pytest.approx(2 ** logs.mean())


def coverage(grid, centre, spread, delta):
    """How often a 90% interval of eight initializations covers d*; log2 d_hit is normal."""
    rng, covered = np.random.default_rng(0), []
    truth = 2 ** (centre + spread * norm.ppf(1 - delta))
    for _ in range(600):
        hits = np.searchsorted(grid, 2 ** rng.normal(centre, spread, 8))
        found = quantile_interval(grid, hits, delta, 0.9)
        covered.append(found.lower <= truth <= found.upper)
    return np.mean(covered)


@pytest.mark.parametrize("delta", [0.1, 0.5])
def test_the_interval_covers_the_quantile(delta):
    grid = np.array(octaves(5000, 1, 2**0.03))
    assert coverage(grid, 6, 0.4, delta) == pytest.approx(0.9, abs=0.05)  # four standard errors


@pytest.mark.parametrize("factor", [2, 2**0.5, 2**0.25])
@pytest.mark.parametrize("spread", [0.1, 0.3])
@pytest.mark.parametrize("centre", [6.05, 6.3, 6.55, 6.8])
def test_a_coarse_grid_makes_the_interval_wide_and_not_wrong(factor, spread, centre):
    """Where the hits lie in their steps is unknown, and the interval must not claim to know."""
    assert coverage(np.array(octaves(5000, 1, factor)), centre, spread, 0.1) >= 0.85


def test_what_lies_outside_the_grid_is_said_so():
    above = quantile_interval(GRID, [10, 12, len(GRID)], 0.1, 0.95)
    assert str(above).startswith("> ") and np.isinf(above.upper)
    below = quantile_interval(GRID, [0, 8, 9], 0.1, 0.95)
    assert below.lower == 1 and np.isinf(reach(replace(above, lower=1.0)))
    alike = quantile_interval(GRID, [10, 10, 10], 0.5, 0.95)
    assert alike.lower < GRID[9] and alike.upper > GRID[10]  # all that the grid can show


def well_config(runs=40, half_width=0.2, levels=(0.02,)) -> AdaptiveConfig:
    sweep = SweepConfig(task=TASK, dims=GRID, runs=runs)
    return AdaptiveConfig(sweep, levels, "train_loss", half_width, delta=0.5)


@pytest.fixture(scope="module")
def well_losses():
    """Exact minimum losses of nested subspaces, (runs, D + 1)."""
    D = 400
    well = QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(0), D))
    return minimum_losses(well, jax.random.key(1), 40, random_direction=True) / well.initial_loss


def test_the_quadratic_well_in_a_third_of_the_runs(well_losses):
    config = well_config(levels=(0.02, 0.2))

    def attempt(probes):
        return {(seed, point): well_losses[seed, GRID[point]] for seed, point in probes}

    *_, found = search(config, attempt)
    runs = len(found[0].hits)
    for level in found:
        values = well_losses[:runs, list(GRID)]
        hits = (values <= level.level).argmax(axis=1)
        assert level.hits == tuple(hits)
        full = quantile_interval(GRID, hits, 0.5, 0.95)
        assert (level.threshold.lower, level.threshold.upper) == (full.lower, full.upper)
        assert reach(level.threshold) <= config.half_width
    assert 3 * found[0].trainings <= runs * len(GRID)


def rows_of_a_well(losses):
    def make_rows(cell, data_dir=None):
        loss = [losses[seed, cell.d] for seed in cell.seeds]
        return complete(cell, {"seed": cell.seeds, "step": 0, "best_train_loss": loss})

    return make_rows


def test_trainings_are_kept_and_not_made_again(well_losses, tmp_path):
    config, store = well_config(), Store(tmp_path)
    rows = rows_of_a_well(well_losses)
    *_, first = run_adaptive(config, RandomAffine(), store, run_cell=rows)
    assert len(store.names()) == first[0].trainings
    assert all(store.read(name).config.method.nested for name in store.names())

    def never(cell, data_dir=None):
        raise AssertionError("this training is in the store")

    *_, again = run_adaptive(config, RandomAffine(), store, run_cell=never)
    assert again == first


def test_a_training_that_raises_ends_the_search(tmp_path):
    def broken(cell, data_dir=None):
        raise ZeroDivisionError("no luck")

    with pytest.raises(RunFailed, match="ZeroDivisionError: no luck"):
        next(run_adaptive(well_config(), RandomAffine(), Store(tmp_path), run_cell=broken))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": ()}, "at least one level"),
        ({"levels": (1.5,)}, "level is 1.5; it must be a number between 0 and 1"),
        ({"levels": (0.0,), "metric": "train_loss"}, "must be a finite number above 0"),
        ({"levels": (float("nan"),)}, "level is nan"),
        ({"metric": "speed"}, "metric is 'speed'"),
        ({"half_width": 0.0}, "half_width is 0.0"),
        ({"delta": 1.0}, "delta is 1.0"),
        ({"confidence": -1.0}, "confidence is -1.0"),
        ({"first_runs": 1}, "first_runs is 1"),
        ({"sweep": SweepConfig(task=TASK, runs=1)}, "runs is 1; an adaptive sweep needs"),
        ({"sweep": SweepConfig(task=TASK, methods=(FullSpace(),))}, "only nested subspaces"),
        ({"sweep": SweepConfig(task=TASK, methods=(LotteryTicket(),))}, "only nested subspaces"),
        ({"sweep": SweepConfig(task=TASK, methods=())}, "needs a method whose subspaces are"),
    ],
)
def test_bad_wishes_are_refused(options, message):
    usual = {"sweep": SweepConfig(task=TASK), "levels": (0.5,)}
    with pytest.raises(InputError, match=message):
        AdaptiveConfig(**{**usual, **options})


def test_a_metric_that_is_not_measured_is_refused_before_anything_trains(tmp_path):
    sweep = make_sweep(network="mlp", dims=(1, 2), runs=2, baseline=False, epochs=1)
    wanted = AdaptiveConfig(sweep, (0.5,), metric="test_error")
    with pytest.raises(InputError, match="metric is 'test_error'; allowed: train_loss, train_acc"):
        next(run_adaptive(wanted, sweep.methods[0], Store(tmp_path / "store")))
    assert not (tmp_path / "store").exists()


def test_methods_that_can_be_nested_are_searched_nested():
    ways = (RandomAffine(4), RandomPruning(16))
    config = AdaptiveConfig(SweepConfig(task=TASK, methods=ways), (0.5,))
    cells = [probe_cell(config, method, (7, 2)) for method in ways]
    assert [(c.method.t, c.method.nested, c.d, c.seeds) for c in cells] == [
        (4, True, 4, (7,)),
        (16, True, 4, (7,)),
    ]
