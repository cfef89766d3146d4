"""Paired comparisons: a seed has the same initialization for every method and burn-in time."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import check_levels
from dofbook.success.hits import interpolated_hits
from dofbook.success.tables import check_table, run_values


def half_width(values: ArrayLike, confidence: float = 0.95) -> float:
    """Compute half of Student's interval of the mean of a list, NaN for fewer than two values.

    >>> round(half_width([1.0, 2.0, 3.0]), 3)
    2.484
    """
    sample = checks.finite("values", values)
    level = (1 + checks.probability("confidence", confidence)) / 2
    if sample.ndim != 1:
        raise InputError(f"values has shape {sample.shape}; it must be a list of numbers.")
    if sample.size < 2:
        return float("nan")
    return float(stats.t.ppf(level, sample.size - 1) * stats.sem(sample))


def compare_hits(
    table: pd.DataFrame, metric: str, levels: Sequence[float], method: str, first: int, second: int
) -> pd.DataFrame:
    """Compare seed by seed the d at which runs first succeed at two burn-in times of a method.

    One row per level: seeds (that succeed at both), ratio (mean of log2 d_hit at `second` over that
    at `first`, by `interpolated_hits`) and half_width (of Student's 95 % interval of it).

    >>> names = ["dataset", "network", "method", "burn_in_steps", "d", "seed", "step"]
    >>> rows = [("x", "y", "affine", t, d, s, 1, d * (1 + t) / 64) for t in (0, 1)
    ...         for d in (8, 16, 32) for s in (0, 1)]
    >>> table = pd.DataFrame(rows, columns=[*names, "best_train_accuracy"])
    >>> compare_hits(table, "train_accuracy", [0.4], "affine", 0, 1).ratio.round(6).tolist()
    [-1.0]
    """
    check_table(table, metric)
    checks.instance("method", method, str)
    runs = []
    for t in (checks.integer("first", first), checks.integer("second", second)):
        rows = table[(table["method"] == method) & (table["burn_in_steps"] == t)]
        if rows.empty:
            raise InputError(f"the table has no runs of {method} at burn_in_steps {t}.")
        runs.append(run_values(rows, metric))
    found = []
    for level in check_levels(levels):
        before, after = (interpolated_hits(r.dims, r.values, level, kind=r.kind) for r in runs)
        both = np.isfinite(before) & np.isfinite(after)
        ratio = np.log2(after[both] / before[both])
        mean = ratio.mean() if ratio.size else np.nan
        found.append((level, ratio.size, mean, half_width(ratio)))
    columns = ["level", "seeds", "ratio", "half_width"]
    return pd.DataFrame(found, columns=columns).set_index("level")
