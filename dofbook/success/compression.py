"""Thresholds relative to full training, and nested subspaces: Table 1 and Fig. 6 as numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success import tables
from dofbook.success.checks import Way, metric_kind, require_columns
from dofbook.success.probability import running_maximum
from dofbook.success.tables import BASELINE, Value
from dofbook.success.thresholds import Interval


def nested_best(table: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Let every run of nested methods count the best value of its seed at any smaller d.

    A worse value at a larger d is an error of optimization. Gives the table with the columns
    `best_...` of those methods replaced, as in the paper's Figs. 3 and 6; 10 and 11 are raw.

    >>> table = pd.DataFrame({"dataset": "digits", "network": "mlp", "method": "lottery_subspace",
    ...     "burn_in_steps": 0, "d": [4, 8], "seed": 0, "step": 5, "best_train_loss": [0.3, 0.5]})
    >>> nested_best(table, ["lottery_subspace"]).best_train_loss.tolist()
    [0.3, 0.3]
    """
    if not isinstance(methods, tuple | list) or not all(isinstance(m, str) for m in methods):
        raise InputError("methods must be a tuple of names.")
    changed = checks.instance("table", table, pd.DataFrame).copy()
    if not changed.index.is_unique:  # tables put together keep the row numbers of each
        table = changed = changed.reset_index(drop=True)
    columns = [c for c in table.columns if c.startswith(("best_train_", "best_test_"))]
    for key, rows in tables.curves(table):
        for column in columns if key.method in methods else ():
            kind = metric_kind(column.removeprefix("best_"))
            changed.loc[rows.index, column] = _carried(rows, column, kind)
    return changed


def _carried(rows: pd.DataFrame, column: str, kind: Way) -> np.ndarray:
    """Take the better of a row's value and the best of its seed's runs at smaller d."""
    better = np.fmin if kind == "loss" else np.fmax
    runs = rows.groupby(["d", "seed"])[column].agg("min" if kind == "loss" else "max")
    matrix = runs.unstack("seed").sort_index()
    best = pd.DataFrame(running_maximum(matrix, kind=kind), matrix.index, matrix.columns)
    before = best.shift(1).stack(future_stack=True)
    index = pd.MultiIndex.from_frame(rows[["d", "seed"]])
    return better(rows[column].to_numpy(float), before.reindex(index).to_numpy(float))


def compression_table(
    table: pd.DataFrame, metric: str = "test_accuracy", fractions: ArrayLike = (0.9, 0.95, 0.98),
    *, delta: float = 0.1, value: Value = "best", interval: Interval | None = "inverted",
) -> pd.DataFrame:  # fmt: skip
    """Tabulate how far methods compress at fractions of full training's accuracy (Table 1, Fig. 6).

    The table must hold the full-space baselines (method "full"). Fractions lie in (0, 1], the
    metric counts up, the options and columns are those of `threshold_table`, and to these come D,
    fraction, compression = D / d* (0 where no d succeeds), compression_lower and compression_upper.

    >>> table = pd.DataFrame({"dataset": "digits", "network": "mlp", "burn_in_steps": 0,
    ...     "method": ["full", "affine", "affine"], "d": [900, 30, 90], "D": 900, "seed": 0,
    ...     "step": 5, "best_test_accuracy": [1.0, 0.8, 0.95]})
    >>> compression_table(table, fractions=0.9)[["fraction", "text", "compression"]]
       fraction text  compression
    0       0.9   90         10.0
    """
    if metric_kind(metric) != "accuracy":
        allowed = "train_accuracy, test_accuracy, or one that counts up"
        raise InputError(f"metric is {metric!r}; allowed: {allowed}.")
    fractions = np.atleast_1d(checks.finite("fractions", fractions, None, 0, 1, open="left"))
    baselines = tables.baseline_accuracy(table, metric, value)
    require_columns(table, ["D"])
    if baselines.empty:
        raise InputError("the table has no full-space baseline to compare with.")
    options = {"delta": delta, "value": value, "interval": interval}
    parts = []
    for block in baselines.itertuples():
        rows = table[(table["dataset"] == block.dataset) & (table["network"] == block.network)]
        if (rows["method"] == BASELINE).all():
            continue
        found = tables.threshold_table(rows, metric, fractions * block.baseline, **options)
        fraction = dict(zip(fractions * block.baseline, fractions, strict=True))
        parts.append(found.assign(D=int(rows["D"].max()), fraction=found["level"].map(fraction)))
    if not parts:
        raise InputError(f"the table holds no method but {BASELINE!r}.")
    joined = pd.concat(parts, ignore_index=True)
    for end, column in (("", "threshold"), ("_lower", "upper"), ("_upper", "lower")):
        joined[f"compression{end}"] = joined["D"] / joined[column]
    return joined
