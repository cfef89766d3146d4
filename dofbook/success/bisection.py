"""Where an initialization first succeeds on a grid of d, d_hit, and the interval on d* from many.

d* at failure probability delta is the 1 - delta quantile of d_hit over initializations. In its
interval log2 d_hit is normal: (quantile - mean) / s is a multiple of a noncentral t variable.
`values` are (dims, runs), a column being one initialization at every d, NaN a failure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import nct, norm

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import Arrays, Way, check_dims, check_levels, check_runs
from dofbook.success.probability import success_indicator
from dofbook.success.thresholds import Threshold, phase_boundary


@dataclass
class Search:
    """Find the first success on a grid of n points by galloping from a guess, then bisecting.

    Points are numbered from 0. Success must be monotone, as in nested subspaces.

    >>> grid = [1, 2, 4, 8, 16, 32]
    >>> found = Search(len(grid)).run(lambda point: grid[point] >= 7, guess=1)
    >>> grid[found.succeeded], grid[found.failed], len(found.outcomes)
    (8, 4, 4)
    """

    n: int
    outcomes: dict[int, bool] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.n = checks.integer("n", self.n, 1)

    @property
    def succeeded(self) -> int:
        """Smallest point known to succeed; n if there is none."""
        return min((point for point, success in self.outcomes.items() if success), default=self.n)

    @property
    def failed(self) -> int:
        """Largest point below it known to fail; -1 if there is none."""
        failures = (point for point, success in self.outcomes.items() if not success)
        return max((point for point in failures if point < self.succeeded), default=-1)

    @property
    def done(self) -> bool:
        """Whether the first success is known."""
        return self.succeeded - self.failed <= 1

    def tell(self, point: int, success: bool) -> None:
        """Take the outcome at a point, whether it was asked for or not."""
        if not isinstance(success, bool | np.bool_):
            raise InputError("success must be True or False.")
        self.outcomes[checks.integer("point", point, 0, self.n - 1)] = bool(success)

    def ask(self, guess: int) -> int:
        """Choose the next point: the guess, moved onto the grid, doubling steps, bisection."""
        guess = min(max(checks.integer("guess", guess, None), 0), self.n - 1)
        failed, succeeded = self.failed, self.succeeded
        if failed >= 0 and succeeded < self.n:
            return (failed + succeeded) // 2
        if failed < guess < succeeded:
            return guess
        if succeeded == self.n:
            return min(2 * failed - guess + 1, self.n - 1)
        return max(2 * succeeded - guess - 1, 0)

    def run(self, succeeds: Callable[[int], bool], guess: int) -> "Search":
        """Ask `succeeds(point)` to find the first success, about 2 log2 |guess - it| times."""
        checks.function("succeeds", succeeds)
        checks.integer("guess", guess, None)
        while not self.done:
            point = self.ask(guess)
            self.tell(point, succeeds(point))
        return self


def quantile_interval(
    grid: ArrayLike, hits: ArrayLike, delta: float, confidence: float = 0.95
) -> Threshold:
    """Estimate d*, the 1 - delta quantile of d_hit, with its interval.

    `hits` holds the point of the grid at which each initialization, two or more, first succeeded,
    and len(grid) where none did. d* comes from the geometric middles of the grid steps that these
    close, the interval's ends from the steps' ends; the spread is at least that of a uniform law in
    a step. Where an initialization never succeeded, value and upper end are inf; where one
    succeeded at the grid's start, the lower end is that.

    >>> quantile_interval([8, 16, 32, 64], [1, 2, 2, 1, 2], delta=0.5)
    17.1 [<= 8, 38.9]
    """
    dims = check_dims(grid)
    points = checks.integers("hits", hits, 0, len(dims))
    if points.ndim != 1 or len(points) < 2:
        raise InputError("an interval needs at least 2 initializations, one entry of hits each.")
    delta = checks.probability("delta", delta)
    confidence = checks.probability("confidence", confidence)
    capped = np.minimum(points, len(dims) - 1)
    steps = np.log2(dims[capped] / dims[np.maximum(capped - 1, 0)])
    logs = np.log2(dims[capped]) - steps / 2
    mean, n = logs.mean(), len(logs)
    s = math.sqrt(max(logs.var(ddof=1), (steps**2).mean() / 12))
    z = norm.ppf(1 - delta)
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = (nct.ppf(tail, n - 1, z * math.sqrt(n)) / math.sqrt(n) for tail in tails)
    unknown = steps.mean() / 2 * np.array([-1, 0, 1])
    ends = np.exp2(mean + unknown + s * np.array([low, z, high]))
    lower, value, upper = np.where(ends > dims[-1], np.inf, np.maximum(ends, dims[0]))
    if (points >= len(dims)).any():
        value = upper = np.inf
        lower = min(lower, dims[-1])
    if (points == 0).any():
        lower = dims[0]
    value, first, last, low, high = map(float, (value, dims[0], dims[-1], lower, upper))
    return Threshold(value, first, last, low, high, confidence)


def hit_threshold(hits: ArrayLike, delta: float = 0.1) -> np.ndarray:
    """Read d* off first hits, (runs, ...): the least d by which 1 - delta of the runs have hit.

    >>> print(hit_threshold([[8, 40], [9, 30], [16, 80]], delta=0.4))
    [ 9 40]
    """
    found = phase_boundary(checks.array("hits", hits)[None], delta, kind="loss")[0]
    return found.astype(np.asarray(hits).dtype)


def threshold_band(
    dims: ArrayLike, values: ArrayLike, levels: ArrayLike, *, kind: Way, delta: float = 0.1,
    confidence: float = 0.95,
) -> Arrays:  # fmt: skip
    """Bound d* at each level by `quantile_interval` of two or more runs' hits: two ends (levels,).

    >>> values = [[0.9, 0.7, 0.8], [0.4, 0.6, 0.3], [0.2, 0.2, 0.1]]
    >>> threshold_band([16, 32, 64], values, 0.75, kind="loss", delta=0.5)[1].round()
    array([42.])
    """
    hits = [hit_dimensions(dims, values, level, kind=kind) for level in check_levels(levels)]
    points = (np.searchsorted(check_dims(dims), one) for one in hits)
    found = [quantile_interval(dims, one, delta, confidence) for one in points]
    return np.array([each.lower for each in found]), np.array([each.upper for each in found])


def quantile_error(sigma: ArrayLike, runs: int, delta: float = 0.1) -> np.ndarray:
    """Compute the standard error, to leading order, of the 1 - delta quantile of normal d_hit.

    `sigma`, of any shape, is their standard deviation.

    >>> print(quantile_error(1.0, runs=100, delta=0.5).round(3))
    0.125
    """
    delta, runs = checks.probability("delta", delta), checks.integer("runs", runs, 1)
    spread = np.sqrt(delta * (1 - delta) / runs) / norm.pdf(norm.ppf(delta))
    return checks.finite("sigma", sigma, None, 0) * spread


def reach(threshold: Threshold) -> float:
    """Measure how far an interval reaches from d*, in octaves; inf where an end is not known.

    >>> reach(Threshold(64, 1, 512, lower=16, upper=128, confidence=0.95))
    2.0
    """
    checks.instance("threshold", threshold, Threshold)
    ends = np.array([threshold.lower, threshold.value, threshold.upper])
    return float(np.abs(np.diff(np.log2(ends))).max()) if np.isfinite(ends).all() else math.inf


def hit_dimensions(
    dims: ArrayLike, values: ArrayLike, level: float, *, kind: Way, interpolate: bool = False
) -> np.ndarray:
    """Find d_hit of each run: the smallest d of the grid at which it reached the level, or inf.

    With `interpolate` it lies between that point and the one before: straight, in log d and in the
    accuracy or the logarithm of the loss. A run that reaches the level at once has the smallest d.

    >>> values = [[0.6, 0.4], [0.8, 0.9]]
    >>> hit_dimensions([16, 64], values, 0.7, kind="accuracy", interpolate=True).round()
    array([32., 37.])
    """
    grid, array, _ = check_runs(dims, values, None)
    reached = success_indicator(array, checks.real("level", level), kind=kind)[:, :, 0]
    first, runs = reached.argmax(axis=0), np.arange(array.shape[1])
    found = grid[first]
    if interpolate:
        x, before = np.log2(grid), np.maximum(first - 1, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            y, goal = (np.log(array), np.log(level)) if kind == "loss" else (array, level)
            low, high = y[before, runs], y[first, runs]
            part = (goal - low) / (high - low)
        # A diverged run before the hit, or a loss of 0 at it, leaves nothing to interpolate.
        part = np.where(np.isfinite(low) & np.isfinite(high), np.clip(part, 0, 1), 1.0)
        between = 2.0 ** (x[before] + part * (x[first] - x[before]))
        found = np.where(first == 0, found, between)
    return np.where(reached.any(axis=0), found, np.inf)
