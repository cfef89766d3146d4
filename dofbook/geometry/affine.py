"""Random affine subspaces and an affine target (Appendix B.3, corrected).

A is a d-dimensional affine subspace of R^D, D the `dimension`, through x0 in a uniformly random
direction, the target B an n-dimensional subspace. Of the s = D - n coordinates orthogonal to B,
q = s - d remain after the best move inside A. They meet iff d + n ≥ D.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from dofbook import checks
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.precision import with_lapack


def mean_squared_distance(dimension: int, n: int, d: int, norm: float = 1.0) -> float:
    """Compute E dist(A, B)² = |x0|² (D - n - d)/D for x0 uniform in direction, 0 for n + d ≥ D.

    The paper prints |x0|² (D - n - d)²/D. Given an x0 whose part orthogonal to B is x0_s, the mean
    over A is |x0_s|² (s - d)/s. `norm` is |x0|. Paper, Appendix B.3, corrected.

    >>> mean_squared_distance(20, n=6, d=4, norm=2.0)
    2.0
    """
    return checks.real("norm", norm, 0) ** 2 * _free_directions(dimension, n, d) / dimension


def mean_distance(dimension: int, n: int, d: int, norm: float = 1.0) -> float:
    """Compute E dist(A, B) for x0 uniform in direction, 0 for n + d ≥ D.

    It is |x0| α_q / α_D (`gaussian_width.alpha`): dist²/|x0|² is Beta(q/2, (D-q)/2).

    >>> round(mean_distance(2, n=0, d=1) * np.pi, 6)
    2.0
    """
    q, norm = _free_directions(dimension, n, d), checks.real("norm", norm, 0)
    return norm * float(alpha(q) / alpha(dimension))


def simulate_distances(
    dimension: int, n: int, d: int, *, key: jax.Array, runs: int, start: np.ndarray | float = 1.0
) -> np.ndarray:
    """Measure dist(A, B) for random A by least squares, shape (runs,).

    B is spanned by the last n axes. `start` is x0, (D,), or |x0|: then runs draw its direction.

    >>> start = [3.0, 4.0, 1.0, 1.0, 1.0]  # the last 3 axes span B
    >>> simulate_distances(5, n=3, d=0, key=jax.random.key(0), runs=2, start=start)
    array([5., 5.])
    """
    _free_directions(dimension, n, d)
    start = checks.finite("start", start)
    checks.finite("start", start, (dimension,)) if start.ndim else checks.real("start", start, 0)
    keys = jax.random.split(checks.key(key), checks.integer("runs", runs, 1))
    return _distances(start, keys, dimension, dimension - n, d)


@with_lapack
@partial(jax.jit, static_argnums=(2, 3, 4))
def _distances(start: jax.Array, keys: jax.Array, dimension: int, s: int, d: int) -> jax.Array:
    def one(key):
        key_start, key_directions = jax.random.split(key)
        x0 = start
        if start.ndim == 0:
            x = jax.random.normal(key_start, (dimension,), jnp.float64)
            x0 = start * x / jnp.linalg.norm(x)
        # Only the span matters, so the Gaussian columns need no orthonormalisation in R^D.
        q, _ = jnp.linalg.qr(jax.random.normal(key_directions, (dimension, d), jnp.float64)[:s])
        return jnp.linalg.norm(x0[:s] - q @ (q.T @ x0[:s]))

    return jax.lax.map(one, keys)


def _free_directions(dimension: int, n: int, d: int) -> int:
    dimension = checks.integer("dimension", dimension, 1)
    n, d = checks.integer("n", n, 0, dimension), checks.integer("d", d, 0, dimension)
    return max(dimension - n - d, 0)
