"""Random affine subspaces and an affine target (Appendix B.3, corrected).

A is a d-dimensional affine subspace of R^D through x0 with a uniformly random direction; the target
B is an n-dimensional subspace. Distances to B only see the s = D - n coordinates orthogonal to B,
and q = s - d = D - n - d of them remain after the best move inside A. They meet iff d + n ≥ D,
however far apart they start.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln

from dofbook.errors import InputError
from dofbook.geometry.precision import in_float64
from dofbook.geometry.threads import one_blas_thread


def mean_squared_distance(dimension: int, n: int, d: int, norm: float = 1.0) -> float:
    """Compute E dist(A, B)² = |x0|² (D - n - d)/D for x0 uniform in direction.

    The paper prints |x0|² (D - n - d)²/D. For a given x0 whose part orthogonal to B is x0_s the
    mean over A alone is |x0_s|² (s - d)/s with s = D - n.

    Args:
        dimension: the ambient dimension D.
        n: dimension of the target.
        d: training dimension.
        norm: |x0|, the distance from the start to a point of the target.

    Returns:
        The mean, 0 for n + d ≥ D.

    Raises:
        InputError: if n or d is outside 0..D, or the norm negative.

    Source: Larsen et al. (2022), Appendix B.3, corrected.
    """
    return norm**2 * _free_directions(dimension, n, d, norm) / dimension


def mean_distance(dimension: int, n: int, d: int, norm: float = 1.0) -> float:
    """Compute E dist(A, B) for x0 uniform in direction.

    dist²/|x0|² is Beta(q/2, (D-q)/2) with q = D - n - d, so the mean is
    |x0| Γ((q+1)/2) Γ(D/2) / (Γ(q/2) Γ((D+1)/2)).

    Args:
        dimension: the ambient dimension D.
        n: dimension of the target.
        d: training dimension.
        norm: |x0|.

    Returns:
        The mean, 0 for n + d ≥ D.

    Raises:
        InputError: if n or d is outside 0..D, or the norm negative.
    """
    q = _free_directions(dimension, n, d, norm)
    if q == 0:
        return 0.0
    log_ratio = gammaln((q + 1) / 2) - gammaln(q / 2)
    log_ratio += gammaln(dimension / 2) - gammaln((dimension + 1) / 2)
    return float(norm * np.exp(log_ratio))


def simulate_distances(
    dimension: int, n: int, d: int, *, key: jax.Array, runs: int, start: np.ndarray | float = 1.0
) -> np.ndarray:
    """Measure dist(A, B) for random A by least squares.

    Args:
        dimension: the ambient dimension D.
        n: dimension of the target (the last n coordinate axes).
        d: training dimension.
        key: a `jax.random.key`.
        runs: number of independent subspaces.
        start: x0, shape (D,); or a number, then x0 is redrawn in every run, uniform in direction
            with this norm.

    Returns:
        Distances, shape (runs,).

    Raises:
        InputError: if n or d is outside 0..D, or x0 is not of length D.
    """
    start = np.asarray(start, np.float64)
    _free_directions(dimension, n, d, 0.0)
    if start.shape not in ((), (dimension,)):
        raise InputError(
            f"start of shape {start.shape} given; need a number or length {dimension}."
        )
    return _simulate(start, key, dimension, dimension - n, d, runs)


@in_float64
def _simulate(
    start: np.ndarray, key: jax.Array, dimension: int, s: int, d: int, runs: int
) -> np.ndarray:
    with one_blas_thread():
        return jax.block_until_ready(
            _distances(start, jax.random.split(key, runs), dimension, s, d)
        )


@partial(jax.jit, static_argnums=(2, 3, 4))
def _distances(start: jax.Array, keys: jax.Array, dimension: int, s: int, d: int) -> jax.Array:
    return jax.lax.map(lambda key: _distance(start, dimension, s, d, key), keys)


def _distance(start: jax.Array, dimension: int, s: int, d: int, key: jax.Array) -> jax.Array:
    key_start, key_directions = jax.random.split(key)
    if start.ndim == 0:
        x = jax.random.normal(key_start, (dimension,), jnp.float64)
        start = start * x / jnp.linalg.norm(x)
    # Only the span matters, so the Gaussian columns need no orthonormalisation in R^D.
    moves = jax.random.normal(key_directions, (dimension, d), jnp.float64)[:s]
    q, _ = jnp.linalg.qr(moves)
    rest = start[:s] - q @ (q.T @ start[:s])
    return jnp.linalg.norm(rest)


def _free_directions(dimension: int, n: int, d: int, norm: float) -> int:
    if not (0 <= n <= dimension and 0 <= d <= dimension and dimension >= 1) or norm < 0:
        raise InputError(
            f"D={dimension}, n={n}, d={d}, norm={norm} given; need 0 <= n, d <= D and norm >= 0."
        )
    return max(dimension - n - d, 0)
