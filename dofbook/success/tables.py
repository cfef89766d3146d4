"""From the tidy table of runs to success maps, thresholds and baselines.

The table has one row per run and checkpoint (see `REQUIRED`). A *curve* is one (dataset, network,
method, burn_in_steps, variant); its runs differ in d and seed only. Anything else that varies
inside a curve (two learning rates, two poolings) is refused, because averaging over it silently
would answer a question nobody asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook.errors import InputError
from dofbook.success.bootstrap import bootstrap_thresholds
from dofbook.success.checks import Kind, as_generator, check_levels
from dofbook.success.estimates import Rule, threshold_dimensions
from dofbook.success.inversion import inverted_interval
from dofbook.success.probability import success_counts, wilson_interval
from dofbook.success.threshold import Threshold

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
CURVE = ["dataset", "network", "method", "burn_in_steps"]
REQUIRED = (*CURVE, "d", "seed", "step")
# Where the table has these columns, each must hold one value throughout a curve.
CONFIGURATION = (
    "pooling",
    "nested",
    "optimizer",
    "bias_correction",
    "learning_rate",
    "epochs",
    "pruning_epochs",
    "batch_size",
    "train_images",
    "test_images",
)
# Never the reason why two runs of one curve cannot be compared.
_OUTCOMES = {*REQUIRED, *METRICS, *(f"best_{m}" for m in METRICS), "D", "epoch", "cell"}

Value = Literal["best", "final"]
Interval = Literal["bootstrap", "inverted"]


class CurveKey(NamedTuple):
    """Name a curve of the table."""

    dataset: str
    network: str
    method: str
    burn_in_steps: int
    variant: str = ""

    @property
    def name(self) -> tuple[str, int, str]:
        """The method without data and network: method, burn-in time, variant."""
        return self[2:]

    @property
    def label(self) -> str:
        """Words for legends: "random affine", "burn-in affine, t = 8", "lottery subspace"."""
        t = f", t = {self.burn_in_steps}" if self.burn_in_steps else ""
        words = self.method.replace("_", " ")
        if self.method == "affine":
            words = "burn-in affine" if t else "random affine"
        return words + t + (f" ({self.variant})" if self.variant else "")


@dataclass(frozen=True)
class RunValues:
    """One value per (d, seed) of a curve.

    Args:
        dims: Training dimensions, shape (dims,), increasing.
        seeds: Seeds, shape (runs,); one seed is one initialization at every d.
        values: Losses or accuracies, shape (dims, runs); NaN for diverged and for absent runs.
        present: Whether the run was made, shape (dims, runs).
        kind: "loss" or "accuracy".
    """

    dims: np.ndarray
    seeds: np.ndarray
    values: np.ndarray
    present: np.ndarray
    kind: Kind

    def complete(self) -> "RunValues":
        """Keep the seeds that were run at every d.

        Returns:
            The same with fewer runs.

        Raises:
            InputError: If no seed was.
        """
        kept = self.present.all(axis=0)
        if not kept.any():
            raise InputError("no seed was run at every training dimension.")
        return RunValues(
            self.dims, self.seeds[kept], self.values[:, kept], self.present[:, kept], self.kind
        )


def metric_kind(metric: str) -> Kind:
    """Tell whether a metric is a loss or an accuracy.

    Args:
        metric: One of `METRICS`.

    Returns:
        "loss" or "accuracy".

    Raises:
        InputError: If it is another name.
    """
    if metric not in METRICS:
        raise InputError(f"metric is {metric!r}; allowed: {', '.join(METRICS)}.")
    return "loss" if metric.endswith("loss") else "accuracy"


def check_table(table: pd.DataFrame, metric: str, value: Value = "best") -> str:
    """Check that a table can answer for a metric.

    Args:
        table: Tidy table, one row per run and checkpoint.
        metric: One of `METRICS`.
        value: "best" reached at any checkpoint (as in the paper), or "final".

    Returns:
        The name of the column that holds the value.

    Raises:
        InputError: If a column is missing, the table is empty, or accuracies are not in [0, 1].
    """
    kind = metric_kind(metric)
    if value not in ("best", "final"):
        raise InputError(f"value is {value!r}; allowed: 'best', 'final'.")
    column = f"best_{metric}" if value == "best" else metric
    missing = [name for name in (*REQUIRED, column) if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}.")
    if table.empty:
        raise InputError("the table has no rows.")
    numbers = table[column].to_numpy(float)
    if kind == "accuracy" and (
        np.nanmax(numbers, initial=0) > 1 or np.nanmin(numbers, initial=0) < 0
    ):
        raise InputError(f"column {column} leaves [0, 1]; accuracies are fractions, not percent.")
    return column


def curves(
    table: pd.DataFrame, *, baseline: bool = False
) -> Iterator[tuple[CurveKey, pd.DataFrame]]:
    """Split a table into its curves, sorted by dataset, network, method, burn-in time, variant.

    Args:
        table: Tidy table, one row per run and checkpoint.
        baseline: Yield the full-space baselines (method "full") instead of the others.

    Yields:
        The curve's key and its rows.
    """
    rows = table[(table["method"] == "full") == baseline]
    variant = _variants(rows)
    for key, group in rows.groupby([*CURVE, variant], sort=True, observed=True):
        yield CurveKey(*key[:3], int(key[3]), key[4]), group


def _variants(table: pd.DataFrame) -> pd.Series:
    """Name the variant of every row; tables without the column, and empty entries, have none."""
    if "variant" not in table.columns:
        return pd.Series("", index=table.index, name="variant")
    return table["variant"].fillna("").astype(str)


def run_values(table: pd.DataFrame, metric: str, value: Value = "best") -> RunValues:
    """Arrange the rows of one curve as a matrix over d and seed.

    Args:
        table: Rows of one curve.
        metric: One of `METRICS`.
        value: "best" reached at any checkpoint (as in the paper), or "final".

    Returns:
        The matrix with its axes.

    Raises:
        InputError: If the rows belong to several curves or several configurations.
    """
    column = check_table(table, metric, value)
    for name in CURVE:
        if table[name].nunique(dropna=False) > 1:
            raise InputError(f"{name} varies: {_listing(table[name])}; select one curve.")
    if (variants := _variants(table)).nunique() > 1:
        raise InputError(f"variant varies: {_listing(variants)}; select one curve.")
    _refuse_mixtures(table)
    kind = metric_kind(metric)
    if value == "final":
        ordered = table.sort_values("step").drop_duplicates(["d", "seed"], keep="last")
        runs = ordered.set_index(["d", "seed"])[column]
    else:
        grouped = table.groupby(["d", "seed"])[column]
        runs = grouped.min() if kind == "loss" else grouped.max()  # both pass over NaN
    matrix = runs.unstack("seed").sort_index()
    made = pd.Series(True, index=runs.index).unstack("seed", fill_value=False).sort_index()
    return RunValues(
        matrix.index.to_numpy(), matrix.columns.to_numpy(),
        matrix.to_numpy(float), made.to_numpy(bool), kind,
    )  # fmt: skip


def _listing(column: pd.Series) -> str:
    return ", ".join(map(repr, sorted(column.unique().tolist(), key=str)[:4]))


def _refuse_mixtures(rows: pd.DataFrame) -> None:
    """Refuse two configurations in one curve, naming the columns that tell them apart."""
    for name in CONFIGURATION:
        if name in rows.columns and rows[name].nunique() > 1:
            raise InputError(f"{name} varies: {_listing(rows[name])}; select one configuration.")
    repeated = rows.duplicated(["d", "seed", "step"], keep=False)
    if "cell" in rows.columns:
        repeated |= rows.groupby(["d", "seed"])["cell"].transform("nunique") > 1
    if not repeated.any():
        return
    clash = rows[repeated]
    names = [name for name in rows.columns if name not in _OUTCOMES and clash[name].nunique() > 1]
    reason = f"{', '.join(names)} vary" if names else "rows are repeated"
    raise InputError(f"several runs share d, seed and step ({reason}); select one configuration.")


def success_map(
    table: pd.DataFrame,
    metric: str,
    levels: ArrayLike,
    *,
    value: Value = "best",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Tabulate P_s(d, level) for every curve, with Wilson intervals.

    Args:
        table: Tidy table, one row per run and checkpoint; baselines (method "full") are left out.
        metric: One of `METRICS`.
        levels: Losses eps or accuracies in [0, 1], a number or shape (levels,).
        value: "best" reached at any checkpoint (as in the paper), or "final".
        confidence: Coverage of the Wilson intervals.

    Returns:
        One row per curve, d and level: dataset, network, method, burn_in_steps, variant, d, level,
        successes, runs, probability, lower, upper.

    Raises:
        InputError: If the table or an argument is not fit for it.

    Source: Larsen et al. (2022), Eq. 2.3 and Fig. 2.
    """
    check_table(table, metric, value)
    grid = check_levels(levels)
    parts = []
    for key, rows in curves(table):
        runs = run_values(rows, metric, value)
        k, n = success_counts(runs.values, grid, kind=runs.kind, present=runs.present)
        lower, upper = wilson_interval(k, n, confidence)
        columns = {
            "d": np.repeat(runs.dims, len(grid)),
            "level": np.tile(grid, len(runs.dims)),
            "successes": k.ravel(),
            "runs": np.repeat(n, len(grid)),
            "probability": (k / n[:, None]).ravel(),
            "lower": lower.ravel(),
            "upper": upper.ravel(),
        }
        parts.append(pd.DataFrame({**key._asdict(), **columns}))
    if not parts:
        raise InputError("the table holds no method but 'full'.")
    return pd.concat(parts, ignore_index=True)


def threshold_table(
    table: pd.DataFrame,
    metric: str,
    levels: ArrayLike,
    *,
    delta: float = 0.1,
    rule: Rule = "first",
    value: Value = "best",
    interval: Interval | None = None,
    rng: np.random.Generator | int | None = None,
    confidence: float = 0.95,
    replicates: int = 1000,
) -> pd.DataFrame:
    """Tabulate the threshold training dimension for every curve and level.

    Args:
        table: Tidy table, one row per run and checkpoint; baselines (method "full") are left out.
        metric: One of `METRICS`.
        levels: Losses eps or accuracies in [0, 1], a number or shape (levels,).
        delta: Failure probability allowed, in (0, 1).
        rule: "first" (Definition 2.1), "isotonic", "interpolated" or "probit".
        value: "best" reached at any checkpoint (as in the paper), or "final".
        interval: "bootstrap" over seeds; "inverted" Wilson intervals of P_s (`inverted_interval`,
            whatever the rule); None for no interval.
        rng: NumPy generator or integer seed; needed by the bootstrap.
        confidence: Coverage the intervals aim at.
        replicates: Number of bootstrap samples.

    Returns:
        One row per curve and level: dataset, network, method, burn_in_steps, variant, level,
        threshold (inf above the grid), censored, lower, upper, d_min, d_max, runs (fewest at any
        d), text, interval.

    Raises:
        InputError: If the table or an argument is not fit for it.

    Source: Larsen et al. (2022), Definition 2.1 and Fig. 3.
    """
    check_table(table, metric, value)
    grid = check_levels(levels)
    if interval not in (None, "bootstrap", "inverted"):
        raise InputError(f"interval is {interval!r}; allowed: 'bootstrap', 'inverted', None.")
    if interval == "bootstrap":
        if rng is None:
            raise InputError("interval 'bootstrap' needs rng, a numpy Generator or a seed.")
        # One seed for all curves: an entry must not depend on which other curves are there.
        rng = int(as_generator(rng).integers(2**63))
    drawn = {"rng": rng, "confidence": confidence, "replicates": replicates}
    rows = []
    for key, group in curves(table):
        runs = run_values(group, metric, value)
        shared = {"kind": runs.kind, "present": runs.present, "delta": delta, "rule": rule}
        if interval == "bootstrap":
            found = bootstrap_thresholds(runs.dims, runs.values, grid, **shared, **drawn)
        else:
            found = threshold_dimensions(runs.dims, runs.values, grid, **shared)
        if interval == "inverted":
            found = _with_inverted(found, runs, grid, delta, confidence)
        fewest = int(runs.present.sum(axis=1).min())
        rows += [
            {
                **key._asdict(), "level": level, "threshold": d.value, "censored": d.censored,
                "lower": d.lower, "upper": d.upper, "d_min": d.d_min, "d_max": d.d_max,
                "runs": fewest, "text": str(d), "interval": d.interval_text(),
            }
            for level, d in zip(grid, found, strict=True)
        ]  # fmt: skip
    if not rows:
        raise InputError("the table holds no method but 'full'.")
    return pd.DataFrame(rows)


def _with_inverted(found, runs: RunValues, levels, delta, confidence) -> list[Threshold]:
    k, n = success_counts(runs.values, levels, kind=runs.kind, present=runs.present)
    ends = zip(*inverted_interval(runs.dims, k, n, delta, confidence=confidence), strict=True)
    return [
        replace(d, lower=float(low), upper=float(high), confidence=confidence)
        for d, (low, high) in zip(found, ends, strict=True)
    ]


def baseline_accuracy(table: pd.DataFrame, metric: str, value: Value = "best") -> pd.DataFrame:
    """Average the full-space runs over seeds, at the better of the learning rates.

    Args:
        table: Tidy table; the rows of method "full" are used.
        metric: One of `METRICS`; for a loss the smaller mean is the better one.
        value: "best" reached at any checkpoint, or "final".

    Returns:
        One row per dataset and network: dataset, network, baseline (mean over seeds), lowest,
        highest, learning_rate (where the table has it), runs. A learning rate at which a run
        diverged (NaN) is passed over if another one has none. Empty without full-space runs.

    Raises:
        InputError: If the table is not fit for it.

    Source: Larsen et al. (2022), Appendix A.4.
    """
    check_table(table, metric, value)
    rates = ["learning_rate"] if "learning_rate" in table.columns else []
    best: dict[tuple[str, str], dict] = {}
    for key, rows in curves(table, baseline=True):
        for rate, group in rows.groupby(rates) if rates else [((), rows)]:
            runs = run_values(group, metric, value)
            numbers = runs.values[runs.present]
            entry = {
                "dataset": key.dataset, "network": key.network, "baseline": numbers.mean(),
                "lowest": numbers.min(), "highest": numbers.max(),
                **dict(zip(rates, rate, strict=True)), "runs": len(numbers),
            }  # fmt: skip
            held = best.get(key[:2])
            if held is None or _better(entry["baseline"], held["baseline"], runs.kind):
                best[key[:2]] = entry
    columns = ["dataset", "network", "baseline", "lowest", "highest", *rates, "runs"]
    return pd.DataFrame(best.values(), columns=columns)


def _better(new: float, old: float, kind: Kind) -> bool:
    if np.isnan(old):
        return not np.isnan(new)
    return new < old if kind == "loss" else new > old
