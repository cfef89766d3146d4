"""The two questions asked of runs: how often do they succeed, and from which d on."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import check_runs
from dofbook.success.estimates import threshold_dimensions
from dofbook.success.tables import (
    CurveKey,
    RunValues,
    check_metric,
    curve_runs,
    map_runs,
    metric_kind,
    success_map,
    with_inverted,
)
from dofbook.success.thresholds import Threshold


def success_probability(
    runs: pd.DataFrame | ArrayLike,
    metric: str,
    level: float,
    *,
    dims: ArrayLike | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate P_s(d): how often the best value of a run reached the level, with Wilson intervals.

    `runs` is the tidy table of a sweep, or with `dims` a plain array of shape (dims, seeds), of
    which `metric` then only says which way it counts. Columns: method, burn_in_steps, variant, d,
    successes, runs, probability, lower, upper; dataset and network too where the table holds
    several, and from d on for an array.

    Source: Larsen et al. (2022), Eq. 2.3.

    >>> losses = [[0.9, 0.7, 0.8], [0.4, 0.6, 0.3]]
    >>> success_probability(losses, "train_loss", 0.5, dims=[16, 64]).round(2)
        d  successes  runs  probability  lower  upper
    0  16          0     3         0.00   0.00   0.56
    1  64          2     3         0.67   0.21   0.94
    """
    level = _check_level(metric, level)
    if dims is not None:
        found = map_runs(_array_runs(runs, metric, dims), level, confidence)
    else:
        found = success_map(_table(runs), metric, level, confidence=confidence)
        alike = [name for name in ("dataset", "network") if found[name].nunique() == 1]
        found = found.drop(columns=alike if len(alike) == 2 else [])
    return found.drop(columns="level")


def threshold(
    runs: pd.DataFrame | ArrayLike,
    metric: str,
    level: float,
    delta: float = 0.1,
    *,
    dims: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Threshold | pd.Series:
    """Find d*, the smallest d of the grid whose runs reach the level with P_s >= 1 - delta.

    `runs`, `metric` and `dims` are those of `success_probability`. Several curves in a table give a
    Series of thresholds by label. The interval inverts Wilson's of P_s (`inverted_interval`), which
    few runs leave open: a bootstrap of 5 seeds does not cover.

    Source: Larsen et al. (2022), Definition 2.1.

    >>> losses = [[0.9, 0.7, 0.8], [0.6, 0.6, 0.3], [0.1, 0.2, 0.1]]
    >>> threshold(losses, "train_loss", 0.5, delta=0.5, dims=[16, 32, 64])
    64 [<= 16, > 64]
    """
    level = _check_level(metric, level)

    def find(values: RunValues) -> Threshold:
        shared = {"kind": values.kind, "present": values.present, "delta": delta}
        found = threshold_dimensions(values.dims, values.values, level, **shared)
        return with_inverted(found, values, level, delta, confidence)[0]

    if dims is not None:
        return find(_array_runs(runs, metric, dims))
    found = {key: find(values) for key, values in curve_runs(_table(runs), metric)}
    if len(found) == 1:
        return found.popitem()[1]
    blocks = len({key[:2] for key in found}) > 1
    return pd.Series(
        list(found.values()),
        [_label(key, blocks) for key in found],
        name=f"d* at {metric} {level:g}",
    )


def _label(key: CurveKey, with_block: bool) -> str:
    return f"{key.dataset}, {key.network}: {key.label}" if with_block else key.label


def _check_level(metric: str, level: float) -> float:
    metric_kind(metric)
    return checks.real("level", level, *((0, 1) if metric.endswith("accuracy") else ()))


def _table(runs) -> pd.DataFrame:
    if not isinstance(runs, pd.DataFrame):
        raise InputError("runs are no table; an array of runs needs dims, one d for each row.")
    return runs


def _array_runs(runs, metric: str, dims: ArrayLike) -> RunValues:
    grid, values, present = check_runs(dims, check_metric(metric, runs), None)
    whole = grid.astype(int) if (grid == np.round(grid)).all() else grid
    return RunValues(whole, np.arange(values.shape[1]), values, present, metric_kind(metric))
