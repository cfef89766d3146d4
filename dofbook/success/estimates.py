"""The threshold training dimension of a matrix of outcomes, by a choice of rules, with intervals.

Runs of one seed share their initialization across all d, so the bootstrap draws whole seeds
(columns of the values) with replacement. Replicates in which no d succeeds stay in as inf.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import Arrays, Kind, check_levels, check_runs, check_values
from dofbook.success.probability import success_counts, success_indicator
from dofbook.success.probit import probit_threshold
from dofbook.success.thresholds import (
    Threshold,
    first_threshold,
    isotonic_threshold,
    phase_boundary,
)

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


def resample_runs(runs: int, replicates: int, rng: np.random.Generator | int) -> np.ndarray:
    """Draw bootstrap samples of the runs: indices of shape (replicates, runs).

    >>> resample_runs(3, 2, rng=0).tolist()
    [[2, 1, 1], [0, 0, 0]]
    """
    shape = checks.integer("replicates", replicates, 1), checks.integer("runs", runs, 1)
    return checks.generator(rng).integers(runs, size=shape)


def percentile_ends(replicates: ArrayLike, confidence: float) -> Arrays:
    """Take the percentile interval over the last axis, outward: each end is one of the replicates.

    >>> low, high = percentile_ends([3.0, 1.0, 2.0, math.inf], confidence=0.5)
    >>> print(low, high)
    1.0 inf
    """
    tail = (1 - checks.probability("confidence", confidence)) / 2
    drawn = checks.array("replicates", replicates)
    if drawn.ndim == 0 or drawn.size == 0 or np.isnan(drawn).any():
        raise InputError("replicates must be a list of at least 1, none of them NaN.")
    ordered = np.sort(drawn, axis=-1)
    skip = math.floor(tail * (ordered.shape[-1] - 1))
    return ordered[..., skip], ordered[..., -1 - skip]


def bootstrap_thresholds(
    dims: ArrayLike, values: ArrayLike, levels: ArrayLike, *, kind: Kind,
    rng: np.random.Generator | int, delta: float = 0.1, rule: Rule = "first",
    confidence: float = 0.95, replicates: int = 1000, present: ArrayLike | None = None,
) -> list[Threshold]:  # fmt: skip
    """Estimate d* at each level with a bootstrap interval over initializations.

    The arguments are those of `threshold_dimensions`, a column of values being one initialization;
    the same resamples serve all levels. Under the rules that take values on the grid the lower end
    is the grid point before the percentile: d* lies above it.

    With few runs the interval of a high quantile is too short: where d* of an initialization
    spreads by 0.6 octaves and delta = 0.1, nominal 95% cover about 45% with 5 runs, 70% with 10 and
    90% with 30 (simulated). `inverted_interval` is the conservative alternative,
    `quantile_interval` the one for first hits. Source: Field and Welsh (2007), "Bootstrapping
    clustered data".

    >>> values = [[0.9, 0.7, 0.8], [0.4, 0.6, 0.3], [0.2, 0.2, 0.1]]
    >>> bootstrap_thresholds([16, 32, 64], values, 0.5, kind="loss", rng=0)
    [64 [<= 16, 64]]
    """
    grid, array, mask = check_runs(dims, values, present)
    options = {"kind": kind, "delta": delta, "rule": rule, "present": mask}
    plain = threshold_dimensions(grid, array, levels, **options)
    chosen = resample_runs(array.shape[1], replicates, rng)
    # How often each run was drawn, (runs, replicates): counts are then one matrix product.
    weights = (chosen[:, :, None] == np.arange(array.shape[1])).sum(axis=1).T.astype(float)
    runs = mask @ weights
    result = []
    for threshold, level in zip(plain, check_levels(levels), strict=True):
        reached = success_indicator(array, level, kind=kind)[:, :, 0] & mask
        drawn = RULES[rule](grid, reached @ weights, runs, delta)
        lower, upper = percentile_ends(drawn, confidence)
        if rule in ("first", "isotonic"):
            # On the grid, "64" says that d* is above 32 and at most 64.
            lower = grid[max(np.searchsorted(grid, lower) - 1, 0)]
        ends = {"lower": float(lower), "upper": float(upper), "confidence": confidence}
        result.append(replace(threshold, **ends))
    return result


def bootstrap_boundary(
    values: ArrayLike, delta: float, *, kind: Kind, rng: np.random.Generator | int,
    confidence: float = 0.95, replicates: int = 1000, present: ArrayLike | None = None,
) -> Arrays:  # fmt: skip
    """Bound the level that `phase_boundary` gives, resampling initializations.

    `values` has shape (dims, runs), the two ends (dims,). Read across, they bound d* (Definition
    2.1).

    >>> values = [[0.9, 0.7, 0.8], [0.4, 0.6, 0.3]]
    >>> bootstrap_boundary(values, 0.1, kind="loss", rng=0, confidence=0.9, replicates=100)
    (array([0.8, 0.3]), array([0.9, 0.6]))
    """
    array, mask = check_values(values, present)
    chosen = resample_runs(array.shape[1], replicates, rng).T
    levels = phase_boundary(array[:, chosen], delta, kind=kind, present=mask[:, chosen])
    return percentile_ends(levels, confidence)
