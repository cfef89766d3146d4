"""Threshold training dimension: Definition 2.1 by exact arithmetic, its fits against oracles."""

import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import binom
from sklearn.isotonic import IsotonicRegression

from dofbook.errors import InputError
from dofbook.success import (
    Threshold,
    first_threshold,
    inverted_interval,
    isotonic_threshold,
    phase_boundary,
    probit_threshold,
    required_successes,
    selected_probability,
    success_counts,
    threshold_dimensions,
    wilson_interval,
)

RULES = {
    "first": first_threshold,
    "isotonic": isotonic_threshold,
    "interpolated": partial(isotonic_threshold, interpolate=True),
    "probit": probit_threshold,
}
DELTAS = st.sampled_from(["0.1", "0.2", "0.25", "0.3", "0.5", "0.05", "0.7"])
NUMBERS = st.one_of(st.integers(0, 12).map(lambda i: i / 4), st.just(math.nan))
MATRICES = st.tuples(st.integers(1, 7), st.integers(1, 10)).flatmap(
    lambda shape: arrays(float, shape, elements=NUMBERS)
)


@st.composite
def counts(draw, least=1):
    """Draw successes and runs on a grid of octaves."""
    n = draw(st.lists(st.integers(least, 12), min_size=2, max_size=9))
    k = [draw(st.integers(0, runs)) for runs in n]
    return 2.0 ** np.arange(len(n)), np.array(k), np.array(n)


def by_rule(rule, dims, values, levels, delta):
    """Read d* at each level off losses (dims, runs)."""
    return RULES[rule](dims, *success_counts(values, levels, kind="loss"), delta)


def slow_isotonic(k, n):
    """Evaluate the max-min formula of isotonic regression in exact arithmetic."""
    size = len(k)
    return [
        max(
            min(Fraction(sum(map(int, k[a : b + 1])), sum(map(int, n[a : b + 1])))
                for b in range(i, size))
            for a in range(i + 1)
        )
        for i in range(size)
    ]  # fmt: skip


def first_at_least(dims, probabilities, level):
    """Find the first d whose probability reaches the level."""
    return next((d for d, p in zip(dims, probabilities, strict=True) if p >= level), math.inf)


# --- how many runs must succeed -------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 99))
def test_required_successes_is_the_least_that_satisfies_the_definition(runs, percent):
    needed = int(required_successes(runs, percent / 100))
    level = 1 - Fraction(percent, 100)
    assert Fraction(needed, runs) >= level
    assert needed == 1 or Fraction(needed - 1, runs) < level


def test_nine_of_ten_succeed_at_a_tenth_but_two_of_three_not_at_the_printed_third():
    assert required_successes([10, 5, 3], 0.1).tolist() == [9, 5, 3]
    assert required_successes(5, 0.2) == 4
    assert required_successes(3, 0.33) == 3  # the paper's Fig. 8, read literally
    assert required_successes(3, 1 / 3) == 2


def test_all_but_one_selects_different_quantiles():
    chosen = [float(selected_probability(n, 1 / n)) for n in (10, 5, 3)]
    np.testing.assert_allclose(chosen, [0.84, 0.69, 0.50], atol=0.005)
    for n, p in zip((10, 5, 3), chosen, strict=True):
        np.testing.assert_allclose(binom.sf(n - 2, n, p), 0.5, atol=1e-9)


# --- Definition 2.1 -------------------------------------------------------------------------------


@settings(deadline=None)
@given(counts(), DELTAS)
def test_first_threshold_is_the_definition(case, delta):
    dims, k, n = case
    fractions = [Fraction(int(a), int(b)) for a, b in zip(k, n, strict=True)]
    expected = first_at_least(dims, fractions, 1 - Fraction(delta))
    assert first_threshold(dims, k, n, float(delta)) == expected


@settings(deadline=None)
@given(counts(), DELTAS)
def test_isotonic_rule_is_the_definition_on_the_exact_fit(case, delta):
    dims, k, n = case
    expected = first_at_least(dims, slow_isotonic(k, n), 1 - Fraction(delta))
    assert isotonic_threshold(dims, k, n, float(delta)) == expected


@settings(deadline=None)
@given(counts())
def test_the_exact_formula_is_isotonic_regression(case):
    dims, k, n = case
    other = IsotonicRegression().fit_transform(dims, k / n, sample_weight=n)
    np.testing.assert_allclose(np.array(slow_isotonic(k, n), float), other, atol=1e-12)


@settings(deadline=None)
@given(counts(), DELTAS)
def test_interpolation_crosses_between_the_right_grid_points(case, delta):
    dims, k, n = case
    level = 1 - float(delta)
    curve = IsotonicRegression().fit_transform(dims, k / n, sample_weight=n)
    found = float(isotonic_threshold(dims, k, n, float(delta), interpolate=True))
    on_grid = float(isotonic_threshold(dims, k, n, float(delta)))
    if on_grid in (dims[0], math.inf):
        assert found == on_grid
    else:
        i = list(dims).index(on_grid)
        expected = np.interp(level, curve[i - 1 : i + 1], np.log2(dims[i - 1 : i + 1]))
        np.testing.assert_allclose(np.log2(found), expected, atol=1e-6)


def test_many_curves_at_once_are_the_curves_one_by_one():
    rng = np.random.default_rng(0)
    dims = 2.0 ** np.arange(6)
    n = rng.integers(0, 6, (6, 5, 4))  # dimensions without runs, as resampling can leave
    k = rng.binomial(n, np.linspace(0.1, 0.9, 6)[:, None, None])
    for estimate in RULES.values():
        together = estimate(dims, k, n, 0.3)
        apart = [[estimate(dims, k[:, i, j], n[:, i, j], 0.3) for j in range(4)] for i in range(5)]
        # Fits of many curves share their stopping rule.
        np.testing.assert_allclose(together, np.array(apart, float), rtol=1e-6)


def test_a_dimension_without_runs_decides_nothing():
    dims, k, n = [1, 2, 4, 8], [0, 0, 0, 5], [5, 5, 0, 5]
    assert first_threshold(dims, k, n, 0.1) == 8
    assert isotonic_threshold(dims, k, n, 0.1) == 8
    assert isotonic_threshold([1, 2, 4], [0, 1, 0], [5, 5, 0], 0.1) == math.inf


@settings(deadline=None)
@given(MATRICES, st.sampled_from(["first", "isotonic", "interpolated"]))
def test_threshold_is_monotone_in_level_and_delta(values, rule):
    dims = 2.0 ** np.arange(len(values))
    levels = np.arange(13) / 4
    by_delta = []
    for delta in (0.05, 0.1, 0.3, 0.6):
        d = by_rule(rule, dims, values, levels, delta)
        assert np.all(d[1:] <= d[:-1] * (1 + 1e-12))  # a larger eps is easier
        by_delta.append(d)
    for strict, lax in zip(by_delta[:-1], by_delta[1:], strict=True):
        assert np.all(lax <= strict * (1 + 1e-12))  # a larger delta is easier


@settings(deadline=None)
@given(MATRICES, st.randoms(use_true_random=False), st.sampled_from([0.1, 0.5]))
def test_threshold_ignores_the_order_of_runs_and_scales_with_d(values, random, delta):
    dims = 2.0 ** np.arange(len(values))
    order = list(range(values.shape[1]))
    random.shuffle(order)
    for rule in ("first", "isotonic", "interpolated"):
        plain, shuffled, scaled = (
            by_rule(rule, grid, matrix, [1.0], delta)[0]
            for grid, matrix in ((dims, values), (dims, values[:, order]), (8 * dims, values))
        )
        assert shuffled == plain
        np.testing.assert_allclose(scaled, 8 * plain)


@settings(deadline=None)
@given(MATRICES, st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from(["loss", "accuracy"]))
def test_phase_boundary_is_the_threshold_read_the_other_way(values, delta, kind):
    dims = 2.0 ** np.arange(len(values))
    boundary = phase_boundary(values, delta, kind=kind)
    levels = np.arange(-1, 14) / 4
    found = threshold_dimensions(dims, values, levels, kind=kind, delta=delta)
    for level, threshold in zip(levels, found, strict=True):
        good = boundary <= level if kind == "loss" else boundary >= level
        np.testing.assert_array_equal(threshold.value <= dims, good)


def test_phase_boundary_leaves_absent_runs_out():
    values = [[1.0, 2.0, 9.0], [0.5, 3.0, 9.0]]
    present = [[True, True, False], [True, True, False]]
    assert phase_boundary(values, 0.1, kind="loss", present=present).tolist() == [2.0, 2.0]
    assert phase_boundary(values, 0.5, kind="loss", present=present).tolist() == [1.0, 0.5]
    assert phase_boundary([[math.nan, 1.0]], 0.1, kind="loss").tolist() == [math.inf]


# --- censoring ------------------------------------------------------------------------------------


def test_what_the_grid_does_not_contain_is_reported_not_dropped():
    dims, values = [1, 64, 4096], np.array([[0.9] * 4, [0.5] * 4, [0.2] * 4])
    for rule in RULES:
        found = by_rule(rule, dims, values, [0.1, 0.2, 1.0], 0.1)
        above, inside, below = (Threshold(d, 1, 4096) for d in found)
        assert (str(above), above.censored, above.value) == ("> 4096", "above", math.inf)
        assert (str(below), below.censored) == ("<= 1", "below")
        assert inside.censored == "none"
        assert 64 < inside.value <= 4096


def test_texts():
    interval = Threshold(90.5, 1, 4096, 48, math.inf, 0.95)
    assert (interval.value_text(), interval.interval_text()) == ("90.5", "[48, > 4096]")
    assert str(interval) == repr(interval) == "90.5 [48, > 4096]"
    assert str(Threshold(1234.56, 1, 4096)) == "1235"
    assert Threshold(64, 1, 4096).interval_text() == ""
    assert Threshold(math.inf, 2, 8, 2, math.inf, 0.9).interval_text() == "[<= 2, > 8]"
    for bad in ({"value": 5000}, {"value": math.nan}, {"value": 2, "lower": 0.5}):
        with pytest.raises(InputError):
            Threshold(**bad, d_min=1, d_max=4096)


# --- probit ---------------------------------------------------------------------------------------


def reference_posterior(p, x, k, n, prior_sd):
    """Write the penalised likelihood down a second time, in plain form."""
    centre, log_width = p
    z = (x - centre) / math.exp(log_width)
    value = -sum(a * log_ndtr(u) + (b - a) * log_ndtr(-u) for a, b, u in zip(k, n, z, strict=True))
    if prior_sd:
        theory = math.log(math.sqrt(2 / 2**centre) / math.log(2))
        value += (log_width - theory) ** 2 / (2 * prior_sd**2)
    return value


def fitted(dims, k, n, prior_sd):
    """Read centre and width of the probit curve off two of its quantiles, inside the grid."""
    middle, upper = (probit_threshold(dims, k, n, delta, prior_sd=prior_sd) for delta in (0.5, 0.3))
    return math.log2(middle), math.log2(upper / middle) / ndtri(0.7)


@pytest.mark.parametrize("prior_sd", [None, 1.0, 0.05])
@pytest.mark.parametrize("seed", range(4))
def test_probit_fit_is_the_optimum_that_scipy_finds(prior_sd, seed):
    rng = np.random.default_rng(seed)
    x = np.arange(3, 9.1, 0.5)
    n = rng.integers(5, 20, len(x))
    k = rng.binomial(n, ndtr(x - 6 - rng.normal()))
    centre, width = fitted(2**x, k, n, prior_sd)
    oracle = minimize(
        reference_posterior, (6.0, 0.0), args=(x, k, n, prior_sd), method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000},
    )  # fmt: skip
    np.testing.assert_allclose((centre, math.log(width)), oracle.x, atol=1e-5)


def test_probit_recovers_the_law_from_many_runs():
    dims = 2.0 ** np.arange(13)
    runs = 100_000
    k = np.round(runs * ndtr((np.log2(dims) - 6.3) / 0.8)).astype(int)
    for prior_sd in (None, 1.0):
        np.testing.assert_allclose(fitted(dims, k, runs, prior_sd), (6.3, 0.8), atol=1e-3)
    truth = 2 ** (6.3 + 0.8 * ndtri(0.9))
    np.testing.assert_allclose(probit_threshold(dims, k, runs, 0.1), truth, rtol=2e-3)


def test_separated_data_give_a_finite_answer_inside_the_gap():
    dims, k, n = [16, 32, 64, 128], [0, 0, 10, 10], 10
    for prior_sd in (None, 1.0, 0.01):
        centre, width = fitted(dims, k, n, prior_sd)
        assert 5 < centre < 6
        assert 32 < probit_threshold(dims, k, n, 0.1, prior_sd=prior_sd) <= 64
    # With the width held to theory the transition stays as sharp as at d* = 45.
    np.testing.assert_allclose(width, math.sqrt(2 / 2**centre) / math.log(2), rtol=1e-2)


@settings(deadline=None, max_examples=60)
@given(counts(), DELTAS)
def test_probit_threshold_exists_for_any_counts(case, delta):
    dims, k, n = case
    found = float(probit_threshold(dims, k, n, float(delta)))
    assert found == math.inf or dims[0] <= found <= dims[-1]
    if k.sum() == 0:
        assert found == math.inf
    if k.sum() == n.sum():
        assert found == dims[0]


# --- inverted intervals ---------------------------------------------------------------------------


@settings(deadline=None)
@given(counts(), DELTAS)
def test_inverted_interval_is_the_set_of_d_that_the_runs_do_not_exclude(case, delta):
    dims, k, n = case
    level = 1 - float(delta) - 1e-9
    low, high = wilson_interval(k, n)
    lower, upper = inverted_interval(dims, k, n, float(delta))
    excluded_below = 0
    while excluded_below < len(dims) and high[excluded_below] < level:
        excluded_below += 1
    assert lower == dims[max(excluded_below - 1, 0)]
    held = len(dims)
    while held > 0 and low[held - 1] >= level:
        held -= 1
    assert upper == (dims[held] if held < len(dims) else math.inf)


def test_ten_of_ten_do_not_certify_nine_tenths():
    dims, k = [1, 2, 4, 8], [0, 0, 10, 10]
    assert inverted_interval(dims, k, 10, 0.1)[1] == math.inf
    assert inverted_interval(dims, np.multiply(k, 10), 100, 0.1) == (2, 4)


@pytest.mark.parametrize("delta", [0, 1, -0.5, 1.5, math.nan, "0.1"])
def test_delta_outside_its_range_is_refused(delta):
    with pytest.raises(InputError, match="delta"):
        threshold_dimensions([1], [[0.5]], [1.0], kind="loss", delta=delta)


@pytest.mark.parametrize("dims", [[], [0, 1], [2, 1], [1, 1], [1, math.inf], [[1]], [1, 2, 3]])
def test_bad_grids_are_refused(dims):
    with pytest.raises(InputError, match="dims"):
        threshold_dimensions(dims, [[0.5], [0.5]], [1.0], kind="loss")


def test_other_bad_arguments_are_refused():
    for runs in (math.nan, 2.5, -1, "ten"):
        with pytest.raises(InputError, match="runs"):
            required_successes(runs, 0.1)
    with pytest.raises(InputError, match="prior_sd"):
        probit_threshold([1, 2], [0, 1], 1, 0.1, prior_sd=0)
    with pytest.raises(InputError, match="two or more"):
        probit_threshold([1], [0], 1, 0.1)
    with pytest.raises(InputError, match="shape"):
        probit_threshold([1, 2], [[0, 1]], 1, 0.1)


def test_counts_feed_every_estimator():
    values = [[0.9, 0.8], [0.1, 0.9], [0.1, 0.2]]
    k, n = success_counts(values, [0.2, 0.5], kind="loss")
    assert first_threshold([1, 2, 4], k, n, 0.5).tolist() == [2, 2]
    assert first_threshold([1, 2, 4], k, n, 0.1).tolist() == [4, 4]
