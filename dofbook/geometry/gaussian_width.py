"""Gaussian width: how far a set reaches, on average, in a random direction.

The paper's Definition 3.1, w(S) = ½ E sup_{x,y ∈ S} <g, x - y>, g ~ N(0, I_D), equals E h(g) with
the support function h(g) = sup_{x ∈ S} <g, x>. A set enters as its support function on batches,
from (n, D) to (n,): any function, or a `Partial` made below, whose radius can change without
compiling again. (Sampling S instead fails: M points show no w² above 2 log M.)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from numpy.typing import ArrayLike
from scipy.special import poch

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.montecarlo import Estimate, as_partial, gaussian_statistics, mean_of
from dofbook.geometry.precision import in_float64

SupportFunction = Callable[[jax.Array], jax.Array]

POINT_BLOCK = 2048  # points of a finite set compared at once


def estimate_width(
    support: SupportFunction, dimension: int, *, key: jax.Array, samples: int = 10_000,
    two_sided: bool = False,
) -> Estimate:  # fmt: skip
    """Estimate the Gaussian width of a set in R^dimension from two or more samples.

    `two_sided` averages ½(h(g) + h(-g)), Definition 3.1 as printed: two evaluations a sample,
    smaller variance for sets that are not symmetric. Paper, Definition 3.1 and Appendix B.1.

    >>> width = estimate_width(ball(2.0), 50, key=jax.random.key(0), samples=400)
    >>> bool(abs(width.value - 2 * alpha(50)) < 4 * width.standard_error)
    True
    """
    statistic = as_partial("the support function", support)
    if two_sided:
        statistic = Partial(_half_range, statistic)
    return mean_of(gaussian_statistics(statistic, dimension, key=key, samples=samples))


def _half_range(support: Partial, g: jax.Array) -> jax.Array:
    return (support(g) + support(-g)) / 2


def squared(width: Estimate) -> Estimate:
    """Square a width estimate: the local angular dimension d_local of Definition 3.2.

    The standard error is 2 w s; the bias s² of a squared mean is subtracted. Paper, Eq. 3.2.

    >>> print(squared(Estimate(3.0, 0.1, 50)))
    8.99 ± 0.6
    """
    s = checks.instance("width", width, Estimate).standard_error
    return Estimate(width.value**2 - s**2, 2 * abs(width.value) * s, width.samples)


def ball(radius: float) -> Partial:
    """Return the support function of the ball of given radius about the origin.

    >>> print(jax.jit(ball(2.0))(np.array([[3.0, 4.0]])))
    [10.]
    """
    return Partial(_length, Partial(jnp.multiply, np.float64(checks.real("radius", radius, 0))))


def ellipsoid(semi_axes: ArrayLike) -> Partial:
    """Return the support function of the ellipsoid {x : Σ x_i²/r_i² ≤ 1}, r_i ≥ 0 of shape (D,).

    >>> print(jax.jit(ellipsoid([1.0, 0.0]))(np.array([[3.0, 4.0]])))
    [3.]
    """
    return Partial(_length, Partial(jnp.multiply, _semi_axes(semi_axes)))


def _length(image: Partial, g: jax.Array) -> jax.Array:
    return jnp.linalg.norm(image(g), axis=-1)


def spherical_cap(angle: float, centers: np.ndarray) -> Partial:
    """Return the support function of {u : |u| = 1, <u, c> ≥ cos(angle)}, or a union of such caps.

    The half-opening lies in [0, π]; `centers` are unit vectors c, shape (D,) or (m, D). Of several
    caps the one whose centre is nearest to g reaches furthest, so a union costs one matrix product.

    >>> print(jax.jit(spherical_cap(np.pi / 2, [1.0, 0.0]))(np.array([[-3.0, 4.0]])).round(5))
    [4.]
    """
    angle = np.float64(checks.real("angle", angle, 0, np.pi))
    return Partial(_cap, angle, unit_vectors("centers", centers))


def unit_vectors(name: str, vectors: np.ndarray) -> np.ndarray:
    """Require unit vectors, shape (D,) or (m, D), and give shape (m, D).

    >>> unit_vectors("centers", [0.6, 0.8])
    array([[0.6, 0.8]])
    """
    array = checks.finite(name, vectors)
    array = checks.finite(name, array[None] if array.ndim == 1 else array, ("m", "D"))
    if not np.allclose(np.linalg.norm(array, axis=1), 1.0, atol=1e-8):
        raise InputError(f"{name} must be unit vectors.")
    return array


def _cap(angle: jax.Array, centers: jax.Array, g: jax.Array) -> jax.Array:
    norm = jnp.linalg.norm(g, axis=-1)
    along = jnp.max(g @ centers.T, axis=-1)
    across = jnp.sqrt(jnp.maximum(norm**2 - along**2, 0.0))
    inside = along >= norm * jnp.cos(angle)
    return jnp.where(inside, norm, along * jnp.cos(angle) + across * jnp.sin(angle))


def finite_set(points: np.ndarray) -> Partial:
    """Return the support function of finitely many points, shape (M, D), and their convex hull.

    >>> in_float64(jax.jit(finite_set([[1.0, 0.0], [0.0, 1.0]])))(np.array([[3.0, 4.0]]))
    array([4.])
    """
    points = checks.finite("points", points, ("M", "D"))
    size = min(len(points), POINT_BLOCK)
    padded = np.pad(points, ((0, -len(points) % size), (0, 0)), mode="edge")
    return Partial(_finite_set, padded.reshape(-1, size, points.shape[1]))


def _finite_set(blocks: jax.Array, g: jax.Array) -> jax.Array:
    # Block by block: n x M inner products at once would not fit for large M.
    return jnp.max(jax.lax.map(lambda block: jnp.max(g @ block.T, axis=-1), blocks), axis=0)


def union(*supports: SupportFunction) -> Partial:
    """Return the support function of a union of one or more sets: the largest of theirs.

    >>> print(jax.jit(union(ball(1.0), ellipsoid([4.0, 0.0])))(np.array([[3.0, 4.0]])))
    [12.]
    """
    if not supports:
        raise InputError("No sets given; a union needs at least one.")
    return Partial(_union, tuple(as_partial("the support function", s) for s in supports))


def _union(supports: tuple[Partial, ...], g: jax.Array) -> jax.Array:
    return jnp.max(jnp.stack([s(g) for s in supports]), axis=0)


def cone_in_ball(projection: Callable[[jax.Array], jax.Array]) -> Partial:
    """Return the support function |Π_C g| of C ∩ unit ball for a closed convex cone C.

    `projection` maps (n, D) to the nearest points of C. On C ∩ unit sphere the supremum is the same
    but where Π_C g = 0: w(C ∩ sphere)² ≤ δ(C) ≤ w(C ∩ sphere)² + 1 (Amelunxen et al., 2014).

    >>> print(cone_in_ball(lambda g: jnp.maximum(g, 0))(np.array([[3.0, -4.0]])))
    [3.]
    """
    return Partial(_length, as_partial("the projection", projection))


def project_to_sphere(points: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Project points (M, D) onto the unit sphere about a centre w_t, none of them (paper, Eq. 3.1).

    >>> project_to_sphere([[3.0, 1.0]], [1.0, 1.0])
    array([[1., 0.]])
    """
    points = checks.finite("points", points, ("M", "D"))
    offsets = points - checks.finite("center", center, points.shape[1:])
    norms = np.linalg.norm(offsets, axis=1, keepdims=True)
    if np.any(norms == 0):
        raise InputError("A point equals the centre; its projection onto the sphere is undefined.")
    return offsets / norms


def alpha(k: ArrayLike) -> np.ndarray:
    """Compute α_k = E|g_k| = √2 Γ((k+1)/2)/Γ(k/2), the width of the unit ball of R^k.

    k/√(k+1) < α_k < √k, and α_k² → k - ½. k has any shape and need not be whole; α_0 = 0.

    >>> alpha([0, 1, 100]).round(3)
    array([0.   , 0.798, 9.975])
    """
    k = checks.finite("k", k, None, 0)
    return np.where(k > 0, np.sqrt(2.0) * poch(np.maximum(k, 0.5) / 2, 0.5), 0.0)


def ellipsoid_width(semi_axes: ArrayLike) -> float:
    """Compute the Gaussian width E√(Σ r_i² g_i²) of an ellipsoid, in O(D), to about 12 digits.

    It is (2√π)⁻¹ ∫₀^∞ (1 - Π (1 + 2 t r_i²)^{-1/2}) t^{-3/2} dt. With t = e^{2u} the integrand is
    analytic and decays like e^{-|u|}, so the trapezoidal rule converges exponentially. By Lemma
    B.1, with its constant corrected, (2/π) Σ r_i² ≤ w² ≤ Σ r_i².

    >>> round(ellipsoid_width([np.sqrt(np.pi / 2), 0.0]), 6)
    1.0
    """
    r = _semi_axes(semi_axes)
    scale = np.sqrt(np.sum((r / max(r.max(), 1e-300)) ** 2)) * r.max()
    if scale == 0:
        return 0.0
    integral = np.sum(_width_integrand((r / scale) ** 2, np.arange(-32.0, 32.0, 0.125))) / 8
    return float(scale * integral / np.sqrt(np.pi))


@in_float64
@jax.jit
def _width_integrand(squares: jax.Array, u: jax.Array) -> jax.Array:
    def one(v: jax.Array) -> jax.Array:
        return -jnp.expm1(-0.5 * jnp.sum(jnp.log1p(2 * jnp.exp(2 * v) * squares))) * jnp.exp(-v)

    return jax.lax.map(one, u)


def plane_width(points: np.ndarray) -> float:
    """Compute the Gaussian width of finitely many points of the plane, shape (M, 2), to 6 digits.

    α_2 times the mean of h over 4096 directions; also the perimeter of the convex hull over √(8π).

    >>> round(plane_width([[-1.0, 0.0], [1.0, 0.0]]), 5), round((2 / np.pi) ** 0.5, 5)
    (0.79788, 0.79788)
    """
    points = checks.finite("points", points, ("M", 2))
    turn = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    reach = in_float64(finite_set(points))(np.stack([np.cos(turn), np.sin(turn)], axis=1))
    return float(alpha(2) * np.mean(reach))


def _semi_axes(values: ArrayLike) -> np.ndarray:
    return checks.finite("semi_axes", np.atleast_1d(checks.finite("semi_axes", values)), ("D",), 0)
