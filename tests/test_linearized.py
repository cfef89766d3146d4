"""The experiment of Fig. 9: what its cells compute, and that they are cells like any other."""

import json
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest

from dofbook import success
from dofbook.errors import InputError
from dofbook.experiments import tables
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import CellConfig, TaskConfig
from dofbook.experiments.executors import run_sweep
from dofbook.experiments.linearized import weights_after
from dofbook.experiments.paper import linearization_cells
from dofbook.experiments.store import Store
from dofbook.landscape.convex import LinearLogits, minimize, nested_minima
from dofbook.landscape.linearization import linearize
from dofbook.methods import RandomAffine
from dofbook.training import evaluate, make_task

TASK = TaskConfig("digits", network="mlp", train_size=100, test_size=50, epochs=2)
AT_OPTIMUM, AT_START = "linearized at step 2", "linearized at step 0"
EXACT = f"{AT_OPTIMUM}, exact"


@pytest.fixture(scope="module")
def cells():
    return linearization_cells(
        TASK, 2, seeds=(0, 1), dims=(8,), exact_dims=(2, 8), centres=(0,), centre_dims=(8,)
    )


@pytest.fixture(scope="module")
def store(cells, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("cells"))
    report = run_sweep(cells, store, progress=False)
    assert (report.computed, report.failures) == (len(cells), {})
    return store


@pytest.fixture(scope="module")
def table(cells, store):
    return tables.table(store, [cell.name for cell in cells])


def test_a_sweep_lists_every_model_dimension_and_centre(cells):
    assert len(cells) == 2 * (2 + 1 + 2)
    assert len({cell.name for cell in cells}) == len(cells)
    assert {cell.task.linearized_at for cell in cells} == {None, 0, 2}


def test_both_models_start_at_w0_in_the_same_subspace(table):
    """At theta = 0 stands the loss of f(w0), and of f(w_opt) + J (w0 - w_opt)."""
    task = make_task(TASK)
    network = task.network.with_derivatives("linear")
    w0, w_opt = task.initialization(1), weights_after(task, 1, 2)
    start = table[(table.seed == 1) & (table.step == 0) & (table.d == 8)].set_index("variant")
    for variant, model in (("", network), (AT_OPTIMUM, linearize(network, w_opt))):
        loss = evaluate(replace(task, network=model), w0)[2]
        np.testing.assert_allclose(start.test_loss[variant], float(loss), rtol=1e-4)
    assert start.test_loss[AT_START] == pytest.approx(start.test_loss[""], rel=1e-4)
    assert set(table.method) == {"affine"} and set(table.nested) == {True}


def test_the_exact_minimum_lies_below_what_adam_reaches_there(table):
    best = table.groupby(["variant", "seed", "d"]).best_train_loss.min()
    for seed in (0, 1):
        exact = best[EXACT, seed, 8]
        assert exact <= best[AT_OPTIMUM, seed, 8] * (1 + 1e-3)
        assert exact < best[EXACT, seed, 2]
    exact = table[table.variant == EXACT]
    assert (exact.gap <= 1e-3 * exact.train_loss).all()
    assert exact.gradient_norm.max() < 0.1


def convex_problem(seed: int, d: int) -> LinearLogits:
    """The logits of the linearized network in the subspace of a seed, direction by direction."""
    task = make_task(TASK)
    centre = weights_after(task, seed, 2)
    linear = linearize(task.network.with_derivatives("linear"), centre)
    place, x = RandomAffine(nested=True).subspace(task, seed, d), task.arrays.x_train
    start = np.asarray(linear.apply(place.offset, x), np.float64)
    columns = jax.vmap(lambda row: linear.apply(place.offset + row, x))
    features = np.moveaxis(np.asarray(columns(place.directions.rows)) - start, 0, -1)
    return LinearLogits(start, features.astype(float), np.asarray(task.data.y_train))


def exact_cell(seed: int, d: int) -> CellConfig:
    task = replace(TASK, linearized_at=2, solver="exact")
    return CellConfig(task=task, method=RandomAffine(nested=True), d=d, seeds=(seed,))


def test_exact_minima_are_measured_where_they_were_found():
    """The loss Newton's method saw is the loss of the linearized network at that point."""
    rows = run_cell(exact_cell(0, 5))
    assert rows.train_loss.iloc[0] == pytest.approx(minimize(convex_problem(0, 5)).loss, rel=1e-3)


def test_every_minimum_started_cold_is_that_of_a_chain_of_warm_starts():
    """Each d is a cell of its own: it agrees with the chain within the gaps Newton left."""
    dims = (2, 5, 9, 12)
    chain = nested_minima(convex_problem(1, max(dims)), dims)
    for d, warm in zip(dims[::-1], chain[::-1], strict=True):  # the larger first: nothing shared
        cold = run_cell(exact_cell(1, d)).iloc[0]
        assert abs(cold.train_loss - warm.loss) <= cold.gap + warm.gap + 1e-5 * warm.loss
        assert cold.newton_steps >= 1


def test_the_table_is_fit_for_thresholds(table):
    found = success.threshold_table(table, "train_loss", [1e3], interval="inverted")
    assert set(found.variant) == {"", AT_START, AT_OPTIMUM, EXACT}
    assert sorted(found.text) == ["<= 2", "<= 8", "<= 8", "<= 8"]


def test_it_resumes_and_repairs(cells, store, table, tmp_path):
    assert run_sweep(cells, store, progress=False).computed == 0
    victim, other = (store.path(cell.name) for cell in cells[:2])
    victim.write_bytes(victim.read_bytes()[:-50])  # cut short
    other.unlink()
    assert run_sweep(cells, store, progress=False).computed == 2
    names = [cell.name for cell in cells]
    pd.testing.assert_frame_equal(tables.table(store, names), table)
    with pytest.raises(InputError, match="none of the cells"):
        tables.table(Store(tmp_path), names)


def test_an_altered_cell_is_computed_again(cells, store, table):
    victim = store.path(cells[0].name)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    assert run_sweep(cells, store, progress=False).computed == 1
    pd.testing.assert_frame_equal(tables.table(store, [cell.name for cell in cells]), table)


def test_cells_of_other_data_are_not_added_to(cells, store, tmp_path):
    stored, other = store.read(cells[0].name), Store(tmp_path)
    origin = {**stored.provenance, "dataset": {"source": "elsewhere", "fingerprint": "other"}}
    other.write(cells[0], stored.table.to_pandas(), origin)
    with pytest.raises(InputError, match="other digits data"):
        run_sweep(cells, other, progress=False)


def test_a_published_table_says_where_it_comes_from(cells, store, table, tmp_path):
    path, names = tmp_path / "table.parquet", [cell.name for cell in cells]
    assert tables.write_table(store, path, names) == len(table)
    pd.testing.assert_frame_equal(pd.read_parquet(path), table)
    origin = json.loads(path.with_suffix(".provenance.json").read_text())
    assert origin["seeds"] == [0, 1]
    assert set(origin["cells"]) == set(names)
    assert "digits" in origin["datasets"][0]["source"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solver": "quadratic"}, "allowed: 'descent', 'exact'"),
        ({"solver": "exact"}, "needs a linearized network"),
        ({"linearized_at": -1}, "at least 0"),
        ({"linearized_at": 1.5}, "at least 0"),
        ({"linearized_at": 2, "objective": "regression"}, "a linearized network's is 'classif"),
    ],
)
def test_bad_tasks_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(TASK, **change)
