"""The cone of directions from w0 that hit the ellipsoid S(eps), and its size by Monte Carlo.

From w0 outside S, a direction v hits S iff h^T v < 0 and (h^T v)^2 >= c v^T H v, where h = H w0 and
c = w0^T H w0 - 2 eps > 0. That is an elliptic cone: in its principal axes

    C = { z : z_1 >= sqrt( sum_{i>=2} tau_i z_i^2 ) },   half-angles sin^2 alpha_i = 1/(1 + tau_i).

Its axes are the eigenvectors of h h^T - c H. The confocal coordinates kappa_j = 2 eps / mu_j of w0
solve sum_i lambda_i^2 w0_i^2 / (lambda_i + kappa) = c; exactly one is positive, and tau_i =
|kappa_i| / kappa_1, which needs no dense matrix.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.montecarlo import Estimate, gaussian_statistics, mean_of
from dofbook.geometry.precision import in_float64
from dofbook.geometry.quadratic import QuadraticWell, closed_form

_BISECTIONS = 60  # halvings of (0, 1): to the last bit of a float64


@dataclass(frozen=True, eq=False)
class EllipticCone:
    """Hold a closed elliptic cone z_1 >= sqrt(sum tau_i z_i^2) in its principal axes.

    `tau` holds the D - 1 squared cotangents of the half-angles, none negative. Points are (..., D).

    >>> EllipticCone([1.0]).project([[0.0, 2.0]]).round(6).tolist()
    [[1.0, 1.0]]
    """

    tau: np.ndarray

    def __post_init__(self) -> None:
        tau = checks.finite("tau", self.tau, None, 0).copy()
        if tau.ndim != 1:
            raise InputError(f"tau has shape {tau.shape}; it must be (D - 1,).")
        tau.setflags(write=False)
        object.__setattr__(self, "tau", tau)

    @property
    def D(self) -> int:
        """Dimension of the surrounding space."""
        return self.tau.size + 1

    @property
    def sine_squares(self) -> np.ndarray:
        """Squared sines of the D - 1 principal half-angles."""
        return 1 / (1 + self.tau)

    def project(self, points: ArrayLike) -> np.ndarray:
        """Find the nearest points of the cone, (..., D)."""
        y = checks.finite("points", points)
        if y.shape[-1:] != (self.D,):
            raise InputError(f"points have shape {y.shape}; it must be (..., {self.D}).")
        return _project_rows(self.tau, y.reshape(-1, self.D)).reshape(y.shape)


def hitting_cone(well: QuadraticWell, eps: float) -> EllipticCone:
    """Build the cone of directions from w0 that hit S(eps), 0 < eps < L(w0), in O(D^2).

    >>> hitting_cone(QuadraticWell([1, 1], [2, 0]), eps=0.5).sine_squares.round(6)
    array([0.25])
    """
    checks.instance("well", well, QuadraticWell)
    eps = checks.real("eps", eps, 0, well.initial_loss, open=True)
    kappa = float(closed_form(well, eps).kappa)
    return EllipticCone(np.sort(_confocal_roots(well, 2 * (well.initial_loss - eps))) / kappa)


def _confocal_roots(well: QuadraticWell, c: float) -> np.ndarray:
    """Return the D - 1 values |kappa_j| <= max lambda, one between each two neighbours.

    Equal eigenvalues, and those with no weight (w0_i = 0 or lambda_i = 0), are roots themselves.
    """
    values, group = np.unique(well.eigenvalues, return_inverse=True)
    weight = np.bincount(group, (well.eigenvalues * well.w0) ** 2)
    copies = np.bincount(group)
    active = weight > weight.max() * np.finfo(float).tiny
    repeated = np.repeat(values, np.where(active, copies - 1, copies))
    poles = values[active]
    if poles.size == 1:
        return repeated
    return np.concatenate([repeated, _interlaced_roots(poles, weight[active] / c)])


@in_float64
@jax.jit
def _interlaced_roots(poles: jax.Array, weight: jax.Array) -> jax.Array:
    """Solve sum weight / (poles - x) = 1, increasing from -inf to inf, between neighbouring poles.

    Positions are measured from the nearer pole, so that a root close to it keeps its accuracy.
    """

    def one(j):
        low, high = poles[j], poles[j + 1]
        gap = high - low
        upper = jnp.sum(weight / (poles - (low + gap / 2))) < 1  # the root lies in that half
        origin, start = jnp.where(upper, high, low), jnp.where(upper, -gap / 2, 0.0)
        distances = poles - origin
        a, b = _bisect(lambda x: jnp.sum(weight / (distances - x)) < 1, start, start + gap / 2)
        return origin + (a + b) / 2

    return jax.lax.map(one, jnp.arange(poles.size - 1))


def _bisect(below, low: ArrayLike, high: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Halve [low, high] to the last bit; below(x) tells that the root lies above x."""

    def halve(_, bounds):
        a, b = bounds
        x = (a + b) / 2
        above_x = below(x)
        return jnp.where(above_x, x, a), jnp.where(above_x, b, x)

    return jax.lax.fori_loop(0, _BISECTIONS, halve, (jnp.asarray(low), jnp.asarray(high)))


def _polar_height(tau: jax.Array, rest: jax.Array) -> jax.Array:
    """Return p with: y lies in the polar cone iff y_1 <= -p."""
    terms = jnp.where(tau > 0, rest**2 / jnp.where(tau > 0, tau, 1.0), jnp.inf)
    return jnp.sqrt(jnp.sum(jnp.where(rest == 0, 0.0, terms)))


def _project_one(tau: jax.Array, y: jax.Array) -> jax.Array:
    """Project one point in principal axes: identity, zero, or a root on the boundary.

    There z_i = y_i/(1 + v tau_i), z_1 = y_1/(1 - v), v in (0, 1) if y_1 > 0. If y_1 < 0, v > 1 and
    x = 1/v is bisected: z_i = a y_i / (a + b tau_i) with (a, b) = (1, x) or (x, 1).
    """
    top, rest = y[0], y[1:]
    up = top > 0

    def rays(x):
        a, b = jnp.where(up, 1.0, x), jnp.where(up, x, 1.0)
        z = a * rest / (a + b * tau)
        return a, b, z, jnp.sqrt(jnp.sum(tau * z**2))

    def too_small(x):
        a, b, _, height = rays(x)
        # (1 - v) G falls in v, so |a - b| G falls in x on either branch, from above to below.
        return jnp.abs(a - b) * height > a * jnp.abs(top)

    low, high = _bisect(too_small, 0.0, 1.0)
    _, _, z, height = rays((low + high) / 2)
    inside = top >= jnp.sqrt(jnp.sum(tau * rest**2))
    polar = top <= -_polar_height(tau, rest)
    return jnp.where(inside, y, jnp.where(polar, 0.0, jnp.concatenate([height[None], z])))


_project_rows = in_float64(jax.jit(jax.vmap(_project_one, (None, 0))))


class ConeSize(NamedTuple):
    """Hold Monte Carlo sizes of a closed convex cone C.

    `delta` is the statistical dimension E|Pi_C g|^2, `width` the Gaussian width E sup <g, u> over
    unit u in C, `sigma` = sqrt(Var|Pi_C g|^2 - 2 delta) the width of the transition in d.

    >>> cone_size(EllipticCone([]), jax.random.key(0), samples=500).width.samples
    500
    """

    delta: Estimate
    width: Estimate
    sigma: Estimate


def cone_size(cone: EllipticCone, key: jax.Array, samples: int = 1000) -> ConeSize:
    """Estimate the size of a cone by projecting `samples`, at least 2, Gaussian vectors.

    The control variate sum sin^2(alpha_i) g_i^2 + 2 g_1 G, with G^2 = sum sin^2 cos^2(alpha_i)
    g_i^2, is |Pi_C g|^2 to first order in g_1; its mean and variance are known sums.

    >>> print(cone_size(EllipticCone([]), jax.random.key(0), samples=500).delta)  # the half-line
    0.504044 ± 0.053
    """
    checks.instance("cone", cone, EllipticCone)
    measured = gaussian_statistics(Partial(_row_sizes, cone.tau), cone.D, key=key, samples=samples)
    squares, suprema, controls = measured.T
    sin2 = cone.sine_squares
    controls = controls - sin2.sum()
    control_variance = 2 * np.sum(sin2**2) + 4 * np.sum(sin2 * (1 - sin2))
    spread = controls.var()
    slope = np.mean((suprema - suprema.mean()) * controls) / spread if spread > 0 else 0.0
    # Var|Pi_C g|^2 - 2 delta, with the sampling error of the control's variance taken out.
    excess = mean_of((squares - squares.mean()) ** 2 - controls**2 - 2 * (squares - controls))
    sigma = np.sqrt(max(excess.value + control_variance, 0.0))
    error = excess.standard_error / (2 * sigma) if sigma > 0 else np.inf
    delta, width = mean_of(squares - controls), mean_of(suprema - slope * controls)
    return ConeSize(delta, width, Estimate(float(sigma), float(error), samples))


def _row_sizes(tau: jax.Array, g: jax.Array) -> jax.Array:
    """Return |Pi_C g|^2, sup <g, u> over unit u in C, and the control variate, for every row."""

    def one(y):
        square = jnp.sum(_project_one(tau, y) ** 2)
        if tau.size == 0:  # the half-line: its only unit vector is e_1
            return jnp.stack([square, y[0], jnp.zeros_like(square)])
        polar = y[0] <= -_polar_height(tau, y[1:])
        supremum = jax.lax.cond(polar, _polar_supremum, lambda t, y: jnp.sqrt(square), tau, y)
        # To first order in y_1: the root of `_project_one` near v = 1.
        shrunk = y[1:] / (1 + tau)
        control = jnp.sum(shrunk * y[1:]) + 2 * y[0] * jnp.sqrt(jnp.sum(tau * shrunk**2))
        return jnp.stack([square, supremum, control])

    return jax.lax.map(one, g)


def _polar_supremum(tau: jax.Array, y: jax.Array) -> jax.Array:
    """Maximize <y, u> over unit u of the cone when y lies in the polar cone (a value <= 0).

    On the boundary u_i is proportional to y_i/(v tau_i - 1) and u_1 to -y_1/(1 + v), v > 1/min tau.
    Bisected in x = 1/(v min tau) in (0, 1).
    """
    least = jnp.min(tau)
    ratio = tau / least

    def ray(x):
        return x * y[1:] / (ratio - x), -y[0] * x * least / (x * least + 1)

    def below(x):
        rest, top = ray(x)
        return jnp.sqrt(jnp.sum(tau * rest**2)) < top

    low, _ = _bisect(below, 0.0, 1.0)
    rest, _ = ray(low)
    top = jnp.sqrt(jnp.sum(tau * rest**2))
    return (y[0] * top + y[1:] @ rest) / jnp.sqrt(top**2 + jnp.sum(rest**2))
