"""Checks of arguments that every module of this package shares."""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError

Way = Literal["loss", "accuracy"]
"""Which way a metric counts: "loss" for lower is better, "accuracy" for higher is better."""
WAYS = get_args(Way)
Arrays = tuple[np.ndarray, ...]


def require_columns(table: pd.DataFrame, names: Iterable[str]) -> None:
    """Require a table that has all of these columns."""
    checks.instance("the table", table, pd.DataFrame)
    if missing := [name for name in names if name not in table.columns]:
        raise InputError(f"the table has no column {', '.join(missing)}.")


def check_dims(dims: ArrayLike) -> np.ndarray:
    """Require a strictly increasing grid of positive training dimensions, shape (dims,)."""
    grid = checks.finite("dims", dims, ("dims",), 0, open=True)
    if np.any(np.diff(grid) <= 0):
        raise InputError("dims must be strictly increasing.")
    return grid


def check_levels(levels: ArrayLike) -> np.ndarray:
    """Require a finite level or several, and give shape (levels,)."""
    return checks.finite("levels", np.atleast_1d(checks.finite("levels", levels)), ("levels",))


def check_level(level: float, metric: str) -> float:
    """Require a level that a metric may reach: a fraction, not percent, of an accuracy."""
    metric_kind(metric)
    return checks.real("level", level, *((0, 1) if metric.endswith("accuracy") else ()))


def check_values(values: ArrayLike, present: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Require a number or NaN per dimension and run, and a run at each: values and mask."""
    array = checks.array("values", values, ("dims", "runs"))
    mask = np.ones(array.shape) if present is None else checks.finite("present", present)
    if mask.shape != array.shape:
        raise InputError(f"present has shape {mask.shape}, values {array.shape}; they must agree.")
    if not mask.any(axis=1).all():
        raise InputError("every training dimension needs at least one run.")
    return array, mask.astype(bool)


def check_runs(dims: ArrayLike, values: ArrayLike, present: ArrayLike | None) -> Arrays:
    """Require a grid and one row of values for each of its points: grid, values and mask."""
    (array, mask), grid = check_values(values, present), check_dims(dims)
    if len(grid) != len(array):
        raise InputError(f"dims has length {len(grid)}, values {len(array)}; they must agree.")
    return grid, array, mask


def check_counts(successes: ArrayLike, runs: ArrayLike, least: int = 0) -> Arrays:
    """Require whole numbers 0 <= successes <= runs and runs >= least; both come back in one shape.

    `successes` has shape (dims, ...); `runs` has shape () or (dims,), or that of successes.
    """
    k, n = checks.array("successes", successes), checks.array("runs", runs)
    n = n.reshape(n.shape + (1,) * (k.ndim - n.ndim))
    checks.broadcast(successes=k, runs=n)
    k, n = np.broadcast_arrays(k, n)
    if not np.all((k >= 0) & (k <= n) & (k == np.round(k)) & (n == np.round(n)) & (n >= least)):
        wanted = f"whole numbers with 0 <= successes <= runs and runs >= {least}"
        raise InputError(f"successes and runs must be {wanted}.")
    return k, n


def check_grid_counts(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, least: int = 0
) -> Arrays:
    """Require a grid and counts, `check_counts`, with one row for each of its points."""
    grid, (k, n) = check_dims(dims), check_counts(successes, runs, least)
    if k.shape[:1] != grid.shape:
        lengths = f"dims has length {len(grid)}, successes shape {k.shape}"
        raise InputError(f"{lengths}; they must agree.")
    return grid, k, n


def metric_kind(metric: str) -> Way:
    """Tell which way a metric counts.

    >>> metric_kind("train_loss"), metric_kind("test_error"), metric_kind("test_r2")
    ('loss', 'loss', 'accuracy')
    """
    split, _, name = metric.partition("_") if isinstance(metric, str) else ("", "", "")
    if split not in ("train", "test") or not name:
        wanted = "train_<name> or test_<name>, such as test_accuracy"
        raise InputError(f"metric is {metric!r}; it must be {wanted}.")
    return "loss" if name.endswith(("loss", "error")) else "accuracy"
