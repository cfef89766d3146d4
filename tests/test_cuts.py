"""Cuts through w0 and two optima, against evaluations at the very points."""

import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from dofbook import methods
from dofbook.experiments import cuts, ntk
from dofbook.experiments.cells import task_data
from dofbook.experiments.config import TaskConfig
from dofbook.landscape.linearization import linearize
from dofbook.training import evaluate

TASK = TaskConfig(dataset="digits", network="mlp", epochs=1)
STEPS = 12


@pytest.fixture(scope="module")
def table():
    return cuts.cut(TASK, 3, STEPS, grid=4, progress=False)


def weights():
    dataset, data = task_data(TASK, None)
    network = ntk.linear_network(TASK, dataset)
    w0 = methods.initialization(network, 3)
    optima = [ntk.optimum(TASK, seed, STEPS) for seed in (3, 4)]
    return network, data, dict(zip(cuts.PLACES, (w0, *optima), strict=True))


def test_the_three_points_have_their_own_losses_and_distances(table):
    network, data, points = weights()
    models = {"network": network, "linearized": linearize(network, points["optimum 1"])}
    for name, model in models.items():
        rows = table[table.model == name].set_index("place")
        for place, w in points.items():
            loss, accuracy = np.asarray(evaluate(model, data, w))[2:]
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
    sweep = ntk.NtkSweep(TASK, seeds=(3, 9), dims=(1,), optimum_epochs=1)
    path = tmp_path / "cuts.parquet"
    rows = cuts.write_cuts(path, [sweep], grid=4)
    assert rows == len(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["table_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert origin["cuts"][0]["optimum_steps"] == STEPS
    assert origin["seeds"] == [3]
