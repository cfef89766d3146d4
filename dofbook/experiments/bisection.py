"""Where an initialization first succeeds on a grid of d, and the interval on d* from many of them.

d* at failure probability delta is the 1 - delta quantile of d_hit, the first success, over
initializations. Its interval takes log2 d_hit as normal: then (quantile - mean) / s is a multiple
of a noncentral t variable, exactly. At delta = 1/2 it is Student's interval on the centre of the
transition.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import nct, norm

from dofbook.errors import InputError
from dofbook.success.threshold import Threshold


@dataclass
class Search:
    """Find the first success on a grid of n points by galloping from a guess, then bisecting.

    Args:
        n: Points of the grid, numbered from 0.
        outcomes: Successes and failures known, by point.
    """

    n: int
    outcomes: dict[int, bool] = field(default_factory=dict)

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
        self.outcomes[point] = success

    def ask(self, guess: int) -> int:
        """Choose the next point: the guess, then doubling steps away from it, then bisection."""
        guess, failed, succeeded = min(max(guess, 0), self.n - 1), self.failed, self.succeeded
        if failed >= 0 and succeeded < self.n:
            return (failed + succeeded) // 2
        if failed < guess < succeeded:
            return guess
        if succeeded == self.n:
            return min(2 * failed - guess + 1, self.n - 1)
        return max(2 * succeeded - guess - 1, 0)


def quantile_interval(
    grid: Sequence[int], hits: Sequence[int], delta: float, confidence: float
) -> Threshold:
    """Estimate d*, the 1 - delta quantile of d_hit, with its interval.

    Where in the grid step it closes a first success lies is not known. d* is computed from the
    steps' geometric middles, the interval's lower end from their lower ends and its upper end from
    their upper ends, so that no interval is narrower than a step; the spread is taken to be at
    least that of a uniform law within the step.

    Args:
        grid: Training dimensions, increasing.
        hits: Grid point of the first success of each initialization; len(grid) for none.
        delta: Failure probability, between 0 and 1.
        confidence: Coverage, between 0 and 1.

    Returns:
        d* and its interval. Where an initialization never succeeded, value and upper end are inf
        (nothing is known beyond the grid); where one succeeded at the grid's start, the lower end
        is the grid's start.

    Raises:
        InputError: If there are fewer than 2 initializations.
    """
    if len(hits) < 2:
        raise InputError("an interval needs at least 2 initializations.")
    dims, points = np.asarray(grid, float), np.asarray(hits)
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
    ends = float(lower), float(upper)
    return Threshold(float(value), float(dims[0]), float(dims[-1]), *ends, confidence)


def reach(threshold: Threshold) -> float:
    """Measure how far an interval reaches from d*, in octaves.

    Args:
        threshold: With an interval.

    Returns:
        Octaves from d* to the farther end; inf if an end is not known.
    """
    ends = np.array([threshold.lower, threshold.value, threshold.upper])
    if not np.isfinite(ends).all():
        return math.inf
    return float(np.abs(np.diff(np.log2(ends))).max())
