"""Closed convex cones: projections, statistical dimension, spherical caps.

The statistical dimension δ(C) = E|Π_C g|² differs from the squared width of C ∩ sphere by at most
1; a random subspace of dimension d meets C or misses it by the sign of d + δ(C) - D, up to O(√D)
(Amelunxen et al., 2014). A cone enters as its projection: (n, D) to the nearest points, (n, D).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.special import betainc

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.montecarlo import Estimate, as_partial, gaussian_statistics, mean_of


@dataclass(frozen=True)
class ConeEstimate:
    """Hold statistical dimension `delta` and variance Var|Π_C g|² - 2δ of the intrinsic volumes.

    The latter sets the width σ of the transition; an estimate, it can be below 0.

    >>> print(ConeEstimate(Estimate(5.0, 0.1, 500), 0.2).delta)
    5 ± 0.1
    """

    delta: Estimate
    intrinsic_variance: float


def estimate_statistical_dimension(
    projection: Callable[[jax.Array], jax.Array], dimension: int, *, key: jax.Array,
    samples: int = 10_000,
) -> ConeEstimate:  # fmt: skip
    """Estimate δ(C) of a closed convex cone in R^dimension from two or more samples.

    Source: Amelunxen et al. (2014), Definition 2.1; McCoy and Tropp (2014) for the variance.

    >>> found = estimate_statistical_dimension(orthant(), 10, key=jax.random.key(0), samples=500)
    >>> abs(found.delta.value - 5) < 4 * found.delta.standard_error
    True
    """
    statistic = Partial(_squared_norm, as_partial("the projection", projection))
    values = gaussian_statistics(statistic, dimension, key=key, samples=samples)
    delta = mean_of(values)
    return ConeEstimate(delta, float(np.var(values, ddof=1) - 2 * delta.value))


def _squared_norm(projection: Partial, g: jax.Array) -> jax.Array:
    return jnp.sum(projection(g) ** 2, axis=-1)


def circular_cone(angle: float) -> Partial:
    """Return the projection onto the cone of half-opening `angle` ∈ [0, π/2] about the first axis.

    >>> jax.jit(circular_cone(np.pi / 4))(np.array([[0.0, 2.0], [-1.0, 0.5]])).round(4).tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """
    return Partial(_project_circular, np.float64(checks.real("angle", angle, 0, np.pi / 2)))


def _project_circular(angle: jax.Array, g: jax.Array) -> jax.Array:
    along, rest = g[..., :1], g[..., 1:]
    across = jnp.linalg.norm(rest, axis=-1, keepdims=True)
    reach = along * jnp.cos(angle) + across * jnp.sin(angle)  # along the nearest boundary ray
    direction = rest / jnp.where(across > 0, across, 1.0)
    ray = jnp.concatenate([jnp.full_like(along, jnp.cos(angle)), direction * jnp.sin(angle)], -1)
    inside = along * jnp.sin(angle) >= across * jnp.cos(angle)
    return jnp.where(inside & (along >= 0), g, jnp.maximum(reach, 0.0) * ray)


def subspace(basis: np.ndarray) -> Partial:
    """Return the projection onto the span of the linearly independent columns of `basis`, (D, m).

    >>> subspace([[1.0], [1.0]])(np.array([[2.0, 0.0]])).round(6).tolist()
    [[1.0, 1.0]]
    """
    basis = checks.finite("basis", basis, ("D", "m"))
    if np.linalg.matrix_rank(basis) < basis.shape[1]:
        raise InputError("The basis must be a (D, m) array of linearly independent columns.")
    return Partial(_project_subspace, np.linalg.qr(basis)[0])


def _project_subspace(q: jax.Array, g: jax.Array) -> jax.Array:
    return (g @ q) @ q.T


def orthant() -> Partial:
    """Return the projection onto the nonnegative orthant, whose δ is D/2.

    >>> orthant()(np.array([[2.0, -3.0]])).tolist()
    [[2.0, 0.0]]
    """
    return Partial(jnp.maximum, 0.0)


def cap_width(angle: float, dimension: int, caps: int = 1) -> float:
    """Compute the Gaussian width α_D E[cos(max(φ - angle, 0))] of a spherical cap by quadrature.

    The half-opening lies in [0, π], D is at least 2. With several `caps` the set is their union, φ
    the angle to the nearest centre, averaged over independent centres, uniform on the sphere.

    >>> round(cap_width(0.0, 100, caps=100), 3)  # 100 points
    2.477
    """
    angle = checks.real("angle", angle, 0, np.pi)
    caps = checks.integer("caps", caps, 1)
    mean = _angle_mean(lambda phi: np.cos(np.maximum(phi - angle, 0.0)), dimension, [angle], caps)
    return float(alpha(dimension)) * mean


def cap_statistical_dimension(angle: float, dimension: int) -> float:
    """Compute δ of the circular cone of given angle by one-dimensional quadrature.

    It is D E[cos²(max(φ - angle, 0)); φ < angle + π/2], for large D about D sin²(angle) + cos(2
    angle). The half-opening lies in [0, π/2], D is at least 2. Source: Amelunxen et al. (2014).

    >>> round(cap_statistical_dimension(np.pi / 4, 100), 6)
    50.0
    """
    angle = checks.real("angle", angle, 0, np.pi / 2)

    def squared_reach(phi: np.ndarray) -> np.ndarray:
        return np.maximum(np.cos(np.maximum(phi - angle, 0.0)), 0.0) ** 2

    return dimension * _angle_mean(squared_reach, dimension, [angle, angle + np.pi / 2])


def ball_angle(radius: float, distance: float) -> float:
    """Compute the angle arcsin(r/distance) of the cap that a ball at distance > r fills about w_t.

    >>> round(ball_angle(1.0, 2.0) / np.pi, 6)
    0.166667
    """
    distance = checks.positive("distance", distance)
    if checks.real("radius", radius, 0) >= distance:
        given = f"radius={radius}, distance={distance} given"
        raise InputError(f"{given}; the point must lie outside the ball.")
    return float(np.arcsin(radius / distance))


def _angle_mean(
    f: Callable[[np.ndarray], np.ndarray], dimension: int, kinks: list[float], axes: int = 1
) -> float:
    """Average f(φ), φ the angle of a uniform direction to the nearest of independent axes."""
    dimension = checks.integer("dimension", dimension, 2)
    # Beyond 9 standard deviations from π/2 the density is below 1e-17 of its peak.
    half = min(np.pi / 2, 9 / np.sqrt(max(dimension - 2, 1)))
    low, high = np.pi / 2 - half, np.pi / 2 + half
    edges = np.unique(np.clip([low, np.pi / 2, high, *kinks], low, high))
    x, weights = np.polynomial.legendre.leggauss(120)
    half_lengths = np.diff(edges) / 2
    phi = (edges[:-1] + edges[1:])[:, None] / 2 + half_lengths[:, None] * x
    density = half_lengths[:, None] * weights * np.sin(phi) ** (dimension - 2)
    if axes > 1:
        below = betainc((dimension - 1) / 2, 0.5, np.sin(phi) ** 2) / 2
        density *= np.where(phi < np.pi / 2, 1 - below, below) ** (axes - 1)
    return float(np.sum(f(phi) * density) / np.sum(density))
