"""Threshold training dimension d*(eps, t, delta): where the success probability crosses 1 - delta.

Definition 2.1 of the paper: the minimal d with P_s(d, eps, t) >= 1 - delta. Outside the grid of d
it is inf where no d succeeds ("> d_max"), d_min where the smallest one already does ("<= d_min").
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import WAYS, Arrays, Way, check_grid_counts, check_runs
from dofbook.success.probability import success_counts, wilson_interval

Interval = Literal["inverted"]

SLACK = 1e-9  # on probabilities: 1 - 0.1 and 9/10 are not the same float


@dataclass(frozen=True, repr=False)
class Threshold:
    """Hold a threshold training dimension d* with its censoring and interval.

    `value`, `lower` and `upper` are inf above the grid from `d_min` to `d_max`, and d_min at or
    below its start; the ends are NaN without an interval, `confidence` its intended coverage.

    >>> Threshold(64, 1, 512, lower=45, upper=91, confidence=0.95), Threshold(math.inf, 1, 512)
    (64 [45, 91], > 512)
    """

    value: float
    d_min: float
    d_max: float
    lower: float = math.nan
    upper: float = math.nan
    confidence: float | None = None

    def __post_init__(self):
        checks.positive("d_min", self.d_min)
        checks.real("d_max", self.d_max, self.d_min)
        for name in ("value", "lower", "upper"):
            number = float(checks.array(name, getattr(self, name), ()))
            if math.isfinite(number) and not self.d_min <= number <= self.d_max:
                grid = f"[{self.d_min}, {self.d_max}]"
                raise InputError(f"{name} is {number}; it must lie in {grid} or be inf.")
        if math.isnan(self.value):
            raise InputError("value is NaN; a threshold that was not reached is inf.")
        if self.confidence is not None:
            checks.probability("confidence", self.confidence)

    @property
    def censored(self) -> Literal["none", "above", "below"]:
        """Whether d* lies above the grid, at or below its start, or inside."""
        if math.isinf(self.value):
            return "above"
        return "below" if self.value <= self.d_min else "none"

    def value_text(self) -> str:
        """Write the value alone: "64", "> 4096" or "<= 1"."""
        return self._describe(self.value)

    def interval_text(self) -> str:
        """Write the interval, such as "[48, > 4096]"; empty without one."""
        if self.confidence is None:
            return ""
        return f"[{self._describe(self.lower)}, {self._describe(self.upper)}]"

    def __repr__(self) -> str:
        return f"{self.value_text()} {self.interval_text()}".rstrip()

    def _describe(self, number: float) -> str:
        if math.isnan(number):
            return "?"
        sign = "> " if math.isinf(number) else "<= " if number <= self.d_min else ""
        number = min(number, self.d_max)
        whole = number >= 100 or float(number).is_integer()
        return f"{sign}{number:.0f}" if whole else f"{sign}{number:.3g}"


def required_successes(runs: ArrayLike, delta: float) -> np.ndarray:
    """Count how many of the runs must succeed for P_s >= 1 - delta, at least 1, shape of runs.

    The paper lets "all but one" run succeed and prints delta = 0.33 for 3 runs (Fig. 8), which read
    literally asks for all 3. Pass delta = 1 / runs for the rule.

    >>> required_successes([10, 5, 3], 0.1)
    array([9, 5, 3])
    """
    level = 1 - checks.probability("delta", delta) - SLACK
    return np.maximum(np.ceil(level * checks.integers("runs", runs)), 1).astype(int)


def selected_probability(runs: ArrayLike, delta: float) -> np.ndarray:
    """Compute the P with P(Binomial(runs, P) >= required successes) = 1/2, shape of runs.

    There "P_s >= 1 - delta" is met in half of all cases: 0.84 for 9 of 10 runs, 0.50 for 2 of 3.

    >>> print(selected_probability(10, 0.1).round(2))
    0.84
    """
    needed = required_successes(runs, delta)
    return betaincinv(needed, checks.integers("runs", runs, 1) - needed + 1, 0.5)


def first_threshold(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float
) -> np.ndarray:
    """Apply the paper's Definition 2.1: the smallest d of the grid with P_s >= 1 - delta, else inf.

    `successes` has shape (dims, ...), `runs` that shape, (dims,) or (); the result has the rest of
    it, (...). Dimensions with 0 runs never succeed.

    >>> print(first_threshold([16, 32, 64], [4, 9, 10], 10, delta=0.1))
    32.0
    """
    grid, k, n = check_grid_counts(dims, successes, runs)
    met = k >= required_successes(n, delta)
    return np.where(met.any(axis=0), grid[met.argmax(axis=0)], np.inf)


def phase_boundary(
    values: ArrayLike, delta: float, *, kind: Way, present: ArrayLike | None = None
) -> np.ndarray:
    """Find the best level with d* <= d, for every d: Definition 2.1 read the other way.

    d*(level) <= d exactly if the boundary at d is at least as good as the level, so it traces the
    curves of Figs. 2 and 3 of the paper without a grid of levels. `values` has shape (dims, runs,
    ...), d increasing, NaN counting as failure, and `present` marks the runs that were made; the
    result has shape (dims, ...): -inf (inf for a loss) where diverged runs leave no level.

    >>> phase_boundary([[0.9, 0.7], [0.4, 0.5]], 0.1, kind="loss")
    array([0.9, 0.5])
    """
    checks.choice("kind", kind, WAYS)
    array = checks.array("values", values)
    mask = np.ones(array.shape) if present is None else checks.finite("present", present)
    if array.ndim < 2 or array.size == 0 or mask.shape != array.shape:
        shapes = f"values have shape {array.shape}, present {mask.shape}"
        raise InputError(f"{shapes}; both must be (dims, runs, ...), at least one of each.")
    mask, sign = mask.astype(bool), 1.0 if kind == "loss" else -1.0
    # Best first; failures and absent runs last, so that rank k counts successes only.
    cost = np.sort(np.where(mask & ~np.isnan(array), sign * array, np.inf), axis=1)
    rank = required_successes(mask.sum(axis=1, keepdims=True), delta) - 1
    reached = np.take_along_axis(cost, rank, axis=1)[:, 0]
    return sign * np.minimum.accumulate(reached, axis=0)


def isotonic_threshold(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float, *,
    interpolate: bool = False,
) -> np.ndarray:  # fmt: skip
    """Read d* off the isotonic curve, for many curves at once: inf where it stays below 1 - delta.

    `first_threshold`, whose shapes it has, reads low where a noisy curve crosses 1 - delta several
    times; the most likely probabilities that increase with d (Barlow et al., 1972, "Statistical
    inference under order restrictions") cross once. With `interpolate` they are crossed linearly in
    log2 d between grid points, instead of at the smallest d of the grid that reaches 1 - delta.

    >>> print(isotonic_threshold([4, 8, 16, 32, 64], [1, 4, 6, 5, 10], 10, delta=0.4))
    64.0
    """
    grid, k, n = check_grid_counts(dims, successes, runs)
    level = 1 - checks.probability("delta", delta)
    # The curve is the slope of the greatest convex minorant of (cumulative runs, cumulative
    # successes), so it is >= level exactly from the minimum of (successes - level * runs) on.
    # Taken from the end: of equal minima, which dimensions without runs give, the last counts.
    S, W = (np.insert(np.cumsum(counts, axis=0), 0, 0, axis=0) for counts in (k, n))
    first = len(grid) - np.argmin((S - (level - SLACK) * W)[::-1], axis=0)
    on_grid = np.append(grid, np.inf)[first]
    if not interpolate:
        return on_grid
    inside = (first > 0) & (first < len(grid))
    # The minorant's slopes left and right of its knot `first`.
    index = np.arange(len(S)).reshape((-1,) + (1,) * first.ndim)
    rise, run = (C - np.take_along_axis(C, first[None], axis=0) for C in (S, W))
    slope = np.divide(rise, run, out=np.zeros(S.shape), where=run != 0)
    below = np.where((index < first) & (run != 0), slope, 0.0).max(axis=0)
    above = np.where((index > first) & (run != 0), slope, 1.0).min(axis=0)
    share = np.clip((level - below) / np.where(inside, above - below, 1), 0, 1)
    left, right = grid[np.maximum(first - 1, 0)], grid[np.minimum(first, len(grid) - 1)]
    return np.where(inside, left * (right / left) ** share, on_grid)


def inverted_interval(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float, *,
    confidence: float = 0.95,
) -> Arrays:  # fmt: skip
    """Bound d* by the d at which P_s may, and at which it must, have reached 1 - delta.

    Where P_s increases with d, d* <= d exactly if P_s(d) >= 1 - delta. Ten successes out of ten do
    not show P_s >= 0.9, as a bootstrap has it. Shapes are those of `first_threshold`, at least 1
    run everywhere. The lower end is the grid point, or d_min, before the first d whose Wilson
    interval reaches 1 - delta, the upper the first d from which on all lie above it, or inf.

    >>> low, high = inverted_interval([16, 32, 64, 128], [2, 6, 19, 20], 20, delta=0.5)
    >>> print(low, high)
    16.0 64.0
    """
    grid, k, n = check_grid_counts(dims, successes, runs, least=1)
    level = 1 - checks.probability("delta", delta) - SLACK
    low, high = wilson_interval(k, n, confidence)
    possible = high >= level
    first = np.where(possible.any(axis=0), possible.argmax(axis=0), len(grid))
    doubtful = (low < level)[::-1]
    certain = np.where(doubtful.any(axis=0), len(grid) - doubtful.argmax(axis=0), 0)
    return grid[np.maximum(first - 1, 0)], np.append(grid, np.inf)[certain]


def threshold_dimensions(
    dims: ArrayLike, values: ArrayLike, levels: ArrayLike, *, kind: Way, delta: float = 0.1,
    present: ArrayLike | None = None, interval: Interval | None = None, confidence: float = 0.95,
) -> list[Threshold]:  # fmt: skip
    """Find the threshold training dimension at each level by `first_threshold`.

    `values` holds the best value of each run, shape (dims, runs), NaN counting as failure;
    `present` marks the runs made; `interval` "inverted" is `inverted_interval`.

    >>> threshold_dimensions([16, 64], [[0.9, 0.7], [0.4, 0.2]], [0.5, 0.3], kind="loss")
    [64, > 64]
    """
    grid, array, mask = check_runs(dims, values, present)
    k, n = success_counts(array, levels, kind=kind, present=mask)
    found = first_threshold(grid, k, n, delta)
    coverage, ends = None, np.full((2, len(found)), np.nan)
    if checks.choice("interval", interval, ("inverted", None)):
        coverage, ends = confidence, inverted_interval(grid, k, n, delta, confidence=confidence)
    first, last, rows = float(grid[0]), float(grid[-1]), np.stack([found, *ends], axis=1).tolist()
    return [Threshold(d, first, last, low, high, coverage) for d, low, high in rows]
