"""What the rows of a cell must be: checked against its configuration whenever a file is read.

A digest says that a file is as it was written, not that it holds what its name says.
"""

import math

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from dofbook.experiments.config import Cell, CellConfig
from dofbook.training.config import checkpoints

BYTES_PER_ROW = 2**12
"""Allowed of the unpacked content; real rows have a few hundred."""
_FITS = {
    str: (kinds.is_string, kinds.is_large_string),
    int: (kinds.is_integer,),
    float: (kinds.is_floating, kinds.is_integer),
    bool: (kinds.is_boolean,),
}
_NAMES = {
    str: "cell dataset network pooling method variant optimizer bias_correction basis model place",
    int: "burn_in_steps d D epochs batch_size train_images test_images seed step index "
    "newton_steps",
    float: "learning_rate epoch gradient_norm gap singular_value x y",
    bool: "nested",
}
_COLUMNS = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_METRICS = ("train_", "test_", "best_train_", "best_test_")
_OF_RUNS = {
    "dataset", "network", "pooling", "method", "burn_in_steps", "variant", "nested", "d", "D",
    "optimizer", "bias_correction", "learning_rate", "epochs", "batch_size", "step",
}  # fmt: skip


class DamagedCell(Exception):
    """Say why a cell's file cannot be trusted."""


def check_rows(cell: Cell, table: pa.Table) -> None:
    """Refuse rows that are not those of a cell: columns, types, names, seeds, steps and ranges."""
    _check_schema(cell, table)
    _check_constants(cell, table)
    seeds = _values(table, "seed")
    if set(seeds.tolist()) != set(cell.seeds):
        raise DamagedCell(f"it has the seeds {sorted(set(seeds.tolist()))}, not {cell.seeds}")
    if "step" in table.column_names:
        _check_steps(cell, table, seeds)
    elif "place" in table.column_names and len(table) != cell.most_rows():
        raise DamagedCell(f"it has {len(table)} of {cell.most_rows()} rows")
    positive = cell.task.objective == "classification"
    for name in table.column_names:
        values = _values(table, name) if name.startswith(_METRICS) else np.zeros(0)
        if name.endswith("_accuracy") and not ((values >= 0) & (values <= 1)).all():
            raise DamagedCell(f"its column {name} leaves the range from 0 to 1")
        # A run that diverged has NaN.
        if name.endswith("_loss") and positive and (values < 0).any():
            raise DamagedCell(f"its column {name} has values below 0")


def _values(table: pa.Table, name: str) -> np.ndarray:
    """Give a column of numbers, NaN where there is none; ``to_numpy`` would load pandas for it."""
    column = table[name].combine_chunks()
    if column.null_count:
        column = column.cast(pa.float64()).fill_null(math.nan)
    return np.from_dlpack(column)


def _check_schema(cell: Cell, table: pa.Table) -> None:
    needed = {"cell", "seed"}
    if isinstance(cell, CellConfig):
        ours = ("loss", "accuracy") if cell.task.objective == "classification" else ()
        needed |= {*_OF_RUNS, *(part + name for part in _METRICS for name in ours)}
    if missing := sorted(needed - set(table.column_names)):
        raise DamagedCell(f"it has no column {', '.join(missing)}")
    if len(set(table.column_names)) < table.num_columns:
        raise DamagedCell("a column occurs twice")
    own = not cell.author[0].startswith("dofbook.")
    known = (cell.method.extra_columns if isinstance(cell, CellConfig) else {}) | _COLUMNS
    for field in table.schema:
        kind = known.get(field.name, float if field.name.startswith(_METRICS) else None)
        if kind is None:
            if not own:
                raise DamagedCell(f"it has a column {field.name}, which no such cell has")
        elif not any(fits(field.type) for fits in _FITS[kind]):
            raise DamagedCell(f"its column {field.name} holds {field.type}")


def _check_constants(cell: Cell, table: pa.Table) -> None:
    task, wanted = cell.task, dict[str, object](cell.names)
    if isinstance(cell, CellConfig):
        wanted |= {
            "pooling": task.pooling, "method": cell.method.name, "burn_in_steps": cell.method.t,
            "nested": cell.method.is_nested, "epochs": task.epochs, "batch_size": task.batch_size,
        }  # fmt: skip
        wanted |= {} if cell.d is None else {"d": cell.d}
    for name in (name for name in wanted if name in table.column_names):
        found = table[name].unique().to_pylist()
        if found not in ([], [wanted[name]]):
            raise DamagedCell(f"its column {name} says {found[:3]}, not {wanted[name]!r}")


def _check_steps(cell: Cell, table: pa.Table, seeds: np.ndarray) -> None:
    steps = _values(table, "step")
    of_seed = [steps[seeds == seed].tolist() for seed in cell.seeds]
    wanted = _expected_steps(cell, table) or of_seed[0]
    if any(found != wanted for found in of_seed) or sorted(set(wanted)) != wanted:
        raise DamagedCell("its checkpoints are not those of the cell")


def _expected_steps(cell: Cell, table: pa.Table) -> list[int] | None:
    """List the checkpoints by the size of the training set; None where the rows do not say it."""
    task = cell.task
    if "train_images" not in table.column_names:
        return None
    if task.solver == "exact":
        return [0]
    if (task.epochs or 0) > len(table):  # before a list of that length is made
        raise DamagedCell("its checkpoints are not those of the cell")
    each = -(-table["train_images"][0].as_py() // task.batch_size)
    return checkpoints(each, task.checkpoints_per_epoch, task.epochs or 0)
