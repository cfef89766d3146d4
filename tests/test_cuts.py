"""Cuts through w0 and two optima, against evaluations at the very points."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dofbook.errors import InputError
from dofbook.experiments import cuts, tables
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import TaskConfig
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.linearized import weights_after
from dofbook.experiments.store import Store
from dofbook.landscape.linearization import linearize
from dofbook.training import evaluate, make_task

TASK = TaskConfig(dataset="digits", network="mlp", epochs=1)
STEPS = 12
CELL = cuts.CutCell(task=TASK, seeds=(3,), optimum_steps=STEPS, grid=4)


@pytest.fixture(scope="module")
def table():
    return run_cell(CELL)


def weights():
    task = make_task(TASK)
    optima = [weights_after(task, seed, STEPS) for seed in (3, 4)]
    return task, dict(zip(cuts.PLACES, (task.initialization(3), *optima), strict=True))


def test_the_three_points_have_their_own_losses_and_distances(table):
    task, points = weights()
    network = task.network.with_derivatives("linear")
    models = {"network": network, "linearized": linearize(network, points["optimum 1"])}
    for name, model in models.items():
        rows = table[table.model == name].set_index("place")
        for place, w in points.items():
            loss, accuracy = np.asarray(evaluate(replace(task, network=model), w))[2:]
            assert rows.loc[place, "test_loss"] == pytest.approx(loss, rel=1e-5)
            assert rows.loc[place, "test_accuracy"] == pytest.approx(accuracy, abs=2 / 360)
            distance = np.linalg.norm(np.asarray(w) - np.asarray(points["w0"]))
            assert np.hypot(*rows.loc[place, ["x", "y"]]) == pytest.approx(distance, rel=1e-5)


def test_network_and_linearization_agree_where_they_touch_and_differ_elsewhere(table):
    at = table.pivot(index=["place", "x", "y"], columns="model", values="test_loss")
    np.testing.assert_allclose(*at.loc["optimum 1"].to_numpy().T, rtol=1e-5)
    assert (at["network"] - at["linearized"]).abs().max() > 0.1


def test_the_grid_surrounds_the_points_and_is_complete(table):
    grid, points = table[table.place == "grid"], table[table.place != "grid"]
    assert len(grid) == 2 * 4 * 4
    for axis in "xy":
        assert grid[axis].min() < points[axis].min()
        assert grid[axis].max() > points[axis].max()


def test_the_published_table_is_the_cut_with_its_origin(tmp_path, table):
    store, path = Store(tmp_path / "store"), tmp_path / "cuts.parquet"
    assert run_sweep([CELL], store, progress=False).computed == 1
    assert run_sweep([CELL], store, progress=False).stored == 1
    assert tables.write_table(store, path, [CELL.name]) == len(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["table_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["cells"][CELL.name]["optimum_steps"] == STEPS
    assert origin["seeds"] == [3]


@pytest.mark.parametrize("wrong", [{"optimum_steps": 0}, {"grid": 1}, {"grid": 2.5}])
def test_bad_cuts_are_refused(wrong):
    with pytest.raises(InputError, match="must be a whole number of at least"):
        replace(CELL, **wrong)
