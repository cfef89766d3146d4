"""What runs are asked: how often they succeed, from which d on, and after which burn-in sooner."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success import tables
from dofbook.success.bisection import hit_dimensions
from dofbook.success.checks import check_level, check_levels, check_runs
from dofbook.success.tables import REQUIRED, CurveKey, run_values
from dofbook.success.thresholds import Threshold


def success_probability(
    runs: pd.DataFrame | ArrayLike, metric: str, level: float, *, dims: ArrayLike | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tabulate P_s(d): how often the best value of a run reached the level, with Wilson intervals.

    `runs` is the tidy table of a sweep, or with `dims` a plain array of shape (dims, seeds), of
    which `metric` then only says which way it counts. Columns: method, burn_in_steps, variant, d,
    successes, runs, probability, lower, upper; dataset and network too where the table holds
    several, and from d on for an array. Paper, Eq. 2.3.

    >>> success_probability([[0.4, 0.6, 0.3]], "train_loss", 0.5, dims=[16]).round(2)
        d  successes  runs  probability  lower  upper
    0  16          2     3         0.67   0.21   0.94
    """
    table = _table(runs, metric, level, dims)
    found = tables.success_map(table, metric, level, confidence=confidence).drop(columns="level")
    if dims is not None:
        return found.drop(columns=list(CurveKey._fields))
    alike = (found[["dataset", "network"]].nunique() == 1).all()
    return found.drop(columns=["dataset", "network"]) if alike else found


def threshold(
    runs: pd.DataFrame | ArrayLike, metric: str, level: float, delta: float = 0.1, *,
    dims: ArrayLike | None = None, confidence: float = 0.95,
) -> Threshold | pd.Series:  # fmt: skip
    """Find d*, the smallest d of the grid whose runs reach the level with P_s >= 1 - delta.

    `runs`, `metric` and `dims` are those of `success_probability`. Several curves in a table give a
    Series of thresholds, by method and, where there are any, data and network, burn-in time,
    variant. The interval is `inverted_interval`, which few runs leave open. Paper, Definition 2.1.

    >>> losses = [[0.9, 0.7, 0.8], [0.6, 0.6, 0.3], [0.1, 0.2, 0.1]]
    >>> threshold(losses, "train_loss", 0.5, delta=0.5, dims=[16, 32, 64])
    64 [<= 16, > 64]
    """
    table = _table(runs, metric, level, dims)
    options = {"delta": delta, "interval": "inverted", "confidence": confidence}
    rows = list(tables.threshold_table(table, metric, level, **options).itertuples(index=False))
    found = [
        Threshold(r.threshold, float(r.d_min), float(r.d_max), r.lower, r.upper, confidence)
        for r in rows
    ]
    if len(rows) == 1:
        return found[0]
    alike = len({row[:2] for row in rows}) == 1
    labels = [
        ("" if alike else f"{r.dataset}, {r.network}: ") + r.method.replace("_", " ")
        + (f", t = {r.burn_in_steps}" if r.burn_in_steps else "")
        + (f" ({r.variant})" if r.variant else "")
        for r in rows
    ]  # fmt: skip
    return pd.Series(found, labels, name=f"d* at {metric} {float(level):g}")


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
    before: pd.DataFrame, after: pd.DataFrame, metric: str, levels: Sequence[float], *,
    interpolate: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Compare seed by seed the d at which the runs of two curves first succeed.

    One row per level: seeds (that succeed in both tables), ratio (mean of log2 d_hit `after` over
    that `before`, by `hit_dimensions`) and half_width (of Student's 95 % interval of it).

    >>> rows = [("x", "y", "affine", 0, d, s, 1, d / 64) for d in (8, 16, 32) for s in (0, 1)]
    >>> table = pd.DataFrame(rows, columns=[*REQUIRED, "best_train_accuracy"])
    >>> twice = table.assign(best_train_accuracy=2 * table.best_train_accuracy)
    >>> compare_hits(table, twice, "train_accuracy", [0.4]).ratio.round(6).tolist()
    [-1.0]
    """
    runs, found = [run_values(rows, metric) for rows in (before, after)], []
    options: dict = {"kind": runs[0].kind, "interpolate": interpolate}
    for level in check_levels(levels):
        hits = (hit_dimensions(r.dims, r.values, level, **options) for r in runs)
        first, second = (np.log2(pd.Series(d, r.seeds)) for d, r in zip(hits, runs, strict=True))
        ratio = second - first  # NaN for a seed of one table alone
        ratio = ratio[np.isfinite(ratio)].to_numpy()
        mean = ratio.mean() if ratio.size else np.nan
        found.append((level, ratio.size, mean, half_width(ratio)))
    columns = ["level", "seeds", "ratio", "half_width"]
    return pd.DataFrame(found, columns=columns).set_index("level")


def _table(runs, metric: str, level: float, dims: ArrayLike | None) -> pd.DataFrame:
    """Check what is asked, and give the table, or make one of an array."""
    check_level(level, metric)
    if dims is None:
        if not isinstance(runs, pd.DataFrame):
            raise InputError("runs are no table; an array of runs needs dims, one d for each row.")
        return runs
    grid, values, _ = check_runs(dims, runs, None)
    whole = grid.astype(int) if (grid == np.round(grid)).all() else grid
    seeds = values.shape[1]
    axes = {"d": np.repeat(whole, seeds), "seed": np.tile(np.arange(seeds), len(grid))}
    return pd.DataFrame({**dict.fromkeys(REQUIRED, 0), **axes, f"best_{metric}": values.ravel()})
