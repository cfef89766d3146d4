"""A new method is one class: swept, stored, planned, tabled, plotted, nothing else touched."""

import inspect
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import dofbook as dof
from dofbook.commands.output import Output
from dofbook.commands.running import Batched
from dofbook.commands.status import print_plan
from dofbook.errors import InputError, RunFailed
from dofbook.experiments import estimates, make_sweep
from dofbook.experiments.config import CellConfig, SweepConfig, canonical_json, cell_from_json
from dofbook.experiments.store import Store
from dofbook.keys import Role, run_key
from dofbook.methods import Method, label, methods, read_method
from dofbook.subspaces import AffineSubspace, Dense
from dofbook.training import Batching, TaskConfig

DIMS, SEEDS = (2, 12), (0, 1)


@dataclass(frozen=True)
class GradientSubspace(Method):
    """Lay w_t + span(A), A the gradients of d batches at w_t, made orthonormal.

    Args:
        batch: Examples of each gradient.
    """

    batch: int = 64

    name: ClassVar[str] = "gradient_subspace"
    nested: ClassVar[bool] = True

    def subspace(self, task, seed, d):
        w, data, loss = self.offset(task, seed), task.arrays, task.objective.loss
        key, size = run_key(seed, Role.DIRECTIONS), (99, self.batch)
        drawn = jax.random.choice(key, len(data.y_train), size)

        def mean_loss(w, i):
            return loss(task.network.apply(w, data.x_train[i]), data.y_train[i]).mean()

        rows = jax.lax.map(lambda i: jax.grad(mean_loss)(w, i), drawn[:d])
        return AffineSubspace(w, Dense(jnp.linalg.qr(rows.T)[0].T))


METHOD = GradientSubspace(3)
TASK = TaskConfig("digits", "mlp", train_size=256, test_size=64, epochs=2)


def cell(d, **changes):
    return CellConfig(task=TASK, method=replace(METHOD, **changes), d=d, seeds=SEEDS)


@pytest.fixture(scope="module")
def task():
    return dof.Task(TASK.network, dof.datasets.subset(dof.load("digits"), 256, 64), epochs=2)


@pytest.fixture(scope="module")
def runs(task):
    return dof.sweep(task, [METHOD, dof.RandomAffine(3)], dims=DIMS, seeds=2, progress=False)


def test_it_is_written_in_under_thirty_lines():
    assert len(inspect.getsource(GradientSubspace).splitlines()) < 30


def test_it_is_swept_in_memory(runs):
    own = runs[runs.method == "gradient_subspace"]
    assert set(zip(own.d, own.seed, strict=True)) == {(d, s) for d in DIMS for s in SEEDS}
    assert own.burn_in_steps.unique().tolist() == [3]
    assert own.nested.all()
    assert own.step.unique().tolist() == [0, 2, 4]
    # Gradients are where the loss falls: a few of them beat as many random directions.
    last = runs[runs.step == 4].groupby(["method", "d"]).train_loss.mean()
    assert last["gradient_subspace", 12] < last["affine", 12] - 0.1


def test_its_subspaces_are_nested_as_it_says(task):
    few, many = (METHOD.subspace(task, 0, d).directions.rows for d in DIMS)
    np.testing.assert_allclose(abs(many[:2] @ few.T), np.eye(2), atol=1e-4)
    assert METHOD.is_nested and METHOD.as_nested() == METHOD


def test_its_configuration_is_hashed_and_read_back():
    for changes in ({}, {"batch": 8}, {"t": 0}):
        assert cell_from_json(canonical_json(cell(4, **changes))) == cell(4, **changes)
    assert len({cell(4).name, cell(4, batch=8).name, cell(4, t=0).name, cell(5).name}) == 4
    content = json.loads(canonical_json(cell(4)))
    assert content["method"] == "gradient_subspace"
    assert content["options"] == {"batch": 64}
    with pytest.raises(InputError, match="no gradient_subspace of dofbook's"):
        read_method({**METHOD.written(), "options": {"colour": 3}})
    assert methods()["gradient_subspace"] is GradientSubspace


def test_a_field_younger_than_stored_cells_is_not_hashed_at_its_default():
    own = {"name": "grown", "nested": True, "later_fields": ("batch",)}
    old, young = type("Grown", (Method,), own)(3), type("Grown", (GradientSubspace,), own)
    for now in (young(3), young(3, batch=8)):
        assert (now.written() == old.written()) == (now.batch == 64)
        assert read_method(now.written()) == now


def test_its_options_are_those_of_sweeps_by_name():
    options = {"dims": DIMS, "runs": 2, "burn_in_steps": (3,), "baseline": False}
    sweep = make_sweep(method="gradient_subspace", batch=8, **options)
    assert sweep.methods == (replace(METHOD, batch=8),)
    with pytest.raises(InputError, match="takes no batch; it belongs to gradient_subspace"):
        make_sweep(method="affine", batch=8, **options)


def test_it_is_stored_resumed_and_planned(runs, tmp_path, capsys):
    cells = SweepConfig(TASK, (METHOD,), DIMS, 2, baseline_learning_rates=()).cells()
    assert cells == [cell(d) for d in DIMS]
    named = dof.training.make_task(TASK)
    for _ in range(2):  # the second finds what the first left
        stored = dof.sweep(named, METHOD, dims=DIMS, seeds=2, store=tmp_path, progress=False)
        assert sorted(Store(tmp_path).names()) == sorted(c.name for c in cells)
    own = runs[runs.method == "gradient_subspace"].reset_index(drop=True)
    same = ["method", "d", "seed", "step", "train_loss", "best_test_accuracy"]
    pd.testing.assert_frame_equal(stored[same], own[same])

    # The dry run: steps and memory without training, time from what is stored.
    wanted = cell(24)
    batching = Batching("batched", chunk=2)
    need = estimates.cell_need(wanted, batching=batching)
    D = named.network.D
    assert need.steps == 2 * (4 + 3)
    assert need.together == 2
    assert 4 * 24 * D < need.run_bytes < 40 * 24 * D
    print_plan([*cells, wanted], Store(tmp_path), Batched(), Output(), measure=True)
    said = capsys.readouterr().out
    assert said.count("gradient_subspace") == 3
    assert "2 done, 1 missing" in said
    assert "Left: 1 cells, 14 steps" in said


def test_it_is_tabled_and_plotted(runs):
    assert METHOD.label == "gradient subspace, t = 3" == label("gradient_subspace", 3)
    assert replace(METHOD, batch=8).label == "gradient subspace, t = 3 (batch 8)"
    level = runs[(runs.method == "gradient_subspace") & (runs.d == 12)].best_train_accuracy.min()
    table = dof.success_probability(runs, "train_accuracy", level)
    own = table[table.method == "gradient_subspace"].set_index("d")
    assert own.runs.tolist() == [2, 2]
    assert own.probability[12] == 1
    found = dof.threshold(runs, "train_accuracy", level)
    assert found["gradient subspace, t = 3"].value <= 12
    figure = dof.plot_success(runs)
    texts = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert METHOD.label in texts


def test_without_a_name_nothing_is_trained(task, tmp_path):
    @dataclass(frozen=True)
    class Nameless(Method):
        pass

    said = f"Nameless has no name; give the class one, such as name = '{__name__}:Nameless'."
    for given, store in ((task, None), (dof.training.make_task(TASK), tmp_path)):
        with pytest.raises(InputError, match=f"^{said}$"):
            dof.sweep(given, Nameless(), dims=2, seeds=1, store=store)


def test_too_large_a_d_is_refused_before_anything_trains(task):
    with pytest.raises(InputError, match="d is 3000, but .* has only D = 2410"):
        dof.sweep(task, METHOD, dims=[2, 3000], seeds=1)


@pytest.mark.parametrize("kind", [float, str, None])
def test_its_columns_are_stored_as_it_names_them(tmp_path, kind):
    own = {
        "__module__": "dofbook.methods.measured",  # any column of a reader's class is taken
        "name": "measured",
        "extra_columns": {"gradient_norm_of_batch": kind} if kind else {},
        "columns": lambda self, task, subspace: {"gradient_norm_of_batch": 1.5},
    }
    kind_of, named = type("Measured", (GradientSubspace,), own), dof.training.make_task(TASK)
    run = partial(dof.sweep, named, kind_of(3), dims=2, seeds=1, store=tmp_path, progress=False)
    if kind is float:
        assert set(run().gradient_norm_of_batch) == {1.5}
    else:
        said = "column gradient_norm_of_batch" + (" holds double" if kind else ", which no such")
        with pytest.raises(RunFailed, match=said):
            run()
