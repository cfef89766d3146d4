"""From the tidy table of runs to success maps, thresholds and baselines.

The table has one row per run and checkpoint (see `REQUIRED`). A curve is a `CurveKey`; its runs
differ in d and seed only, anything else that varies is refused. A metric is a column `train_<name>`
or `test_<name>`, its running best `best_<metric>`; "...loss" and "...error" count down, others up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import WAYS, Way, check_levels, metric_kind, require_columns
from dofbook.success.probability import success_counts, wilson_interval
from dofbook.success.thresholds import Interval, threshold_dimensions

BASELINE = "full"
"""What the column `method` calls training in the full space."""
METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
"""The metrics of classification; a table may hold others."""
CURVE = ["dataset", "network", "method", "burn_in_steps"]
REQUIRED = (*CURVE, "d", "seed", "step")
# Where the table has these columns, each must hold one value throughout a curve.
CONFIGURATION = ("D", "pooling", "nested", "optimizer", "bias_correction", "learning_rate",
                 "epochs", "pruning_epochs", "batch_size", "train_images",
                 "test_images")  # fmt: skip

Value = Literal["best", "final"]


class CurveKey(NamedTuple):
    """Name a curve of the table.

    >>> CurveKey("digits", "mlp", "affine", 0).name
    ('affine', 0, '')
    """

    dataset: str
    network: str
    method: str
    burn_in_steps: int
    variant: str = ""

    @property
    def name(self) -> tuple[str, int, str]:
        """The method without data and network: method, burn-in time, variant."""
        return self[2:]


@dataclass(frozen=True)
class RunValues:
    """Hold one value per (d, seed) of a curve: the matrix `values`, its axes `dims` and `seeds`.

    A value is NaN for diverged and for absent (not `present`) runs; a seed is one initialization.

    >>> made = [[True, True], [True, False]]
    >>> RunValues([4, 8], [0, 1], np.ones((2, 2)), made, "loss").complete().seeds
    array([0])
    """

    dims: np.ndarray
    seeds: np.ndarray
    values: np.ndarray
    present: np.ndarray
    kind: Way

    def __post_init__(self):
        checks.choice("kind", self.kind, WAYS)
        lengths = [len(checks.array(n, getattr(self, n), (n,))) for n in ("dims", "seeds")]
        for name in ("values", "present"):
            checks.array(name, getattr(self, name), tuple(lengths))
        for name in ("dims", "seeds", "values", "present"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))

    def complete(self) -> "RunValues":
        """Keep the seeds that were run at every d; at least one must have been."""
        if not (kept := self.present.all(axis=0)).any():
            raise InputError("no seed was run at every training dimension.")
        columns = {name: getattr(self, name)[:, kept] for name in ("values", "present")}
        return replace(self, seeds=self.seeds[kept], **columns)


def check_table(table: pd.DataFrame, metric: str, value: Value = "best") -> str:
    """Check that a table can answer for a metric, and name the column that holds it.

    >>> check_table(pd.DataFrame(columns=[*REQUIRED, "test_loss"]), "test_loss")
    Traceback (most recent call last):
    dofbook.errors.InputError: the table has no column best_test_loss.
    """
    metric_kind(metric)
    checks.choice("value", value, ("best", "final"))
    column = f"best_{metric}" if value == "best" else metric
    require_columns(table, REQUIRED)
    if column not in table:
        known = [str(n).removeprefix("best_") for n in table if str(n).startswith("best_")]
        given = f"; its metrics are {', '.join(known)}" if known else ""
        raise InputError(f"the table has no column {column}{given}.")
    if table.empty:
        raise InputError("the table has no rows.")
    for name in CURVE[:3]:
        if pd.api.types.infer_dtype(table[name]) in ("mixed", "empty"):
            raise InputError(f"column {name} must hold words.")
    for name in REQUIRED[3:]:
        found = checks.finite(f"column {name}", table[name].to_numpy(), ("rows",), 0)
        if name != "d":
            checks.integers(f"column {name}", found)
    numbers = checks.array(column, table[column].to_numpy())
    if metric.endswith("accuracy") and ((numbers < 0) | (numbers > 1)).any():
        raise InputError(f"column {column} leaves [0, 1]; accuracies are fractions, not percent.")
    return column


def curves(
    table: pd.DataFrame, *, baseline: bool = False
) -> Iterator[tuple[CurveKey, pd.DataFrame]]:
    """Split a table into curves, sorted: those of full training if `baseline`, or the others.

    >>> [(key.method, len(rows)) for key, rows in curves(pd.DataFrame(
    ...     {"dataset": "x", "network": "y", "method": ["full", "affine"], "burn_in_steps": 0}))]
    [('affine', 1)]
    """
    require_columns(table, CURVE)
    rows = table[(table["method"] == BASELINE) == baseline]
    for key, group in rows.groupby([*CURVE, _variants(rows)], sort=True, observed=True):
        dataset, network, method, t, words = key  # type: ignore[misc]  # pandas calls it a scalar
        yield CurveKey(dataset, network, method, int(t), words), group


def _variants(table: pd.DataFrame) -> pd.Series:
    """Name the variant of every row; tables without the column, and empty entries, have none."""
    if "variant" not in table.columns:
        return pd.Series("", index=table.index, name="variant")
    return table["variant"].fillna("").astype(str)


def run_values(table: pd.DataFrame, metric: str, value: Value = "best") -> RunValues:
    """Arrange the rows of one curve as a matrix over d and seed.

    `value` is "best", at any checkpoint (as in the paper), or "final". Several curves are refused.

    >>> table = pd.DataFrame({**dict.fromkeys(REQUIRED, 0), "best_train_loss": [1.9, 2.3]})
    >>> run_values(table.assign(step=[5, 9]), "train_loss").values.tolist()
    [[1.9]]
    """
    column = check_table(table, metric, value)
    for key in (*(table[name] for name in CURVE), _variants(table)):
        if key.nunique(dropna=False) > 1:
            raise InputError(f"{key.name} varies: {_listing(key)}; select one curve.")
    _refuse_mixtures(table)
    kind = metric_kind(metric)
    if value == "final":
        ordered = table.sort_values("step").drop_duplicates(["d", "seed"], keep="last")
        runs = ordered.set_index(["d", "seed"])[column]
    else:  # both pass over NaN
        runs = table.groupby(["d", "seed"])[column].agg("min" if kind == "loss" else "max")
    matrix = runs.astype(float).unstack("seed").sort_index()
    made = pd.Series(True, index=runs.index).unstack("seed", fill_value=False).sort_index()
    return RunValues(matrix.index, matrix.columns, matrix, made, kind)


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
    best = [name for name in rows.columns if name.startswith("best_")]
    outcomes = {*REQUIRED, *METRICS, *best, *(n[len("best_") :] for n in best), "epoch", "cell"}
    names = [name for name in rows.columns if name not in outcomes and clash[name].nunique() > 1]
    reason = f"{', '.join(names)} vary" if names else "rows are repeated"
    raise InputError(f"several runs share d, seed and step ({reason}); select one configuration.")


def curve_runs(
    table: pd.DataFrame, metric: str, value: Value = "best"
) -> list[tuple[CurveKey, RunValues]]:
    """Arrange the runs of every curve but baselines, of which there must be one, by `run_values`.

    >>> table = pd.DataFrame({**dict.fromkeys(REQUIRED, 0), "d": 4, "best_train_loss": [2.3]})
    >>> [(key.burn_in_steps, runs.dims) for key, runs in curve_runs(table, "train_loss")]
    [(0, array([4]))]
    """
    check_table(table, metric, value)
    if not (found := [(key, run_values(rows, metric, value)) for key, rows in curves(table)]):
        raise InputError(f"the table holds no method but {BASELINE!r}.")
    return found


def success_map(
    table: pd.DataFrame, metric: str, levels: ArrayLike, *, value: Value = "best",
    confidence: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tabulate P_s(d, level) for every curve but baselines (method "full"), with Wilson intervals.

    `value` is that of `run_values`. Columns: dataset, network, method, burn_in_steps, variant, d,
    level, successes, runs, probability, lower, upper. Paper, Eq. 2.3, Fig. 2.

    >>> rows = {**dict.fromkeys(REQUIRED, 0), "seed": [0, 1], "best_train_loss": [2.3, 0.9]}
    >>> success_map(pd.DataFrame(rows), "train_loss", [1.0, 3.0]).probability.tolist()
    [0.5, 1.0]
    """
    grid, parts = check_levels(levels), []
    for key, runs in curve_runs(table, metric, value):
        k, n = success_counts(runs.values, grid, kind=runs.kind, present=runs.present)
        columns = {
            "d": np.repeat(runs.dims, len(grid)), "level": np.tile(grid, len(runs.dims)),
            "successes": k.ravel(), "runs": np.repeat(n, len(grid)),
        }  # fmt: skip
        parts.append(pd.DataFrame({**key._asdict(), **columns}))
    found = pd.concat(parts, ignore_index=True)
    k, n = found["successes"], found["runs"]
    lower, upper = wilson_interval(k, n, confidence)
    return found.assign(probability=k / n, lower=lower, upper=upper)


def threshold_table(
    table: pd.DataFrame, metric: str, levels: ArrayLike, *, delta: float = 0.1,
    value: Value = "best", interval: Interval | None = None, confidence: float = 0.95,
) -> pd.DataFrame:  # fmt: skip
    """Tabulate the threshold training dimension for every curve but baselines, and every level.

    `interval` is that of `threshold_dimensions`, `value` of `run_values`. Columns: dataset,
    network, method, burn_in_steps, variant, level, threshold (inf above the grid), censored, lower,
    upper, d_min, d_max, runs (fewest at any d), text, interval. Paper, Fig. 3.

    >>> rows = {**dict.fromkeys(REQUIRED, 0), "d": [4, 8], "best_train_loss": [2.3, 0.9]}
    >>> threshold_table(pd.DataFrame(rows), "train_loss", [1.0, 0.5]).text.tolist()
    ['8', '> 8']
    """
    grid, rows = check_levels(levels), []
    for key, runs in curve_runs(table, metric, value):
        each = threshold_dimensions(
            runs.dims, runs.values, grid, kind=runs.kind, delta=delta, present=runs.present,
            interval=interval, confidence=confidence,
        )  # fmt: skip
        fewest = int(runs.present.sum(axis=1).min())
        rows += [
            {
                **key._asdict(), "level": level, "threshold": d.value, "censored": d.censored,
                "lower": d.lower, "upper": d.upper, "d_min": d.d_min, "d_max": d.d_max,
                "runs": fewest, "text": d.value_text(), "interval": d.interval_text(),
            }
            for level, d in zip(grid, each, strict=True)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def baseline_accuracy(table: pd.DataFrame, metric: str, value: Value = "best") -> pd.DataFrame:
    """Average the full-space runs (method "full") over seeds, at the better learning rate.

    One row per data set and network: dataset, network, baseline (mean over seeds), lowest, highest,
    learning_rate (where the table has it), runs; none without full-space runs. A learning rate at
    which a run diverged (NaN) is passed over if another one has none. Paper, Appendix A.4.

    >>> rows = {**dict.fromkeys(REQUIRED, 0), "seed": [0, 1], "best_test_loss": [0.3, 0.5]}
    >>> baseline_accuracy(pd.DataFrame(rows).assign(method="full"), "test_loss").baseline.tolist()
    [0.4]
    """
    check_table(table, metric, value)
    rates = ["learning_rate"] if "learning_rate" in table.columns else []
    entries = []
    for key, rows in curves(table, baseline=True):
        for rate, group in rows.groupby(rates) if rates else [((), rows)]:
            runs = run_values(group, metric, value)
            numbers = runs.values[runs.present]
            spread = numbers.mean(), numbers.min(), numbers.max()
            entries.append((*key[:2], *spread, *rate, len(numbers)))
    columns = ["dataset", "network", "baseline", "lowest", "highest", *rates, "runs"]
    smaller = metric_kind(metric) == "loss"
    found = pd.DataFrame(entries, columns=columns)  # NaN comes last, equal means keep their order
    best_first = found.sort_values("baseline", ascending=smaller, kind="stable")
    return best_first.drop_duplicates(["dataset", "network"]).sort_index(ignore_index=True)
