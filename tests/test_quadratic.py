"""The quadratic well: closed form, Eq. 3.4, exact simulation, spectra, ridge fixed point."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize
from scipy.special import ndtri
from scipy.stats import norm, ortho_group

from dofbook.errors import InputError
from dofbook.geometry.quadratic import (
    QuadraticWell,
    bimodal_spectrum,
    closed_form,
    hitting_dimensions,
    isotropic_direction,
    largest_violation,
    log_uniform_spectrum,
    marchenko_pastur_spectrum,
    minimum_losses,
    minimum_losses_along,
    minimum_losses_from,
    paper_angular_dimension,
    predicted_success,
    predicted_threshold,
    success_points,
    violation,
)
from dofbook.geometry.random_matrix import expected_minimum_loss, ridge_parameter
from dofbook.success import spread_limit

SPECTRA = {
    "bimodal": bimodal_spectrum,
    "log-uniform": log_uniform_spectrum,
    "Marchenko-Pastur": marchenko_pastur_spectrum,
}

# A few fixed shapes keep hypothesis from compiling a new program for every size.
sizes = st.sampled_from([2, 5, 12])
seeds = st.integers(0, 10_000)
fractions = st.floats(1e-5, 0.98)


def random_well(D, seed, spread=3.0):
    rng = np.random.default_rng(seed)
    return QuadraticWell(10 ** rng.uniform(-spread, 1, D), rng.standard_normal(D))


# --- the closed form -----------------------------------------------------------------------


def test_one_dimension_by_hand():
    well = QuadraticWell([3.0], [2.0])
    eps = 1.5
    r2 = 2 * eps / 3.0
    form = closed_form(well, eps)
    assert form.mu == pytest.approx(4.0 - r2)
    np.testing.assert_allclose(form.Q, r2 / 4.0)
    assert paper_angular_dimension(well, eps) == pytest.approx(r2 / (4.0 + r2))
    assert predicted_success(well, eps, [0, 1]).tolist() == [0.0, 1.0]


def test_two_dimensions_by_hand():
    well = QuadraticWell([0.5, 4.0], [1.0, 2.0])
    eps = 0.7
    p, q = 2 * eps / well.eigenvalues
    # (mu + p)(mu + q) = w1^2 (mu + q) + w2^2 (mu + p), a quadratic in mu.
    b, c = p + q - 1 - 4, p * q - q - 4 * p
    mu = (-b + np.sqrt(b * b - 4 * c)) / 2
    s = np.array([p / (mu + p), q / (mu + q)])
    form = closed_form(well, eps)
    assert form.mu == pytest.approx(mu, rel=1e-12)
    np.testing.assert_allclose(form.Q, s.sum(), rtol=1e-12)
    assert form.codimension == pytest.approx(2 - s.sum(), rel=1e-12)
    assert form.sigma == pytest.approx(np.sqrt(2 * (s * (1 - s)).sum()), rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(sizes, seeds, fractions)
def test_mu_solves_the_confocal_equation(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    r2 = 2 * eps / well.eigenvalues
    root = brentq(
        lambda mu: np.sum(well.w0**2 / (mu + r2)) - 1, 0, well.R**2, xtol=1e-300, rtol=1e-14
    )
    form = closed_form(well, eps)
    assert form.mu == pytest.approx(root, rel=1e-9)
    assert form.kappa == pytest.approx(2 * eps / root, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(sizes, seeds, fractions, st.floats(-6, 6), st.floats(-6, 6))
def test_units_of_loss_and_of_weights_do_not_matter(D, seed, fraction, log_a, log_b):
    a, b = 10**log_a, 10**log_b
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    scaled = QuadraticWell(a * well.eigenvalues, b * well.w0)
    one, other = closed_form(well, eps), closed_form(scaled, a * b * b * eps)
    np.testing.assert_allclose(other.mu, b * b * one.mu, rtol=1e-9)
    np.testing.assert_allclose(other[2:], one[2:], rtol=1e-8, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(sizes, seeds, fractions)
def test_orthogonal_maps_do_not_matter(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    U = ortho_group.rvs(D, random_state=seed)
    eigenvalues, vectors = np.linalg.eigh((U * well.eigenvalues) @ U.T)
    rotated = QuadraticWell(eigenvalues.clip(0), vectors.T @ U @ well.w0)
    assert rotated.initial_loss == pytest.approx(well.initial_loss, rel=1e-10)
    np.testing.assert_allclose(closed_form(rotated, eps), closed_form(well, eps), rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(sizes, seeds, fractions)
def test_the_paper_bound_stays_below_the_closed_form(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    r2 = 2 * eps / well.eigenvalues
    bound = paper_angular_dimension(well, eps)
    assert bound == pytest.approx(np.sum(r2 / (well.R**2 + r2)), rel=1e-12)
    assert bound < closed_form(well, eps).Q
    assert closed_form(well, eps).mu < well.R**2


@settings(deadline=None, max_examples=40)
@given(sizes, seeds, fractions)
def test_success_rises_with_d_and_inverts_the_threshold(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    assert (np.diff(predicted_success(well, eps, np.arange(D + 1))) >= 0).all()
    # In eps only the centre moves monotonically; the normal curves about it may cross.
    assert closed_form(well, 1.01 * eps).codimension < closed_form(well, eps).codimension
    threshold = predicted_threshold(well, eps, 0.1)
    if 0 < threshold < D:
        assert predicted_success(well, eps, threshold) == pytest.approx(0.9, abs=1e-9)


def test_start_inside_the_sublevel_set():
    well = random_well(6, 1)
    eps = np.array([1.0, 1.5]) * well.initial_loss
    form = closed_form(well, eps)
    assert (form.mu == 0).all() and (form.Q == 6).all() and (form.codimension == 0).all()
    assert (predicted_threshold(well, eps) == 0).all()
    assert (predicted_success(well, eps[:, None], np.arange(7)) == 1).all()
    at_minimum = QuadraticWell(well.eigenvalues, np.zeros(6))
    assert predicted_threshold(at_minimum, 0.1) == 0
    assert paper_angular_dimension(at_minimum, 0.1) == 6


def test_zero_eigenvalues_are_free_dimensions():
    positive = random_well(8, 3)
    well = QuadraticWell(np.r_[0, 0, 0, positive.eigenvalues], np.r_[1, -2, 5, positive.w0])
    eps = 0.05 * positive.initial_loss
    form, reduced = closed_form(well, eps), closed_form(positive, eps)
    assert well.rank == 8
    np.testing.assert_allclose(form.Q, reduced.Q + 3)
    assert form.sigma == pytest.approx(reduced.sigma)
    assert predicted_threshold(well, 1e-12) == 8
    assert predicted_success(well, 1e-12, 8) == 1
    losses = minimum_losses(well, jax.random.key(0), 5)
    assert (losses[:, 7] > 1e-9).all() and (losses[:, 8:] < 1e-20).all()


@pytest.mark.parametrize(
    ("eigenvalues", "w0"),
    [
        ([-1e-3, 1.0], [1.0, 1.0]),
        ([1.0, 2.0], [1.0]),
        ([], []),
        ([1.0, np.nan], [1.0, 1.0]),
        ([1.0, 1.0], [np.inf, 1.0]),
        ([[1.0]], [[1.0]]),
    ],
)
def test_impossible_wells_are_refused(eigenvalues, w0):
    with pytest.raises(InputError):
        QuadraticWell(eigenvalues, w0)


def test_bad_arguments_are_refused():
    well = random_well(3, 0)
    for eps in (0.0, -1.0, np.nan, [0.1, 0.0]):
        with pytest.raises(InputError):
            closed_form(well, eps)
        with pytest.raises(InputError):
            paper_angular_dimension(well, eps)
    for delta in (0.0, 1.0, -0.1):
        with pytest.raises(InputError):
            predicted_threshold(well, 0.1, delta)
    with pytest.raises(InputError):
        QuadraticWell([1.0, -0.1], [1.0, 1.0])
    with pytest.raises(InputError):
        minimum_losses(well, jax.random.key(0), 0)
    with pytest.raises(InputError):
        minimum_losses_along(well, np.ones((4, 2)))
    with pytest.raises(InputError):
        well.after_gradient_flow(-1.0)
    with pytest.raises(InputError):
        well.at_distance(0.0)
    with pytest.raises(InputError):
        marchenko_pastur_spectrum(10, 1.5)
    for d in (-1, 4):
        with pytest.raises(InputError):
            ridge_parameter(well.eigenvalues, d)


# --- exact simulation ----------------------------------------------------------------------


def test_minimum_losses_against_dense_algebra_and_a_minimizer():
    rng = np.random.default_rng(5)
    well = random_well(9, 5)
    A = rng.standard_normal((9, 7))
    losses = minimum_losses_along(well, A)
    H = np.diag(well.eigenvalues)
    for d in range(1, 8):
        b, M = A[:, :d].T @ H @ well.w0, A[:, :d].T @ H @ A[:, :d]
        dense = 0.5 * (well.w0 @ H @ well.w0 - b @ np.linalg.solve(M, b))
        assert losses[d] == pytest.approx(dense, rel=1e-8)
    assert losses[0] == pytest.approx(well.initial_loss)

    def loss(theta):
        w = well.w0 + A[:, :4] @ theta
        return 0.5 * w @ H @ w, A[:, :4].T @ H @ w

    assert losses[4] == pytest.approx(
        minimize(loss, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-10}).fun, rel=1e-7
    )


def test_random_runs_are_reproducible_scale_with_R_and_shared_between_starts():
    well = random_well(7, 2)
    key = jax.random.key(4)
    losses = minimum_losses(well, key, 6)
    assert losses.shape == (6, 8) and losses.dtype == np.float64
    np.testing.assert_array_equal(losses, minimum_losses(well, key, 6))
    assert (np.diff(losses) <= 0).all() and (losses[:, -1] == 0).all()
    far = minimum_losses(well.at_distance(10 * well.R), key, 6)
    np.testing.assert_allclose(far, 100 * losses, rtol=1e-10)
    both = minimum_losses_from(well.eigenvalues, [well.w0, -3 * well.w0], key, 6)
    np.testing.assert_allclose(both[:, 0], losses, rtol=1e-9)
    np.testing.assert_allclose(both[:, 1], 9 * losses, rtol=1e-9)


def test_one_random_direction_in_the_plane_has_the_exact_probability():
    # A circle of radius r seen from distance R fills half-angle arcsin(r / R) of the half-plane.
    well = QuadraticWell([1.0, 1.0], [0.6, 0.8])
    eps = np.array([0.02, 0.1, 0.3])
    runs = 4000
    hits = hitting_dimensions(minimum_losses(well, jax.random.key(1), runs), eps)
    exact = 2 * np.arcsin(np.sqrt(2 * eps)) / np.pi
    error = np.sqrt(exact * (1 - exact) / runs)
    assert (np.abs((hits == 1).mean(axis=0) - exact) < 4 * error).all()


def test_losses_that_are_no_minimum_losses_are_refused():
    for losses in ([1.0, np.nan, 0.0], [1.0, 2.0, 0.0], [np.inf, 1.0, 0.0], [1.0, 0.5, 0.4], []):
        with pytest.raises(InputError):
            hitting_dimensions(losses, [0.1])


def test_spectra_and_levels_that_give_no_numbers_are_refused():
    for spectrum, wrong in (
        (log_uniform_spectrum, (4, -1, 1)),
        (log_uniform_spectrum, (4, 1, 0.1)),
        (bimodal_spectrum, (4, np.nan)),
        (bimodal_spectrum, (4.5,)),
        (marchenko_pastur_spectrum, (0,)),
    ):
        with pytest.raises(InputError):
            spectrum(*wrong)
    well = random_well(5, 1)
    with pytest.raises(InputError, match="float64 cannot resolve"):
        closed_form(well, [0.1, 1e-300])
    # Down to where it refuses, the closed form is at the rank: nothing wrong comes out silently.
    for eps in 10.0 ** -np.arange(20, 300, 10):
        try:
            form = closed_form(well, eps * well.initial_loss)
        except InputError:
            break
        np.testing.assert_allclose(form.codimension, 5, rtol=1e-9)
        np.testing.assert_allclose(form.kappa, eps * well.initial_loss / np.sum(well.w0**2 / 2))
    else:
        raise AssertionError("no level was too small")


def test_hitting_dimensions_against_a_loop():
    rng = np.random.default_rng(0)
    losses = -np.sort(-rng.uniform(0, 1, (3, 4, 12)), axis=-1)
    losses[..., -1] = 0
    losses[0, 0, 4] = losses[0, 0, 5]
    eps = np.array([losses[0, 0, 5], 0.01, 2.0])  # a tie, the last dimension, the first
    hits = hitting_dimensions(losses, eps)
    for index in np.ndindex(3, 4):
        for j, level in enumerate(eps):
            assert hits[(*index, j)] == next(d for d in range(12) if losses[index][d] <= level)


def quantile_error(sigma, runs, p):
    return sigma * np.sqrt(p * (1 - p) / runs) / norm.pdf(ndtri(p))


@pytest.mark.parametrize("name", SPECTRA)
def test_closed_form_threshold_against_exact_simulation(name):
    # The same comparison at D = 500 and 200 runs is in the chapter.
    D, runs, delta = 150, 400, 0.1
    well = QuadraticWell(SPECTRA[name](D), isotropic_direction(jax.random.key(7), D))
    eps = well.initial_loss * np.geomspace(1e-4, 0.9, 12)
    hits = hitting_dimensions(minimum_losses(well, jax.random.key(0), runs), eps)
    measured = np.sort(hits, axis=0)[int(np.ceil((1 - delta) * runs)) - 1]
    predicted = predicted_threshold(well, eps, delta)
    sampling = quantile_error(closed_form(well, eps).sigma, runs, 1 - delta)
    # Beyond sampling: d is an integer, and the centre is only known to O(1).
    assert (np.abs(measured - predicted) < 3 * sampling + 1.5).all()
    assert abs(np.mean(measured - predicted)) < 1.0
    # Without the right mu the prediction is far off: Eq. 3.4 with the same sigma fails this test.
    assert np.abs(measured - (D - paper_angular_dimension(well, eps))).max() > 20


def test_random_direction_adds_its_own_spread():
    D, runs = 100, 1000
    well = QuadraticWell(log_uniform_spectrum(D), np.full(D, D**-0.5))
    eps = 0.3 * well.initial_loss
    form = closed_form(well, eps)
    fixed = hitting_dimensions(minimum_losses(well, jax.random.key(0), runs), [eps])
    varied = hitting_dimensions(
        minimum_losses(well, jax.random.key(0), runs, random_direction=True), [eps]
    )
    assert fixed.std() == pytest.approx(form.sigma, rel=0.1)
    assert varied.std() == pytest.approx(np.hypot(form.sigma, form.direction_sigma), rel=0.1)
    assert varied.std() > 1.1 * fixed.std()


def test_gradient_flow_against_an_ode_solver():
    well = random_well(4, 8, spread=1.0)
    U = ortho_group.rvs(4, random_state=0)
    H = (U * well.eigenvalues) @ U.T
    flow = solve_ivp(lambda _, w: -H @ w, (0, 1.7), U @ well.w0, rtol=1e-10, atol=1e-12)
    burned = well.after_gradient_flow(1.7)
    np.testing.assert_allclose(U @ burned.w0, flow.y[:, -1], rtol=1e-6)
    eps = 0.1 * burned.initial_loss
    assert predicted_threshold(burned, eps) <= predicted_threshold(well, eps)


# --- spectra -------------------------------------------------------------------------------


def test_bimodal_and_log_uniform_spectra():
    assert bimodal_spectrum(5).tolist() == [1e-3, 1e-3, 1, 1, 1]
    assert bimodal_spectrum(1).tolist() == [1.0]
    lam = log_uniform_spectrum(7, 1e-2, 1e4)
    assert lam[0] == pytest.approx(1e-2) and lam[-1] == pytest.approx(1e4)
    np.testing.assert_allclose(np.diff(np.log10(lam)), 1.0)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0])
def test_marchenko_pastur_spectrum_against_its_moments_and_a_sample_covariance(ratio):
    lam = marchenko_pastur_spectrum(4000, ratio)
    assert lam.mean() == pytest.approx(1, rel=2e-3)
    assert np.mean(lam**2) == pytest.approx(1 + ratio, rel=2e-3)
    assert np.mean(lam**3) == pytest.approx(1 + 3 * ratio + ratio**2, rel=3e-3)
    edges = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    assert edges[0] <= lam[0] and lam[-1] <= edges[1]
    D = 300
    X = np.random.default_rng(0).standard_normal((round(D / ratio), D))
    sample = np.linalg.eigvalsh(X.T @ X / len(X))
    assert np.abs(sample - marchenko_pastur_spectrum(D, ratio)).mean() < 0.02


# --- random-matrix fixed point -------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(sizes, seeds, fractions)
def test_fixed_point_draws_the_boundary_of_the_closed_form(D, seed, fraction):
    well = random_well(D, seed)
    eps = fraction * well.initial_loss
    form = closed_form(well, eps)
    assert ridge_parameter(well.eigenvalues, form.codimension) == pytest.approx(
        form.kappa, rel=1e-7
    )
    assert expected_minimum_loss(well, form.codimension) == pytest.approx(eps, rel=1e-7)


def test_fixed_point_is_a_ridge_minimum_with_limits_at_both_ends():
    well = random_well(6, 4)
    kappa = ridge_parameter(well.eigenvalues, 2.5)
    w = kappa * well.w0 / (well.eigenvalues + kappa)
    penalized = 0.5 * well.eigenvalues @ w**2 + 0.5 * kappa * np.sum((w - well.w0) ** 2)
    assert expected_minimum_loss(well, 2.5) == pytest.approx(penalized)
    assert ridge_parameter(well.eigenvalues, [0, 6]).tolist() == [np.inf, 0.0]
    assert expected_minimum_loss(well, [0, 6]) == pytest.approx([well.initial_loss, 0.0])
    with_zero = QuadraticWell(np.r_[0.0, well.eigenvalues], np.r_[3.0, well.w0])
    assert expected_minimum_loss(with_zero, [0, 2.5, 6, 7]) == pytest.approx(
        [well.initial_loss, penalized, 0.0, 0.0]
    )


@pytest.mark.parametrize("name", SPECTRA)
def test_fixed_point_against_exact_simulation(name):
    D, runs = 150, 200
    well = QuadraticWell(SPECTRA[name](D), isotropic_direction(jax.random.key(3), D))
    losses = minimum_losses(well, jax.random.key(2), runs)
    for d in (15, 60, 120):
        ratio = losses[:, d] / expected_minimum_loss(well, d)
        assert np.median(ratio) == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(runs) + 0.02)


def test_the_largest_violation_of_the_bound_grows_as_predicted():
    """Over all levels of a wide spectrum, against the closed form."""
    D = 20_000
    well = QuadraticWell(log_uniform_spectrum(D), np.full(D, D**-0.5))
    eps = np.geomspace(1e-7, 0.95, 200) * well.initial_loss
    worst = np.max(violation(well, eps, 0.1))
    assert 0.9 < worst / largest_violation(D, 0.1) < 1.0
    bound = (1 / (1 + 2 * eps[80] / well.eigenvalues)).sum()  # at distance 1
    assert violation(well, eps[80]) == pytest.approx(predicted_threshold(well, eps[80]) - bound)


def test_bimodal_spectrum_with_another_share():
    for share, soft in ((0.0, 0), (0.1, 20), (0.3, 60), (0.7, 140), (0.999, 199), (1.0, 200)):
        assert np.count_nonzero(bimodal_spectrum(200, share=share) == 1e-3) == soft
    with pytest.raises(InputError):
        bimodal_spectrum(4, share=1.1)


def test_success_points_are_the_fractions_of_the_runs_they_come_from():
    well, key = (
        QuadraticWell(bimodal_spectrum(30, share=0.3), np.full(30, 30**-0.5)),
        jax.random.key(4),
    )
    found = success_points(well, [0.0, 2.0], [1e-3, 0.1], key=key, runs=40, points=5)
    for i, time in enumerate((0.0, 2.0)):
        start = well.after_gradient_flow(time).w0[None]
        losses = minimum_losses_from(well.eigenvalues, start, key, 40)[:, 0]
        for j, level in enumerate((1e-3, 0.1)):
            hits = hitting_dimensions(losses, [level * well.initial_loss])[:, 0]
            d, p = found[i][j]["d"], found[i][j]["p"]
            assert p == [np.mean(hits <= dimension) for dimension in d]
            assert d == sorted(set(d)) and len(d) <= 5
            assert d[-1] == hits.max() and p[-1] == 1


def test_the_limit_of_the_spread_holds_for_every_well_and_is_reached_near_the_start():
    for spectrum in SPECTRA.values():
        well = QuadraticWell(spectrum(400), np.full(400, 0.05))
        form = closed_form(well, np.geomspace(1e-4, 0.999, 40) * well.initial_loss)
        spread = form.sigma / form.codimension / np.log(2)
        limit = spread_limit(form.codimension)
        assert (spread <= limit).all() and spread[-1] == pytest.approx(limit[-1], rel=1e-2)
