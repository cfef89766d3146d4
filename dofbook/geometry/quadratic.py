"""The quadratic well L(w) = 1/2 w^T H w: exact simulation and a closed form (Section 3.2).

The sublevel set S(eps) is an ellipsoid with squared radii r_i^2 = 2 eps / lambda_i. Everything
lives in the eigenbasis of H. The closed form is written in kappa = 2 eps / mu, where mu is the
confocal coordinate of w0 (sum_i w0_i^2 / (mu + r_i^2) = 1): it then reads

    eps = 1/2 sum_i lambda_i w0_i^2 kappa / (lambda_i + kappa),

which needs no radii, so zero eigenvalues are ordinary numbers. Levels eps > 0 have any shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.precision import in_float64, with_lapack

_MAX_NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class QuadraticWell:
    """Hold a quadratic loss and a starting point, in the eigenbasis of its Hessian.

    `eigenvalues`, none negative, and the coordinates `w0` of the start both have shape (D,).

    >>> well = QuadraticWell([2.0, 0.0, 4.0], [1.0, 5.0, 1.0])
    >>> well.rank, well.initial_loss, round(well.at_distance(2).R, 6)
    (2, 3.0, 2.0)
    """

    eigenvalues: np.ndarray
    w0: np.ndarray

    def __post_init__(self) -> None:
        eigenvalues = checks.finite("eigenvalues", self.eigenvalues, ("D",), 0)
        w0 = checks.finite("w0", self.w0, eigenvalues.shape)
        for name, array in (("eigenvalues", eigenvalues.copy()), ("w0", w0.copy())):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @property
    def D(self) -> int:
        """Number of parameters."""
        return self.eigenvalues.size

    @property
    def R(self) -> float:
        """Distance |w0| from the starting point to the minimum."""
        return float(np.linalg.norm(self.w0))

    @property
    def rank(self) -> int:
        """Number of positive eigenvalues: from this d on, the minimum itself is reached."""
        return int(np.count_nonzero(self.eigenvalues))

    @property
    def initial_loss(self) -> float:
        """Loss L(w0) at the starting point."""
        return 0.5 * float(self.eigenvalues @ self.w0**2)

    def at_distance(self, R: float) -> "QuadraticWell":
        """Move w0, which must not be the minimum, along its ray to distance R > 0 from it."""
        R = checks.positive("R", R)
        if self.R == 0:
            raise InputError(f"w0 is the minimum; it cannot be moved to distance {R}.")
        return QuadraticWell(self.eigenvalues, self.w0 * (R / self.R))

    def after_gradient_flow(self, time: float) -> "QuadraticWell":
        """Burn in: move w0 to exp(-H t) w0, gradient flow for a time t in units 1 / eigenvalue."""
        time = checks.real("time", time, 0)
        return QuadraticWell(self.eigenvalues, self.w0 * np.exp(-self.eigenvalues * time))


def isotropic_direction(key: jax.Array, D: int, R: float = 1.0) -> np.ndarray:
    """Draw a starting point uniformly from the sphere of radius R, shape (D,).

    >>> abs(isotropic_direction(jax.random.key(0), 1, R=2.0))
    array([2.])
    """
    D, R = checks.integer("D", D, 1), checks.real("R", R, 0)
    return _sphere_points(checks.key(key), 1, D, R)[0]


@in_float64
def _sphere_points(key: jax.Array, count: int, D: int, R: float) -> jax.Array:
    g = jax.random.normal(key, (count, D), dtype=jnp.float64)
    return R * g / jnp.linalg.norm(g, axis=1, keepdims=True)


class ClosedForm(NamedTuple):
    """Hold what the closed form knows of S(eps) seen from w0; each field has the shape of eps.

    `mu` is the confocal coordinate of w0, 0 if w0 is in S; `kappa` = 2 eps / mu, the ridge
    parameter, infinite there. `Q` = sum of s_i = r_i^2 / (mu + r_i^2) is within 2 of the
    statistical dimension, `codimension` = D - Q the centre of the transition in d. `sigma` = sqrt(2
    sum s_i (1 - s_i)) is its width at fixed w0, `direction_sigma` what uniformly random directions
    of w0 add in squares (mean-field).

    >>> print(closed_form(QuadraticWell([1.0, 1.0], [2.0, 0.0]), 0.5).Q.round(6))
    0.5
    """

    mu: np.ndarray
    kappa: np.ndarray
    Q: np.ndarray
    codimension: np.ndarray
    sigma: np.ndarray
    direction_sigma: np.ndarray


def closed_form(well: QuadraticWell, eps: ArrayLike) -> ClosedForm:
    """Solve the confocal equation and sum up the ellipsoid as seen from w0, in O(D) per eps.

    The paper's Eq. 3.4 has R^2, always larger, for mu. Levels below about 1e-140 L(w0) are refused.

    >>> form = closed_form(QuadraticWell([1.0, 1.0], [2.0, 0.0]), 0.5)
    >>> print(form.mu.round(6), form.codimension.round(6))
    3.0 1.5
    """
    checks.instance("well", well, QuadraticWell)
    eps = checks.finite("eps", eps, None, 0, open=True)
    flat = eps.reshape(-1)
    parts = _confocal_sums(well.eigenvalues, well.w0**2, np.minimum(flat, well.initial_loss))
    inside = flat >= well.initial_loss
    if not np.isfinite([part[~inside] for part in parts]).all():
        raise InputError(f"eps is as small as {flat.min():.3g}; float64 cannot resolve it.")
    kappa, Q, codimension, variance, direction_variance = parts
    outer = 2 * flat / kappa, kappa, Q, codimension, np.sqrt(variance), np.sqrt(direction_variance)
    inner = 0.0, np.inf, float(well.D), 0.0, 0.0, 0.0
    fields = [np.where(inside, *both) for both in zip(inner, outer, strict=True)]
    return ClosedForm(*(field.reshape(eps.shape) for field in fields))


def predicted_success(well: QuadraticWell, eps: ArrayLike, d: ArrayLike) -> np.ndarray:
    """Predict the success probability P_s(d, eps) = Phi((d - D + Q) / sigma).

    d, in [0, D] and not necessarily whole, and eps broadcast. Asymptotic in D, but exact at the
    ends: 0 at d = 0 from outside S, 1 for d >= rank H.

    >>> predicted_success(QuadraticWell(np.ones(100), np.ones(100)), 25.0, [0, 50, 100])
    array([0. , 0.5, 1. ])
    """
    form = closed_form(well, eps)
    eps, d = np.asarray(eps, dtype=np.float64), checks.finite("d", d, None, 0, well.D)
    checks.broadcast(eps=eps, d=d)
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = ndtr((d - form.codimension) / form.sigma)
    probability = np.where((d <= 0) & (eps < well.initial_loss), 0.0, probability)
    return np.where((d >= well.rank) | (eps >= well.initial_loss), 1.0, probability)


def predicted_threshold(well: QuadraticWell, eps: ArrayLike, delta: float = 0.1) -> np.ndarray:
    """Predict the threshold training dimension d*(delta) = D - Q + z_{1-delta} sigma, shape of eps.

    It lies in [0, rank H], 0 where eps >= L(w0).

    >>> print(predicted_threshold(QuadraticWell(np.ones(100), np.ones(100)), 25.0).round(1))
    59.1
    """
    z = ndtri(1 - checks.probability("delta", delta))
    form = closed_form(well, eps)
    return np.clip(form.codimension + z * form.sigma, 0.0, well.rank)


def paper_angular_dimension(well: QuadraticWell, eps: ArrayLike) -> np.ndarray:
    """Evaluate Eq. 3.4, a bound on the local angular dimension, sum r_i^2 / (R^2 + r_i^2).

    D minus it is the dashed curve of Fig. 5. Of w0 only |w0| enters.

    >>> print(paper_angular_dimension(QuadraticWell([1.0, 1.0], [2.0, 0.0]), 2.0).round(6))
    1.0
    """
    checks.instance("well", well, QuadraticWell)
    eps = checks.finite("eps", eps, None, 0, open=True)
    steep = well.eigenvalues * well.R**2 / 2
    return np.array([np.sum(level / (level + steep)) for level in eps.flat]).reshape(eps.shape)


def violation(well: QuadraticWell, eps: ArrayLike, delta: float = 0.1) -> np.ndarray:
    """Tell by how much the predicted d*(delta) exceeds the paper's bound, D less Eq. 3.4.

    Below 0 where it does not; shape of eps.

    >>> print(violation(QuadraticWell(np.ones(100), np.ones(100)), 25.0).round(1))
    -7.6
    """
    return predicted_threshold(well, eps, delta) - (well.D - paper_angular_dimension(well, eps))


def largest_violation(D: ArrayLike, delta: float = 0.1) -> np.ndarray:
    """Bound by how much d*(delta) can exceed Eq. 3.4, to leading order in D, for a generic w0.

    Whatever the spectrum: 3 (z^2 / 8)^(2/3) D^(1/3), z the 1 - delta quantile of the normal law.

    >>> print(largest_violation(1000).round(1))
    10.4
    """
    z = ndtri(1 - checks.probability("delta", delta))
    return 3 * (z**2 / 8) ** (2 / 3) * checks.integers("D", D, 1) ** (1 / 3)


@in_float64
@jax.jit
def _confocal_sums(lam: jax.Array, w2: jax.Array, eps: jax.Array):
    """Return kappa, Q, D - Q, sigma^2 and the direction variance, mapped over eps."""
    weight = lam * w2

    def one(level: jax.Array):
        inverse = _confocal_root(lam, weight, jnp.sum(w2), 2 * level)
        s = 1 / (1 + lam * inverse)
        rest = lam * inverse * s
        overlap = jnp.sum(s * rest)
        # Var(mu) of a random direction, carried to Q by dQ/dmu = -overlap/mu.
        direction = overlap**2 * 2 * jnp.var(rest) / (lam.size * jnp.mean(rest**2) ** 2)
        return 1 / inverse, jnp.sum(s), jnp.sum(rest), 2 * overlap, direction

    return jax.lax.map(one, eps)


def _confocal_root(lam, weight, norm2, target):
    """Solve f(x) = sum weight / (1 + lam x) = target for x = 1/kappa by Newton's method on 1/f.

    1/f is concave and increasing, so the first step lands left of the root and the rest climb.
    """

    def newton(x):
        s = 1 / (1 + lam * x)
        f = jnp.sum(weight * s)
        slope = jnp.sum(weight * lam * s * s)
        return jnp.maximum(x + f * (f / target - 1) / slope, 0.0)

    # mu <= R^2 bounds x from above; the better of the two first steps starts the climb.
    return climb(newton, jnp.maximum(newton(jnp.zeros(())), newton(norm2 / target)))


def climb(newton: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """Repeat a Newton step, inside a jitted function, until the point stands still.

    >>> climb(lambda x: (x + 2 / x) / 2, jnp.ones(())).round(4)
    Array(1.4142, dtype=float32)
    """

    def proceed(state):
        x, previous, count = state
        return (jnp.abs(x - previous) > 1e-13 * x) & (count < _MAX_NEWTON_STEPS)

    def advance(state):
        x, _, count = state
        return newton(x), x, count + 1

    return jax.lax.while_loop(proceed, advance, (start, -jnp.ones(()), 0))[0]


def minimum_losses(
    well: QuadraticWell, key: jax.Array, runs: int, random_direction: bool = False
) -> np.ndarray:
    """Draw the exact minimum loss in nested random affine subspaces of all dimensions, (runs, D+1).

    With A a D x D Gaussian matrix and sqrt(H) A = Q R, the first d columns of A span a uniformly
    random subspace, and its minimum loss is L*(d) = 1/2 sum_{i>d} (Q^T sqrt(H) w0)_i^2. With
    `random_direction` each run has its own direction of w0, at the same distance R.

    >>> minimum_losses(QuadraticWell([1.0, 3.0], [1.0, 1.0]), jax.random.key(0), 1)[:, [0, 2]]
    array([[2., 0.]])
    """
    checks.instance("well", well, QuadraticWell)
    if not random_direction:
        return minimum_losses_from(well.eigenvalues, well.w0[None], key, runs)[:, 0]
    start_key, key = jax.random.split(checks.key(key))
    starts = _sphere_points(start_key, checks.integer("runs", runs, 1), well.D, well.R)
    return _simulate_runs(well.eigenvalues, starts[:, None, :], jax.random.split(key, runs))[:, 0]


def minimum_losses_from(
    eigenvalues: np.ndarray, starts: np.ndarray, key: jax.Array, runs: int
) -> np.ndarray:
    """Draw minimum losses from several starting points, with the same subspaces for all of them.

    `starts` is (m, D), the result (runs, m, D + 1). Differences between starts are far less noisy.

    >>> near, far = minimum_losses_from([1, 1], [[1, 1], [2, 2]], jax.random.key(0), runs=1)[0]
    >>> np.allclose(far, 4 * near)
    True
    """
    shared = checks.finite("starts", starts, ("m", "D"))
    eigenvalues = QuadraticWell(eigenvalues, shared[0]).eigenvalues
    keys = jax.random.split(checks.key(key), checks.integer("runs", runs, 1))
    return _simulate_runs(eigenvalues, np.broadcast_to(shared, (len(keys), *shared.shape)), keys)


def minimum_losses_along(well: QuadraticWell, directions: np.ndarray) -> np.ndarray:
    """Compute the exact minimum loss in the nested subspaces spanned by given directions.

    `directions` (D, m) are in the eigenbasis; entry d of the result, (m + 1,), is for the first d.

    >>> minimum_losses_along(QuadraticWell([1.0, 3.0], [1.0, 1.0]), np.eye(2)).round(6)
    array([2. , 1.5, 0. ])
    """
    checks.instance("well", well, QuadraticWell)
    directions = checks.finite("directions", directions, (well.D, "m"))
    return _along(well.eigenvalues, well.w0[None], directions)[0]


def hitting_dimensions(losses: ArrayLike, eps: ArrayLike) -> np.ndarray:
    """Find the first d, from 0 to D, at which each run reaches each loss level.

    `losses`, (..., D + 1), do not increase with d and reach every `eps`, (m,); gives (..., m).

    >>> hitting_dimensions([[3.0, 1.0, 0.5, 0.0]], [1.0, 0.1])
    array([[1, 3]])
    """
    losses, eps = checks.finite("losses", losses), checks.finite("eps", eps)
    if losses.ndim == 0 or losses.size == 0 or (np.diff(losses) > 0).any():
        raise InputError("losses must not increase along the last axis, d = 0, ..., D.")
    if eps.size and losses[..., -1].max() > eps.min():
        raise InputError(f"a run never reaches eps = {eps.min():g}; the lowest level must be hit.")
    # The count of a row's entries above eps is the first index at or below it.
    return np.apply_along_axis(lambda row: np.searchsorted(-row, -eps.reshape(-1)), -1, losses)


def success_points(
    well: QuadraticWell, times: ArrayLike, levels: ArrayLike, *, key: jax.Array, runs: int,
    points: int = 12,
) -> list[list[dict[str, list]]]:  # fmt: skip
    """Simulate fractions of successful runs after burn-in, thinned to a few d, ready for JSON.

    Entry [i][j] belongs to gradient flow for `times[i]` and to the loss `levels[j]` > 0, relative
    to that at w0: at most `points` dimensions "d" and the fractions "p" of `runs` independent runs
    with d_hit <= d. All times have the same subspaces.

    >>> success_points(QuadraticWell([1.0], [1.0]), [0.0], [0.1], key=jax.random.key(0), runs=2)
    [[{'d': [1], 'p': [1.0]}]]
    """
    checks.instance("well", well, QuadraticWell)
    times = checks.finite("times", times, ("m",), 0)
    eps = checks.finite("levels", levels, ("n",), 0, open=True) * well.initial_loss
    starts = np.stack([well.after_gradient_flow(t).w0 for t in times])
    hits = hitting_dimensions(minimum_losses_from(well.eigenvalues, starts, key, runs), eps)
    part = np.linspace(0, 1, checks.integer("points", points, 1))

    def thinned(hits):
        d = np.unique(np.quantile(hits, part, method="inverted_cdf"))
        return {"d": d.tolist(), "p": np.mean(hits <= d[:, None], axis=1).round(4).tolist()}

    return [[thinned(one) for one in at_time.T] for at_time in np.moveaxis(hits, 1, 0)]


@with_lapack
@jax.jit
def _simulate_runs(lam: jax.Array, starts: jax.Array, keys: jax.Array) -> jax.Array:
    def one(run):
        points, key = run
        directions = jax.random.normal(key, (lam.size, lam.size), dtype=lam.dtype)
        return _nested_minimum_losses(lam, points, directions)

    return jax.lax.map(one, (starts, keys))


def _nested_minimum_losses(lam: jax.Array, starts: jax.Array, directions: jax.Array) -> jax.Array:
    """Return (starts, m + 1) minimum losses in the spans of the first 0..m directions."""
    m = directions.shape[1]
    # Appending sqrt(H) w0 as extra columns makes R carry Q^T sqrt(H) w0: Q is never formed.
    columns = jnp.sqrt(lam)[:, None] * jnp.concatenate([directions, starts.T], axis=1)
    triangle = jnp.linalg.qr(columns, mode="r")
    squares = jnp.pad(jnp.square(triangle[:, m:].T), ((0, 0), (0, 1)))
    tails = jnp.flip(jnp.cumsum(jnp.flip(squares, axis=1), axis=1), axis=1)
    return 0.5 * tails[:, : m + 1]


_along = with_lapack(jax.jit(_nested_minimum_losses))


def bimodal_spectrum(
    D: int, small: float = 1e-3, large: float = 1.0, share: float = 0.5
) -> np.ndarray:
    """Make an ascending spectrum of two values, `share` in [0, 1] of them small (Fig. 5, top row).

    >>> bimodal_spectrum(3)
    array([0.001, 1.   , 1.   ])
    """
    D, small = checks.integer("D", D, 1), checks.real("small", small, 0)
    soft = int(checks.real("share", share, 0, 1) * D + 1e-9)
    return np.repeat([small, checks.real("large", large, small)], [soft, D - soft])


def log_uniform_spectrum(D: int, low: float = 1e-3, high: float = 10.0) -> np.ndarray:
    """Make a continuous spectrum, uniform in log eigenvalue (bottom row of Fig. 5), ascending.

    >>> log_uniform_spectrum(5)
    array([1.e-03, 1.e-02, 1.e-01, 1.e+00, 1.e+01])
    """
    D, low = checks.integer("D", D, 1), checks.positive("low", low)
    return np.geomspace(low, checks.real("high", high, low), D)


def marchenko_pastur_spectrum(D: int, ratio: float = 0.5) -> np.ndarray:
    """Make the (i - 1/2)/D quantiles of the Marchenko-Pastur law, the spectrum of a covariance.

    Its density is sqrt((b - x)(x - a)) / (2 pi ratio x) between a, b = (1 -+ sqrt(ratio))^2;
    `ratio`, in (0, 1], is parameters per sample.

    >>> marchenko_pastur_spectrum(4, ratio=0.25).round(2)
    array([0.43, 0.74, 1.12, 1.68])
    """
    D, ratio = checks.integer("D", D, 1), checks.real("ratio", ratio, 0, 1, open="left")
    # x = 1 + ratio - 2 sqrt(ratio) cos(phi) removes the square-root ends of the density.
    phi = np.linspace(0, np.pi, max(20_001, 4 * D + 1))
    x = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(phi)
    # In phi the density is sin^2 / x up to a constant; at ratio = 1 it tends to 1 as x -> 0.
    density = np.divide(np.square(np.sin(phi)), x, out=np.ones_like(x), where=x > 0)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp((np.arange(D) + 0.5) / D, mass / mass[-1], x)
