"""Intervals on d*: resampling of initializations, coverage under a known law, censoring."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import ndtr, ndtri

from dofbook.errors import InputError
from dofbook.success import (
    bootstrap_boundary,
    bootstrap_thresholds,
    first_threshold,
    hit_dimensions,
    interpolated_hits,
    inverted_interval,
    isotonic_threshold,
    phase_boundary,
    success_counts,
    threshold_dimensions,
)
from dofbook.success.estimates import percentile_ends, resample_runs

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


def ends(threshold):
    """Take the interval of a threshold."""
    return threshold.lower, threshold.upper


# --- mechanics ------------------------------------------------------------------------------------


def test_the_bootstrap_draws_whole_initializations():
    rng = np.random.default_rng(5)
    values = losses(rng, OCTAVES, 6, 6, 1.0, 0.3)
    present = rng.random(values.shape) < 0.8
    present[:, 0] = True
    chosen = resample_runs(6, 200, 11)
    for rule, estimate in (
        ("isotonic", isotonic_threshold),
        ("interpolated", lambda *a: isotonic_threshold(*a, interpolate=True)),
    ):
        slow = []
        for sample in chosen:
            k = ((values[:, sample] <= 0.5) & present[:, sample]).sum(axis=1)
            slow.append(float(estimate(OCTAVES, k, present[:, sample].sum(axis=1), 0.2)))
        lower, upper = percentile_ends(np.array(slow), 0.9)
        if rule == "isotonic":
            lower = OCTAVES[list(OCTAVES).index(lower) - 1]
        (found,) = bootstrap_thresholds(
            OCTAVES, values, 0.5, kind="loss", rng=11, delta=0.2, rule=rule,
            confidence=0.9, replicates=200, present=present,
        )  # fmt: skip
        assert ends(found) == (lower, upper)


def test_percentile_ends_are_replicates_and_may_be_infinite():
    sample = np.array([math.inf, 3.0, 1.0, 2.0, math.inf])
    assert percentile_ends(sample, 0.5) == (2.0, math.inf)
    assert percentile_ends(sample, 0.999) == (1.0, math.inf)
    assert percentile_ends(np.full(7, math.inf), 0.9) == (math.inf, math.inf)


def test_the_seed_alone_decides_and_levels_do_not_disturb_each_other():
    values = np.random.default_rng(0).random((13, 8)) + np.linspace(1, 0, 13)[:, None]
    common = {"kind": "loss", "replicates": 100}
    once = bootstrap_thresholds(OCTAVES, values, [0.5, 0.8, 1.1], rng=3, **common)
    again = bootstrap_thresholds(
        OCTAVES, values, [0.5, 0.8, 1.1], rng=np.random.default_rng(3), **common
    )
    (alone,) = bootstrap_thresholds(OCTAVES, values, 0.8, rng=3, **common)
    assert once == again
    assert once[1] == alone
    plain = threshold_dimensions(OCTAVES, values, [0.5, 0.8, 1.1], kind="loss")
    assert [d.value for d in once] == [d.value for d in plain]
    assert all(
        b.lower <= a.lower and b.upper <= a.upper for a, b in zip(once, once[1:], strict=False)
    )


def test_censored_replicates_stay_in():
    # Five of ten initializations succeed at the last d: at delta = 0.5 half the samples do not.
    values = np.ones((3, 10))
    values[2, :5] = 0
    (found,) = bootstrap_thresholds([1, 2, 4], values, 0.5, kind="loss", rng=0, delta=0.5)
    assert (str(found), found.interval_text()) == ("4 [2, > 4]", "[2, > 4]")
    (never,) = bootstrap_thresholds([1, 2, 4], np.ones((3, 10)), 0.5, kind="loss", rng=0)
    assert (str(never), never.interval_text()) == ("> 4 [4, > 4]", "[4, > 4]")
    (always,) = bootstrap_thresholds([1, 2, 4], np.zeros((3, 10)), 0.5, kind="loss", rng=0)
    assert (str(always), always.interval_text()) == ("<= 1 [<= 1, <= 1]", "[<= 1, <= 1]")


@pytest.mark.parametrize("kind", ["loss", "accuracy"])
def test_boundary_band_is_the_bootstrap_of_thresholds_read_across(kind):
    rng = np.random.default_rng(2)
    values = np.round(rng.random((5, 7)) + np.arange(5)[:, None] / 4, 2)
    values = -values if kind == "loss" else values
    dims = 2.0 ** np.arange(5)
    lower, upper = bootstrap_boundary(values, 0.3, kind=kind, rng=4, replicates=99)
    boundary = phase_boundary(values, 0.3, kind=kind)
    assert np.all((lower <= boundary) & (boundary <= upper))
    levels = np.unique(values)
    found = bootstrap_thresholds(dims, values, levels, kind=kind, rng=4, delta=0.3, replicates=99)
    worse, better = (upper, lower) if kind == "loss" else (lower, upper)
    for level, d in zip(levels, found, strict=True):
        reached = worse <= level if kind == "loss" else worse >= level
        np.testing.assert_array_equal(d.upper <= dims, reached)
        possible = better <= level if kind == "loss" else better >= level
        assert d.lower == dims[max(np.append(possible, True).argmax() - 1, 0)]


# --- coverage under a known law -------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["interpolated", "probit"])
def test_estimates_recover_the_known_threshold(rule):
    rng = np.random.default_rng(0)
    truth = 2 ** (6.3 + ndtri(0.9) * 0.5)
    values = losses(rng, FINE, 400, 6.3, 0.3, 0.4)
    (found,) = bootstrap_thresholds(
        FINE, values, 0.5, kind="loss", rng=0, rule=rule, replicates=100
    )
    assert abs(math.log2(found.value / truth)) < 0.1
    assert found.lower <= truth <= found.upper
    assert math.log2(found.upper / found.lower) < 0.4


def test_bootstrap_covers_the_threshold_with_enough_initializations():
    law = {"dims": FINE, "runs": 40, "centre": 6.3, "between": 0.6, "within": 0.1}
    truth = 2 ** (6.3 + ndtri(0.8) * math.hypot(0.6, 0.1))

    def interval(values, rng):
        (d,) = bootstrap_thresholds(
            FINE, values, 0.5, kind="loss", rng=rng, delta=0.2, rule="interpolated", replicates=200
        )
        return ends(d)

    assert 0.90 <= coverage(interval, truth, 200, **law) <= 0.99


def test_resampling_single_cells_instead_covers_less():
    law = {"dims": FINE, "runs": 12, "centre": 6.3, "between": 0.6, "within": 0.05}
    truth = 2**6.3

    def clusters(values, rng):
        (d,) = bootstrap_thresholds(
            FINE, values, 0.5, kind="loss", rng=rng, delta=0.5, rule="interpolated", replicates=150
        )
        return ends(d)

    def cells(values, rng):
        k, n = success_counts(values, 0.5, kind="loss")
        drawn = rng.binomial(n[:, None], np.broadcast_to(k / n[:, None], (len(k), 150)))
        return percentile_ends(isotonic_threshold(FINE, drawn, n, 0.5, interpolate=True), 0.95)

    # About 0.90 and 0.81; the standard error of the difference is 0.02.
    whole = coverage(clusters, truth, 500, **law)
    assert whole > 0.87
    assert coverage(cells, truth, 500, **law) < whole - 0.05


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
    between = interpolated_hits(dims, values, level, kind="accuracy")
    finite = np.isfinite(hits)
    np.testing.assert_array_equal(finite, np.isfinite(between))
    assert (between <= hits * (1 + 1e-12)).all()
    assert (between >= np.maximum(hits / 2, 1) * (1 - 1e-12))[finite].all()
    harder = interpolated_hits(dims, values, min(level + 0.05, 1.0), kind="accuracy")
    assert (harder >= between * (1 - 1e-12)).all()


def test_interpolated_hits_are_exact_where_curves_are_straight_in_log_d():
    dims, slopes = 2.0 ** np.arange(8), np.array([0.1, 0.12])
    accuracy = np.log2(dims)[:, None] * slopes
    found = interpolated_hits(dims, accuracy, 0.33, kind="accuracy")
    np.testing.assert_allclose(found, 2 ** (0.33 / slopes))
    found = interpolated_hits(dims, dims[:, None] ** -slopes, 0.9, kind="loss")
    np.testing.assert_allclose(found, 0.9 ** (-1 / slopes))


def test_bad_arguments_are_refused():
    values = [[1.0, 0.0], [0.0, 0.0]]
    for rng in (-1, 0.5, None, True):
        with pytest.raises(InputError, match="rng"):
            bootstrap_thresholds([1, 2], values, 0.5, kind="loss", rng=rng)
    with pytest.raises(InputError, match="replicates"):
        bootstrap_thresholds([1, 2], values, 0.5, kind="loss", rng=0, replicates=0)
    with pytest.raises(InputError, match="confidence"):
        bootstrap_boundary(values, 0.1, kind="loss", rng=0, confidence=95)
    with pytest.raises(InputError, match="length"):
        hit_dimensions([1, 2, 4], values, 0.5, kind="loss")
