"""The threshold training dimension of a matrix of outcomes, by a choice of rules."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dofbook.errors import InputError
from dofbook.success.checks import Kind, check_dims, check_values
from dofbook.success.isotonic import isotonic_threshold
from dofbook.success.probability import success_counts
from dofbook.success.probit import probit_threshold
from dofbook.success.threshold import Threshold, first_threshold

Rule = Literal["first", "isotonic", "interpolated", "probit"]


def estimator(rule: str) -> Callable[..., np.ndarray]:
    """Look up a rule.

    Args:
        rule: "first", "isotonic", "interpolated" or "probit".

    Returns:
        A function (dims, successes, runs, delta) -> thresholds.

    Raises:
        InputError: If the rule is another one.
    """
    rules = {
        "first": first_threshold,
        "isotonic": isotonic_threshold,
        "interpolated": lambda *args: isotonic_threshold(*args, interpolate=True),
        "probit": probit_threshold,
    }
    if rule not in rules:
        raise InputError(f"rule is {rule!r}; allowed: {', '.join(map(repr, rules))}.")
    return rules[rule]


def check_grid(dims: ArrayLike, values: np.ndarray) -> np.ndarray:
    """Require one grid point per row of values.

    Args:
        dims: Training dimensions, shape (dims,).
        values: Values, shape (dims, runs).

    Returns:
        The grid as float64.

    Raises:
        InputError: If it is no grid or the lengths differ.
    """
    grid = check_dims(dims)
    if len(grid) != len(values):
        raise InputError(f"dims has length {len(grid)}, values {len(values)}; they must agree.")
    return grid


def threshold_dimensions(
    dims: ArrayLike,
    values: ArrayLike,
    levels: ArrayLike,
    *,
    kind: Kind,
    delta: float = 0.1,
    rule: Rule = "first",
    present: ArrayLike | None = None,
) -> list[Threshold]:
    """Estimate the threshold training dimension at each level, without interval.

    Args:
        dims: Training dimensions d, shape (dims,), strictly increasing.
        values: Best loss or accuracy of each run, shape (dims, runs); NaN counts as failure.
        levels: Losses eps or accuracies, a number or shape (levels,).
        kind: "loss" or "accuracy".
        delta: Failure probability allowed, in (0, 1).
        rule: "first", the smallest d of the grid with P_s >= 1 - delta (Definition 2.1);
            "isotonic", the same on the isotonic fit, where P_s does not rise steadily;
            "interpolated", the isotonic fit crossed between grid points in log2 d;
            "probit", a probit curve in log2 d.
        present: Whether the run was made, shape (dims, runs); None for all.

    Returns:
        One threshold per level.

    Raises:
        InputError: If an argument is outside its range.

    Source: Larsen et al. (2022), Definition 2.1.
    """
    array, mask = check_values(values, present)
    grid = check_grid(dims, array)
    counts, runs = success_counts(array, levels, kind=kind, present=mask)
    found = estimator(rule)(grid, counts, runs, delta)
    return [Threshold(float(d), float(grid[0]), float(grid[-1])) for d in found]
