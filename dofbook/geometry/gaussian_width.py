"""Gaussian width: how far a set reaches, on average, in a random direction.

Definition 3.1 of Larsen et al. (2022): w(S) = ½ E sup_{x,y ∈ S} <g, x - y>, g ~ N(0, I_D). Because
g and -g have the same law this equals the one-sided form E h(g), with the support function
h(g) = sup_{x ∈ S} <g, x>. A set enters this module as its support function on batches: a function
from (n, D) to (n,). The factories below return it as a `jax.tree_util.Partial`, so that changing
a radius does not compile again; any function of your own will do.

Note: the width is not estimated by sampling points of S. M sampled points cannot show a squared
width above 2 log M, however wide S is; the supremum has to be taken, not sampled.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.special import poch

from dofbook.errors import InputError
from dofbook.geometry.montecarlo import Estimate, gaussian_statistics, mean_of
from dofbook.geometry.precision import in_float64

SupportFunction = Callable[[jax.Array], jax.Array]

POINT_BLOCK = 2048  # points of a finite set compared at once


# --- estimation -----------------------------------------------------------------------------------


def estimate_width(
    support: SupportFunction,
    dimension: int,
    *,
    key: jax.Array,
    samples: int = 10_000,
    two_sided: bool = False,
    chunk: int | None = None,
) -> Estimate:
    """Estimate the Gaussian width of a set from its support function.

    Args:
        support: maps Gaussian vectors (n, D) to sup_{x ∈ S} <g, x>, shape (n,).
        dimension: the ambient dimension D.
        key: a `jax.random.key`.
        samples: number of Gaussian vectors.
        two_sided: average ½(h(g) + h(-g)), which is Definition 3.1 as printed; same expectation,
            two evaluations a sample, smaller variance for sets that are not symmetric.
        chunk: vectors held at once; the default bounds memory.

    Returns:
        The estimate with its standard error.

    Raises:
        InputError: if dimension, samples or chunk is too small.

    Source: Larsen et al. (2022), Definition 3.1 and Appendix B.1 (the equivalent form).
    """
    support = support if isinstance(support, Partial) else Partial(support)
    statistic = Partial(_half_range, support) if two_sided else support
    return mean_of(gaussian_statistics(statistic, dimension, key=key, samples=samples, chunk=chunk))


def _half_range(support: Partial, g: jax.Array) -> jax.Array:
    return (support(g) + support(-g)) / 2


def squared(width: Estimate) -> Estimate:
    """Square a width estimate: the local angular dimension d_local of Definition 3.2.

    Args:
        width: estimate of w(proj(S)).

    Returns:
        w² with its standard error 2 w s; the bias s² of a squared mean is subtracted.

    Source: Larsen et al. (2022), Eq. 3.2.
    """
    s = width.standard_error
    return Estimate(width.value**2 - s**2, 2 * abs(width.value) * s, width.samples)


# --- sets, as support functions -------------------------------------------------------------------


def ball(radius: float) -> Partial:
    """Return the support function of the ball of given radius about the origin.

    Args:
        radius: at least 0.

    Returns:
        Function from (n, D) to (n,).

    Raises:
        InputError: if the radius is negative or not finite.
    """
    return Partial(_ball, _checked(radius, "radius"))


def _ball(radius: jax.Array, g: jax.Array) -> jax.Array:
    return radius * jnp.linalg.norm(g, axis=-1)


def ellipsoid(semi_axes: np.ndarray) -> Partial:
    """Return the support function of the axis-parallel ellipsoid {x : Σ x_i²/r_i² ≤ 1}.

    Args:
        semi_axes: the r_i, shape (D,), at least 0 (0 makes the ellipsoid flat).

    Returns:
        Function from (n, D) to (n,).

    Raises:
        InputError: if a semi-axis is negative or not finite.
    """
    return Partial(_ellipsoid, _checked(semi_axes, "semi_axes"))


def _ellipsoid(semi_axes: jax.Array, g: jax.Array) -> jax.Array:
    return jnp.linalg.norm(semi_axes * g, axis=-1)


def spherical_cap(angle: float, centers: np.ndarray) -> Partial:
    """Return the support function of a spherical cap, or of a union of caps of one angle.

    The cap is {u : |u| = 1, <u, c> ≥ cos(angle)}. Of several caps of the same angle the one
    whose centre is nearest to g reaches furthest, so a union costs one matrix product.

    Args:
        angle: half-opening in radians, in [0, π].
        centers: unit vectors, shape (D,) or (m, D).

    Returns:
        Function from (n, D) to (n,).

    Raises:
        InputError: if the angle is outside [0, π] or a centre is not a unit vector.
    """
    centers = np.atleast_2d(np.asarray(centers, np.float64))
    if not 0 <= angle <= np.pi:
        raise InputError(f"angle={angle} given; a cap's half-opening lies in [0, pi].")
    if not np.allclose(np.linalg.norm(centers, axis=1), 1.0, atol=1e-8):
        raise InputError("The centres of spherical caps must be unit vectors.")
    return Partial(_cap, np.float64(angle), centers)


def _cap(angle: jax.Array, centers: jax.Array, g: jax.Array) -> jax.Array:
    norm = jnp.linalg.norm(g, axis=-1)
    along = jnp.max(g @ centers.T, axis=-1)
    across = jnp.sqrt(jnp.maximum(norm**2 - along**2, 0.0))
    inside = along >= norm * jnp.cos(angle)
    return jnp.where(inside, norm, along * jnp.cos(angle) + across * jnp.sin(angle))


def finite_set(points: np.ndarray) -> Partial:
    """Return the support function of finitely many points (and of their convex hull).

    Args:
        points: shape (M, D), M at least 1.

    Returns:
        Function from (n, D) to (n,).

    Raises:
        InputError: if the array is not of shape (M, D) with M at least 1, or not finite.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or len(points) < 1 or not np.all(np.isfinite(points)):
        raise InputError(
            f"points of shape {points.shape} given; need a finite array of shape (M, D), M >= 1."
        )
    short = -len(points) % min(len(points), POINT_BLOCK)
    padded = np.concatenate([points, np.repeat(points[-1:], short, axis=0)])
    return Partial(_finite_set, padded.reshape(-1, min(len(points), POINT_BLOCK), points.shape[1]))


def _finite_set(blocks: jax.Array, g: jax.Array) -> jax.Array:
    # Block by block: n x M inner products at once would not fit for large M.
    start = jnp.full(g.shape[:-1], -jnp.inf, g.dtype)
    return jax.lax.scan(
        lambda top, b: (jnp.maximum(top, jnp.max(g @ b.T, -1)), None), start, blocks
    )[0]


def union(*supports: SupportFunction) -> Partial:
    """Return the support function of a union of sets: the largest of theirs.

    Args:
        *supports: at least one support function.

    Returns:
        Function from (n, D) to (n,).

    Raises:
        InputError: if none is given.
    """
    if not supports:
        raise InputError("No sets given; a union needs at least one.")
    return Partial(_union, tuple(s if isinstance(s, Partial) else Partial(s) for s in supports))


def _union(supports: tuple[Partial, ...], g: jax.Array) -> jax.Array:
    return jnp.max(jnp.stack([s(g) for s in supports]), axis=0)


def cone_in_ball(projection: Callable[[jax.Array], jax.Array]) -> Partial:
    """Return the support function of C ∩ unit ball for a closed convex cone C.

    It is |Π_C g|. For C ∩ unit sphere the supremum is the same wherever Π_C g ≠ 0, and otherwise
    (g in the polar cone) at most 0; the squared widths of the two differ by less than 1.

    Args:
        projection: maps (n, D) to the nearest points of C, shape (n, D).

    Returns:
        Function from (n, D) to (n,).

    Source: Amelunxen et al. (2014), Proposition 10.2: w(C ∩ sphere)² ≤ δ(C) ≤ w(C ∩ sphere)² + 1.
    """
    return Partial(_cone, projection if isinstance(projection, Partial) else Partial(projection))


def _cone(projection: Partial, g: jax.Array) -> jax.Array:
    return jnp.linalg.norm(projection(g), axis=-1)


def project_to_sphere(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Project points radially onto the unit sphere about a centre (Eq. 3.1).

    Args:
        points: shape (M, D).
        center: w_t, shape (D,).

    Returns:
        Unit vectors (x - w_t)/|x - w_t|, shape (M, D).

    Raises:
        InputError: if a point coincides with the centre, where the projection is undefined.
    """
    offsets = np.asarray(points, np.float64) - np.asarray(center, np.float64)
    norms = np.linalg.norm(offsets, axis=1, keepdims=True)
    if np.any(norms == 0):
        raise InputError("A point equals the centre; its projection onto the sphere is undefined.")
    return offsets / norms


# --- widths known exactly -------------------------------------------------------------------------


def alpha(k: np.ndarray | float) -> np.ndarray:
    """Compute α_k = E|g_k| = √2 Γ((k+1)/2)/Γ(k/2), the mean length of a Gaussian vector in R^k.

    k/√(k+1) < α_k < √k, and α_k² → k - ½. It is the width of the unit ball of R^k, wherever that
    ball is embedded.

    Args:
        k: dimensions, at least 0, any shape.

    Returns:
        α_k, same shape; α_0 = 0.

    Raises:
        InputError: if a dimension is negative.
    """
    k = np.asarray(k, np.float64)
    if np.any(k < 0):
        raise InputError("A negative dimension was given; alpha is defined for k >= 0.")
    return np.where(k > 0, np.sqrt(2.0) * poch(np.maximum(k, 0.5) / 2, 0.5), 0.0)


@in_float64
def ellipsoid_width(semi_axes: np.ndarray) -> float:
    """Compute the Gaussian width E√(Σ r_i² g_i²) of an ellipsoid, in O(D), to about 12 digits.

    From √a = (2√π)⁻¹ ∫ (1 - e^{-ta}) t^{-3/2} dt and the Gaussian moment generating function,
    w = (2√π)⁻¹ ∫₀^∞ (1 - Π (1 + 2 t r_i²)^{-1/2}) t^{-3/2} dt. With t = e^{2u} the integrand is
    analytic and decays like e^{-|u|}, where the trapezoidal rule converges exponentially.

    Args:
        semi_axes: the r_i, shape (D,), at least 0.

    Returns:
        The width.

    Raises:
        InputError: if a semi-axis is negative or not finite.
    """
    r = np.atleast_1d(_checked(semi_axes, "semi_axes"))
    scale = np.sqrt(np.sum((r / max(r.max(), 1e-300)) ** 2)) * r.max()
    if scale == 0:
        return 0.0
    step = 0.125
    u = np.arange(-32.0, 32.0, step)
    return scale * float(step / np.sqrt(np.pi) * jnp.sum(_width_integrand((r / scale) ** 2, u)))


@jax.jit
def _width_integrand(squares: jax.Array, u: jax.Array) -> jax.Array:
    def one(v: jax.Array) -> jax.Array:
        return -jnp.expm1(-0.5 * jnp.sum(jnp.log1p(2 * jnp.exp(2 * v) * squares))) * jnp.exp(-v)

    return jax.lax.map(one, u)


def ellipsoid_width_bounds(semi_axes: np.ndarray) -> tuple[float, float]:
    """Bound the squared width of an ellipsoid: Lemma B.1 with its constant corrected.

    (2/π) Σ r_i² ≤ w² ≤ Σ r_i², and by Gaussian Poincaré also w² ≥ Σ r_i² - max r_i². The printed
    constant √(2/π) belongs to w, not to w²; with it the lemma is false for D = 1.

    Args:
        semi_axes: the r_i, shape (D,), at least 0.

    Returns:
        The better lower bound and the upper bound on w².

    Raises:
        InputError: if a semi-axis is negative or not finite.

    Source: Larsen et al. (2022), Lemma B.1, corrected.
    """
    squares = np.atleast_1d(_checked(semi_axes, "semi_axes")) ** 2
    total = float(squares.sum())
    return max(2 / np.pi * total, total - float(squares.max())), total


def _checked(values: np.ndarray | float, name: str) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.size == 0 or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InputError(f"{name} must be finite and at least 0, and not empty.")
    return values
