"""Escape bounds, exact probabilities and simulations, each against the other."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import beta, binom

from dofbook.errors import InputError
from dofbook.geometry import escape
from dofbook.geometry.cones import cap_statistical_dimension, cap_width
from dofbook.geometry.gaussian_width import (
    alpha,
    estimate_width,
    finite_set,
    spherical_cap,
    squared,
)
from dofbook.geometry.precision import one_blas_thread

KEY = jax.random.key(3)
FEW = settings(max_examples=15, deadline=None)


def assert_frequency(hits: np.ndarray, probability: float) -> None:
    """Check a hit count against its binomial law (two-sided, 1e-6)."""
    count, runs = int(np.sum(hits)), len(hits)
    low, high = binom.ppf([5e-7, 1 - 5e-7], runs, probability)
    assert low <= count <= high, (count / runs, probability)


# --- exact ----------------------------------------------------------------------------------------


def test_cap_probability_by_hand():
    # A random line in the plane makes a uniform angle with the axis.
    assert escape.cap_hit_probability(2, 1, 0.4) == pytest.approx(2 * 0.4 / np.pi)
    # D = 3: |cos| between a random line and the axis is uniform on (0, 1); planes by duality.
    assert escape.cap_hit_probability(3, 1, 0.4) == pytest.approx(1 - np.cos(0.4))
    assert escape.cap_hit_probability(3, 2, 0.4) == pytest.approx(np.sin(0.4))
    np.testing.assert_allclose(escape.cap_hit_probability(1, [0, 1], 0.4), [0, 1])
    np.testing.assert_allclose(escape.cap_hit_probability(9, [0, 9], 0.4), [0, 1])
    np.testing.assert_allclose(escape.cap_hit_probability(9, [0, 3, 9], np.pi / 2), [0, 1, 1])


@FEW
@given(st.integers(2, 300), st.floats(0.01, 1.56))
def test_cap_probability_against_scipy_and_monotone(dimension, angle):
    d = np.arange(1, dimension)
    p = escape.cap_hit_probability(dimension, d, angle)
    expected = beta.sf(np.cos(angle) ** 2, d / 2, (dimension - d) / 2)
    np.testing.assert_allclose(p, expected, rtol=1e-7, atol=1e-12)
    assert np.all(
        np.diff(escape.cap_hit_probability(dimension, np.arange(dimension + 1), angle)) > -1e-12
    )


@pytest.mark.parametrize(("dimension", "angle"), [(2, 0.5), (10, 0.7), (60, 1.2)])
def test_kinematic_identity_links_two_closed_forms(dimension, angle):
    # E[first hitting d] = Σ_{d<D} (1 - P(d)) = D - δ + ½ for a convex cone that is no subspace.
    p = escape.cap_hit_probability(dimension, np.arange(dimension), angle)
    delta = cap_statistical_dimension(angle, dimension)
    assert np.sum(1 - p) == pytest.approx(dimension - delta + 0.5, rel=1e-10)


def test_subspaces_meet_when_dimensions_exceed_the_ambient_one():
    np.testing.assert_array_equal(
        escape.subspace_hit_probability(10, [0, 5, 6, 7, 10], 4), [0, 0, 0, 1, 1]
    )
    np.testing.assert_array_equal(escape.subspace_hit_probability(10, [0, 10], 0), [0, 0])


# --- bounds ---------------------------------------------------------------------------------------


@FEW
@given(st.integers(3, 3000), st.floats(0.05, 1.5))
def test_bounds_are_not_violated_by_caps(dimension, angle):
    d = np.arange(dimension + 1)
    exact, width = escape.cap_hit_probability(dimension, d, angle), cap_width(angle, dimension)
    sharp, gordon = (
        escape.sharp_bound(dimension, d, width),
        escape.gordon_bound(dimension, d, width),
    )
    assert np.all(exact <= sharp + 1e-12)
    assert np.all(sharp <= gordon + 1e-12)
    assert np.all(np.diff(sharp) >= 0)
    # Amelunxen et al. (2014), Theorem I: the transition lies at D - delta, O(sqrt(D)) wide.
    short = dimension - d - cap_statistical_dimension(angle, dimension)
    tail = 4 * np.exp(-(short**2) / (8 * dimension))
    assert np.all(np.where(short < 0, 1 - exact, exact) <= tail + 1e-12)


@pytest.mark.parametrize("m", [1, 40, 2000])
def test_bounds_are_not_violated_by_subspaces(m):
    d = np.arange(5001)
    exact = escape.subspace_hit_probability(5000, d, m)
    assert np.all(exact <= escape.sharp_bound(5000, d, float(alpha(m))) + 1e-12)


def test_where_the_printed_bound_says_nothing():
    # Vacuous below a margin of sqrt(18 ln 3.5); with w = 0 that is k/sqrt(k+1) = 4.7487, k = 24.
    margin = np.sqrt(18 * np.log(3.5))
    k = np.arange(1, 60)
    informative = escape.gordon_bound(60, 60 - k, 0.0) < 1
    np.testing.assert_array_equal(informative, k / np.sqrt(k + 1) > margin)
    assert margin == pytest.approx(4.749, abs=1e-3)


def test_excluded_dimensions_of_a_45_degree_cap():
    # (D, printed, sharp, exact): the exact count is scipy's Beta law.
    for dimension in (100, 1000, 10_000):
        width = cap_width(np.pi / 4, dimension)
        printed = escape.excluded_dimensions(dimension, width, bound="gordon")
        sharp = escape.excluded_dimensions(dimension, width, bound="sharp")
        d = np.arange(1, dimension)
        exact = 1 + np.sum(beta.sf(0.5, d / 2, (dimension - d) / 2) < 0.1)
        assert printed <= sharp <= exact < dimension / 2
        first = escape.gordon_bound(dimension, printed, width)
        assert first >= 0.1
        assert (printed == 0) == (dimension == 100)


def test_excluded_dimensions_refuses_nonsense():
    with pytest.raises(InputError, match="gordon"):
        escape.excluded_dimensions(10, 1.0, bound="best")
    with pytest.raises(InputError, match="probability"):
        escape.excluded_dimensions(10, 1.0, probability=0.0)


@pytest.mark.parametrize("d", [-1, 11])
def test_impossible_dimensions_are_refused(d):
    with pytest.raises(InputError, match="between 0 and 10"):
        escape.sharp_bound(10, d, 1.0)


# --- simulation -----------------------------------------------------------------------------------


def test_simulated_cap_hits_follow_the_beta_law():
    alignment = escape.simulate_alignment(np.eye(12)[3], key=KEY, runs=3000)
    assert alignment.shape == (3000, 13)
    assert np.all(np.diff(alignment, axis=1) >= 0)
    np.testing.assert_allclose(alignment[:, -1], 1.0, atol=1e-12)
    for d in (1, 4, 8, 11):
        for angle in (0.4, 0.9, 1.3):
            assert_frequency(
                alignment[:, d] >= np.cos(angle) ** 2, escape.cap_hit_probability(12, d, angle)
            )


def test_simulation_is_reproducible_and_batch_free(monkeypatch):
    whole = escape.simulate_alignment(np.eye(5)[0], key=KEY, runs=12)
    monkeypatch.setattr(escape, "RUN_NUMBERS", 100)  # four runs a batch
    np.testing.assert_allclose(
        escape.simulate_alignment(np.eye(5)[0], key=KEY, runs=10), whole[:10], rtol=1e-12
    )


def test_finite_sets_are_missed_though_their_width_promises_hits():
    """The 'if' in 'if and only if d + w² ≥ D' is false: finitely many points are never hit."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5000, 12))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    width = estimate_width(finite_set(points), 12, key=KEY, samples=1000)
    promised = 12 - squared(width).value
    assert promised < 6
    alignment = escape.simulate_alignment(points, key=KEY, runs=100)
    # No subspace of dimension below D contains a point; d = 11 comes within 1e-11 of one.
    assert np.all(alignment[:, :11] < 1 - 1e-9)
    assert np.all(alignment[:, 11] < 1)


def test_union_of_caps_is_hit_later_than_its_width_says():
    centers = np.random.default_rng(4).normal(size=(60, 40))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    width = estimate_width(spherical_cap(0.3, centers), 40, key=KEY, samples=3000)
    alignment = escape.simulate_alignment(centers, key=KEY, runs=300)
    first = np.argmax(alignment >= np.cos(0.3) ** 2, axis=1)
    assert np.median(first) > 40 - squared(width).value + 4
    # The union is hit at least as often as any one cap, and never beyond the sharp bound.
    hit_rate = (alignment >= np.cos(0.3) ** 2).mean(axis=0)
    slack = 5 * 0.5 / np.sqrt(300)
    assert np.all(hit_rate >= escape.cap_hit_probability(40, np.arange(41), 0.3) - slack)
    assert np.all(hit_rate <= escape.sharp_bound(40, np.arange(41), width.value) + slack)


@pytest.mark.parametrize(("m", "k"), [(1, 5), (8, 20), (15, 16), (4, 4)])
def test_gordon_comparison_for_subspaces(m, k):
    # E min |Gu| ≥ α_k - α_m, here the smallest singular value of a k x m Gaussian matrix.
    margins = escape.simulate_subspace_margin(24, m, k, key=KEY, runs=600)
    error = margins.std() / np.sqrt(600)
    assert margins.mean() + 4.5 * error >= alpha(k) - alpha(m)
    assert np.all(margins > 0)
    if m == 1:  # the length of one Gaussian vector: equality α_k - 0 needs a point, not ±point
        assert abs(margins.mean() - alpha(k)) < 4.5 * error


def test_margin_vanishes_beyond_the_threshold():
    assert np.all(escape.simulate_subspace_margin(10, 6, 5, key=KEY, runs=3) == 0)
    with pytest.raises(InputError, match="from 1 to 10"):
        escape.simulate_subspace_margin(10, 0, 5, key=KEY, runs=3)


def test_one_blas_thread_is_undone():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas():
        pools = threadpoolctl.threadpool_info()
        return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]

    np.linalg.qr(np.eye(3))  # the library is loaded
    before = blas()
    with one_blas_thread():
        assert all(count == 1 for count in blas())
    assert blas() == before


def test_random_caps_against_simulated_ones():
    size, count, angle = 12, 30, 0.5
    d, rng = np.arange(size + 1), np.random.default_rng(5)
    nearest, widths = [], []
    for i in range(60):  # other centres every time
        centers = rng.normal(size=(count, size))
        centers /= np.linalg.norm(centers, axis=1, keepdims=True)
        key = jax.random.fold_in(KEY, i)
        nearest.append(escape.simulate_alignment(centers, key=key, runs=2)[0])
        support = spherical_cap(angle, centers)
        widths.append(estimate_width(support, size, key=key, samples=200).value)
    expected = escape.cap_hit_probability(size, d, angle, caps=count)
    hits = np.array(nearest) >= np.cos(angle) ** 2
    for k in range(1, size):
        assert_frequency(hits[:, k], expected[k])
    assert expected[0] == 0 and expected[-1] == 1 and np.all(np.diff(expected) >= 0)
    error = np.std(widths, ddof=1) / np.sqrt(len(widths))
    assert abs(np.mean(widths) - cap_width(angle, size, caps=count)) < 5 * error


def test_one_of_several_caps_is_the_cap_and_more_are_wider():
    widths = [cap_width(0.4, 50, caps=caps) for caps in (1, 2, 10, 1000)]
    assert widths[0] == cap_width(0.4, 50) and np.all(np.diff(widths) > 0)
    one = escape.cap_hit_probability(50, np.arange(51), 0.4)
    np.testing.assert_array_equal(one, escape.cap_hit_probability(50, np.arange(51), 0.4, caps=1))
    # Two points: E max(g·a, g·b) = √((1 - a·b)/π), a·b a random cosine; in the plane by hand.
    expected = np.mean(np.sqrt((1 - np.cos((np.arange(20000) + 0.5) * np.pi / 20000)) / np.pi))
    assert cap_width(0.0, 2, caps=2) == pytest.approx(expected, rel=1e-6)
