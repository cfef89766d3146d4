"""From a reader's own network, data, objective or optimizer to a threshold, in a few lines each.

Splits and batches are of one size where they can be, because compiling takes most of the time.
"""

from pathlib import Path

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn import datasets as tables

import dofbook as dof
from dofbook.errors import InputError
from dofbook.training import Batching, Objective

README = Path(__file__).parents[1] / "README.md"


def sweep(task, dims, seeds=2, method=None, **options):
    method = method or dof.RandomAffine()
    runs = dof.sweep(task, method, dims=dims, seeds=seeds, progress=False, **options)
    assert len(runs.groupby(["d", "seed"])) == len(dims) * seeds
    assert np.isfinite(runs[list(task.objective.metric_names)]).all(axis=None)
    return runs


def best(runs, metric):
    """Give the best value of the worst run, by d."""
    found = runs.groupby(["d", "seed"])[f"best_{metric}"].last().groupby("d")
    return (found.max() if metric.endswith(("loss", "error")) else found.min()).to_dict()


def scaled(table):
    """Standardise the columns of a scikit-learn table and take 200 rows twice."""
    x = ((table.data - table.data.mean(0)) / table.data.std(0)).astype(np.float32)
    return x[:200], table.target[:200], x[200:400], table.target[200:400]


def test_a_flax_class_on_images(first_digits):
    class Narrow(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.avg_pool(nn.relu(nn.Conv(4, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(x.reshape(len(x), -1))

    task = dof.Task(Narrow(), first_digits(100, 100), epochs=40)
    runs = sweep(task, [4, 64])
    assert runs.network.unique().tolist() == ["Narrow"]
    reached = best(runs, "train_accuracy")
    assert reached[64] > reached[4] + 0.1
    assert repr(dof.threshold(runs, "train_accuracy", reached[64])).startswith("64 [")
    assert dof.threshold(runs, "train_accuracy", 1.0).censored == "above"


def test_an_mlp_on_a_table_of_two_classes():
    data = dof.Dataset.from_arrays(*scaled(tables.load_breast_cancer()), name="breast_cancer")
    runs = sweep(dof.Task("mlp", data, epochs=20, batch_size=50), [1, 32])
    assert runs.dataset.unique().tolist() == ["breast_cancer"]
    assert best(runs, "test_accuracy")[32] > 0.9
    level = best(runs, "train_accuracy")[32]
    assert dof.threshold(runs, "train_accuracy", level).value == 32
    assert dof.success_probability(runs, "train_accuracy", level).probability.tolist()[1] == 1


def test_regression_on_a_table():
    x, y, x_test, y_test = scaled(tables.load_diabetes())
    y, y_test = ((part - y.mean()) / y.std() for part in (y, y_test))
    data = dof.Dataset.from_arrays(x, y.astype(np.float32), x_test, y_test.astype(np.float32))

    class Line(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(1)(x)[:, 0]

    task = dof.Task(Line(), data, dof.regression, epochs=100, batch_size=100)
    runs = sweep(task, [1, 11], method=dof.RandomAffine(directions="hadamard"))
    assert "best_train_absolute_error" in runs
    assert (runs.best_train_loss <= runs.train_loss).all()
    # All 11 directions: the least-squares line, of which training comes near.
    columns = np.c_[x, np.ones(len(x))]
    least = np.mean((columns @ np.linalg.lstsq(columns, y, rcond=None)[0] - y) ** 2)
    reached = best(runs, "train_loss")
    assert least < reached[11] < 1.1 * least < reached[1]
    assert dof.threshold(runs, "train_loss", 1.1 * least).value == 11
    assert dof.threshold(runs, "train_loss", 0.5 * least).censored == "above"
    assert len(dof.plot_success(runs, metric="train_loss").axes) == 2


def test_a_transformer_of_one_block_on_the_text_of_readme():
    text = README.read_text(encoding="utf-8").lower()[: 200 * 17]
    letters, ids = np.unique(list(text), return_inverse=True)
    windows = ids.astype(np.int32).reshape(200, 17)
    x, y = windows[:, :-1], windows[:, 1:]
    data = dof.Dataset.from_arrays(x[:100], y[:100], x[100:], y[100:], name="README")

    class Block(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            places = self.param("places", nn.initializers.normal(0.1), (16, 16))
            h = nn.Embed(len(letters), 16)(tokens) + places
            h += nn.MultiHeadDotProductAttention(2)(h, mask=nn.make_causal_mask(tokens))
            h += nn.Dense(16)(nn.relu(nn.Dense(32)(nn.LayerNorm()(h))))
            return nn.Dense(len(letters))(h)

    task = dof.Task(Block(), data, dof.training.next_token, epochs=60, batch_size=100)
    # No letter sees the ones after it.
    w, apply = task.initialization(0), jax.jit(task.network.apply)
    changed = data.x_train[:1].copy()
    changed[0, 9] = (changed[0, 9] + 1) % len(letters)
    moved = apply(w, data.x_train[:1]) != apply(w, changed)
    assert not moved[0, :9].any() and moved[0, 9:].any()
    runs, chance = sweep(task, [256], seeds=1), np.log(len(letters))
    assert best(runs, "train_loss")[256] < chance - 0.5 < runs.train_loss.iloc[0]
    assert runs.train_accuracy.iloc[-1] > runs.train_accuracy.iloc[0] + 0.1
    found = [dof.threshold(runs, "train_loss", level) for level in (chance - 0.5, 0.01)]
    assert [d.value_text() for d in found] == ["<= 256", "> 256"]


class Layers(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(64, 12, rngs=rngs), nnx.Linear(12, 10, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.first(x.reshape(len(x), -1))))


class Single(eqx.Module):
    """An equinox network takes one input at a time."""

    net: eqx.nn.MLP

    def __init__(self, key):
        self.net = eqx.nn.MLP(64, 10, 12, 1, key=key)

    def __call__(self, x):
        return self.net(x.ravel())


@pytest.mark.parametrize(
    "network", [lambda rngs: Layers(rngs), lambda key: Single(key)], ids=["nnx", "equinox"]
)
def test_networks_of_other_libraries(network, first_digits):
    task = dof.Task(network, first_digits(100, 100), epochs=30)
    assert task.network.D == 64 * 12 + 12 + 12 * 10 + 10
    assert not np.allclose(task.initialization(0), task.initialization(1))
    runs = sweep(task, [2, 64])
    reached = best(runs, "train_accuracy")
    assert reached[64] > reached[2] + 0.2
    assert dof.threshold(runs, "train_accuracy", reached[64]).value == 64


def test_an_optimizer_of_ones_own(first_digits, tmp_path):
    rate, last = optax.cosine_decay_schedule(0.2, 30), {}
    for weight_decay, strategy in ((0.0, "sequential"), (5.0, "batched")):
        own = optax.adamw(rate, weight_decay=weight_decay)
        task = dof.Task("mlp", first_digits(100, 100), epochs=40, optimizer=own)
        runs = sweep(task, [16], batching=Batching(strategy))
        assert runs.optimizer.unique().tolist() == ["own"]
        assert runs.learning_rate.isna().all()
        assert dof.threshold(runs, "train_accuracy", 0.05).value == 16
        # The schedule ends at step 30: nothing moves after it.
        at = runs.pivot(index="step", columns="seed", values="train_loss")
        assert (at.loc[30:].nunique() == 1).all() and (at.nunique() > 15).all()
        last[weight_decay] = at.loc[40].mean()
    assert last[0.0] < last[5.0] - 0.05  # the decay holds theta near 0
    with pytest.raises(InputError, match="a store keeps tasks that can be named"):
        dof.sweep(task, dof.RandomAffine(), dims=[4], seeds=1, store=tmp_path)


def test_an_objective_of_ones_own(first_digits):
    """Two functions: the squared distance from the one-hot label, and how often it misses."""
    own = Objective(
        "one_hot",
        lambda out, y: ((out - jax.nn.one_hot(y, 10)) ** 2).sum(-1),
        {"top_error": lambda out, y: (out.argmax(-1) != y).astype(jnp.float32)},
    )
    runs = sweep(dof.Task("mlp", first_digits(100, 100), own, epochs=40), [2, 64])
    reached = best(runs, "train_top_error")
    assert reached[64] < reached[2] - 0.2
    found = dof.threshold(runs, "train_top_error", reached[64])
    assert found.value == 64
