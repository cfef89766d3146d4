"""Escape through a mesh: when does a random subspace miss a set on the sphere?

A uniformly random d-dimensional subspace of R^D (codimension k = D - d) misses a closed subset S of
the unit sphere with high probability if k exceeds the squared Gaussian width w(S)² (Gordon, 1988).
For convex cones the converse holds too (Amelunxen et al., 2014); for general sets it does not.

Here: the bound as the paper prints it, a stronger one with the same proof, the bounds for convex
cones, exact probabilities for circular cones, and simulation by actual random subspaces.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import betainc

from dofbook.errors import InputError
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.precision import in_float64
from dofbook.geometry.threads import one_blas_thread

RUN_NUMBERS = 2**22  # numbers in the random matrices held at once while simulating


# --- upper bounds on the probability of a hit -----------------------------------------------------


def gordon_bound(dimension: int, d: np.ndarray | int, width: float) -> np.ndarray:
    """Bound P(hit) as Theorem 3.1 prints it: 3.5 exp(-(k/√(k+1) - w)²/18), k = D - d.

    Below 1 only once k/√(k+1) - w > √(18 ln 3.5) = 4.75.

    Args:
        dimension: the ambient dimension D.
        d: subspace dimensions, 0 to D, any shape.
        width: Gaussian width w of the set on the unit sphere.

    Returns:
        The bound, same shape as d, cut at 1 (where it says nothing).

    Raises:
        InputError: if some d is outside 0..D.

    Source: Gordon (1988); Larsen et al. (2022), Theorems 3.1 and 3.2.
    """
    k = _codimension(dimension, d)
    margin = np.maximum(k / np.sqrt(k + 1) - width, 0.0)
    return np.minimum(1.0, 3.5 * np.exp(-(margin**2) / 18))


def sharp_bound(dimension: int, d: np.ndarray | int, width: float) -> np.ndarray:
    """Bound P(hit) by exp(-(α_k - w)²/2) where α_k > w, k = D - d.

    With a k x D Gaussian matrix G the subspace is its kernel and min_{u ∈ S} |Gu| has mean at
    least α_k - w (Gordon's comparison); it is 1-Lipschitz in G, so it falls to 0 with no more
    than this probability (Gaussian concentration).

    Args:
        dimension: the ambient dimension D.
        d: subspace dimensions, 0 to D, any shape.
        width: Gaussian width w of the set on the unit sphere.

    Returns:
        The bound, same shape as d, cut at 1.

    Raises:
        InputError: if some d is outside 0..D.
    """
    margin = np.maximum(alpha(_codimension(dimension, d)) - width, 0.0)
    return np.exp(-(margin**2) / 2)


BOUNDS = {"gordon": gordon_bound, "sharp": sharp_bound}


def excluded_dimensions(
    dimension: int, width: float, *, probability: float = 0.1, bound: str = "sharp"
) -> int:
    """Count the dimensions at which a bound rules out success with a given probability.

    Args:
        dimension: the ambient dimension D.
        width: Gaussian width w of the set on the unit sphere.
        probability: P(hit) ≥ this is to be ruled out; in (0, 1].
        bound: "gordon" (as printed) or "sharp".

    Returns:
        The m such that the bound is below `probability` for d = 0, ..., m - 1 and no further;
        0 where the bound says nothing.

    Raises:
        InputError: if the bound is unknown or the probability outside (0, 1].
    """
    if bound not in BOUNDS or not 0 < probability <= 1:
        raise InputError(
            f"bound={bound!r}, probability={probability} given; "
            f"bound is one of {sorted(BOUNDS)} and probability lies in (0, 1]."
        )
    return int(np.sum(BOUNDS[bound](dimension, np.arange(dimension + 1), width) < probability))


def threshold_dimension(dimension: int, angular_dimension: float) -> float:
    """Compute d* = D - d_local, Eq. 3.3.

    Args:
        dimension: the ambient dimension D.
        angular_dimension: w² of the set projected to the sphere; or, for a convex set, the
            statistical dimension of its cone.

    Returns:
        The centre of the transition for a convex set; for other sets only a lower bound, up to
        O(√D), on the dimension at which hitting becomes likely.

    Source: Larsen et al. (2022), Eq. 3.3.
    """
    return dimension - angular_dimension


def convex_cone_bounds(
    dimension: int, d: np.ndarray | int, delta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bound P(hit) from both sides for a closed convex cone that is not a subspace.

    With a = (D - d - δ)/√D the probability is at most 4 exp(-a²/8) if a > 0, and at least
    1 - 4 exp(-a²/8) if a < 0.

    Args:
        dimension: the ambient dimension D.
        d: subspace dimensions, 0 to D, any shape.
        delta: statistical dimension of the cone.

    Returns:
        Lower and upper bounds, same shape as d.

    Raises:
        InputError: if some d is outside 0..D.

    Source: Amelunxen et al. (2014), Theorem I.
    """
    short = _codimension(dimension, d) - delta
    tail = np.minimum(1.0, 4 * np.exp(-(short**2) / (8 * dimension)))
    return np.where(short < 0, 1 - tail, 0.0), np.where(short > 0, tail, 1.0)


# --- exact probabilities --------------------------------------------------------------------------


def cap_hit_probability(dimension: int, d: np.ndarray | int, angle: float) -> np.ndarray:
    """Compute P(a random d-dimensional subspace meets a spherical cap), exactly.

    The squared cosine between a fixed axis and the subspace is Beta(d/2, (D-d)/2), and the
    subspace meets the cap (or its mirror image, which is the same event) when that is at least
    cos²(angle).

    Args:
        dimension: the ambient dimension D.
        d: subspace dimensions, 0 to D, any shape.
        angle: half-opening in radians, in [0, π/2].

    Returns:
        Probabilities, same shape as d.

    Raises:
        InputError: if some d is outside 0..D or the angle outside [0, π/2].
    """
    k = _codimension(dimension, d)
    if not 0 <= angle <= np.pi / 2:
        raise InputError(f"angle={angle} given; it must lie in [0, pi/2] radians.")
    inner = np.clip(k, 0.5, dimension - 0.5)  # ends, where the Beta law degenerates, set below
    p = betainc(inner / 2, (dimension - inner) / 2, np.sin(angle) ** 2)
    return np.where(k == 0, 1.0, np.where(k == dimension, 0.0, p))


def subspace_hit_probability(dimension: int, d: np.ndarray | int, m: int) -> np.ndarray:
    """Compute P(a random subspace meets a fixed m-dimensional one outside 0): 1 iff d + m > D.

    Args:
        dimension: the ambient dimension D.
        d: subspace dimensions, 0 to D, any shape.
        m: dimension of the fixed subspace, 0 to D.

    Returns:
        0 or 1, same shape as d.

    Raises:
        InputError: if some dimension is outside 0..D.
    """
    _codimension(dimension, m)
    return np.where(_codimension(dimension, d) < m, 1.0, 0.0) * (m > 0)


def _codimension(dimension: int, d: np.ndarray | int) -> np.ndarray:
    d = np.asarray(d)
    if dimension < 1 or np.any(d < 0) or np.any(d > dimension):
        raise InputError(f"Subspace dimensions must lie between 0 and D = {dimension}.")
    return np.asarray(dimension - d, np.float64)


# --- simulation -----------------------------------------------------------------------------------


def simulate_alignment(centers: np.ndarray, *, key: jax.Array, runs: int) -> np.ndarray:
    """Measure how near nested random subspaces come to fixed directions.

    Each run orthonormalises one D x D Gaussian matrix; its first d columns span a uniformly
    random subspace for every d at once. A union of caps of half-opening a is hit at d where the
    result is at least cos² a.

    Args:
        centers: unit vectors, shape (D,) or (m, D).
        key: a `jax.random.key`; run i uses `fold_in(key, i)`.
        runs: number of independent runs.

    Returns:
        Array (runs, D + 1): max_j |P_d c_j|², for d = 0, ..., D; nondecreasing in d.
    """
    centers = np.atleast_2d(np.asarray(centers, np.float64))
    batch = max(1, min(runs, RUN_NUMBERS // centers.shape[1] ** 2))
    starts = range(0, runs, batch)
    parts = [_alignments(centers, key, start, batch)[: runs - start] for start in starts]
    return np.concatenate(parts)


@in_float64
def _alignments(centers: np.ndarray, key: jax.Array, start: int, batch: int) -> np.ndarray:
    with one_blas_thread():
        found = _alignment_batch(jnp.asarray(centers), _run_keys(key, start, batch))
        return jax.block_until_ready(found)


@jax.jit
def _alignment_batch(centers: jax.Array, keys: jax.Array) -> jax.Array:
    size = centers.shape[1]

    def one_run(run_key: jax.Array) -> jax.Array:
        q, _ = jnp.linalg.qr(jax.random.normal(run_key, (size, size), jnp.float64))
        nearest = jnp.max(jnp.cumsum((centers @ q) ** 2, axis=1), axis=0)
        return jnp.concatenate([jnp.zeros(1), nearest])

    return jax.vmap(one_run)(keys)


def simulate_subspace_margin(
    dimension: int, m: int, codimension: int, *, key: jax.Array, runs: int
) -> np.ndarray:
    """Simulate min |Gu| over the unit sphere of an m-dimensional subspace; G is k x D Gaussian.

    This is the quantity in Gordon's comparison, E min |Gu| ≥ α_k - w. The kernel of G, a random
    subspace of codimension k, meets the sphere exactly when the minimum is 0.

    Args:
        dimension: the ambient dimension D.
        m: dimension of the subspace, 1 to D (taken as the first m coordinates).
        codimension: k, 1 to D.
        key: a `jax.random.key`.
        runs: number of independent matrices.

    Returns:
        The minima, shape (runs,); exactly 0 when m > k.

    Raises:
        InputError: if m or k is outside 1..D.
    """
    if not (1 <= m <= dimension and 1 <= codimension <= dimension):
        raise InputError(f"m={m}, k={codimension} given; both must lie in 1..{dimension}.")
    if m > codimension:
        return np.zeros(runs)
    return _margins(dimension, m, codimension, key, runs)


@in_float64
def _margins(dimension: int, m: int, k: int, key: jax.Array, runs: int) -> np.ndarray:
    with one_blas_thread():
        return jax.block_until_ready(
            _margin_batch(jnp.eye(dimension, m), _run_keys(key, 0, runs), k)
        )


@partial(jax.jit, static_argnames="k")
def _margin_batch(basis: jax.Array, keys: jax.Array, k: int) -> jax.Array:
    def one_run(run_key: jax.Array) -> jax.Array:
        g = jax.random.normal(run_key, (k, len(basis)), jnp.float64)
        return jnp.linalg.svd(g @ basis, compute_uv=False)[-1]

    return jax.lax.map(one_run, keys)


def _run_keys(key: jax.Array, start: int, count: int) -> jax.Array:
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(start + jnp.arange(count))
