"""The convex problem left by a linearized network: cross-entropy of logits linear in theta.

With z(theta) = z0 + B theta, B = J A (``linearization.jacobian_products``), the mean cross-entropy
is convex: damped Newton steps in double precision find its minimum in a subspace.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import logsumexp

from dofbook import checks
from dofbook.errors import InputError

_CHUNK = 500  # images whose weighted features are in memory at once
_MAX_STEPS = 200
_PRECISION = 1e-7  # relative gap to which the projections are solved


class LinearLogits(NamedTuple):
    """Hold logits linear in d coordinates, and the labels they should predict, (N,) integers.

    ``start`` is z0, the logits at theta = 0, (N, classes); ``features`` is B, (N, classes, d).

    >>> LinearLogits(np.zeros((1, 2)), np.ones((1, 2, 1)), np.array([0])).logits(np.ones(1))
    array([[1., 1.]])
    """

    start: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    def first(self, d: int) -> "LinearLogits":
        """Keep the first d coordinates: the nested subspace of dimension d."""
        return self._replace(features=np.ascontiguousarray(self.features[:, :, :d]))

    def logits(self, theta: np.ndarray) -> np.ndarray:
        """Evaluate z0 + B theta, (N, classes)."""
        return self.start + self.features @ theta


class Minimum(NamedTuple):
    """Tell where Newton's method ended: theta (d,) and its mean cross-entropy, without the ridge.

    ``gradient_norm`` is the objective's. ``gap``, half the squared Newton decrement, estimates its
    distance from its infimum; of separable data, where that is 0, it stays near the loss itself.

    >>> minimize(LinearLogits(np.zeros((1, 2)), np.zeros((1, 2, 1)), np.array([0]))).loss
    0.6931
    """

    theta: np.ndarray
    loss: float
    gradient_norm: float
    gap: float
    steps: int


def loss_at(problem: LinearLogits, theta: np.ndarray) -> float:
    """Evaluate the mean cross-entropy, in nats.

    >>> even = LinearLogits(np.zeros((1, 2)), np.ones((1, 2, 1)), np.array([0]))
    >>> round(loss_at(even, np.zeros(1)), 3)
    0.693
    """
    logits = problem.logits(theta)
    picked = np.take_along_axis(logits, problem.labels[:, None], axis=1)[:, 0]
    return float(np.mean(logsumexp(logits, axis=1) - picked))


def derivatives(problem: LinearLogits, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute gradient B^T (p - y) / N and Hessian B^T (diag p - p p^T) B / N of the loss.

    >>> one = LinearLogits(np.zeros((1, 2)), np.array([[[1.0], [0.0]]]), np.array([0]))
    >>> derivatives(one, np.zeros(1))
    (array([-0.5]), array([[0.25]]))
    """
    logits = problem.logits(theta)
    p = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    error = p.copy()
    error[np.arange(len(p)), problem.labels] -= 1
    d = problem.features.shape[2]
    gradient, hessian = np.zeros(d), np.zeros((d, d))
    for i in range(0, len(p), _CHUNK):
        B, q = problem.features[i : i + _CHUNK], p[i : i + _CHUNK, :, None]
        gradient += np.tensordot(error[i : i + _CHUNK], B, 2)
        spread = (np.sqrt(q) * (B - (q * B).sum(axis=1, keepdims=True))).reshape(-1, d)
        hessian += spread.T @ spread
    return gradient / len(p), hessian / len(p)


def minimize(
    problem: LinearLogits, start: np.ndarray | None = None, ridge: float = 0.0,
    anchor: np.ndarray | float = 0.0, tolerance: float = 1e-4, floor: float = 1e-4,
) -> Minimum:  # fmt: skip
    """Minimise loss + ridge / 2 |theta - anchor|^2 by damped Newton steps from ``start`` or 0.

    It stops when the estimated gap is below ``tolerance`` times the objective, or the objective
    below ``floor``: the infimum of separable data, 0, is not attained. InputError after 200 steps.

    >>> mixed = LinearLogits(np.zeros((3, 2)), np.tile([[1], [0]], (3, 1, 1)), np.array([0, 0, 1]))
    >>> minimize(mixed, tolerance=1e-12).theta.round(4)  # the logit of 2/3
    array([0.6931])
    """
    theta = np.zeros(problem.features.shape[2]) if start is None else np.array(start, float)

    def objective(theta):
        return loss_at(problem, theta) + ridge / 2 * np.sum((theta - anchor) ** 2)

    value = objective(theta)
    for steps in range(_MAX_STEPS):
        gradient, hessian = derivatives(problem, theta)
        gradient = gradient + ridge * (theta - anchor)
        # The jitter keeps directions without curvature finite; it bends the step, not the goal.
        hessian[np.diag_indices_from(hessian)] += ridge + 1e-12 * np.trace(hessian) + 1e-14
        step = -cho_solve(cho_factor(hessian), gradient)
        slope = float(gradient @ step)
        done, length, trial = -slope / 2 <= tolerance * value or value <= floor, 1.0, value
        while not done and (
            (trial := objective(theta + length * step)) > value + 0.1 * length * slope
        ):
            length /= 2
            done = length < 1e-10  # rounding: no lower value can be represented
        if done:
            norm = float(np.linalg.norm(gradient))
            return Minimum(theta, loss_at(problem, theta), norm, -slope / 2, steps)
        theta, value = theta + length * step, trial
    raise InputError(f"Newton's method did not converge in {_MAX_STEPS} steps.")


def nested_minima(
    problem: LinearLogits, dims: np.ndarray, tolerance: float = 1e-4, floor: float = 1e-4
) -> list[Minimum]:
    """Minimise in nested subspaces of increasing dims, each from the minimum of the one before.

    Once the floor is reached, larger subspaces keep the point; see ``minimize``.

    >>> two = LinearLogits(np.zeros((1, 2)), np.eye(2)[None], np.array([0]))
    >>> [len(found.theta) for found in nested_minima(two, np.array([1, 2]))]
    [1, 2]
    """
    found, theta = [], np.zeros(0)
    for d in dims:
        theta = np.concatenate([theta, np.zeros(d - len(theta))])
        found.append(minimize(problem.first(d), theta, tolerance=tolerance, floor=floor))
        theta = found[-1].theta
    return found


class ConeProjection(NamedTuple):
    """Hold what one Gaussian vector g says about the cone C of directions that hit S(eps).

    ``codimension`` = |g - Pi_C g|^2 has mean D - delta(C), the centre of the transition in d.
    ``mean_field`` = tr H (H + kappa)^-1 at the projection is the effective dimension of the loss.

    >>> ConeProjection(eps=0.1, codimension=2.0, mean_field=1.5).codimension
    2.0
    """

    eps: float
    codimension: float
    mean_field: float


def project_on_cone(problem: LinearLogits, g: np.ndarray, kappa: float) -> ConeProjection:
    """Project a normal vector g (D,) on the cone of directions from w0 that hit a sublevel set.

    The minimiser of L(w) + kappa / 2 |w - w0 - eta g|^2, in all D coordinates, is on the ray of the
    projection when <grad L, w - w0> = 0; this fixes eta. eps, the loss there, falls with kappa.

    >>> rng = np.random.default_rng(0)
    >>> data = rng.standard_normal((20, 3)), rng.standard_normal((20, 3, 4)), np.arange(20) % 3
    >>> 0 < project_on_cone(LinearLogits(*data), rng.standard_normal(4), 0.1).mean_field < 4
    True
    """
    checks.positive("kappa", kappa)
    last = minimize(problem, None, kappa, tolerance=_PRECISION, floor=0.0).theta
    values = np.abs(np.linalg.eigvalsh(derivatives(problem, last)[1]))
    # What eta is if the loss is quadratic: the root is near.
    guess = np.sqrt(last @ last / np.sum(kappa * values / (values + kappa) ** 2))

    def slope(log_eta):
        nonlocal last
        eta = np.exp(log_eta)
        last = minimize(problem, last, kappa, eta * g, tolerance=_PRECISION, floor=0.0).theta
        return last @ last - eta * (g @ last)

    low, high = np.log(guess) - 0.3, np.log(guess) + 0.3
    while slope(low) < 0:
        low -= 0.6
    while slope(high) > 0:
        high += 0.6
    eta = np.exp(brentq(slope, low, high, xtol=1e-3))
    gradient, hessian = derivatives(problem, last)
    values = np.clip(np.linalg.eigvalsh(hessian), 0, None)
    codimension = float(gradient @ gradient) / (kappa * eta) ** 2
    mean_field = float(np.sum(values / (values + kappa)))
    return ConeProjection(loss_at(problem, last), codimension, mean_field)


def at_level(projections: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate projections of several vectors, at falling kappa, to one loss, in log eps.

    ``projections`` are those of `project_on_cone`, (vectors, kappas, 3); gives codimensions and
    mean fields, (vectors,) each.

    >>> at_level([[[0.4, 6.0, 5.0], [0.1, 8.0, 9.0]]], 0.2)
    (array([7.]), array([7.]))
    """
    curves = np.asarray(projections, float)[:, ::-1]
    x, log_eps = np.log(curves[:, :, 0]), np.log(eps)
    codimension, mean_field = (
        np.array([np.interp(log_eps, *curve) for curve in zip(x, curves[:, :, k], strict=True)])
        for k in (1, 2)
    )
    return codimension, mean_field
