"""Published results keep their identity: each is found by its configuration, whatever moves."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from dofbook.experiments.config import canonical_json, cell_from_json
from dofbook.experiments.options import make_sweep
from dofbook.experiments.paper import paper_figure
from dofbook.experiments.store import Store

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
    for name, raw in origin.get("cells", {}).items():
        text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest()[:16] == name
        if "method" in raw:
            cell = cell_from_json(text)
            assert (cell.name, canonical_json(cell)) == (name, text)
    if "cells" in origin:
        assert set(pd.read_parquet(table, columns=["cell"])["cell"]) == set(origin["cells"])


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
