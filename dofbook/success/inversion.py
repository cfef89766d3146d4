"""Interval on d* from the interval on P_s at each d, without resampling.

Where P_s increases with d, d* <= d exactly if P_s(d) >= 1 - delta; inverting that comparison bounds
d*. Unlike the bootstrap it knows what few runs cannot tell: ten successes out of ten do not show
P_s >= 0.9, and the upper end then is "> d_max".
"""

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.success.checks import check_grid_counts
from dofbook.success.probability import wilson_interval
from dofbook.success.thresholds import SLACK


def inverted_interval(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float, *,
    confidence: float = 0.95, interval=wilson_interval,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Bound d* by the d at which P_s may, and at which it must, have reached 1 - delta.

    Shapes are those of `first_threshold`, with at least 1 run everywhere; `interval` is
    `wilson_interval` or `jeffreys_interval`. The lower end is the grid point, or d_min, before the
    first d whose interval reaches up to 1 - delta; the upper the first d from which on every
    interval lies above it, inf if there is none.

    >>> low, high = inverted_interval([16, 32, 64, 128], [2, 6, 19, 20], 20, delta=0.5)
    >>> print(low, high)
    16.0 64.0
    """
    grid, k, n = check_grid_counts(dims, successes, runs, least=1)
    level = 1 - checks.probability("delta", delta) - SLACK
    low, high = checks.function("interval", interval)(k, n, confidence)
    possible = high >= level
    first = np.where(possible.any(axis=0), possible.argmax(axis=0), len(grid))
    doubtful = (low < level)[::-1]
    certain = np.where(doubtful.any(axis=0), len(grid) - doubtful.argmax(axis=0), 0)
    return grid[np.maximum(first - 1, 0)], np.append(grid, np.inf)[certain]
