"""Intervals on d*: coverage under a known law, with few initializations; first hits."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import ndtr, ndtri

from dofbook.errors import InputError
from dofbook.success import (
    first_threshold,
    hit_dimensions,
    inverted_interval,
    isotonic_threshold,
    probit_threshold,
    success_counts,
    threshold_band,
)

OCTAVES = 2.0 ** np.arange(13)
FINE = 2.0 ** np.arange(3, 10.01, 0.25)


def losses(rng, dims, runs, centre, between, within):
    """Draw 0 (success) or 1 with P_s(d) = Phi((log2 d - centre) / hypot(between, within)).

    `between` is the spread of log2 d* over initializations, `within` that of single runs.
    """
    noise = within * rng.standard_normal((len(dims), runs))
    barrier = centre + between * rng.standard_normal(runs) + noise
    return np.where(np.log2(dims)[:, None] >= barrier, 0.0, 1.0)


def coverage(estimate, truth, replicates, seed=0, **law):
    """Count how often [lower, upper] of estimate(values, rng) holds the truth."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(replicates):
        lower, upper = estimate(losses(rng, **law), rng)
        held += lower <= truth <= upper
    return held / replicates


# --- coverage under a known law -------------------------------------------------------------------


@pytest.mark.parametrize("rule", [partial(isotonic_threshold, interpolate=True), probit_threshold])
def test_estimates_recover_the_known_threshold(rule):
    rng = np.random.default_rng(0)
    truth = 2 ** (6.3 + ndtri(0.9) * 0.5)
    values = losses(rng, FINE, 400, 6.3, 0.3, 0.4)
    (found,) = rule(FINE, *success_counts(values, 0.5, kind="loss"), 0.1)
    assert abs(math.log2(found / truth)) < 0.1


@pytest.mark.parametrize("runs", [3, 10])
def test_inverted_interval_covers_even_with_few_runs(runs):
    law = {"dims": OCTAVES, "runs": runs, "centre": 6.3, "between": 0.6, "within": 0.3}
    for delta in (0.1, 0.5):
        truth = 2 ** (6.3 + ndtri(1 - delta) * math.hypot(0.6, 0.3))

        def interval(values, rng, delta=delta):
            k, n = success_counts(values, 0.5, kind="loss")
            lower, upper = inverted_interval(OCTAVES, k, n, delta)
            return lower[0], upper[0]

        assert coverage(interval, truth, 200, **law) >= 0.94


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("dims", [OCTAVES, FINE], ids=["octaves", "quarters"])
def test_the_band_of_a_threshold_covers_even_with_few_runs(runs, dims):
    """Where an initialization's d* spreads; a bootstrap of 5 runs covers 45% at delta = 0.1."""
    law = {"dims": dims, "runs": runs, "centre": 6.3, "between": 0.6, "within": 0.05}
    for delta in (0.1, 0.5):
        truth = 2 ** (6.3 + ndtri(1 - delta) * 0.6)

        def interval(values, rng, delta=delta):
            lower, upper = threshold_band(dims, values, [0.5], kind="loss", delta=delta)
            return lower[0], upper[0]

        assert coverage(interval, truth, 200, **law) >= 0.93


def test_the_rule_on_octaves_reads_the_next_grid_point():
    law = {"dims": OCTAVES, "runs": 2000, "centre": 6.3, "between": 0.0, "within": 0.2}
    k, n = success_counts(losses(np.random.default_rng(0), **law), 0.5, kind="loss")
    assert ndtr((6 - 6.3) / 0.2) < 0.9 < ndtr((7 - 6.3) / 0.2)
    assert first_threshold(OCTAVES, k, n, 0.1) == 128


# --- first hits -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hit_dimensions_are_the_first_successes_of_each_run(seed):
    values = np.random.default_rng(seed).choice([0.2, 0.8, math.nan], size=(5, 4))
    dims = [1, 2, 4, 8, 16]
    found = hit_dimensions(dims, values, 0.5, kind="loss")
    for run, hit in enumerate(found):
        slow = [d for d, value in zip(dims, values[:, run], strict=True) if value <= 0.5]
        assert hit == (slow[0] if slow else math.inf)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_interpolated_hits_lie_within_the_step_that_reaches_the_level(seed, level):
    dims = np.array([1, 2, 4, 8, 16])
    values = np.random.default_rng(seed).random((5, 4))
    hits = hit_dimensions(dims, values, level, kind="accuracy")
    between = hit_dimensions(dims, values, level, kind="accuracy", interpolate=True)
    finite = np.isfinite(hits)
    np.testing.assert_array_equal(finite, np.isfinite(between))
    assert (between <= hits * (1 + 1e-12)).all()
    assert (between >= np.maximum(hits / 2, 1) * (1 - 1e-12))[finite].all()
    harder = hit_dimensions(dims, values, min(level + 0.05, 1.0), kind="accuracy", interpolate=True)
    assert (harder >= between * (1 - 1e-12)).all()


def test_interpolated_hits_are_exact_where_curves_are_straight_in_log_d():
    dims, slopes = 2.0 ** np.arange(8), np.array([0.1, 0.12])
    accuracy = np.log2(dims)[:, None] * slopes
    found = hit_dimensions(dims, accuracy, 0.33, kind="accuracy", interpolate=True)
    np.testing.assert_allclose(found, 2 ** (0.33 / slopes))
    found = hit_dimensions(dims, dims[:, None] ** -slopes, 0.9, kind="loss", interpolate=True)
    np.testing.assert_allclose(found, 0.9 ** (-1 / slopes))


def test_bad_arguments_are_refused():
    values = [[1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(InputError, match="confidence"):
        threshold_band([1, 2], values, [0.5], kind="loss", confidence=95)
    with pytest.raises(InputError, match="length"):
        hit_dimensions([1, 2, 4], values, 0.5, kind="loss")
