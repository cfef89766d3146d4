"""Newton's method and the cone projection against autodiff, SciPy and first principles."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize

from dofbook.errors import InputError
from dofbook.landscape import convex


def _problem(seed=0, images=60, classes=3, d=5, noise=True):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((images, classes, d))
    start = rng.standard_normal((images, classes))
    logits = start + features @ rng.standard_normal(d) * 2
    labels = logits.argmax(1)
    if not noise:  # separable through the origin: the loss tends to 0 and attains no minimum
        start, labels = 0 * start, (logits - start).argmax(1)
    else:
        labels[::4] = rng.integers(classes, size=len(labels[::4]))
    return convex.LinearLogits(start, features, labels)


def _loss(problem):
    def loss(theta):
        logits = problem.start + jnp.asarray(problem.features) @ theta
        return optax.softmax_cross_entropy_with_integer_labels(logits, problem.labels).mean()

    return loss


def test_a_hessian_of_low_rank_has_no_negative_curvature_beside_large_features():
    """What all classes share has no part in it, however large: as few images once ended Newton."""
    problem = _problem(images=2, d=40)
    shared = 1e4 * np.random.default_rng(1).standard_normal((2, 1, 40))
    _, hessian = convex.derivatives(
        problem._replace(features=problem.features + shared), np.zeros(40)
    )
    _, expected = convex.derivatives(problem, np.zeros(40))
    assert np.linalg.eigvalsh(hessian)[0] > -1e-12 * np.trace(hessian)
    np.testing.assert_allclose(hessian, expected, atol=1e-9)


def test_loss_and_derivatives_equal_autodiff(monkeypatch):
    monkeypatch.setattr(convex, "_CHUNK", 25)  # the last block is a short one
    problem = _problem()
    theta = np.linspace(-1, 1, 5)
    gradient, hessian = convex.derivatives(problem, theta)
    loss = _loss(problem)
    assert convex.loss_at(problem, theta) == pytest.approx(float(loss(theta)), rel=1e-5)
    np.testing.assert_allclose(gradient, jax.jit(jax.grad(loss))(theta), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(hessian, jax.jit(jax.hessian(loss))(theta), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_minimum_is_that_of_a_library(ridge):
    problem, anchor = _problem(1), np.linspace(0, 2, 5)

    def objective(theta):
        ridged = ridge / 2 * np.sum((theta - anchor) ** 2)
        return convex.loss_at(problem, theta) + ridged

    wanted = optimize.minimize(objective, np.zeros(5), tol=1e-12)
    found = convex.minimize(problem, None, ridge, anchor, tolerance=1e-12)
    np.testing.assert_allclose(found.theta, wanted.x, atol=1e-4)
    assert objective(found.theta) == pytest.approx(wanted.fun, rel=1e-8)
    assert found.gradient_norm < 1e-5
    assert found.gap < 1e-10


def test_the_reported_gap_is_the_distance_from_the_infimum():
    problem = _problem(2)
    best = convex.minimize(problem, tolerance=1e-14).loss
    early = convex.minimize(problem, tolerance=1e-2)
    assert early.loss > best
    assert early.loss - best == pytest.approx(early.gap, rel=0.5)


def test_separable_data_stop_at_the_floor():
    problem = _problem(3, noise=False)
    found = convex.minimize(problem, floor=1e-3)
    assert found.loss <= 1e-3


def test_minima_in_nested_subspaces_never_rise_and_equal_cold_starts():
    problem = _problem(4, images=100, d=12)
    dims = np.array([1, 2, 4, 7, 12])
    warm = convex.nested_minima(problem, dims, tolerance=1e-10)
    losses = [minimum.loss for minimum in warm]
    assert losses == sorted(losses, reverse=True)
    cold = [convex.minimize(problem.first(d), tolerance=1e-10).loss for d in dims]
    np.testing.assert_allclose(losses, cold, rtol=1e-7)


def test_the_cone_projection_is_the_nearest_point_of_the_cone():
    problem = _problem(5, d=4)
    g = np.random.default_rng(6).standard_normal(4)
    found = convex.project_on_cone(problem, g, 0.05)
    at_start = convex.loss_at(problem, np.zeros(4))
    lowest = convex.minimize(problem, tolerance=1e-12).loss
    assert lowest < found.eps < at_start

    # With y = s u both |g - y|^2 and the constraint s L(y / s) <= s eps are convex in (y, s).
    inside = {
        "type": "ineq",
        "fun": lambda z: z[4] * (found.eps - convex.loss_at(problem, z[:4] / z[4])),
    }
    start = np.append(convex.minimize(problem).theta, 1.0)
    nearest = optimize.minimize(
        lambda z: np.sum((g - z[:4]) ** 2), start, constraints=[inside], method="SLSQP",
        bounds=[(None, None)] * 4 + [(1e-3, None)], options={"ftol": 1e-12, "maxiter": 500},
    ).fun  # fmt: skip
    assert found.codimension == pytest.approx(nearest, rel=1e-3)
    assert 0 < found.mean_field < 4


def test_the_projection_predicts_where_nested_minima_cross():
    """D - delta(C) + 1/2 is the mean hitting dimension (convex sets), here to its errors."""
    problem = _problem(8, images=80, classes=4, d=40, noise=True)
    rng = np.random.default_rng(9)
    projected = [convex.project_on_cone(problem, rng.standard_normal(40), 3e-3) for _ in range(12)]
    eps = np.mean([p.eps for p in projected])
    hits = []
    for _ in range(12):
        Q = np.linalg.qr(rng.standard_normal((40, 40)))[0]
        turned = problem._replace(features=problem.features @ Q)
        losses = [m.loss for m in convex.nested_minima(turned, np.arange(1, 41))]
        hits.append(1 + np.argmax(np.array(losses) <= eps))
    codimension = [p.codimension for p in projected]
    error = np.hypot(np.std(hits), np.std(codimension)) / np.sqrt(12)
    assert np.mean(hits) - 0.5 == pytest.approx(np.mean(codimension), abs=3 * error)
    assert error < 4


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="kappa is 0.0; it must be a finite number above 0"):
        convex.project_on_cone(_problem(), np.ones(5), 0.0)


def test_projections_are_interpolated_in_the_logarithm_of_the_loss():
    eps = np.array([[0.9, 0.3, 0.02], [0.8, 0.4, 0.01]])  # at falling kappa
    curves = np.stack([eps, 5 - 3 * np.log(eps), 1 - np.log(eps)], axis=-1)
    codimension, mean_field = convex.at_level(curves, 0.1)
    np.testing.assert_allclose(codimension, 5 - 3 * np.log(0.1))
    np.testing.assert_allclose(mean_field, 1 - np.log(0.1))
