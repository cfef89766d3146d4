"""The studies of estimates of d*: consistent where runs are many, honest where theory says so."""

import numpy as np
import pytest
from beyond import estimators

D = 2000
GRIDS = {"octaves": 2 ** np.arange(11), "fine": np.arange(100, 400, 4)}


def test_a_search_finds_each_hit_in_a_step_of_the_grid_at_few_trainings():
    grid = np.unique(np.round(1.02 ** np.arange(380)).astype(int))
    hits = np.random.default_rng(0).integers(100, 1500, 200)
    found, trainings = np.transpose(list(estimators.search_hits(hits, grid, guess=5)))
    assert np.abs(found / hits - 1).max() < 0.02
    assert trainings.min() >= 2 and trainings.mean() < 2 * np.log2(len(grid))


def test_with_many_runs_every_rule_finds_what_it_estimates():
    arguments = D, GRIDS, 4000, 0.1, 6, np.random.default_rng(0)
    found = estimators.errors(200, *arguments)
    for method in ("rule, fine", "isotonic, fine", "probit, fine", "nested, bisection"):
        assert np.abs(found[method][0]).max() < 0.05, method
    assert (found["rule, octaves"][0] > 0.1).all()  # the next point of the grid
    assert found["rule, fine"][1] == 4000 * 75
    summed = estimators.summary(200, D, {}, 100, 0.1, 6, np.random.default_rng(0))
    bias, rms, _ = summed.loc["nested, bisection"]
    assert abs(bias) < 0.01 and abs(bias) <= rms < 0.05


def test_students_interval_covers_as_it_says_and_single_outcomes_too_rarely():
    rng = np.random.default_rng(0)
    found = estimators.coverage({"fine": 1 / 8}, 300, 12, rng, resamples=100).loc["fine"]
    # Five binomial standard errors of the nominal 95 %.
    assert found["t-interval of log first hit"] == pytest.approx(0.95, abs=5 * 0.0126)
    assert found["single outcomes"] < min(0.8, found["initializations"])
