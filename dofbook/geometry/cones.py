"""Closed convex cones: projections, statistical dimension, spherical caps.

The statistical dimension δ(C) = E|Π_C g|² extends the dimension of a subspace to convex cones
(Amelunxen et al., 2014). It differs from the squared width of C ∩ sphere by at most 1, and a
random subspace of dimension d meets C or misses it according to the sign of d + δ(C) - D, up to
O(√D).

The angle φ between a Gaussian vector and a fixed axis is independent of the vector's length, so
circular cones need one-dimensional integrals over φ (density ∝ sin^{D-2} φ) and no sampling.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from dofbook.errors import InputError
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.montecarlo import Estimate, gaussian_statistics, mean_of

Projection = Callable[[jax.Array], jax.Array]


@dataclass(frozen=True)
class ConeEstimate:
    """Monte Carlo description of a closed convex cone.

    Attributes:
        delta: the statistical dimension.
        intrinsic_variance: variance of the intrinsic volumes, Var|Π_C g|² - 2δ, which sets the
            width σ of the transition; it is an estimate and can come out slightly negative.
    """

    delta: Estimate
    intrinsic_variance: float


def estimate_statistical_dimension(
    projection: Projection,
    dimension: int,
    *,
    key: jax.Array,
    samples: int = 10_000,
    chunk: int | None = None,
) -> ConeEstimate:
    """Estimate δ(C) = E|Π_C g|² of a closed convex cone from its projection.

    Args:
        projection: maps vectors (n, D) to their nearest points in C, shape (n, D).
        dimension: the ambient dimension D.
        key: a `jax.random.key`.
        samples: number of Gaussian vectors.
        chunk: vectors held at once; the default bounds memory.

    Returns:
        δ with its standard error, and the variance of the intrinsic volumes.

    Raises:
        InputError: if dimension, samples or chunk is too small.

    Source: Amelunxen et al. (2014), Definition 2.1; McCoy and Tropp (2014) for the variance.
    """
    projection = projection if isinstance(projection, Partial) else Partial(projection)
    statistic = Partial(_squared_norm, projection)
    values = gaussian_statistics(statistic, dimension, key=key, samples=samples, chunk=chunk)
    delta = mean_of(values)
    return ConeEstimate(delta, float(np.var(values, ddof=1) - 2 * delta.value))


def _squared_norm(projection: Partial, g: jax.Array) -> jax.Array:
    return jnp.sum(projection(g) ** 2, axis=-1)


# --- projections ----------------------------------------------------------------------------------


def circular_cone(angle: float) -> Partial:
    """Return the projection onto the circular cone of given angle about the first axis.

    Args:
        angle: half-opening in radians, in [0, π/2].

    Returns:
        Function from (n, D) to (n, D).

    Raises:
        InputError: if the angle is outside [0, π/2], where the cone is not convex.
    """
    return Partial(_project_circular, np.float64(_checked_angle(angle)))


def _project_circular(angle: jax.Array, g: jax.Array) -> jax.Array:
    along, rest = g[..., :1], g[..., 1:]
    across = jnp.linalg.norm(rest, axis=-1, keepdims=True)
    reach = along * jnp.cos(angle) + across * jnp.sin(angle)  # along the nearest boundary ray
    direction = rest / jnp.where(across > 0, across, 1.0)
    ray = jnp.concatenate([jnp.full_like(along, jnp.cos(angle)), direction * jnp.sin(angle)], -1)
    inside = along * jnp.sin(angle) >= across * jnp.cos(angle)
    return jnp.where(inside & (along >= 0), g, jnp.maximum(reach, 0.0) * ray)


def subspace(basis: np.ndarray) -> Partial:
    """Return the projection onto the span of the given columns.

    Args:
        basis: shape (D, m), full column rank; it need not be orthonormal.

    Returns:
        Function from (n, D) to (n, D).

    Raises:
        InputError: if the columns are linearly dependent.
    """
    basis = np.asarray(basis, np.float64)
    if basis.ndim != 2 or np.linalg.matrix_rank(basis) < basis.shape[1]:
        raise InputError("The basis must be a (D, m) array of linearly independent columns.")
    return Partial(_project_subspace, np.linalg.qr(basis)[0])


def _project_subspace(q: jax.Array, g: jax.Array) -> jax.Array:
    return (g @ q) @ q.T


def orthant() -> Partial:
    """Return the projection onto the nonnegative orthant.

    Returns:
        Function from (n, D) to (n, D); δ = D/2.
    """
    return Partial(_project_orthant)


def _project_orthant(g: jax.Array) -> jax.Array:
    return jnp.maximum(g, 0.0)


# --- circular cones, exactly ----------------------------------------------------------------------


def cap_width(angle: float, dimension: int) -> float:
    """Compute the Gaussian width of a spherical cap in R^D by one-dimensional quadrature.

    Args:
        angle: half-opening in radians, in [0, π].
        dimension: the ambient dimension D, at least 2.

    Returns:
        α_D E[cos(max(φ - angle, 0))].

    Raises:
        InputError: if the angle or the dimension is out of range.
    """
    _checked_angle(angle, np.pi)
    mean = _angle_mean(lambda phi: np.cos(np.maximum(phi - angle, 0.0)), dimension, [angle])
    return float(alpha(dimension)) * mean


def cap_statistical_dimension(angle: float, dimension: int) -> float:
    """Compute δ of the circular cone of given angle by one-dimensional quadrature.

    For large D it is close to D sin²(angle) + cos(2 angle).

    Args:
        angle: half-opening in radians, in [0, π/2].
        dimension: the ambient dimension D, at least 2.

    Returns:
        D E[cos²(max(φ - angle, 0)); φ < angle + π/2].

    Raises:
        InputError: if the angle or the dimension is out of range.

    Source: Amelunxen et al. (2014), Section 3.4 (circular cones).
    """
    _checked_angle(angle)

    def squared_reach(phi: np.ndarray) -> np.ndarray:
        return np.maximum(np.cos(np.maximum(phi - angle, 0.0)), 0.0) ** 2

    return dimension * _angle_mean(squared_reach, dimension, [angle, angle + np.pi / 2])


def ball_angle(radius: float, distance: float) -> float:
    """Compute the angle of the cap that a ball fills on the sphere about w_t: sin α = r/distance.

    Args:
        radius: of the ball.
        distance: from w_t to the ball's centre; larger than the radius.

    Returns:
        α in radians.

    Raises:
        InputError: if w_t lies in the ball.
    """
    if not 0 <= radius < distance:
        raise InputError(
            f"radius={radius}, distance={distance} given; the point must lie outside the ball."
        )
    return float(np.arcsin(radius / distance))


def _angle_mean(f: Callable[[np.ndarray], np.ndarray], dimension: int, kinks: list[float]) -> float:
    """Average f(φ) over the angle between a uniform direction of R^D and a fixed axis."""
    if dimension < 2:
        raise InputError(f"dimension={dimension} given; spherical caps need at least 2.")
    # Beyond 9 standard deviations from π/2 the density is below 1e-17 of its peak.
    half = min(np.pi / 2, 9 / np.sqrt(max(dimension - 2, 1)))
    low, high = np.pi / 2 - half, np.pi / 2 + half
    edges = np.unique(np.clip([low, np.pi / 2, high, *kinks], low, high))
    x, weights = np.polynomial.legendre.leggauss(120)
    half_lengths = np.diff(edges) / 2
    phi = (edges[:-1] + edges[1:])[:, None] / 2 + half_lengths[:, None] * x
    density = half_lengths[:, None] * weights * np.sin(phi) ** (dimension - 2)
    return float(np.sum(f(phi) * density) / np.sum(density))


def _checked_angle(angle: float, largest: float = np.pi / 2) -> float:
    if not 0 <= angle <= largest:
        raise InputError(f"angle={angle} given; it must lie in [0, {largest:.4f}] radians.")
    return angle
