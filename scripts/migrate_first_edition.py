"""Rewrite tables of the first edition's other kinds as cells and tables of the one engine.

Until 0.1.0 the linearized networks of Fig. 9, its cuts and the spectra of Figs. 10 and 11 had
engines of their own: other hashes, or none. Here each becomes cells of today's configuration in
the store, and the table and its provenance are written again from these. No number changes: a test
(``tests/test_identity.py``) computes the old hashes from the new configurations, and the git
history keeps the old files.

    python scripts/migrate_first_edition.py [--results results] [TABLE.parquet ...]

Without names, every table of the first edition that is found is taken; others are left as they
are. The provenance of a table keeps where it comes from in ``migrated_from``: the old SHA-256, new
hashes to old ones, and a SHA-256 of the numbers, which is the same before and after.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dofbook.experiments.config import SCHEMA_VERSION, Cell, CellConfig, read_task
from dofbook.experiments.cuts import CutCell
from dofbook.experiments.published import publish
from dofbook.experiments.spectra import SpectrumCell
from dofbook.experiments.store import Store
from dofbook.experiments.tables import compact, summarize
from dofbook.methods import RandomAffine

TEST_IMAGES = 10_000
"""Of MNIST and of Fashion-MNIST, the only data of these tables."""
FINGERPRINTS = {
    "mnist": "c1a44cd987adea06a723558e60762a763befa3cccc6bcbb05653f86cf68f5530",
    "fashion_mnist": "715868ef620cfff128d9e6ddab09b5058437961858c8b66b9c59a924180d6b61",
}
"""Tell which of several data sets of a table belongs to a cell."""

Part = tuple[Cell, pd.DataFrame, str | None, float | None]
"""A cell, its rows, its old hash if it had one, its wall time if it is known."""


def linearized(table: pd.DataFrame, origin: dict) -> Iterator[Part]:
    """Split a table of ``ntk.write_table``: the network or its linearization, a seed and d a cell.

    ``method`` becomes "affine" for both, and ``variant`` says where a network is linearized.
    """
    for old, raw in origin["cells"].items():
        if raw["ntk_schema"] != 1 or raw["model"] not in ("network", "linearized"):
            raise SystemExit(f"{old} is a cell of another kind: {raw['model']}.")
        task = read_task(json.loads(json.dumps(raw["task"])))
        if raw["model"] == "linearized":
            centre = raw["optimum_steps"] if raw["centre_steps"] is None else raw["centre_steps"]
            task = replace(task, linearized_at=centre)
        (d,) = raw["dims"]
        cell = CellConfig(task=task, method=RandomAffine(nested=True), d=d, seeds=(raw["seed"],))
        at, optimizer = task.linearized_at, task.optimizer
        rows = table[table["cell"] == old].assign(
            cell=cell.name,
            method="affine",
            variant="" if at is None else f"linearized at step {at}",
            pooling=task.pooling,
            optimizer=optimizer.name,
            bias_correction=optimizer.bias_correction,
            learning_rate=optimizer.learning_rate,
            batch_size=task.batch_size,
            test_images=TEST_IMAGES,
        )
        metrics = [f"{s}_{m}" for s in ("train", "test") for m in ("loss", "accuracy")]
        order = [
            "cell", "dataset", "network", "pooling", "method", "burn_in_steps", "variant",
            "nested", "d", "D", "optimizer", "bias_correction", "learning_rate", "epochs",
            "batch_size", "train_images", "test_images", "seed", "step", "epoch",
            *metrics, *(f"best_{m}" for m in metrics),
        ]  # fmt: skip
        yield cell, rows[order], old, None


def cuts(table: pd.DataFrame, origin: dict) -> Iterator[Part]:
    """Split a table of ``cuts.write_cuts``: one data set a cell."""
    (seed,) = origin["seeds"]
    for raw in origin["cuts"]:
        task = read_task(json.loads(json.dumps(raw["task"])))
        steps, grid = raw["optimum_steps"], raw["grid"]
        cell = CutCell(task=task, seeds=(seed,), optimum_steps=steps, grid=grid)
        rows = table[table["dataset"] == task.dataset].copy()
        rows.insert(0, "cell", cell.name)
        yield cell, rows, None, None


def spectra(table: pd.DataFrame, origin: dict) -> Iterator[Part]:
    """Take a table of ``spectra.write_spectra``: one cell with all its seeds."""
    task = read_task(json.loads(json.dumps(origin["task"])))
    cell = SpectrumCell(task=task, seeds=tuple(origin["seeds"]), **origin["trajectory"])
    rows = table.copy()
    rows.insert(0, "cell", cell.name)
    yield cell, rows, None, origin["wall_seconds"]


def way(origin: dict) -> object:
    """Choose how a table is split; None for one of today's."""
    if "migrated_from" in origin:
        return None
    if "cuts" in origin:
        return cuts
    if "trajectory" in origin:
        return spectra
    first = next(iter(origin.get("cells", {}).values()), {})
    return linearized if "ntk_schema" in first else None


def dataset_of(cell: Cell, origin: dict) -> dict:
    """Find the data of a cell among those of its table."""
    if len(origin["datasets"]) == 1:
        return origin["datasets"][0]
    wanted = FINGERPRINTS[cell.task.dataset]
    return next(data for data in origin["datasets"] if data["fingerprint"] == wanted)


def numbers(table: pd.DataFrame) -> dict:
    """Give the columns of numbers and the SHA-256 of their values, whatever the order of rows."""
    columns = sorted(table.select_dtypes("number"))
    values = table[columns].astype(float).sort_values(columns).to_numpy()
    return {"columns": columns, "sha256": hashlib.sha256(values.tobytes()).hexdigest()}


def migrate(path: Path, store: Store) -> int | None:
    """Write the cells, the table and its provenance of one table; None if it is one of today's."""
    place = path.with_suffix(".provenance.json")
    origin = json.loads(place.read_text())
    split = way(origin)
    if split is None:
        return None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != origin["table_sha256"]:
        raise SystemExit(f"{path} is not the table its provenance names.")
    (environment,) = origin["environments"]
    names, olds, table = [], {}, pd.read_parquet(path)
    for cell, rows, old, seconds in split(table, origin):
        before = {"edition": environment["versions"]["dofbook"], "table": path.name}
        before |= {"table_sha256": digest, **({"cell": old} if old else {})}
        provenance = {
            "environment": environment, "dataset": dataset_of(cell, origin),
            "wall_seconds": seconds, "migrated_from": before,
        }  # fmt: skip
        store.write(cell, rows.reset_index(drop=True), provenance)
        names.append(cell.name)
        if old:
            olds[cell.name] = old
    cells = [store.read(name) for name in sorted(names)]
    before = {"edition": environment["versions"]["dofbook"], "table_sha256": digest}
    before |= {"numbers": numbers(table), "cells": olds}
    about = summarize(cells) | {
        "wall_seconds": origin["wall_seconds"],
        "migrated_from": before,
    }
    return publish(path, compact(cells), about, {"dofbook.schema": str(SCHEMA_VERSION)})


def main() -> int:
    """Migrate the tables named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", type=Path)
    parser.add_argument("--results", type=Path, default=Path(__file__).parents[1] / "results")
    given = parser.parse_args()
    store = Store(given.results / "cells")
    for path in given.tables or sorted(given.results.glob("*.parquet")):
        rows = migrate(path, store)
        if rows is not None:
            sys.stdout.write(f"{path}: {rows} rows.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
