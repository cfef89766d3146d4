"""The quadratic well L(w) = 1/2 w^T H w: exact simulation and a closed form (Section 3.2).

The sublevel set S(eps) is an ellipsoid with squared radii r_i^2 = 2 eps / lambda_i. A random
d-dimensional affine subspace through w0 hits it or misses it; `minimum_losses` decides exactly,
with one QR factorization a run, and `closed_form` predicts the answer from one scalar equation.

Everything lives in the eigenbasis of H, so a well is two vectors: the eigenvalues and w0's
coordinates. The scalar equation is written in kappa = 2 eps / mu, where mu is the confocal
coordinate of w0 (sum_i w0_i^2 / (mu + r_i^2) = 1): it then reads

    eps = 1/2 sum_i lambda_i w0_i^2 kappa / (lambda_i + kappa),

which needs no radii, so zero eigenvalues (infinite radii) are ordinary numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from dofbook.errors import InputError
from dofbook.geometry.precision import in_float64
from dofbook.geometry.threads import one_blas_thread

_MAX_NEWTON_STEPS = 200


@dataclass(frozen=True, eq=False)
class QuadraticWell:
    """A quadratic loss and a starting point, in the eigenbasis of its Hessian.

    Attributes:
        eigenvalues: (D,) eigenvalues of H, none negative.
        w0: (D,) coordinates of the starting point along the eigenvectors.
    """

    eigenvalues: np.ndarray
    w0: np.ndarray

    def __post_init__(self) -> None:
        eigenvalues = np.array(self.eigenvalues, dtype=np.float64)
        w0 = np.array(self.w0, dtype=np.float64)
        if eigenvalues.ndim != 1 or eigenvalues.size == 0 or eigenvalues.shape != w0.shape:
            raise InputError(
                f"eigenvalues and w0 have shapes {eigenvalues.shape} and {w0.shape}; "
                "both must be (D,) with the same D >= 1"
            )
        if not (np.isfinite(eigenvalues).all() and np.isfinite(w0).all()):
            raise InputError("eigenvalues and w0 must be finite numbers")
        if eigenvalues.min() < 0:
            raise InputError(
                f"the smallest eigenvalue is {eigenvalues.min():.3g}; a quadratic well has none "
                "below zero (its sublevel sets would not be ellipsoids)"
            )
        for array in (eigenvalues, w0):
            array.setflags(write=False)
        object.__setattr__(self, "eigenvalues", eigenvalues)
        object.__setattr__(self, "w0", w0)

    @classmethod
    def from_hessian(cls, hessian: np.ndarray, w0: np.ndarray) -> "QuadraticWell":
        """Diagonalize H and rotate w0 into its eigenbasis.

        Args:
            hessian: (D, D) symmetric positive semidefinite matrix.
            w0: (D,) starting point in the original coordinates.

        Returns:
            The well; eigenvalues that are negative only by rounding are set to zero.

        Raises:
            InputError: if H is not symmetric, or has a negative eigenvalue.
        """
        hessian = np.asarray(hessian, dtype=np.float64)
        if hessian.ndim != 2 or not np.allclose(hessian, hessian.T, rtol=1e-10, atol=0):
            raise InputError(f"the Hessian (shape {hessian.shape}) must be a symmetric matrix")
        eigenvalues, vectors = np.linalg.eigh(hessian)
        rounding = len(eigenvalues) * np.finfo(float).eps * np.abs(eigenvalues).max()
        eigenvalues[np.abs(eigenvalues) <= rounding] = 0.0
        return cls(eigenvalues, vectors.T @ np.asarray(w0, dtype=np.float64))

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
        """Move w0 along its ray to distance R from the minimum.

        Args:
            R: the new distance, above zero.

        Returns:
            The same well with the new starting point.

        Raises:
            InputError: if R is not positive or w0 is the minimum.
        """
        if not R > 0 or self.R == 0:
            raise InputError(f"cannot place w0 (now at distance {self.R:.3g}) at distance {R}")
        return QuadraticWell(self.eigenvalues, self.w0 * (R / self.R))

    def after_gradient_flow(self, time: float) -> "QuadraticWell":
        """Burn in: follow gradient flow dw/dt = -H w from w0 for the given time.

        Args:
            time: duration t >= 0, in units of 1 / eigenvalue.

        Returns:
            The same well started from w_t = exp(-H t) w0.

        Raises:
            InputError: if the time is negative.
        """
        if not time >= 0:
            raise InputError(f"burn-in time is {time}; it must be at least 0")
        return QuadraticWell(self.eigenvalues, self.w0 * np.exp(-self.eigenvalues * time))


def isotropic_direction(key: jax.Array, D: int, R: float = 1.0) -> np.ndarray:
    """Draw a starting point uniformly from the sphere of radius R.

    Args:
        key: JAX PRNG key.
        D: number of parameters.
        R: radius.

    Returns:
        (D,) point.
    """
    return _sphere_points(key, 1, D, R)[0]


@in_float64
def _sphere_points(key: jax.Array, count: int, D: int, R: float) -> jax.Array:
    g = jax.random.normal(key, (count, D), dtype=jnp.float64)
    return R * g / jnp.linalg.norm(g, axis=1, keepdims=True)


# --- the closed form -----------------------------------------------------------------------


class ClosedForm(NamedTuple):
    """What the closed form knows about S(eps) seen from w0; every field has the shape of eps.

    Attributes:
        mu: confocal coordinate of w0, root of sum_i w0_i^2 / (mu + r_i^2) = 1; 0 if w0 is in S.
        kappa: 2 eps / mu, the ridge parameter; infinite if w0 is in S.
        Q: sum of s_i = r_i^2 / (mu + r_i^2); within 2 of the statistical dimension.
        codimension: D - Q, the centre of the transition in d, computed without cancellation.
        sigma: sqrt(2 sum s_i (1 - s_i)), the width of the transition in d at fixed w0.
        direction_sigma: spread of the centre when the direction of w0 is uniformly random
            (mean-field; the two spreads add in squares).
    """

    mu: np.ndarray
    kappa: np.ndarray
    Q: np.ndarray
    codimension: np.ndarray
    sigma: np.ndarray
    direction_sigma: np.ndarray


def closed_form(well: QuadraticWell, eps: np.ndarray | float) -> ClosedForm:
    """Solve the confocal equation and sum up the ellipsoid as seen from w0, in O(D) per eps.

    The centre solves sum_i w0_i^2 / (mu + r_i^2) = 1; Eq. 3.4 of the paper is the same sum with
    mu replaced by R^2, which is always larger.

    Args:
        well: the loss and its starting point.
        eps: loss level(s) above zero, scalar or any shape.

    Returns:
        The centre and widths of the transition, for every eps.

    Raises:
        InputError: if an eps is not positive.
    """
    eps = _positive(eps)
    flat = eps.reshape(-1)
    parts = _solve_confocal(well.eigenvalues, well.w0**2, np.minimum(flat, well.initial_loss))
    kappa, Q, codimension, variance, direction_variance = parts
    inside = flat >= well.initial_loss
    fields = ClosedForm(
        mu=np.where(inside, 0.0, 2 * flat / kappa),
        kappa=np.where(inside, np.inf, kappa),
        Q=np.where(inside, float(well.D), Q),
        codimension=np.where(inside, 0.0, codimension),
        sigma=np.where(inside, 0.0, np.sqrt(variance)),
        direction_sigma=np.where(inside, 0.0, np.sqrt(direction_variance)),
    )
    return ClosedForm(*(field.reshape(eps.shape) for field in fields))


def predicted_success(
    well: QuadraticWell,
    eps: np.ndarray | float,
    d: np.ndarray | int,
    random_direction: bool = False,
) -> np.ndarray:
    """Predict the success probability P_s(d, eps) = Phi((d - D + Q) / sigma).

    Asymptotic in D, so at small D the curves of two eps may cross. The two ends are exact: a
    point (d = 0) hits S only from inside, and d >= rank H reaches the minimum with probability
    one.

    Args:
        well: the loss and its starting point.
        eps: loss level(s) above zero.
        d: training dimension(s) from 0 to D; broadcast against eps.
        random_direction: average over a uniformly random direction of w0; only R = |w0| enters.

    Returns:
        Probabilities, in the broadcast shape of eps and d.

    Raises:
        InputError: if an eps is not positive.
    """
    well = _typical_direction(well) if random_direction else well
    form = closed_form(well, eps)
    eps, d = np.asarray(eps, dtype=np.float64), np.asarray(d)
    sigma = _total_sigma(form, random_direction)
    with np.errstate(divide="ignore", invalid="ignore"):
        probability = ndtr((d - form.codimension) / sigma)
    probability = np.where((d <= 0) & (eps < well.initial_loss), 0.0, probability)
    return np.where((d >= well.rank) | (eps >= well.initial_loss), 1.0, probability)


def predicted_threshold(
    well: QuadraticWell,
    eps: np.ndarray | float,
    delta: float = 0.1,
    random_direction: bool = False,
) -> np.ndarray:
    """Predict the threshold training dimension d*(delta) = D - Q + z_{1-delta} sigma.

    Args:
        well: the loss and its starting point.
        eps: loss level(s) above zero.
        delta: allowed failure probability (the paper uses 0.1).
        random_direction: average over a uniformly random direction of w0; only R = |w0| enters.

    Returns:
        Real-valued thresholds between 0 and rank H, in the shape of eps; 0 where eps >= L(w0).

    Raises:
        InputError: if an eps is not positive or delta is not strictly between 0 and 1.
    """
    if not 0 < delta < 1:
        raise InputError(f"delta is {delta}; it must lie strictly between 0 and 1")
    well = _typical_direction(well) if random_direction else well
    form = closed_form(well, eps)
    threshold = form.codimension + ndtri(1 - delta) * _total_sigma(form, random_direction)
    return np.clip(threshold, 0.0, well.rank)


def paper_angular_dimension(well: QuadraticWell, eps: np.ndarray | float) -> np.ndarray:
    """Evaluate the paper's bound on the local angular dimension, sum r_i^2 / (R^2 + r_i^2).

    This is Eq. 3.4; D minus it is the dashed curve of Fig. 5.

    Args:
        well: the loss and its starting point; only |w0| enters.
        eps: loss level(s) above zero.

    Returns:
        The sum, in the shape of eps.

    Raises:
        InputError: if an eps is not positive.
    """
    eps = _positive(eps)
    if well.R == 0:
        return np.full(eps.shape, float(well.D))
    sums = _shrinkage_sums(well.eigenvalues, 2 * eps.reshape(-1) / well.R**2)
    return sums.reshape(eps.shape)


def _positive(eps: np.ndarray | float) -> np.ndarray:
    eps = np.asarray(eps, dtype=np.float64)
    if not (np.isfinite(eps).all() and (eps > 0).all()):
        raise InputError("every loss level eps must be a finite number above zero")
    return eps


def _total_sigma(form: ClosedForm, random_direction: bool) -> np.ndarray:
    return np.hypot(form.sigma, form.direction_sigma) if random_direction else form.sigma


def _typical_direction(well: QuadraticWell) -> QuadraticWell:
    """Replace w0_i^2 by its mean R^2 / D over directions."""
    return QuadraticWell(well.eigenvalues, np.full(well.D, well.R / np.sqrt(well.D)))


@in_float64
def _shrinkage_sums(eigenvalues: np.ndarray, kappa: np.ndarray) -> jax.Array:
    return _sum_shrinkage(jnp.asarray(eigenvalues), jnp.asarray(kappa))


@jax.jit
def _sum_shrinkage(lam: jax.Array, kappa: jax.Array) -> jax.Array:
    return jax.lax.map(lambda k: jnp.sum(k / (lam + k)), kappa)


@in_float64
def _solve_confocal(eigenvalues: np.ndarray, w0_squared: np.ndarray, eps: np.ndarray):
    return _confocal_sums(jnp.asarray(eigenvalues), jnp.asarray(w0_squared), jnp.asarray(eps))


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

    1/f is concave and increasing (f is a Stieltjes function), so a Newton step from anywhere
    lands left of the root, and from there the steps climb to it monotonically: no bracketing.
    """

    def newton(x):
        s = 1 / (1 + lam * x)
        f = jnp.sum(weight * s)
        slope = jnp.sum(weight * lam * s * s)
        return jnp.maximum(x + f * (f / target - 1) / slope, 0.0)

    def proceed(state):
        x, previous, count = state
        return (jnp.abs(x - previous) > 1e-13 * x) & (count < _MAX_NEWTON_STEPS)

    def advance(state):
        x, _, count = state
        return newton(x), x, count + 1

    # mu <= R^2 bounds x from above; the better of the two first steps starts the climb.
    start = jnp.maximum(newton(jnp.zeros(())), newton(norm2 / target))
    return jax.lax.while_loop(proceed, advance, (start, -jnp.ones(()), 0))[0]


# --- exact simulation ----------------------------------------------------------------------


def minimum_losses(
    well: QuadraticWell, key: jax.Array, runs: int, random_direction: bool = False
) -> np.ndarray:
    """Draw the exact minimum loss in random affine subspaces of every dimension at once.

    With A a D x D Gaussian matrix and sqrt(H) A = Q R, the first d columns of A span a uniformly
    random d-dimensional subspace and its minimum loss is 1/2 sum_{i>d} (Q^T sqrt(H) w0)_i^2. One
    factorization therefore gives L*(d) for all d, without gradient descent and without
    subtracting large numbers. Within a run the subspaces are nested; at each single d the law is
    exactly that of an independent draw.

    Args:
        well: the loss and its starting point.
        key: JAX PRNG key.
        runs: number of independent runs.
        random_direction: draw a new direction of w0 for each run, at the same distance R.

    Returns:
        (runs, D + 1) minimum losses; column d is L*(d), so column 0 is L(w0).

    Raises:
        InputError: if runs is not positive.
    """
    if random_direction:
        start_key, key = jax.random.split(key)
        starts = _sphere_points(start_key, _count(runs), well.D, well.R)
        return _simulate(well.eigenvalues, starts[:, None, :], key)[:, 0]
    return minimum_losses_from(well.eigenvalues, well.w0[None], key, runs)[:, 0]


def minimum_losses_from(
    eigenvalues: np.ndarray, starts: np.ndarray, key: jax.Array, runs: int
) -> np.ndarray:
    """Draw minimum losses from several starting points, with the same subspaces for all of them.

    Common directions make differences between starts (burn-in times, say) far less noisy than
    independent ones would.

    Args:
        eigenvalues: (D,) eigenvalues of H, none negative.
        starts: (m, D) starting points in the eigenbasis.
        key: JAX PRNG key.
        runs: number of independent runs.

    Returns:
        (runs, m, D + 1) minimum losses L*(d), d = 0..D.

    Raises:
        InputError: if runs is not positive, or a start and the eigenvalues do not match.
    """
    wells = [QuadraticWell(eigenvalues, start) for start in np.atleast_2d(starts)]
    shared = np.stack([well.w0 for well in wells])
    return _simulate(
        wells[0].eigenvalues, np.broadcast_to(shared, (_count(runs), *shared.shape)), key
    )


def minimum_losses_along(well: QuadraticWell, directions: np.ndarray) -> np.ndarray:
    """Compute the exact minimum loss in the nested subspaces spanned by given directions.

    Args:
        well: the loss and its starting point.
        directions: (D, m) matrix A in the eigenbasis; its first d columns span the d-th subspace.

    Returns:
        (m + 1,) minimum losses over w0 + span of the first d columns, d = 0..m.

    Raises:
        InputError: if A does not have D rows.
    """
    directions = np.asarray(directions, dtype=np.float64)
    if directions.ndim != 2 or directions.shape[0] != well.D:
        raise InputError(f"directions have shape {directions.shape}; it must be (D = {well.D}, m)")
    return _along(well.eigenvalues, well.w0, directions)


@in_float64
def _along(eigenvalues: np.ndarray, w0: np.ndarray, directions: np.ndarray) -> jax.Array:
    return _nested_minimum_losses(
        jnp.asarray(eigenvalues), jnp.asarray(w0)[None], jnp.asarray(directions)
    )[0]


def hitting_dimensions(losses: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """Find the first d at which each run reaches each loss level.

    Args:
        losses: (..., D + 1) minimum losses, non-increasing along the last axis.
        eps: (m,) loss levels.

    Returns:
        (..., m) integers d_hit from 0 to D.
    """
    losses, eps = np.asarray(losses), np.asarray(eps)
    flat = losses.reshape(-1, losses.shape[-1])
    # Non-increasing rows: the count of entries above eps is the first index at or below it.
    hits = np.stack([np.searchsorted(-row, -eps, side="left") for row in flat])
    return np.minimum(hits, losses.shape[-1] - 1).reshape(*losses.shape[:-1], eps.size)


def _count(runs: int) -> int:
    if runs < 1:
        raise InputError(f"runs is {runs}; at least one is needed")
    return int(runs)


@in_float64
def _simulate(eigenvalues: np.ndarray, starts: np.ndarray, key: jax.Array) -> jax.Array:
    keys = jax.random.split(key, starts.shape[0])
    with one_blas_thread():
        losses = _simulate_runs(jnp.asarray(eigenvalues), jnp.asarray(starts), keys)
        return jax.block_until_ready(losses)


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


# --- spectra -------------------------------------------------------------------------------


def bimodal_spectrum(D: int, small: float = 1e-3, large: float = 1.0) -> np.ndarray:
    """Make a spectrum of two values, half of the eigenvalues each (top row of Fig. 5).

    Args:
        D: number of parameters.
        small: value of the D // 2 smallest eigenvalues.
        large: value of the others.

    Returns:
        (D,) eigenvalues in ascending order.
    """
    return np.repeat([float(small), float(large)], [D // 2, D - D // 2])


def log_uniform_spectrum(D: int, low: float = 1e-3, high: float = 10.0) -> np.ndarray:
    """Make a continuous spectrum, uniform in log eigenvalue (bottom row of Fig. 5).

    Args:
        D: number of parameters.
        low: smallest eigenvalue.
        high: largest eigenvalue.

    Returns:
        (D,) eigenvalues in ascending order, equally spaced in their logarithm.
    """
    return np.geomspace(low, high, D)


def marchenko_pastur_spectrum(D: int, ratio: float = 0.5) -> np.ndarray:
    """Make the quantiles of the Marchenko-Pastur law, the spectrum of a sample covariance.

    The law has density sqrt((b - x)(x - a)) / (2 pi ratio x) between a, b = (1 -+ sqrt(ratio))^2.

    Args:
        D: number of parameters.
        ratio: parameters per sample, between 0 and 1 (1 included).

    Returns:
        (D,) eigenvalues in ascending order: the (i - 1/2)/D quantiles.

    Raises:
        InputError: if the ratio is not in (0, 1].
    """
    if not 0 < ratio <= 1:
        raise InputError(f"the Marchenko-Pastur ratio is {ratio}; it must lie in (0, 1]")
    # x = 1 + ratio - 2 sqrt(ratio) cos(phi) removes the square-root ends of the density.
    phi = np.linspace(0, np.pi, max(20_001, 4 * D + 1))
    x = 1 + ratio - 2 * np.sqrt(ratio) * np.cos(phi)
    # In phi the density is sin^2 / x up to a constant; at ratio = 1 it tends to 1 as x -> 0.
    density = np.divide(np.square(np.sin(phi)), x, out=np.ones_like(x), where=x > 0)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp((np.arange(D) + 0.5) / D, mass / mass[-1], x)
