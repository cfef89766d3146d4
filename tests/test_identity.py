"""Published results keep their identity: each is found by its configuration, whatever moves."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from dofbook.experiments.config import canonical_json, cell_from_json
from dofbook.experiments.options import make_sweep
from dofbook.experiments.paper import paper_figure
from dofbook.experiments.store import Store
from dofbook.experiments.tables import compact, read_cells

RESULTS = Path(__file__).parents[1] / "results"
STORE = Store(RESULTS / "cells")
TABLES = sorted(RESULTS.glob("*.parquet"))


def provenance(table: Path) -> dict:
    return json.loads(table.with_suffix(".provenance.json").read_text())


def test_every_stored_cell_is_found_by_its_configuration():
    names = STORE.names()
    assert len(names) >= 132
    for name in names:
        stored = STORE.read(name)
        text = canonical_json(stored.config)
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == name == stored.config.name
        assert cell_from_json(text) == stored.config
        assert set(stored.table["cell"].to_pylist()) == {name}
        assert set(stored.table["seed"].to_pylist()) == set(stored.config.seeds)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_every_published_table_is_the_one_its_provenance_names(table):
    origin = provenance(table)
    assert hashlib.sha256(table.read_bytes()).hexdigest() == origin["table_sha256"]
    for name, raw in origin["cells"].items():
        text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == name
        cell = cell_from_json(text)
        assert (cell.name, canonical_json(cell)) == (name, text)
    held = pd.read_parquet(table, columns=["cell", "seed"])
    assert set(held["cell"]) == set(origin["cells"])
    for name, seeds in held.groupby("cell")["seed"]:
        assert set(seeds) <= set(origin["cells"][name]["seeds"])


MIGRATED = [table for table in TABLES if "migrated_from" in provenance(table)]


def first_edition_name(cell) -> str:
    """Hash of a cell of Fig. 9 by the engine it had in the first edition, 0.1.0."""
    task = asdict(cell.task)
    at = task.pop("linearized_at")
    for later in ("objective", "solver"):
        del task[later]
    content = {
        "ntk_schema": 1, "task": task, "model": "network" if at is None else "linearized",
        "seed": cell.seeds[0], "dims": [cell.d], "optimum_steps": 1407, "centre_steps": None,
    }  # fmt: skip
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_old_names_of_the_cells_of_figure_9_follow_from_the_new_configurations():
    origin = provenance(RESULTS / "ntk_conv2.parquet")
    old = origin["migrated_from"]["cells"]
    assert set(old) == set(origin["cells"]) and len(set(old.values())) == 84
    for new, raw in origin["cells"].items():
        assert first_edition_name(cell_from_json(json.dumps(raw))) == old[new]


def test_every_table_of_another_kind_was_migrated():
    stems = {table.stem for table in MIGRATED}
    assert {"ntk_conv2", "ntk_cuts"} <= stems
    assert {f"spectra_{data}_conv2" for data in ("mnist", "fashion_mnist")} <= stems


@pytest.mark.parametrize("table", MIGRATED, ids=lambda path: path.stem)
def test_a_migration_changed_no_number_and_put_all_cells_into_the_store(table):
    rows, origin = pd.read_parquet(table), provenance(table)
    before = origin["migrated_from"]["numbers"]
    values = rows[before["columns"]].astype(float).sort_values(before["columns"]).to_numpy()
    assert hashlib.sha256(values.tobytes()).hexdigest() == before["sha256"]
    cells = read_cells(STORE, origin["cells"])
    assert {cell.config.name for cell in cells} == set(origin["cells"])
    for cell in cells:
        assert cell.provenance["migrated_from"]["table"] == table.name
        assert cell.provenance["dataset"] in origin["datasets"]
    pd.testing.assert_frame_equal(compact(cells).to_pandas(), rows)


@pytest.mark.parametrize(
    ("figure", "table"),
    [("9-mnist", "ntk_conv2"), ("9-fashion_mnist", "ntk_conv2"), ("9c-mnist", "ntk_cuts"),
     ("10-mnist-conv2", "spectra_mnist_conv2")],
)  # fmt: skip
def test_the_figures_of_other_kinds_find_their_cells_in_the_store(figure, table):
    wanted = {cell.name for cell in paper_figure(figure).cells()}
    published = set(provenance(RESULTS / f"{table}.parquet")["cells"])
    assert len(wanted & published) == (42 if figure[:2] == "9-" else 1)
    assert wanted & published <= set(STORE.names())


def test_the_cells_of_a_figure_are_those_its_table_is_made_from():
    figure = {cell.name for cell in paper_figure("6-mnist-conv2").cells()}
    published = provenance(RESULTS / "mnist_conv2.parquet")["cells"]
    assert figure == set(published) and len(figure) == 132
    assert figure <= set(STORE.names())
    rows = pd.read_parquet(RESULTS / "mnist_conv2.parquet")
    for name in sorted(figure)[::6]:
        stored = STORE.read(name).table.to_pandas().sort_values(["seed", "step"])
        again = rows[rows["cell"] == name].sort_values(["seed", "step"])[stored.columns]
        pd.testing.assert_frame_equal(
            stored.reset_index(drop=True), again.reset_index(drop=True), check_dtype=False
        )


LOTTERY = {"dataset": "cifar10", "method": "lottery_subspace", "baseline": False}
DIGITS = {"directions": "hadamard", "runs": 10, "baseline": False}
EPOCH = {"profile": "paper", "runs": 3, "epochs": 1}


@pytest.mark.parametrize(
    ("table", "options", "count"),
    [
        ("mnist_conv2_1epoch", EPOCH | {"burn_in_steps": (0, 16)}, 28),
        ("cifar10_conv2_lottery", LOTTERY | {"runs": 3, "dims": (1, 2, 4, 8, 16)}, 5),
        ("cifar10_conv2_lottery", LOTTERY | {"first_seed": 3, "runs": 2, "dims": (9, 12)}, 2),
        ("cifar10_conv2_lottery", LOTTERY | {"runs": 3, "basis": "centred", "dims": (1, 4)}, 2),
        ("digits_conv2_directions", DIGITS | {"dims": (64, 91, 512, 4096)}, 4),
    ],
)
def test_options_name_published_cells(table, options, count):
    names = {cell.name for cell in make_sweep(**options).cells()}
    assert len(names) == count
    assert names <= set(provenance(RESULTS / f"{table}.parquet")["cells"])
