"""The dimension at which each run first succeeds, d_hit, and the interval its spread gives."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from dofbook.errors import InputError
from dofbook.success.checks import Kind, check_dims, check_fraction, check_values
from dofbook.success.estimates import check_grid
from dofbook.success.probability import success_indicator
from dofbook.success.threshold import Threshold


def _reached(dims, values, level: float, kind: Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the arguments; return the grid, the values and where they reach the level."""
    array, _ = check_values(values, None)
    return check_grid(dims, array), array, success_indicator(array, level, kind=kind)[:, :, 0]


def hit_dimensions(
    dims: ArrayLike,
    values: ArrayLike,
    level: float,
    *,
    kind: Kind,
) -> np.ndarray:
    """Find d_hit of each run: the smallest d of the grid at which it reached the level.

    Args:
        dims: Training dimensions d, shape (dims,), strictly increasing.
        values: Best loss or accuracy, shape (dims, runs); a column is one initialization, run
            at every d; NaN counts as failure.
        level: Loss eps or accuracy.
        kind: "loss" or "accuracy".

    Returns:
        d_hit, shape (runs,); inf where the run reached the level at no d.

    Raises:
        InputError: If an argument is outside its range.
    """
    grid, _, reached = _reached(dims, values, level, kind)
    return np.where(reached.any(axis=0), grid[reached.argmax(axis=0)], np.inf)


def interpolated_hits(
    dims: ArrayLike,
    values: ArrayLike,
    level: float,
    *,
    kind: Kind,
) -> np.ndarray:
    """Find d_hit of each run, interpolated between the points of the grid.

    Straight, in log d and in the accuracy or the logarithm of the loss, between the grid point that
    first reaches the level and the one before. For comparisons finer than the grid.

    Args:
        dims: Training dimensions d, shape (dims,), strictly increasing.
        values: Best loss or accuracy, shape (dims, runs); a column is one initialization, run
            at every d; NaN counts as failure.
        level: Loss eps or accuracy.
        kind: "loss" or "accuracy".

    Returns:
        d_hit, shape (runs,), not rounded; the smallest d of the grid where it reaches the level at
        once; inf where the run reached the level at no d.

    Raises:
        InputError: If an argument is outside its range.
    """
    grid, array, reached = _reached(dims, values, level, kind)
    x = np.log2(grid.astype(float))
    first, runs = reached.argmax(axis=0), np.arange(array.shape[1])
    before = np.maximum(first - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        y, goal = (np.log(array), np.log(level)) if kind == "loss" else (array, level)
        low, high = y[before, runs], y[first, runs]
        part = (goal - low) / (high - low)
    # A diverged run before the hit, or a loss of 0 at it, leaves nothing to interpolate.
    part = np.where(np.isfinite(low) & np.isfinite(high), np.clip(part, 0, 1), 1.0)
    found = x[before] + part * (x[first] - x[before])
    return np.where(reached.any(axis=0), np.where(first == 0, 2.0 ** x[0], 2.0**found), np.inf)


def hit_interval(
    dims: ArrayLike,
    values: ArrayLike,
    level: float,
    *,
    kind: Kind,
    confidence: float = 0.95,
    half_step: bool = False,
) -> Threshold:
    """Estimate the centre of the transition by Student's t on log2 d_hit of each run.

    This estimates the mean of log2 d_hit over initializations, the middle of the transition, and
    not the d at which P_s = 1 - delta.

    Args:
        dims: Training dimensions d, shape (dims,), strictly increasing.
        values: Best loss or accuracy, shape (dims, runs); a column is one initialization, run
            at every d; NaN counts as failure.
        level: Loss eps or accuracy.
        kind: "loss" or "accuracy".
        confidence: Coverage aimed at.
        half_step: Place each d_hit at the geometric middle of the grid step that it closes;
            d_hit itself lies up to one step too high, on a grid of octaves by sqrt(2) on average.

    Returns:
        The geometric mean of d_hit with its interval. A run that never hit makes value and upper
        end inf; a run that hit at d_min > 1 makes the lower end "<= d_min". What remains of the
        interval then treats such runs as if they hit at d_max or d_min, which is conservative.

    Raises:
        InputError: If an argument is outside its range or there are fewer than 2 runs.
    """
    grid = check_dims(dims)
    hits = hit_dimensions(grid, values, level, kind=kind)
    if len(hits) < 2:
        raise InputError("a t-interval needs at least 2 runs.")
    missed, early = np.isinf(hits), (hits == grid[0]) & (grid[0] > 1)
    capped = np.where(missed, grid[-1], hits)
    if half_step:
        previous = np.append(grid[0], grid[:-1])[np.searchsorted(grid, capped)]
        capped = np.where(missed, grid[-1], np.sqrt(previous * capped))
    logs = np.log2(capped)
    reach = student.ppf((1 + check_fraction("confidence", confidence)) / 2, len(logs) - 1)
    half = reach * logs.std(ddof=1) / math.sqrt(len(logs))
    ends = np.exp2(logs.mean() + np.array([-half, 0.0, half]))
    # Nothing is known beyond the grid's ends.
    lower, value, upper = np.where(ends > grid[-1], np.inf, np.maximum(ends, grid[0]))
    if missed.any():
        value = upper = np.inf
        lower = min(lower, grid[-1])
    if early.any():
        lower = grid[0]
    return Threshold(
        float(value), float(grid[0]), float(grid[-1]), float(lower), float(upper), confidence
    )
