"""The threshold training dimension of a matrix of outcomes, by a choice of rules."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.success.checks import Kind, check_runs
from dofbook.success.probability import success_counts
from dofbook.success.probit import probit_threshold
from dofbook.success.thresholds import Threshold, first_threshold, isotonic_threshold

Rule = Literal["first", "isotonic", "interpolated", "probit"]

RULES: dict[str, Callable[..., np.ndarray]] = {
    "first": first_threshold,
    "isotonic": isotonic_threshold,
    "interpolated": lambda *args: isotonic_threshold(*args, interpolate=True),
    "probit": probit_threshold,
}
"""Rule to function (dims, successes, runs, delta) -> thresholds."""


def threshold_dimensions(
    dims: ArrayLike, values: ArrayLike, levels: ArrayLike, *, kind: Kind, delta: float = 0.1,
    rule: Rule = "first", present: ArrayLike | None = None,
) -> list[Threshold]:  # fmt: skip
    """Estimate the threshold training dimension at each level, without interval.

    `values` holds the best value of each run, shape (dims, runs), NaN counting as failure;
    `present` marks the runs that were made. Rules: "first", the smallest d of the grid with P_s >=
    1 - delta (paper, Definition 2.1); "isotonic", the same on the isotonic fit; "interpolated", the
    isotonic fit crossed between grid points in log2 d; "probit", a probit curve in log2 d.

    >>> threshold_dimensions([16, 64], [[0.9, 0.7], [0.4, 0.2]], [0.5, 0.3], kind="loss")
    [64, > 64]
    """
    grid, array, mask = check_runs(dims, values, present)
    counts, runs = success_counts(array, levels, kind=kind, present=mask)
    found = RULES[checks.choice("rule", rule, RULES)](grid, counts, runs, delta)
    return [Threshold(float(d), float(grid[0]), float(grid[-1])) for d in found]
