"""The dimension at which each run first succeeds, d_hit; see also `bisection.quantile_interval`."""

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.success.checks import Kind, check_runs
from dofbook.success.probability import success_indicator


def hit_dimensions(dims: ArrayLike, values: ArrayLike, level: float, *, kind: Kind) -> np.ndarray:
    """Find d_hit of each run: the smallest d of the grid at which it reached the level.

    `values` has shape (dims, runs), a column being one initialization at every d, NaN a failure;
    the result (runs,) is inf where a run never reached it.

    >>> hit_dimensions([16, 64], [[0.9, 0.4], [0.4, 0.2]], 0.5, kind="loss")
    array([64., 16.])
    """
    grid, _, reached = _reached(dims, values, level, kind)
    return np.where(reached.any(axis=0), grid[reached.argmax(axis=0)], np.inf)


def interpolated_hits(
    dims: ArrayLike, values: ArrayLike, level: float, *, kind: Kind
) -> np.ndarray:
    """Find d_hit of each run as `hit_dimensions` does, interpolated between the points of the grid.

    Straight, in log d and in the accuracy or the logarithm of the loss, between the grid point that
    first reaches the level and the one before; a run that reaches it at once gets the smallest d.

    >>> interpolated_hits([16, 64], [[0.6, 0.4], [0.8, 0.9]], 0.7, kind="accuracy").round()
    array([32., 37.])
    """
    grid, array, reached = _reached(dims, values, level, kind)
    x = np.log2(grid)
    first, runs = reached.argmax(axis=0), np.arange(array.shape[1])
    before = np.maximum(first - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        y, goal = (np.log(array), np.log(level)) if kind == "loss" else (array, level)
        low, high = y[before, runs], y[first, runs]
        part = (goal - low) / (high - low)
    # A diverged run before the hit, or a loss of 0 at it, leaves nothing to interpolate.
    part = np.where(np.isfinite(low) & np.isfinite(high), np.clip(part, 0, 1), 1.0)
    found = x[before] + part * (x[first] - x[before])
    return np.where(reached.any(axis=0), np.where(first == 0, grid[0], 2.0**found), np.inf)


def _reached(dims, values, level: float, kind: Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the arguments; return the grid, the values and where they reach the level."""
    grid, array, _ = check_runs(dims, values, None)
    level = checks.real("level", level)
    return grid, array, success_indicator(array, level, kind=kind)[:, :, 0]
