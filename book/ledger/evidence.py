"""Read the published tables and keep the runs made with the paper's settings."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dofbook.success.tables import CURVE, METRICS, REQUIRED
from ledger.criteria import RUNS

TRAIN_IMAGES = {
    "mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "cifar100": 50_000,
    "svhn_cropped": 73_257,
}  # fmt: skip
PRUNING_EPOCHS = 2
IN_SUBSPACE = ("affine", "lottery_subspace")
IDENTITY = [*CURVE, "variant", "d", "learning_rate", "seed"]

SPECTRUM_COLUMNS = ("dataset", "network", "seed", "basis", "index", "singular_value")
LINEARIZED_COLUMNS = ("dataset", "network", "model", "d", "seed", "best_train_accuracy")
LINEARIZED_MODELS = {"affine": "network", "linearized": "linearized"}
"""What the tables of Fig. 9 call the network and its linearization; see ``dofbook.experiments.ntk``."""
WELL_COLUMNS = ("spectrum", "distance", "run", "level", "d_hit", "bound", "D")


def empty(columns) -> pd.DataFrame:
    """Make a table without rows.

    Args:
        columns: Names of its columns.

    Returns:
        The table.
    """
    return pd.DataFrame({name: [] for name in columns})


@dataclass(frozen=True)
class Evidence:
    """Hold the tables that claims are judged by; each may be empty.

    Args:
        runs: Runs with the paper's settings, one row per run and checkpoint (`paper_rows`).
        other_rates: Random affine runs like those, at any learning rate.
        spectra: Singular values of training trajectories: dataset, network, seed, basis, index
            (from 0 or 1), singular_value.
        linearized: Fig. 9: dataset, network, model ("network" or "linearized"), d, seed,
            best_train_accuracy; one row per run.
        well: Fig. 5: spectrum, distance (in units of the farthest), run, level (loss in units of
            that at the farthest start), d_hit, bound (D less Eq. 3.4), D.
    """

    runs: pd.DataFrame = field(default_factory=lambda: empty(REQUIRED))
    other_rates: pd.DataFrame = field(default_factory=lambda: empty(REQUIRED))
    spectra: pd.DataFrame = field(default_factory=lambda: empty(SPECTRUM_COLUMNS))
    linearized: pd.DataFrame = field(default_factory=lambda: empty(LINEARIZED_COLUMNS))
    well: pd.DataFrame = field(default_factory=lambda: empty(WELL_COLUMNS))


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """Take a column, all missing where the table has none."""
    return table[name] if name in table.columns else pd.Series(np.nan, table.index, dtype=object)


def _is(table: pd.DataFrame, name: str, value: object) -> pd.Series:
    """Mark rows that have the value or none at all."""
    column = _column(table, name)
    return column.isna() | (column == value)


def _expected_epochs(table: pd.DataFrame) -> pd.Series:
    from dofbook.experiments.config import default_epochs  # imports the networks, and with them JAX

    names = list(zip(table["dataset"], table["network"], strict=True))
    known = {name: default_epochs(*name) for name in set(names)}
    return pd.Series([known[name] for name in names], table.index)


def paper_rows(table: pd.DataFrame, *, any_rate: bool = False) -> pd.DataFrame:
    """Keep the runs on the paper's data, networks and settings, each once.

    The settings are those of the paper's text: Table 2's epochs, all training images, batches of
    128, max pooling, Adam with textbook bias correction and rate 5e-2 in subspaces, t burn-in
    steps, tickets pruned after two epochs, and no variant of a method (see ``results/columns.md``).
    Where two tables hold the same run, the first one's counts.

    Args:
        table: Tidy rows of any runs; columns beyond the required ones may be missing.
        any_rate: Keep subspace runs at every learning rate, not 5e-2 alone.

    Returns:
        The rows, in the given order.
    """
    if table.empty:
        return table
    method = table["method"]
    keep = table["network"].isin(RUNS) & table["dataset"].isin(TRAIN_IMAGES)
    keep &= _is(table, "batch_size", 128) & _is(table, "pooling", "max")
    keep &= _is(table, "extra_burn_in_step", 0) & _is(table, "bias_correction", "textbook")
    images = _column(table, "train_images")
    keep &= images.isna() | (images == table["dataset"].map(TRAIN_IMAGES))
    keep &= ~method.isin(IN_SUBSPACE) | _is(table, "optimizer", "adam")
    if not any_rate:
        rate = _column(table, "learning_rate").astype(float)
        keep &= ~method.isin(IN_SUBSPACE) | rate.isna() | np.isclose(rate, 5e-2)
    keep &= (method != "lottery_ticket") | _is(table, "pruning_epochs", PRUNING_EPOCHS)
    nested = _column(table, "nested")
    keep &= (method != "affine") | nested.isna() | (nested == False)  # noqa: E712
    # Every other basis, structure of directions, schedule or iteration has a name there.
    keep &= _is(table, "variant", "")
    rows = table[keep]
    epochs = _column(rows, "epochs")
    rows = rows[epochs.isna() | (epochs == _expected_epochs(rows))]
    return _each_run_once(rows)


def _each_run_once(rows: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in IDENTITY if name in rows.columns]
    origin = [name for name in ("table", "cell") if name in rows.columns]
    if rows.empty or not origin:
        return rows
    first = rows.groupby(names, dropna=False)[origin].transform("first")
    return rows[(first == rows[origin]).all(axis=1)]


def _with_burn_in(table: pd.DataFrame, provenance: Path) -> pd.DataFrame:
    """Add the extra burn-in step, which the rows lack, from the cells' configurations."""
    if "extra_burn_in_step" in table.columns or not provenance.is_file():
        return table
    cells = json.loads(provenance.read_text()).get("cells", {})
    extra = {name: cell.get("task", {}).get("extra_burn_in_step") for name, cell in cells.items()}
    return table.assign(extra_burn_in_step=table["cell"].map(extra))


def load_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every published table of runs.

    Args:
        folder: Folder of the tables.

    Returns:
        All rows, with the column ``table``, the name of the file without suffix: those of the
        tables without linearized networks, and those of the tables with them.
    """
    plain, linearized = [], []
    for path in sorted(Path(folder).glob("*.parquet")):
        rows = pd.read_parquet(path)
        if {*REQUIRED, *METRICS} <= set(rows.columns):
            rows = _with_burn_in(rows, path.with_suffix(".provenance.json"))
            kind = linearized if (rows["method"] == "linearized").any() else plain
            kind.append(rows.assign(table=path.stem))
    nothing = empty((*REQUIRED, "table"))
    plain, linearized = (
        pd.concat(parts, ignore_index=True) if parts else nothing for parts in (plain, linearized)
    )
    return plain, linearized


def linearized_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the runs of Fig. 9 at the paper's settings: the network's, and those around w_opt.

    Args:
        table: Rows of the tables with linearized networks.

    Returns:
        One row per run, as `Evidence.linearized` describes it.
    """
    if table.empty:
        return empty(LINEARIZED_COLUMNS)
    rows = table[table["method"].isin(LINEARIZED_MODELS) & _is(table, "variant", "")]
    images = _column(rows, "train_images")
    rows = rows[images.isna() | (images == rows["dataset"].map(TRAIN_IMAGES))]
    epochs = _column(rows, "epochs")
    rows = rows[epochs.isna() | (epochs == _expected_epochs(rows))]
    rows = rows.assign(model=rows["method"].map(LINEARIZED_MODELS))
    best = rows.groupby(["dataset", "network", "model", "d", "seed"])["best_train_accuracy"].max()
    return best.reset_index()[list(LINEARIZED_COLUMNS)]


def _read(folder: Path, pattern: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Join the tables of a pattern that have the columns."""
    tables = [pd.read_parquet(path) for path in sorted(Path(folder).glob(pattern))]
    fit = [table for table in tables if set(columns) <= set(table.columns)]
    return pd.concat(fit, ignore_index=True) if fit else empty(columns)


def load_evidence(folder: Path, well: pd.DataFrame | None = None) -> Evidence:
    """Read what the folder of published tables holds.

    Args:
        folder: Folder of the tables, ``results/``.
        well: The table of the quadratic well (`landscapes.simulate_well`), which is cheap enough
            to compute anew; None for none.

    Returns:
        The evidence.
    """
    runs, linearized = load_tables(folder)
    return Evidence(
        runs=paper_rows(runs),
        other_rates=paper_rows(runs[runs["method"] == "affine"], any_rate=True),
        spectra=_read(folder, "spectra*.parquet", SPECTRUM_COLUMNS),
        linearized=linearized_rows(linearized),
        well=empty(WELL_COLUMNS) if well is None else well,
    )
