"""Gaussian width: closed forms, quadrature, hand cases, invariances."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.tree_util import Partial
from scipy.integrate import quad
from scipy.spatial import ConvexHull
from scipy.special import gammaln

from dofbook.errors import InputError
from dofbook.geometry import gaussian_width as gw
from dofbook.geometry.cones import cap_width, circular_cone
from dofbook.geometry.montecarlo import Estimate, gaussian_statistics
from dofbook.geometry.precision import float64_enabled, in_float64

KEY = jax.random.key(20220204)
FEW = settings(max_examples=15, deadline=None)


def within(estimate: Estimate, truth: float, sigmas: float = 4.5) -> bool:
    """Say whether an estimate agrees with the truth; false alarms have probability 7e-6."""
    return abs(estimate.value - truth) <= sigmas * estimate.standard_error


def random_rotation(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


# --- float64 and sampling -------------------------------------------------------------------------


def test_float64_is_local_and_survives_errors():
    with pytest.raises(ZeroDivisionError), float64_enabled():
        assert jax.numpy.ones(1).dtype == np.float64
        1 / 0  # noqa: B018
    assert jax.numpy.ones(1).dtype == np.float32


def test_in_float64_returns_numpy_and_keeps_digits():
    x = in_float64(lambda a: {"x": jax.numpy.asarray(a) * 1.0, "n": 3})(np.pi)
    assert isinstance(x["x"], np.ndarray)
    assert x["x"] == np.pi
    assert x["n"] == 3


def test_samples_do_not_depend_on_chunks_and_are_a_prefix(monkeypatch):
    def first(g):
        return g[:, 0]

    whole = gaussian_statistics(first, 5, key=KEY, samples=100)
    assert whole.dtype == np.float64
    monkeypatch.setattr("dofbook.geometry.montecarlo.CHUNK_ROWS", 7)
    np.testing.assert_array_equal(whole, gaussian_statistics(first, 5, key=KEY, samples=100))
    np.testing.assert_array_equal(whole[:30], gaussian_statistics(first, 5, key=KEY, samples=30))
    assert not np.array_equal(
        whole, gaussian_statistics(first, 5, key=jax.random.key(1), samples=100)
    )


def test_standard_error_is_honest():
    # 60 independent estimates of E|g| = sqrt(2/pi): their scores have variance 1, and a chi-square
    # of 60 degrees of freedom leaves (27, 107) with probability about 1e-4.
    keys = jax.random.split(KEY, 60)
    scores = [
        (e.value - np.sqrt(2 / np.pi)) / e.standard_error
        for e in (gw.estimate_width(gw.ball(1.0), 1, key=k, samples=400) for k in keys)
    ]
    assert 27 < np.sum(np.square(scores)) < 107


@pytest.mark.parametrize("bad", [{"dimension": 0}, {"samples": 1}])
def test_bad_sampling_arguments(bad):
    arguments = {"dimension": 3, "samples": 10} | bad
    with pytest.raises(InputError, match="at least"):
        gaussian_statistics(lambda g: g[:, 0], key=KEY, **arguments)


# --- alpha_k --------------------------------------------------------------------------------------


def test_alpha_by_hand():
    np.testing.assert_allclose(
        gw.alpha([0, 1, 2, 3]),
        [0, np.sqrt(2 / np.pi), np.sqrt(np.pi / 2), 2 * np.sqrt(2 / np.pi)],
        rtol=1e-14,
    )


def test_alpha_against_gamma_and_bounds():
    k = np.arange(1, 400)
    reference = np.sqrt(2) * np.exp(gammaln((k + 1) / 2) - gammaln(k / 2))
    np.testing.assert_allclose(gw.alpha(k), reference, rtol=1e-12)
    k = np.concatenate([k, [10**4, 10**5, 10**6, 10**8]])
    assert np.all(k / np.sqrt(k + 1) < gw.alpha(k))
    assert np.all(gw.alpha(k) < np.sqrt(k))
    # alpha_k^2 = k - 1/2 + 1/(8k) + O(k^-2)
    large = k[k >= 30]
    residual = gw.alpha(large) ** 2 - (large - 0.5 + 1 / (8 * large))
    assert np.all(np.abs(residual) < 0.1 / large**2 + 1e-11 * large)


def test_alpha_recursion():
    # alpha_k alpha_{k+1} = k, from Gamma(x+1) = x Gamma(x).
    k = np.array([1, 2, 17, 999, 20_000, 123_456])
    np.testing.assert_allclose(gw.alpha(k) * gw.alpha(k + 1), k, rtol=1e-11)


# --- widths against exact values ------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 2, 7, 300])
def test_ball(dimension):
    estimate = gw.estimate_width(gw.ball(2.5), dimension, key=KEY, samples=4000)
    assert within(estimate, 2.5 * gw.alpha(dimension))


def test_ball_of_an_embedded_subspace_keeps_its_width():
    flat = np.zeros(40)
    flat[:6] = 1.5
    assert gw.ellipsoid_width(flat) == pytest.approx(1.5 * gw.alpha(6), rel=1e-12)


@pytest.mark.parametrize("dimension", [1, 2, 3, 100, 10_000])
def test_isotropic_ellipsoid_is_a_ball(dimension):
    assert gw.ellipsoid_width(np.full(dimension, 3.0)) == pytest.approx(
        3.0 * gw.alpha(dimension), rel=3e-12
    )


def test_ellipse_by_independent_integral():
    # D = 2: w = E|g| times the mean of sqrt(a² cos² + b² sin²) over the circle.
    a, b = 2.0, 0.3
    mean, _ = quad(lambda t: np.hypot(a * np.cos(t), b * np.sin(t)), 0, np.pi / 2, epsrel=1e-12)
    expected = np.sqrt(np.pi / 2) * mean / (np.pi / 2)
    assert gw.ellipsoid_width([a, b]) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
def test_ellipsoid_monte_carlo(spread):
    r = 10 ** np.linspace(-spread, 0, 60)
    estimate = gw.estimate_width(gw.ellipsoid(r), 60, key=KEY, samples=4000)
    assert within(estimate, gw.ellipsoid_width(r))


def test_degenerate_ellipsoids():
    assert gw.ellipsoid_width([0.0, 0.0]) == 0.0
    assert gw.ellipsoid_width([5.0]) == pytest.approx(5 * np.sqrt(2 / np.pi), rel=1e-12)
    assert gw.ellipsoid_width([5.0, 0.0]) == pytest.approx(5 * np.sqrt(2 / np.pi), rel=1e-11)


def test_two_points_by_hand():
    # {-c, c}: h(g) = |<c, g>|, mean |c| sqrt(2/pi); a single point has width 0.
    c = np.array([3.0, 4.0])
    estimate = gw.estimate_width(gw.finite_set(np.stack([c, -c])), 2, key=KEY, samples=4000)
    assert within(estimate, 5 * np.sqrt(2 / np.pi))
    single = gw.estimate_width(gw.finite_set(c[None]), 2, key=KEY, samples=500, two_sided=True)
    assert single.value == pytest.approx(0.0, abs=1e-14)


def test_hypercube_vertices():
    # sup over {-1, 1}^D is the l1 norm: w = D sqrt(2/pi).
    corners = np.stack(np.meshgrid(*[[-1, 1]] * 6), axis=-1).reshape(-1, 6)
    estimate = gw.estimate_width(gw.finite_set(corners), 6, key=KEY, samples=4000)
    assert within(estimate, 6 * np.sqrt(2 / np.pi))


def test_finite_set_in_blocks_matches_numpy():
    rng = np.random.default_rng(0)
    points, g = rng.normal(size=(gw.POINT_BLOCK + 37, 5)), rng.normal(size=(8, 5))
    with float64_enabled():
        found = np.asarray(gw.finite_set(points)(jax.numpy.asarray(g)))
    np.testing.assert_allclose(found, (g @ points.T).max(axis=1), rtol=1e-13)


@pytest.mark.parametrize("dimension", [2, 3, 200])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 2, 2.5, np.pi])
def test_cap_width_against_monte_carlo(dimension, angle):
    cap = gw.spherical_cap(angle, np.eye(dimension)[0])
    estimate = gw.estimate_width(cap, dimension, key=KEY, samples=3000)
    assert within(estimate, cap_width(angle, dimension)) or angle == 0.0
    if angle == 0.0:  # a point
        assert cap_width(angle, dimension) == pytest.approx(0.0, abs=1e-13)
        assert within(estimate, 0.0)


def test_cap_on_the_circle_by_hand():
    # D = 2: sqrt(pi/2) (angle + sin(angle))/pi.
    for angle in (0.3, 1.0, 2.0, np.pi):
        assert cap_width(angle, 2) == pytest.approx(
            np.sqrt(np.pi / 2) * (angle + np.sin(angle)) / np.pi, rel=1e-13
        )


def test_the_width_in_the_plane_is_the_perimeter_of_the_hull():
    points = np.random.default_rng(5).normal(size=(30, 2))
    perimeter = ConvexHull(points).area  # in the plane scipy calls it so
    assert gw.plane_width(points) == pytest.approx(perimeter / np.sqrt(8 * np.pi), rel=1e-6)
    assert gw.plane_width([[3.0, 4.0]]) == pytest.approx(0, abs=1e-12)
    circle = np.exp(1j * np.linspace(0, np.pi / 2, 500))
    arc = np.stack([circle.real, circle.imag], axis=1)
    assert gw.plane_width(arc) == pytest.approx(cap_width(np.pi / 4, 2), rel=1e-5)


def test_union_of_caps_two_ways_and_its_bound():
    rng = np.random.default_rng(1)
    centers = rng.normal(size=(12, 30))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    together = gw.spherical_cap(0.4, centers)
    separate = gw.union(*[gw.spherical_cap(0.4, c) for c in centers])
    g = rng.normal(size=(50, 30))
    with float64_enabled():
        np.testing.assert_allclose(together(g), separate(g), rtol=1e-12)
    width = gw.estimate_width(together, 30, key=KEY, samples=2000).value
    assert cap_width(0.4, 30) < width < cap_width(0.4, 30) + np.sqrt(2 * np.log(12))


def test_cone_in_ball_and_on_sphere():
    # g in the polar cone is rare here, so the two widths agree; both from independent code.
    on_sphere = cap_width(1.0, 50)
    in_ball = gw.estimate_width(gw.cone_in_ball(circular_cone(1.0)), 50, key=KEY, samples=4000)
    assert within(in_ball, on_sphere)


def test_sampling_points_underestimates():
    # The warning in the module's docstring: sampled points of a cap hide nearly all of its width.
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(2000, 99))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    points = np.concatenate([np.ones((2000, 1)), direction], axis=1) / np.sqrt(2)
    sampled = gw.estimate_width(gw.finite_set(points), 100, key=KEY, samples=500)
    assert gw.squared(sampled).value < 2 * np.log(2000) < 0.5 * cap_width(np.pi / 4, 100) ** 2


# --- definition 3.1 and Lemma B.1 -----------------------------------------------------------------


def test_two_sided_form_agrees():
    rng = np.random.default_rng(3)
    support = gw.finite_set(rng.normal(size=(20, 8)) + 5.0)
    one = gw.estimate_width(support, 8, key=KEY, samples=20_000)
    two = gw.estimate_width(support, 8, key=jax.random.key(9), samples=2000, two_sided=True)
    assert abs(one.value - two.value) < 4.5 * np.hypot(one.standard_error, two.standard_error)
    assert two.standard_error < one.standard_error  # the shift cancels


def test_lemma_b1_printed_constant_fails_and_corrected_holds():
    for r in ([1.0], [1.0, 1.0], [1.0, 0.1, 0.1, 0.1, 0.1]):
        r = np.array(r)
        square, total = gw.ellipsoid_width(r) ** 2, np.sum(r**2)
        assert square < np.sqrt(2 / np.pi) * total  # printed lower bound violated
        # With Gaussian Poincaré, w² >= Σ r² - max r², beside the corrected constant.
        low = max(2 / np.pi * total, total - np.max(r) ** 2)
        assert low * (1 - 1e-12) <= square <= total
    assert gw.ellipsoid_width([1.0]) ** 2 == pytest.approx(2 / np.pi, rel=1e-12)


@FEW
@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40))
def test_ellipsoid_bounds_hold(semi_axes):
    squares = np.square(semi_axes)
    low = max(2 / np.pi * squares.sum(), squares.sum() - squares.max())
    square = gw.ellipsoid_width(semi_axes) ** 2
    assert low * (1 - 1e-10) <= square <= squares.sum() * (1 + 1e-10)


# --- invariances ----------------------------------------------------------------------------------


@FEW
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3))
def test_scaling(seed, scale):
    points = np.random.default_rng(seed).normal(size=(10, 4))
    base = gw.estimate_width(gw.finite_set(points), 4, key=KEY, samples=64)
    scaled = gw.estimate_width(gw.finite_set(scale * points), 4, key=KEY, samples=64)
    assert scaled.value == pytest.approx(scale * base.value, rel=1e-9, abs=1e-9 * scale)
    r = np.abs(points[0]) + 1e-3
    assert gw.ellipsoid_width(scale * r) == pytest.approx(scale * gw.ellipsoid_width(r), rel=1e-11)


@FEW
@given(st.integers(0, 2**31))
def test_translation_invariance(seed):
    rng = np.random.default_rng(seed)
    points, shift = rng.normal(size=(10, 4)), rng.normal(size=4) * 10
    base = gw.estimate_width(gw.finite_set(points), 4, key=KEY, samples=64, two_sided=True)
    moved = gw.estimate_width(gw.finite_set(points + shift), 4, key=KEY, samples=64, two_sided=True)
    assert moved.value == pytest.approx(base.value, rel=1e-9)


@FEW
@given(st.integers(0, 2**31))
def test_rotation_invariance(seed):
    rng = np.random.default_rng(seed)
    points, rotation = rng.normal(size=(10, 4)), random_rotation(rng, 4)
    support = gw.finite_set(points)
    turned = gw.finite_set(points @ rotation.T)
    g = rng.normal(size=(16, 4))
    with float64_enabled():
        # h_{RS}(g) = h_S(R'g): the same function of a vector with the same law.
        np.testing.assert_allclose(turned(g @ rotation.T), support(g), rtol=1e-10, atol=1e-12)


def test_linear_maps_change_the_width():
    # The paper calls the width affine-invariant; only rigid motions leave it alone.
    assert gw.ellipsoid_width([2.0, 2.0]) == pytest.approx(2 * gw.ellipsoid_width([1.0, 1.0]))


def test_subsets_are_narrower():
    points = np.random.default_rng(5).normal(size=(50, 6))
    inner = gw.estimate_width(gw.finite_set(points[:10]), 6, key=KEY, samples=200)
    outer = gw.estimate_width(gw.finite_set(points), 6, key=KEY, samples=200)
    assert inner.value < outer.value


def test_own_support_function_works():
    def cube(g):
        return abs(g).sum(axis=-1)

    assert within(gw.estimate_width(cube, 9, key=KEY, samples=4000), 9 * np.sqrt(2 / np.pi))
    assert within(
        gw.estimate_width(Partial(cube), 9, key=KEY, samples=4000), 9 * np.sqrt(2 / np.pi)
    )


def test_squared_estimate():
    square = gw.squared(Estimate(3.0, 0.1, 50))
    assert square.value == pytest.approx(8.99)
    assert square.standard_error == pytest.approx(0.6)
    assert "8.99" in str(square)


def test_project_to_sphere():
    points = np.array([[3.0, 1.0], [1.0, -4.0]])
    np.testing.assert_allclose(
        gw.project_to_sphere(points, np.array([1.0, 1.0])), [[1.0, 0.0], [0.0, -1.0]]
    )
    with pytest.raises(InputError, match="undefined"):
        gw.project_to_sphere(points, points[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: gw.ball(-1.0),
        lambda: gw.ellipsoid([1.0, np.nan]),
        lambda: gw.ellipsoid([]),
        lambda: gw.spherical_cap(4.0, np.eye(3)[0]),
        lambda: gw.spherical_cap(1.0, np.ones(3)),
        lambda: gw.finite_set(np.zeros((0, 3))),
        lambda: gw.union(),
        lambda: gw.alpha(-1),
        lambda: gw.alpha(np.nan),
        lambda: gw.ellipsoid_width([-1.0]),
    ],
)
def test_bad_sets_are_refused(make):
    with pytest.raises(InputError):
        make()
