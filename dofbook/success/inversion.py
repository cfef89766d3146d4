"""Interval on d* from the interval on P_s at each d, without resampling.

At one d the runs are independent, so Wilson's or Jeffreys' interval on P_s(d) holds there. Where
P_s increases with d, d* <= d exactly if P_s(d) >= 1 - delta, and inverting that comparison bounds
d*. Unlike the bootstrap it knows what few runs cannot tell: ten successes out of ten do not show
P_s >= 0.9, and the upper end then is "> d_max".
"""

import numpy as np
from numpy.typing import ArrayLike

from dofbook.success.checks import check_counts, check_dims, check_fraction
from dofbook.success.probability import wilson_interval
from dofbook.success.threshold import SLACK


def inverted_interval(
    dims: ArrayLike,
    successes: ArrayLike,
    runs: ArrayLike,
    delta: float,
    *,
    confidence: float = 0.95,
    interval=wilson_interval,
) -> tuple[np.ndarray, np.ndarray]:
    """Bound d* by the d at which P_s may, and at which it must, have reached 1 - delta.

    Args:
        dims: Training dimensions, shape (dims,), increasing.
        successes: Numbers of successes, shape (dims, ...).
        runs: Numbers of runs, shape (dims,) or that of successes; at least 1.
        delta: Failure probability allowed, in (0, 1).
        confidence: Coverage aimed at.
        interval: `wilson_interval` or `jeffreys_interval`.

    Returns:
        Lower and upper ends, shape (...). Lower: the grid point before the first d whose interval
        reaches up to 1 - delta (d_min if there is none before it). Upper: the first d from which
        on every interval lies above 1 - delta, inf if there is none.

    Raises:
        InputError: If an argument is outside its range.
    """
    grid = check_dims(dims)
    level = 1 - check_fraction("delta", delta) - SLACK
    k, _ = check_counts(successes, runs, least=1)
    low, high = interval(k, runs, confidence)
    possible = high >= level
    first = np.where(possible.any(axis=0), possible.argmax(axis=0), len(grid))
    doubtful = (low < level)[::-1]
    certain = np.where(doubtful.any(axis=0), len(grid) - doubtful.argmax(axis=0), 0)
    return grid[np.maximum(first - 1, 0)], np.append(grid, np.inf)[certain]
