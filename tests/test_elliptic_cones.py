"""The cone of directions that hit the ellipsoid: shape, projection, size."""

import clarabel
import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse
from scipy.stats import chi2

from dofbook.errors import InputError
from dofbook.geometry.cones import cap_statistical_dimension, cap_width
from dofbook.geometry.elliptic_cones import (
    EllipticCone,
    cone_size,
    hitting_cone,
)
from dofbook.geometry.quadratic import (
    QuadraticWell,
    bimodal_spectrum,
    closed_form,
    isotropic_direction,
    log_uniform_spectrum,
)

seeds = st.integers(0, 10_000)
fractions = st.floats(1e-4, 0.98)


def random_well(D, seed, spread=2.0):
    rng = np.random.default_rng(seed)
    return QuadraticWell(10 ** rng.uniform(-spread, 1, D), rng.standard_normal(D))


def dense_cone(well, eps):
    """Find the principal axes, columns of which the first points into the cone, and their tau."""
    c = 2 * (well.initial_loss - eps)
    h = well.eigenvalues * well.w0
    roots, axes = np.linalg.eigh(np.outer(h, h) - c * np.diag(well.eigenvalues))
    roots, axes = roots[::-1], axes[:, ::-1].copy()
    axes[:, 0] *= -np.sign(h @ axes[:, 0])  # into the cone: h^T v < 0
    return EllipticCone(np.maximum(-roots[1:], 0) / roots[0]), axes


def solve_projection(tau, y):
    """Project with an interior-point conic solver: min |z - y|^2, z_1 >= |sqrt(tau) z_rest|."""
    D = y.size
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-9
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix(2 * np.eye(D)),
        -2 * y,
        sparse.csc_matrix(-np.diag(np.r_[1.0, np.sqrt(tau)])),
        np.zeros(D),
        [clarabel.SecondOrderConeT(D)],
        settings,
    ).solve()
    return np.array(solution.x)


def contains(cone, points):
    return points[:, 0] >= np.sqrt(points[:, 1:] ** 2 @ cone.tau)


# --- shape ---------------------------------------------------------------------------------


@pytest.mark.parametrize("D", [2, 3, 8])
def test_membership_against_minimizing_the_loss_along_each_line(D):
    well = random_well(D, D)
    eps = 0.3 * well.initial_loss
    cone, axes = dense_cone(well, eps)
    v = np.random.default_rng(0).standard_normal((4000, D))
    lam, w0 = well.eigenvalues, well.w0
    t = np.maximum(-(v @ (lam * w0)) / (v**2 @ lam), 0)
    best = 0.5 * np.square(w0 + t[:, None] * v) @ lam
    hits = best <= eps
    assert 0 < hits.sum() < 4000
    np.testing.assert_array_equal(contains(cone, v @ axes), hits)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([2, 3, 7]), seeds, fractions)
def test_confocal_roots_are_the_eigenvalues_of_the_dense_matrix(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    c = 2 * (well.initial_loss - eps)
    h = well.eigenvalues * well.w0
    dense = np.linalg.eigvalsh(np.outer(h, h) - c * np.diag(well.eigenvalues))
    kappa = closed_form(well, eps).kappa
    assert dense[-1] == pytest.approx(c * kappa, rel=1e-7)
    expected = np.sort(-dense[:-1]) / dense[-1]
    np.testing.assert_allclose(hitting_cone(well, eps).tau, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("eigenvalues", "w0"),
    [
        ([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 0.0, 1.0]),  # one value only
        ([0.1, 0.1, 2.0, 2.0], [1.0, 2.0, 0.3, 1.0]),  # repeated
        ([0.0, 0.0, 0.5, 2.0], [1.0, 2.0, 0.3, 1.0]),  # flat directions
        ([0.1, 0.2, 0.5, 2.0], [0.0, 2.0, 0.0, 1.0]),  # directions without weight
    ],
)
def test_degenerate_spectra(eigenvalues, w0):
    well = QuadraticWell(eigenvalues, w0)
    eps = 0.2 * well.initial_loss
    exact = np.sort(dense_cone(well, eps)[0].tau)
    np.testing.assert_allclose(hitting_cone(well, eps).tau, exact, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([2, 3, 7]), seeds, fractions)
def test_half_angles_interlace_with_the_shrinkage_factors(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    T = hitting_cone(well, eps).sine_squares.sum()
    Q = closed_form(well, eps).Q
    assert Q - 1 - 1e-9 <= T <= Q + 1e-9


def test_no_cone_from_inside():
    well = random_well(3, 0)
    for eps in (well.initial_loss, 2 * well.initial_loss, 0.0, -1.0):
        with pytest.raises(InputError):
            hitting_cone(well, eps)
    with pytest.raises(InputError):
        EllipticCone([1.0, -0.1])
    with pytest.raises(InputError):
        EllipticCone([1.0]).project(np.ones((2, 3)))
    with pytest.raises(InputError):
        cone_size(EllipticCone([1.0]), jax.random.key(0), 1)


# --- projection ----------------------------------------------------------------------------


@pytest.mark.parametrize("D", [2, 5, 12])
def test_projection_against_a_conic_solver(D):
    rng = np.random.default_rng(D)
    for _ in range(12):
        tau = 10 ** rng.uniform(-2, 2, D - 1)
        y = rng.standard_normal(D) * [3.0, *np.ones(D - 1)]
        z = EllipticCone(tau).project(y)
        best = solve_projection(tau, y)
        np.testing.assert_allclose(z, best, atol=2e-5)
        assert np.sum((z - y) ** 2) <= np.sum((best - y) ** 2) * (1 + 1e-7) + 1e-7


def test_projection_satisfies_moreau():
    D = 200
    well = QuadraticWell(log_uniform_spectrum(D), isotropic_direction(jax.random.key(0), D))
    cone = hitting_cone(well, 0.1 * well.initial_loss)
    g = np.random.default_rng(0).standard_normal((50, D)) * np.geomspace(1e-3, 1e3, 50)[:, None]
    g[:25, 0] += np.linspace(-40, 40, 25)  # inside, polar and between
    z = cone.project(g)
    scale = np.linalg.norm(g, axis=1)
    polar = (z == 0).all(axis=1)
    inside = np.linalg.norm(z - g, axis=1) < 1e-12 * scale
    assert polar.any() and inside.any() and (~polar & ~inside).sum() > 10
    assert contains(cone, z + 1e-9 * scale[:, None] * np.eye(D)[0]).all()
    assert np.abs(np.sum(z * (g - z), axis=1) / scale**2).max() < 1e-12
    # g - z lies in the polar cone: it makes no acute angle with any point of the cone.
    inner = (g - z) @ cone.project(np.random.default_rng(1).standard_normal((200, D))).T
    assert (inner <= 1e-9 * scale[:, None]).all()
    np.testing.assert_allclose(cone.project(z), z, atol=1e-9 * scale.max())


# --- size ----------------------------------------------------------------------------------


def test_half_line_and_wedge_have_known_sizes():
    line = cone_size(EllipticCone([]), jax.random.key(0), 20_000)
    assert line.delta.value == pytest.approx(0.5, abs=4 * line.delta.standard_error)
    assert line.width.value == pytest.approx(0, abs=4 * line.width.standard_error)
    for angle in (0.2, 1.0, 1.5):
        size = cone_size(EllipticCone([np.tan(angle) ** -2]), jax.random.key(1), 20_000)
        delta = 0.5 + 2 * angle / np.pi
        width = np.sqrt(np.pi / 2) * (angle + np.sin(angle)) / np.pi
        # Intrinsic volumes of a wedge: v_2 = angle/pi, v_1 = 1/2.
        variance = 0.5 + 4 * angle / np.pi - delta**2
        assert size.delta.value == pytest.approx(delta, abs=4 * size.delta.standard_error)
        assert size.width.value == pytest.approx(width, abs=4 * size.width.standard_error)
        assert size.sigma.value == pytest.approx(
            np.sqrt(variance), abs=4 * size.sigma.standard_error
        )


def test_circular_cone_against_quadrature():
    angle, D = 0.7, 60
    size = cone_size(EllipticCone(np.full(D - 1, np.tan(angle) ** -2)), jax.random.key(2), 4000)
    assert size.delta.value == pytest.approx(
        cap_statistical_dimension(angle, D), abs=4 * size.delta.standard_error
    )
    assert size.width.value == pytest.approx(cap_width(angle, D), abs=4 * size.width.standard_error)
    assert size.sigma.value == pytest.approx(np.sqrt(D / 2) * np.sin(2 * angle), rel=0.03)
    assert size.delta.standard_error < 0.05


def test_width_against_a_search_over_the_whole_boundary():
    # In three dimensions the boundary is a curve; a narrow cone makes most suprema negative.
    tau = np.array([4.0, 30.0])
    phi = np.linspace(0, 2 * np.pi, 4001)
    rays = np.stack([np.sqrt(tau[0] * np.cos(phi) ** 2 + tau[1] * np.sin(phi) ** 2),
                     np.cos(phi), np.sin(phi)])  # fmt: skip
    rays /= np.linalg.norm(rays, axis=0)
    cone = EllipticCone(tau)
    g = np.random.default_rng(0).standard_normal((20_000, 3))
    supremum = np.where(contains(cone, g), np.linalg.norm(g, axis=1), (g @ rays).max(axis=1))
    assert (supremum < 0).mean() > 0.2
    size = cone_size(cone, jax.random.key(3), 20_000)
    error = np.hypot(size.width.standard_error, supremum.std() / np.sqrt(20_000))
    assert size.width.value == pytest.approx(supremum.mean(), abs=4 * error)


@pytest.mark.parametrize("spectrum", [bimodal_spectrum, log_uniform_spectrum])
def test_statistical_dimension_lies_within_two_of_the_closed_form(spectrum):
    D = 80
    well = QuadraticWell(spectrum(D), isotropic_direction(jax.random.key(5), D))
    for fraction in (1e-3, 0.05, 0.5, 0.95):
        eps = fraction * well.initial_loss
        form = closed_form(well, eps)
        size = cone_size(hitting_cone(well, eps), jax.random.key(6), 2000)
        # The largest distance found over hundreds of random cases is below 1.
        assert abs(size.delta.value - form.Q) < 1 + 4 * size.delta.standard_error
        assert size.width.value**2 <= size.delta.value + 4 * size.delta.standard_error
        # sigma is a leading-order sum: compare it where the transition is wide.
        if form.sigma > 3:
            assert size.sigma.value == pytest.approx(form.sigma, rel=0.1)


def test_standard_errors_are_honest():
    cone = hitting_cone(random_well(20, 9), 1.0)
    sizes = [cone_size(cone, jax.random.key(i), 200) for i in range(60)]
    for name in ("delta", "width"):
        values = np.array([getattr(size, name).value for size in sizes])
        stated = np.array([getattr(size, name).standard_error for size in sizes])
        ratio = values.var(ddof=1) / np.mean(stated**2)
        low, high = chi2.ppf([1e-4, 1 - 1e-4], 59) / 59
        assert low < ratio < high
