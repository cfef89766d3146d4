"""The random-matrix fixed point behind the quadratic well.

In a random d-dimensional subspace the minimum loss concentrates around

    L*(d) ~ min_w L(w) + (kappa/2) |w - w0|^2 = 1/2 sum_i lambda_i kappa w0_i^2 / (lambda_i + kappa)

where kappa solves sum_i lambda_i / (lambda_i + kappa) = d, the effective dimension of a ridge
penalty (Rubio and Mestre 2011, Bach 2024). Read backwards, at a given eps, d is the centre D - Q of
`quadratic.closed_form`: random matrices and convex geometry draw one curve.
"""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.geometry.precision import in_float64
from dofbook.geometry.quadratic import QuadraticWell, climb


def ridge_parameter(eigenvalues: np.ndarray, d: ArrayLike) -> np.ndarray:
    """Solve sum_i lambda_i / (lambda_i + kappa) = d for the ridge parameter kappa, shape of d.

    `eigenvalues` (D,) >= 0; d in [0, D], any number. kappa is infinite at 0, zero from d = rank on.

    >>> ridge_parameter([1.0, 1.0, 1.0], [0, 1, 3])
    array([inf,  2.,  0.])
    """
    lam = checks.finite("eigenvalues", eigenvalues, ("D",), 0)
    d = checks.finite("d", d, None, 0, lam.size)
    positive = lam[lam > 0]
    inner = (d > 0) & (d < positive.size)
    kappa = np.where(d == 0, np.inf, 0.0)
    if inner.any():
        kappa[inner] = 1 / _ridge_roots(positive, d[inner])
    return kappa


def expected_minimum_loss(well: QuadraticWell, d: ArrayLike) -> np.ndarray:
    """Predict the minimum loss in a random d-dimensional subspace through w0, shape of d.

    d, in [0, D], need not be whole. L*(d) is L(w0) at d = 0 and 0 from d = rank on.

    >>> expected_minimum_loss(QuadraticWell([2.0, 2.0], [1.0, 0.0]), [0, 1, 2])
    array([1. , 0.5, 0. ])
    """
    checks.instance("well", well, QuadraticWell)
    kappa, active = ridge_parameter(well.eigenvalues, d), well.eigenvalues > 0
    lam, w2 = well.eigenvalues[active], well.w0[active] ** 2
    with np.errstate(divide="ignore"):
        # lambda k / (lambda + k) = lambda / (1 + lambda / k): right also at k = infinity and 0.
        losses = [0.5 * np.sum(lam * w2 / (1 + lam / k)) for k in kappa.flat]
    return np.array(losses).reshape(kappa.shape)


@in_float64
@jax.jit
def _ridge_roots(lam: jax.Array, d: jax.Array) -> jax.Array:
    """Newton's method in x = 1/kappa from 0: the sum is concave in x, so steps never overshoot."""

    def one(target):
        def newton(x):
            s = lam * x / (1 + lam * x)
            return x + (target - jnp.sum(s)) / jnp.sum(lam / (1 + lam * x) ** 2)

        return climb(newton, target / jnp.sum(lam))

    return jax.lax.map(one, d)
