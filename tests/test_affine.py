"""Affine targets (Appendix B.3): closed forms, the Beta law, dense least squares."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import beta, kstest

from dofbook.errors import InputError
from dofbook.geometry import affine

KEY = jax.random.key(11)


def test_by_hand():
    # D = 1: a point at distance 2 from the origin, no directions; then one.
    assert affine.mean_squared_distance(1, 0, 0, 2.0) == 4.0
    assert affine.mean_distance(1, 0, 0, 2.0) == pytest.approx(2.0)
    assert affine.mean_distance(1, 0, 1, 2.0) == 0.0
    # D = 2, a line through a point at distance 1 from the origin: |sin| of a uniform angle.
    assert affine.mean_squared_distance(2, 0, 1) == pytest.approx(0.5)
    assert affine.mean_distance(2, 0, 1) == pytest.approx(2 / np.pi)
    # D = 3, a line: sin of a polar angle with uniform cosine, mean π/4.
    assert affine.mean_distance(3, 0, 1) == pytest.approx(np.pi / 4)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 500), st.data())
def test_jensen_and_scaling(dimension, data):
    n = data.draw(st.integers(0, dimension))
    d = data.draw(st.integers(0, dimension))
    square, mean = (
        f(dimension, n, d, 3.0) for f in (affine.mean_squared_distance, affine.mean_distance)
    )
    assert mean**2 <= square * (1 + 1e-12)
    assert mean == pytest.approx(3 * affine.mean_distance(dimension, n, d), rel=1e-12)
    assert (mean == 0) == (n + d >= dimension)


@pytest.mark.parametrize("d", [0, 9])
def test_simulated_distances_follow_the_beta_law(d):
    found = affine.simulate_distances(20, 6, d, key=KEY, runs=1500, start=2.0)
    q = 20 - 6 - d
    assert kstest(found**2 / 4, beta(q / 2, (20 - q) / 2).cdf).pvalue > 1e-5
    for moment, expected in (
        (found, affine.mean_distance(20, 6, d, 2.0)),
        (found**2, affine.mean_squared_distance(20, 6, d, 2.0)),
    ):
        assert abs(moment.mean() - expected) < 4.5 * moment.std() / np.sqrt(len(moment))


def test_printed_formula_is_refuted():
    found = affine.simulate_distances(20, 6, 4, key=KEY, runs=1500) ** 2
    printed = (20 - 6 - 4) ** 2 / 20
    assert abs(found.mean() - printed) > 20 * found.std() / np.sqrt(1500)


def test_fixed_start_depends_only_on_the_short_coordinates():
    start = np.arange(1.0, 11.0)  # s = 7: the first seven coordinates count
    found = affine.simulate_distances(10, 3, 2, key=KEY, runs=3000, start=start) ** 2
    expected = np.sum(start[:7] ** 2) * 5 / 7
    assert abs(found.mean() - expected) < 4.5 * found.std() / np.sqrt(3000)
    elsewhere = np.concatenate([start[:7], [0.0, 0.0, 0.0]])
    again = affine.simulate_distances(10, 3, 2, key=KEY, runs=3000, start=elsewhere) ** 2
    np.testing.assert_allclose(again, found, rtol=1e-12)


def test_transition_at_d_plus_n_equals_D():
    for d in (13, 14):
        distances = affine.simulate_distances(20, 6, d, key=KEY, runs=50)
        assert np.all(distances < 1e-10) == (d + 6 >= 20)
        assert np.all(distances > 1e-6) == (d + 6 < 20)


def test_distance_against_dense_least_squares():
    # One run redone by hand in NumPy from the same Gaussian numbers.
    run_key = jax.random.split(KEY, 1)[0]
    start = np.linspace(-1, 1, 9)
    found = affine.simulate_distances(9, 2, 4, key=KEY, runs=1, start=start)[0]
    with jax.enable_x64(True):
        moves = np.asarray(jax.random.normal(jax.random.split(run_key)[1], (9, 4), "float64"))
    theta = np.linalg.lstsq(moves[:7], -start[:7], rcond=None)[0]
    assert found == pytest.approx(np.linalg.norm(moves[:7] @ theta + start[:7]), rel=1e-10)


@pytest.mark.parametrize(
    ("n", "d", "norm", "said"),
    [
        (-1, 2, 1.0, "n is -1; it must be a whole number from 0 to 10"),
        (2, 11, 1.0, "d is 11; it must be a whole number from 0 to 10"),
        (2, 2, -1.0, "norm is -1.0"),
    ],
)
def test_bad_dimensions_are_refused(n, d, norm, said):
    with pytest.raises(InputError, match=said):
        affine.mean_distance(10, n, d, norm)


def test_bad_start_is_refused():
    with pytest.raises(InputError, match=r"start has shape \(4,\); it must be \(5,\)"):
        affine.simulate_distances(5, 1, 1, key=KEY, runs=2, start=np.ones(4))
