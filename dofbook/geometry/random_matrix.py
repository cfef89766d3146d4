"""The random-matrix fixed point behind the quadratic well.

For a random d-dimensional subspace the minimum loss concentrates around

    L*(d) ~ min_w L(w) + (kappa/2) |w - w0|^2 = 1/2 sum_i lambda_i kappa w0_i^2 / (lambda_i + kappa)

where kappa solves sum_i lambda_i / (lambda_i + kappa) = d: restricting to a subspace acts like a
ridge penalty whose effective dimension is d (the deterministic equivalent of a projector; Rubio
and Mestre 2011, Bach 2024). Read backwards, at a given eps, kappa = 2 eps / mu and d is
the centre D - Q of `quadratic.closed_form`: random matrices and convex geometry draw one curve.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dofbook.errors import InputError
from dofbook.geometry.precision import in_float64
from dofbook.geometry.quadratic import QuadraticWell

_MAX_NEWTON_STEPS = 200


def ridge_parameter(eigenvalues: np.ndarray, d: np.ndarray | float) -> np.ndarray:
    """Solve sum_i lambda_i / (lambda_i + kappa) = d for the ridge parameter kappa.

    Args:
        eigenvalues: (D,) eigenvalues, none negative.
        d: effective dimension(s) from 0 to D, real numbers allowed.

    Returns:
        kappa in the shape of d: infinite at d = 0 and zero from d = rank on.

    Raises:
        InputError: if an eigenvalue or a d is out of range.
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    d = np.asarray(d, dtype=np.float64)
    if lam.ndim != 1 or lam.size == 0 or lam.min() < 0:
        raise InputError("eigenvalues must be a vector of numbers, none of them negative")
    if not ((d >= 0) & (d <= lam.size)).all():
        raise InputError(f"every d must lie between 0 and D = {lam.size}")
    positive = lam[lam > 0]
    inner = (d > 0) & (d < positive.size)
    kappa = np.where(d == 0, np.inf, 0.0)
    if inner.any():
        kappa[inner] = _solve_ridge(positive, d[inner])
    return kappa


def expected_minimum_loss(well: QuadraticWell, d: np.ndarray | float) -> np.ndarray:
    """Predict the minimum loss in a random d-dimensional subspace through w0.

    Args:
        well: the loss and its starting point.
        d: training dimension(s) from 0 to D.

    Returns:
        L*(d) in the shape of d; L(w0) at d = 0 and 0 from d = rank on.

    Raises:
        InputError: if a d is out of range.
    """
    kappa = ridge_parameter(well.eigenvalues, d)
    losses = _ridge_losses(well.eigenvalues, well.w0**2, kappa.reshape(-1))
    return losses.reshape(kappa.shape)


@in_float64
def _solve_ridge(lam: np.ndarray, d: np.ndarray) -> jax.Array:
    return 1 / _ridge_roots(jnp.asarray(lam), jnp.asarray(d))


@jax.jit
def _ridge_roots(lam: jax.Array, d: jax.Array) -> jax.Array:
    """Newton's method in x = 1/kappa from 0: the sum is concave in x, so steps never overshoot."""

    def one(target):
        def advance(state):
            x, _, count = state
            s = lam * x / (1 + lam * x)
            slope = jnp.sum(lam / (1 + lam * x) ** 2)
            return x + (target - jnp.sum(s)) / slope, x, count + 1

        def proceed(state):
            x, previous, count = state
            return (jnp.abs(x - previous) > 1e-13 * x) & (count < _MAX_NEWTON_STEPS)

        return jax.lax.while_loop(proceed, advance, (target / jnp.sum(lam), 0.0, 0))[0]

    return jax.lax.map(one, d)


@in_float64
def _ridge_losses(lam: np.ndarray, w2: np.ndarray, kappa: np.ndarray) -> jax.Array:
    return _sum_losses(jnp.asarray(lam), jnp.asarray(w2), jnp.asarray(kappa))


@jax.jit
def _sum_losses(lam: jax.Array, w2: jax.Array, kappa: jax.Array) -> jax.Array:
    def one(k):
        # lambda k / (lambda + k) = lambda / (1 + lambda / k): right also at k = infinity and 0.
        return 0.5 * jnp.sum(lam * w2 / (1 + jnp.where(lam > 0, lam / k, 0.0)))

    return jax.lax.map(one, kappa)
