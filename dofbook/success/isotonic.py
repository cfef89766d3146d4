"""Isotonic estimate of d*: the most likely success probabilities that increase with d.

Definition 2.1, the first d that succeeds, reads low where a noisy curve crosses 1 - delta several
times; the isotonic curve crosses once (Barlow et al., 1972, "Statistical inference under order
restrictions"). Here only the crossing is computed.
"""

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.success.checks import check_grid_counts
from dofbook.success.thresholds import SLACK


def isotonic_threshold(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float, *,
    interpolate: bool = False,
) -> np.ndarray:  # fmt: skip
    """Read d* off the isotonic curve, for many curves at once: inf where it stays below 1 - delta.

    Shapes are those of `first_threshold`. With `interpolate` the curve is crossed linearly in log2
    d between grid points, instead of at the smallest d of the grid that reaches 1 - delta.

    >>> k = [1, 4, 6, 5, 10]
    >>> print(isotonic_threshold([4, 8, 16, 32, 64], k, 10, delta=0.4))
    64.0
    >>> print(isotonic_threshold([4, 8, 16, 32, 64], k, 10, delta=0.4, interpolate=True).round(1))
    34.6
    """
    grid, k, n = check_grid_counts(dims, successes, runs)
    level = 1 - checks.probability("delta", delta)
    # The curve is the slope of the greatest convex minorant of (cumulative runs, cumulative
    # successes), so it is >= level exactly from the minimum of (successes - level * runs) on.
    # Taken from the end: of equal minima, which dimensions without runs give, the last counts.
    start = np.zeros((1, *k.shape[1:]))
    S = np.concatenate([start, np.cumsum(k, axis=0)])
    W = np.concatenate([start, np.cumsum(n, axis=0)])
    first = len(grid) - np.argmin((S - (level - SLACK) * W)[::-1], axis=0)
    on_grid = np.append(grid, np.inf)[first]
    if not interpolate:
        return on_grid
    inside = (first > 0) & (first < len(grid))
    below, above = _slopes_beside(S, W, first)
    share = np.clip((level - below) / np.where(inside, above - below, 1), 0, 1)
    left, right = grid[np.maximum(first - 1, 0)], grid[np.minimum(first, len(grid) - 1)]
    return np.where(inside, left * (right / left) ** share, on_grid)


def _slopes_beside(S: np.ndarray, W: np.ndarray, knot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the convex minorant's slopes left and right of one of its knots."""
    index = np.arange(len(S)).reshape((-1,) + (1,) * knot.ndim)
    rise = S - np.take_along_axis(S, knot[None], axis=0)
    run = W - np.take_along_axis(W, knot[None], axis=0)
    slope = np.divide(rise, run, out=np.zeros(S.shape), where=run != 0)
    left = np.where((index < knot) & (run != 0), slope, 0.0).max(axis=0)
    right = np.where((index > knot) & (run != 0), slope, 1.0).min(axis=0)
    return left, right
