"""Compact the cells of a store into one tidy table, the same bytes whatever order they ran in."""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dofbook.errors import InputError
from dofbook.experiments.config import SCHEMA_VERSION, CellConfig, canonical_json
from dofbook.experiments.published import publish
from dofbook.experiments.store import Store, StoredCell
from dofbook.success.tables import CONFIGURATION, CURVE

log = logging.getLogger(__name__)

ORDER = (
    "dataset", "network", "method", "burn_in_steps", "d", "learning_rate", "seed", "step", "cell"
)  # fmt: skip
"""Columns the rows are sorted by; ``cell`` last, so that the order is total."""


def read_cells(store: Store, names: Iterable[str] | None = None) -> list[StoredCell]:
    """Read cells of a store, by default all, in the order of their hashes, as ``Store.take``.

    InputError if there are none.

    >>> read_cells(Store(Path("nowhere")))
    Traceback (most recent call last):
    dofbook.errors.InputError: the store nowhere holds none of the cells asked for.
    """
    names = store.names() if names is None else sorted(set(names))
    cells = [cell for name in names if (cell := store.take(name)) is not None]
    if not cells:
        raise InputError(f"the store {store.root} holds none of the cells asked for.")
    for name, digests in _sources(cells).items():
        if len(digests) > 1:
            log.warning("%s was edited: its cells are of %d versions of it.", name, len(digests))
    return cells


def compact(cells: Iterable[StoredCell]) -> pa.Table:
    """Join cells into one table sorted by ``ORDER``, one row per run and checkpoint.

    A run that is in several cells, as with seeds 0 to 2 and 0 to 9, is taken from the first. Raises
    InputError for cells of several kinds, which have no columns in common, and for cells that would
    make one curve though they differ in more than d and seeds.

    >>> from dofbook.training import TaskConfig
    >>> cells = [StoredCell(CellConfig(task=TaskConfig()), pa.table({"seed": [0]}), {})]
    >>> compact(cells * 2).num_rows
    1
    """
    parts, seen, cells = [], set(), list(cells)
    if len(kinds := sorted({cell.config.kind or "runs" for cell in cells})) > 1:
        together = f"{' and '.join(kinds)} make no table together"
        raise InputError(f"{together}; choose one, by a figure or the options of its sweep.")
    _check_curves(cells)
    for cell in cells:
        family = cell.config.with_seed(0).name
        fresh = [seed for seed in cell.config.seeds if (family, seed) not in seen]
        seen.update((family, seed) for seed in fresh)
        keep = pc.is_in(cell.table["seed"], pa.array(fresh, cell.table["seed"].type))
        parts.append(cell.table.filter(keep))
    table = pa.concat_tables(parts, promote_options="permissive")
    return table.sort_by([(name, "ascending") for name in ORDER if name in table.column_names])


def _check_curves(cells: Iterable[StoredCell]) -> None:
    """Refuse cells that no column tells apart, but by d and seeds, though they differ."""
    known: dict[tuple, tuple[str, dict]] = {}
    for cell in cells:
        names = [n for n in (*CURVE, "variant", *CONFIGURATION) if n in cell.table.schema.names]
        if not isinstance(cell.config, CellConfig) or not set(CURVE) <= set(names):
            continue
        label = tuple(cell.table[name][0].as_py() for name in names)
        content: dict[str, Any] = cell.config.content() | {"d": None, "seeds": None}
        content |= {f"task.{key}": value for key, value in content.pop("task").items()}
        name, other = known.setdefault(label, (cell.config.name, content))
        keys = sorted(content.keys() | other.keys())
        if differ := [key for key in keys if content.get(key) != other.get(key)]:
            pair = f"the cells {name} and {cell.config.name} differ in {', '.join(differ)}"
            way = "choose one by its sweep's options"
            raise InputError(f"{pair}, and would make one curve; {way}.")


def table(store: Store, names: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a store as one tidy table, as ``read_cells`` and ``compact`` make it.

    >>> table(Store(Path("nowhere")))
    Traceback (most recent call last):
    dofbook.errors.InputError: the store nowhere holds none of the cells asked for.
    """
    return compact(read_cells(store, names)).to_pandas(use_threads=False)


def _sources(cells: Iterable[StoredCell]) -> dict[str, list[str | None]]:
    """List the digests of a reader's code behind cells, by its name: one, unless it was edited."""
    known = [(cell.provenance.get("code") or {}).get("sources") or {} for cell in cells]
    names = sorted({name for one in known for name in one})
    return {name: sorted({one[name] for one in known if name in one}, key=str) for name in names}


def _distinct(items: Iterable[object]) -> list[object]:
    return [json.loads(text) for text in sorted({json.dumps(x, sort_keys=True) for x in items})]


def summarize(cells: Sequence[StoredCell]) -> dict:
    """Describe where a table comes from, ready for JSON: wall time in seconds, cells by hash.

    >>> from dofbook.training import TaskConfig
    >>> summarize([StoredCell(CellConfig(task=TaskConfig(), seeds=(0, 1)), None, {})])["seeds"]
    [0, 1]
    """
    origins = [cell.provenance for cell in cells]
    parts = [part for origin in origins for part in origin.get("parts", {}).values()]
    sources = _sources(cells)
    return {
        "schema": SCHEMA_VERSION,
        "wall_seconds": sum(origin.get("wall_seconds") or 0.0 for origin in origins),
        "seeds": sorted({seed for cell in cells for seed in cell.config.seeds}),
        "environments": _distinct(origin.get("environment") for origin in [*origins, *parts]),
        "datasets": _distinct(origin.get("dataset") for origin in origins),
        "cells": {cell.config.name: json.loads(canonical_json(cell.config)) for cell in cells},
        **({"sources": sources} if sources else {}),
    }


def write_table(store: Store, path: Path, names: Iterable[str] | None = None) -> int:
    """Write the tidy table of ``table``, and its origin beside it, as ``publish`` does.

    >>> write_table(Store(Path("nowhere")), Path("runs.parquet"))
    Traceback (most recent call last):
    dofbook.errors.InputError: the store nowhere holds none of the cells asked for.
    """
    return publish_cells(path, read_cells(store, names))


def publish_cells(path: Path, cells: Sequence[StoredCell]) -> int:
    """Write cells as one tidy table, and its origin beside it, as ``publish`` does.

    >>> from tempfile import TemporaryDirectory
    >>> from dofbook.training import TaskConfig
    >>> cells = [StoredCell(CellConfig(task=TaskConfig()), pa.table({"seed": [0]}), {})]
    >>> with TemporaryDirectory() as folder:
    ...     publish_cells(Path(folder) / "runs.parquet", cells)
    1
    """
    return publish(path, compact(cells), summarize(cells), {"dofbook.schema": str(SCHEMA_VERSION)})


def _environment_line(environment: dict) -> str:
    """Write device, commit and versions, as every cell's file holds them, as one line."""
    git, device = environment["git"] or {}, sorted({d["kind"] for d in environment["devices"]})
    commit = git.get("commit", "unknown")[:10] + " with local changes" * bool(git.get("dirty"))
    named = ("python", "jax", "flax", "optax", "numpy", "dofbook")
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in named)
    return f"{', '.join(device)}; commit {commit}; {versions}"


def run_record(cells: Sequence[StoredCell]) -> pd.Series:
    """Say in words where a chapter's figures come from: data, training, time, device, versions."""
    about = summarize(cells)
    data: dict[str, list[str]] = {}
    for name, _, part in sorted(source["source"].partition("; ") for source in about["datasets"]):
        data.setdefault(name, []).append(part or "all")
    tasks = {cell.config.task for cell in cells if cell.config.place()["d"] is not None}
    parts = {
        "data": {f"{name}: {' / '.join(parts)}" for name, parts in data.items()},
        # The other networks do not pool, whatever the configuration holds.
        "network": {
            task.network + f", {task.pooling} pooling" * task.network.startswith(("conv", "lenet"))
            for task in tasks
        },
        "cells": {str(len(about["cells"]))},
        "seeds": {", ".join(map(str, about["seeds"]))},
        "epochs": {", ".join(map(str, sorted({task.epochs or 0 for task in tasks})))},
        "training": {
            f"batches of {t.batch_size}, {t.optimizer.name}, learning rate "
            f"{t.optimizer.learning_rate}, {t.optimizer.bias_correction} bias correction"
            for t in tasks
        },
        "computing time": {f"{about['wall_seconds']:.0f} s"},
        "device and versions": {_environment_line(e) for e in about["environments"]},
    }
    return pd.Series({name: "; ".join(sorted(texts)) for name, texts in parts.items()})
