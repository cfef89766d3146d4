"""The experiment of Fig. 9: what a cell computes, its files, and resuming."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from dofbook import methods, success
from dofbook.errors import InputError
from dofbook.experiments import ntk
from dofbook.experiments.cells import task_data
from dofbook.experiments.config import TaskConfig
from dofbook.experiments.store import seal, unseal
from dofbook.landscape.convex import LinearLogits, minimize
from dofbook.landscape.linearization import linearize
from dofbook.training import cross_entropy
from dofbook.training.optimizers import OptimizerConfig

TASK = TaskConfig("digits", network="mlp", train_size=100, test_size=50, epochs=2)
SWEEP = ntk.NtkSweep(
    TASK, seeds=(0, 1), dims=(8,), optimum_epochs=2, exact_dims=(2, 8), centres=(0,),
    centre_dims=(8,),
)  # fmt: skip


@pytest.fixture(scope="module")
def cells():
    return ntk.sweep_cells(SWEEP)


@pytest.fixture(scope="module")
def folder(cells, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    assert ntk.run_cells(cells, folder, progress=False) == len(cells)
    return folder


@pytest.fixture(scope="module")
def table(cells, folder):
    return ntk.read_table(cells, folder)


def test_a_sweep_lists_every_model_dimension_and_centre(cells):
    assert len(cells) == 2 * (2 + 1 + 1)
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.optimum_steps for cell in cells} == {2}


def test_both_models_start_at_w0_in_the_same_subspace(table):
    """At theta = 0 stands the loss of f(w0), and of f(w_opt) + J (w0 - w_opt)."""
    dataset, data = task_data(TASK)
    network = ntk.linear_network(TASK, dataset)
    w0, w_opt = methods.initialization(network, 1), ntk.optimum(TASK, 1, 2)
    start = table[(table.seed == 1) & (table.step == 0) & (table.variant == "")]
    for method, model in (("affine", network), ("linearized", linearize(network, w_opt))):
        loss = cross_entropy(model.apply(w0, data.x_test), data.y_test)
        got = start[start.method == method].test_loss
        np.testing.assert_allclose(got, float(loss), rtol=1e-4)
    around_start = table[(table.seed == 1) & (table.step == 0) & (table.variant != "")]
    affine = start[start.method == "affine"].test_loss.iloc[0]
    assert around_start.test_loss.iloc[0] == pytest.approx(affine, rel=1e-4)


def test_the_exact_minimum_lies_below_what_adam_reaches_there(table):
    best = table.groupby(["method", "variant", "seed", "d"]).best_train_loss.min()
    for seed in (0, 1):
        exact = best["linearized_exact", "", seed, 8]
        assert exact <= best["linearized", "", seed, 8] * (1 + 1e-3)
        assert exact < best["linearized_exact", "", seed, 2]
    exact = table[table.method == "linearized_exact"]
    assert (exact.gap <= 1e-3 * exact.train_loss).all()
    assert exact.gradient_norm.max() < 0.1


def test_exact_minima_are_measured_where_they_were_found(cells):
    """The loss Newton's method saw is the loss of the linearized network at that point."""
    cell = replace(next(c for c in cells if c.model == "exact"), dims=(5,))
    rows = ntk.exact_minima(cell)
    dataset, data = task_data(TASK)
    linear = linearize(ntk.linear_network(TASK, dataset), ntk.optimum(TASK, 0, 2))
    place = ntk.subspace(linear, 0, 5)
    start = np.asarray(linear.apply(place.offset, data.x_train), np.float64)
    columns = jax.vmap(lambda row: linear.apply(place.offset + row, data.x_train))
    features = np.moveaxis(np.asarray(columns(place.directions.rows)) - start, 0, -1)
    problem = LinearLogits(start, features.astype(float), np.asarray(data.y_train))
    assert rows.train_loss.iloc[0] == pytest.approx(minimize(problem).loss, rel=1e-3)


def test_the_table_is_fit_for_thresholds(table):
    found = success.threshold_table(table, "train_loss", [1e3], interval="inverted")
    assert set(found.method) == {"affine", "linearized", "linearized_exact"}
    assert sorted(found.text) == ["<= 2", "<= 8", "<= 8", "<= 8"]


def test_it_resumes_and_repairs(cells, folder, table, tmp_path):
    assert ntk.run_cells(cells, folder, progress=False) == 0
    victim, other = (folder / f"{cell.name}.parquet" for cell in cells[:2])
    victim.write_bytes(victim.read_bytes()[:-50])  # cut short
    other.unlink()
    assert ntk.run_cells(cells, folder, progress=False) == 2
    pd.testing.assert_frame_equal(ntk.read_table(cells, folder), table)
    with pytest.raises(InputError, match="none of the cells"):
        ntk.read_table(cells, tmp_path)


def test_an_altered_cell_is_computed_again(cells, folder, table):
    victim = folder / f"{cells[0].name}.parquet"
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    assert ntk.run_cells(cells, folder, progress=False) == 1
    pd.testing.assert_frame_equal(ntk.read_table(cells, folder), table)


def test_cells_of_other_data_are_not_added_to(cells, folder, tmp_path):
    stored, metadata = unseal((folder / f"{cells[0].name}.parquet").read_bytes())
    origin = json.loads(metadata["dofbook.provenance"])
    origin["dataset"]["fingerprint"] = "other"
    kept = {"dofbook.ntk_config": metadata["dofbook.ntk_config"]}
    data = seal(stored, kept | {"dofbook.provenance": json.dumps(origin)})
    (tmp_path / f"{cells[0].name}.parquet").write_bytes(data)
    with pytest.raises(InputError, match="other digits data"):
        ntk.run_cells(cells, tmp_path, progress=False)


def test_a_published_table_says_where_it_comes_from(cells, folder, table, tmp_path):
    path = tmp_path / "table.parquet"
    assert ntk.write_table(cells, folder, path) == len(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["seeds"] == [0, 1]
    assert origin["number"] == len(cells)
    assert set(origin["cells"]) == {cell.name for cell in cells}
    assert "digits" in origin["datasets"][0]["source"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "quadratic"}, "allowed: network, linearized, exact"),
        ({"dims": (4, 2)}, "increasing"),
        ({"dims": (2, 4)}, "a single one"),
        ({"centre_steps": 1}, "belongs to linearized"),
        ({"model": "linearized", "centre_steps": 3}, "between 0 and optimum_steps = 2"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_bad_cells_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(ntk.NtkCell(TASK, "network", 0, (2,), 2), **change)


def test_published_cells_keep_their_names():
    """A new field of the configuration must not rename cells that are published already."""
    path = Path(__file__).parents[1] / "results" / "ntk_conv2.provenance.json"
    cells = json.loads(path.read_text())["cells"]
    held = pd.read_parquet(path.with_name("ntk_conv2.parquet"))
    assert set(held["cell"]) == set(cells)
    for name, raw in cells.items():
        task = raw["task"]
        rates = {n: OptimizerConfig(**task[n]) for n in ("optimizer", "burn_in_optimizer")}
        cell = ntk.NtkCell(
            TaskConfig(**{**task, **rates}), raw["model"], raw["seed"], tuple(raw["dims"]),
            raw["optimum_steps"], raw["centre_steps"],
        )  # fmt: skip
        assert cell.name == name
