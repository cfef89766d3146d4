"""``dofbook table`` and ``dofbook thresholds``: what a store holds, as tables."""

import logging
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from dofbook.cli import EXIT_FAILED
from dofbook.commands.describing import described, describes_sweep
from dofbook.commands.options import OutFile, Place, Real, Reals
from dofbook.commands.output import Output, check_file
from dofbook.commands.status import existing_store
from dofbook.errors import InputError
from dofbook.experiments import tables
from dofbook.experiments.config import CellConfig
from dofbook.experiments.published import check_table_path
from dofbook.experiments.store import Store, StoredCell, read_parquet, write_atomically
from dofbook.success.checks import check_level
from dofbook.success.tables import threshold_table

log = logging.getLogger(__name__)


@describes_sweep
def table_command(
    *,
    chosen: Any = None,
    store: Place = Path("store"),
    output: OutFile | None = None,
    csv: bool = False,
    out: Output = Output(),  # noqa: B008  (frozen)
) -> int:
    """Join a store, or one sweep of it, into one table.

    Args:
        store: Folder of the cells.
        output: A .parquet file, or with --csv any file.
        csv: Write CSV, without -o on standard output.
    """
    config, found = described(chosen), existing_store(store)
    names = [cell.name for cell in config.cells()] if config else None
    if output is None and not csv:
        raise InputError("name the table with -o, or print it with --csv.")
    if output:
        check_file(output, found.root)
        if not csv:
            check_table_path(output)
    cells, code = _read_cells(found, names)
    rows = tables.compact(cells).to_pandas(use_threads=False) if csv else pd.DataFrame()
    if output is None:
        sys.stdout.write(rows.to_csv(index=False))
        return code
    if csv:
        write_atomically(output, rows.to_csv(index=False).encode())
    count = len(rows) if csv else tables.publish_cells(output, cells)
    missing = sum(not found.path(name).exists() for name in names or ())
    note = f"; {missing} of {len(names or ())} cells are missing" if missing else ""
    out.say(f"{output}: {count} rows{note}.")
    out.event({"event": "table", "path": str(output), "rows": count})
    return code


def _read_cells(store: Store, names: list[str] | None = None) -> tuple[list[StoredCell], int]:
    """Read cells, and give the exit code: not 0 where one is there, or was, and cannot be read."""
    there = [name for name in (store.names() if names is None else names) if store.stamp(name)]
    aside = [p for p, name in store.asides().items() if names is None or name in names]
    for path in aside:
        log.error("%s is left out: it was damaged, and is not computed again.", path)
    cells = tables.read_cells(store, names)
    return cells, EXIT_FAILED if aside or len(cells) < len(there) else 0


def thresholds_command(
    source: Path,
    /,
    *,
    level: Reals,
    metric: str = "test_accuracy",
    delta: Real = 0.1,
    csv: bool = False,
) -> int:
    """Print d* with its interval for every curve.

    Args:
        source: A store, or a table of runs.
        level: Accuracies or losses to reach, such as 0.8,0.9.
        metric: Whose best value counts.
        delta: Failure probability that d* allows.
        csv: Print CSV.
    """
    for one in level:
        check_level(one, metric)
    rows, code = _read_runs(source)
    found = threshold_table(rows, metric, level, delta=delta, interval="inverted")
    if csv:
        sys.stdout.write(found.to_csv(index=False))
        return code
    variant = ["variant"] if found["variant"].any() else []
    columns = ["dataset", "network", "method", "burn_in_steps", *variant, "level", "text"]
    lines = found[[*columns, "interval", "runs"]]
    lines = lines.rename(columns={"burn_in_steps": "t", "text": "d*"})
    sys.stdout.write(lines.to_string(index=False) + "\n")
    return code


def _read_runs(source: Path) -> tuple[pd.DataFrame, int]:
    """Read runs from a table, or as `_read_cells` from a store, but no other kinds of cells."""
    if source.is_dir():
        cells, code = _read_cells(existing_store(source))
        runs = [cell for cell in cells if isinstance(cell.config, CellConfig)]
        if not runs:
            raise InputError(f"the store {source} holds no runs.")
        return tables.compact(runs).to_pandas(use_threads=False), code
    return read_table(source), 0


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet file, or say in a sentence that there is none."""
    if not path.is_file():
        raise InputError(f"there is no table {path}.")
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            return read_parquet(start + file.read() if start == b"PAR1" else start)
    except (OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise InputError(f"{path} cannot be read as Parquet: {reason}.") from None
