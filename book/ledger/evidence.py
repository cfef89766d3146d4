"""Read the published tables and keep the runs made with the paper's settings.

Every table in the folder counts, whatever its name: those with runs and those with singular values
are told apart by their columns.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from dofbook.datasets.official import RELEASES
from dofbook.experiments.published import published_names, read_provenance, read_published
from dofbook.success.tables import CURVE, METRICS, REQUIRED
from dofbook.training.config import EPOCHS
from ledger.criteria import RUNS

TRAIN_IMAGES = {name: release.sizes[0] for name, release in RELEASES.items()}
BATCH = 128
PRUNING_EPOCHS = 2
IN_SUBSPACE = ("affine", "lottery_subspace")
IDENTITY = [*CURVE, "variant", "d", "learning_rate", "seed"]

SPECTRUM_COLUMNS = ("dataset", "network", "seed", "basis", "index", "singular_value")
LINEARIZED_COLUMNS = ("dataset", "network", "model", "d", "seed", "best_train_accuracy")
MODELS = ("network", "linearized")
WELL_COLUMNS = ("spectrum", "distance", "run", "level", "d_hit", "bound", "D")


def _empty(columns) -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in columns})


@dataclass(frozen=True)
class Evidence:
    """Hold the tables that claims are judged by; each may be empty.

    Args:
        runs: Runs with the paper's settings, one row per run and checkpoint (`paper_rows`).
        other_rates: Random affine runs like those, at any learning rate.
        spectra: Singular values of training trajectories, `SPECTRUM_COLUMNS`; index counts from 1.
        linearized: Fig. 9, `LINEARIZED_COLUMNS`: one row per run.
        well: Fig. 5, `WELL_COLUMNS`: distance in units of the farthest, level (loss) in units of
            that at the farthest start, bound D less Eq. 3.4.
    """

    runs: pd.DataFrame = field(default_factory=lambda: _empty(REQUIRED))
    other_rates: pd.DataFrame = field(default_factory=lambda: _empty(REQUIRED))
    spectra: pd.DataFrame = field(default_factory=lambda: _empty(SPECTRUM_COLUMNS))
    linearized: pd.DataFrame = field(default_factory=lambda: _empty(LINEARIZED_COLUMNS))
    well: pd.DataFrame = field(default_factory=lambda: _empty(WELL_COLUMNS))


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    """Take a column, all missing where the table has none."""
    return table[name] if name in table.columns else pd.Series(np.nan, table.index, dtype=object)


def _is(table: pd.DataFrame, name: str, value: object) -> pd.Series:
    """Mark rows that have the value (a Series: the value of that row), or none at all."""
    column = _column(table, name)
    return column.isna() | (column == value)


def _whole(table: pd.DataFrame) -> pd.Series:
    """Mark rows of the paper's data in full, trained for its epochs."""
    names = zip(table["dataset"], table["network"], strict=True)
    epochs = [EPOCHS.get(network, {}).get(dataset) for dataset, network in names]
    images = table["dataset"].map(TRAIN_IMAGES)
    return (
        images.notna()
        & _is(table, "train_images", images)
        & _is(table, "epochs", pd.Series(epochs, table.index, dtype=float))
    )


def paper_rows(table: pd.DataFrame, *, any_rate: bool = False) -> pd.DataFrame:
    """Keep the runs on the paper's data, networks and settings, each once.

    The settings are those of the paper's text: Table 2's epochs, all training images, batches of
    128, max pooling, Adam with textbook bias correction and rate 5e-2 in subspaces (at every rate
    with `any_rate`), t burn-in steps, tickets pruned after two epochs, and no variant of a method
    (see ``results/columns.md``). Runs that stopped early do not count. Where two tables hold the
    same run, the first one's counts.
    """
    if table.empty:
        return table
    method = table["method"]
    keep = table["network"].isin(RUNS) & _whole(table)
    keep &= _is(table, "batch_size", BATCH) & _is(table, "pooling", "max")
    keep &= _is(table, "extra_burn_in_step", 0) & _is(table, "bias_correction", "textbook")
    keep &= ~method.isin(IN_SUBSPACE) | _is(table, "optimizer", "adam")
    if not any_rate:
        rate = _column(table, "learning_rate").astype(float)
        keep &= ~method.isin(IN_SUBSPACE) | rate.isna() | np.isclose(rate, 5e-2)
    keep &= (method != "lottery_ticket") | _is(table, "pruning_epochs", PRUNING_EPOCHS)
    keep &= (method != "affine") | _is(table, "nested", False)
    # Every other basis, structure of directions, schedule or iteration has a name there.
    keep &= _is(table, "variant", "")
    return _each_run_once(_finished(table[keep]))


def _finished(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep the runs whose last checkpoint is the end of the last epoch."""
    if not {"epoch", "epochs"} <= set(rows.columns):
        return rows
    run = [name for name in (*IDENTITY, "table", "cell") if name in rows.columns]
    last = rows.groupby(run, dropna=False)["epoch"].transform("max").astype(float)
    return rows[np.isclose(last, rows["epochs"].astype(float))]


def _each_run_once(rows: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in IDENTITY if name in rows.columns]
    origin = [name for name in ("table", "cell") if name in rows.columns]
    if rows.empty or not origin:
        return rows
    first = rows.groupby(names, dropna=False)[origin].transform("first")
    return rows[(first == rows[origin]).all(axis=1)]


def linearized_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the best of every run of Fig. 9 at the paper's settings, all in nested subspaces.

    Those of the network, and of its linearization around the end of full training, w_opt.
    """
    if table.empty:
        return _empty(LINEARIZED_COLUMNS)
    nested = _column(table, "nested") == True  # noqa: E712  (a column may be missing)
    rows = table[(table["method"] == "affine") & nested & (table["burn_in_steps"] == 0)]
    rows = _finished(rows[_whole(rows) & _is(rows, "batch_size", BATCH)])
    names = zip(rows["dataset"], rows["network"], strict=True)
    last = [EPOCHS[b][a] * math.ceil(TRAIN_IMAGES[a] / BATCH) for a, b in names]
    variant = _column(rows, "variant").fillna("")
    around = pd.Series([f"linearized at step {step}" for step in last], rows.index, dtype=object)
    model = pd.Series(np.select([variant == "", variant == around], MODELS, ""), rows.index)
    rows = rows.assign(model=model)[model != ""]
    best = rows.groupby(["dataset", "network", "model", "d", "seed"])["best_train_accuracy"].max()
    return best.reset_index()[list(LINEARIZED_COLUMNS)]


def _with_burn_in(rows: pd.DataFrame, cells: dict) -> pd.DataFrame:
    """Add the extra burn-in step, which the rows lack, from the cells' configurations."""
    if not {"cell"} <= set(rows.columns) or "extra_burn_in_step" in rows.columns:
        return rows
    extra = {name: cell.get("task", {}).get("extra_burn_in_step") for name, cell in cells.items()}
    return rows.assign(extra_burn_in_step=rows["cell"].map(extra))


def load_tables(folder: str | Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read every published table: the runs and the singular values.

    Runs gain the columns ``table``, the name of the file without suffix, and ``extra_burn_in_step``
    of the cell. Raises `InputError` where a table cannot be believed, and where there is none.
    """
    runs, spectra = [_empty((*REQUIRED, "table"))], [_empty(SPECTRUM_COLUMNS)]
    for name in published_names(folder):
        rows = read_published(name, folder)
        if set(SPECTRUM_COLUMNS) <= set(rows.columns):
            spectra.append(rows)
        elif {*REQUIRED, *METRICS} <= set(rows.columns):
            rows = _with_burn_in(rows, read_provenance(name, folder).get("cells", {}))
            runs.append(rows.assign(table=name))
    return _join(runs), _join(spectra)


def _join(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables[1:], ignore_index=True) if len(tables) > 1 else tables[0]


def load_evidence(folder: str | Path | None = None, well: pd.DataFrame | None = None) -> Evidence:
    """Read what the folder of published tables holds; see `load_tables`.

    `well` is the table of the quadratic well, cheap enough to compute anew
    (`landscapes.simulate_well`); None for none.
    """
    runs, spectra = load_tables(folder)
    return Evidence(
        runs=paper_rows(runs),
        other_rates=paper_rows(runs[runs["method"] == "affine"], any_rate=True),
        spectra=spectra,
        linearized=linearized_rows(runs),
        well=_empty(WELL_COLUMNS) if well is None else well,
    )
