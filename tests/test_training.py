"""The trainer against a plain Python loop with stock Flax layers, and its bookkeeping."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dofbook.datasets import Dataset
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods import RandomAffine
from dofbook.networks import flatten, paper_network
from dofbook.subspaces import AffineSubspace, Identity, gaussian
from dofbook.training import (
    OptimizerConfig,
    Task,
    TaskConfig,
    burn_in,
    classification,
    fit,
    make_task,
    train,
)
from dofbook.training.config import follow_convention


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(300, 100)


@pytest.fixture(scope="module")
def network():
    return paper_network("conv2", (8, 8, 1), 10)


@pytest.fixture(scope="module")
def task(network, data):
    """One epoch of 3 batches, the last of 44 images."""
    return Task(network, data, epochs=1)


class StockConv2(nn.Module):
    """Conv-2 from Flax's own layers, with XLA's own gradients."""

    @nn.compact
    def __call__(self, x):
        for features in (16, 32):
            x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(10)(x.reshape(len(x), -1))


def _plain_loop(task, subspace, key):
    """Train batch by batch from Python, with none of the package's loop, layers or gradients."""
    data = task.data
    stock = flatten(StockConv2(), data.x_train[:1])
    rows = np.asarray(subspace.directions.rows)
    optimizer = optax.adam(task.optimizer.learning_rate, eps=task.optimizer.eps)
    theta = jnp.zeros(len(rows))
    state = optimizer.init(theta)

    @jax.jit
    def gradient(theta, x, y):
        def loss(w):
            logp = jax.nn.log_softmax(stock.apply(w, x))
            return -jnp.mean(logp[jnp.arange(len(y)), y])

        return rows @ jax.grad(loss)(subspace.offset + rows.T @ theta)

    x, y = data.x_train, data.y_train
    for epoch in range(task.epochs):
        order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), len(x)))
        for start in range(0, len(x), task.batch_size):
            batch = order[start : start + task.batch_size]
            updates, state = optimizer.update(gradient(theta, x[batch], y[batch]), state)
            theta = optax.apply_updates(theta, updates)
    return theta


@pytest.mark.parametrize("chunk", [None, 4, 16])  # 16 does not divide the last batch
def test_a_run_equals_a_plain_loop_over_batches(network, data, chunk):
    task = Task(replace(network, gradient_chunk=chunk), data, epochs=2, batch_size=128)
    subspace = RandomAffine().subspace(task, seed=0, d=12)
    key = jax.random.key(7)
    got = fit(task, subspace, key).theta
    np.testing.assert_allclose(got, _plain_loop(task, subspace, key), rtol=1e-2, atol=1e-4)


def test_a_seed_names_the_order_of_the_batches(task):
    subspace = RandomAffine().subspace(task, seed=0, d=3)
    got = train(task, subspace, seed=2)
    wanted = fit(task, subspace, run_key(2, Role.SUBSPACE_BATCHES))
    np.testing.assert_array_equal(got.theta, wanted.theta)
    assert got.history.equals(wanted.history)


def test_metrics_equal_those_of_the_whole_split_at_once(network, data):
    network = replace(network, evaluation_chunk=64)  # 300 images: 4 chunks and a rest of 44
    task = Task(network, data, epochs=1)
    subspace = RandomAffine().subspace(task, seed=1, d=5)
    trained = fit(task, subspace, jax.random.key(0))
    apply = jax.jit(network.apply)
    for (_, history), theta in zip(
        trained.history.iloc[[0, -1]].iterrows(), (jnp.zeros(5), trained.theta), strict=True
    ):
        for split in ("train", "test"):
            x, y = getattr(data, f"x_{split}"), getattr(data, f"y_{split}")
            logits = np.asarray(apply(subspace.point(theta), x), np.float64)
            loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]
            assert history[f"{split}_loss"] == pytest.approx(loss.mean(), rel=1e-4)
            accuracy = (logits.argmax(1) == y).mean()
            assert history[f"{split}_accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_the_full_space_is_the_identity_subspace(network, data):
    task = Task(network, data, epochs=1, optimizer=OptimizerConfig(name="momentum"))
    w0, key = task.initialization(3), run_key(3, Role.BURN_IN_BATCHES)
    trained = fit(task, AffineSubspace(w0, Identity(network.D)), key)
    steps = -(-300 // 128)
    # Two routes to w_3: the trainer's epoch, and burn-in for as many steps with the same batches.
    wanted = burn_in(task, w0, key, steps)
    np.testing.assert_allclose(w0 + trained.theta, wanted, rtol=1e-5, atol=1e-6)


def test_burn_in_follows_one_trajectory(task, network, data):
    w0, key = task.initialization(0), jax.random.key(1)
    np.testing.assert_array_equal(burn_in(task, w0, key, 0), w0)
    # One step by hand: momentum SGD's first update is the plain gradient.
    batch = np.asarray(jax.random.permutation(jax.random.fold_in(key, 0), 300))[:128]

    @jax.jit
    def loss(w, x, y):
        return classification.loss(network.apply(w, x), y).mean()

    x, y = data.x_train, data.y_train
    gradient = np.asarray(jax.jit(jax.grad(loss))(w0, x[batch], y[batch]))
    one_step = burn_in(task, w0, key, 1)
    np.testing.assert_allclose(one_step, np.asarray(w0) - 5e-2 * gradient, rtol=1e-3, atol=1e-5)
    losses = [
        float(loss(burn_in(task, w0, key, t), x, y))
        for t in (0, 2, 3, 7)  # 3 batches an epoch: 3 ends on one, 7 crosses two
    ]
    assert losses == sorted(losses, reverse=True)


def test_checkpoints_fall_where_they_are_said_to(network, data):
    task = Task(network, data, epochs=2, batch_size=50, checkpoints_per_epoch=3)
    subspace = RandomAffine().subspace(task, seed=0, d=4)
    history = fit(task, subspace, jax.random.key(0)).history
    np.testing.assert_array_equal(history.step, [0, 2, 4, 6, 8, 10, 12])
    np.testing.assert_allclose(history.epoch, np.arange(7) / 3)


def test_results_do_not_depend_on_the_number_of_checkpoints_or_on_what_ran_before(network, data):
    tasks = [Task(network, data, epochs=2, checkpoints_per_epoch=c) for c in (1, 3, 1)]
    subspace = RandomAffine().subspace(tasks[0], seed=2, d=6)
    runs = [fit(task, subspace, jax.random.key(3)).theta for task in tasks]
    np.testing.assert_array_equal(runs[0], runs[2])
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-4, atol=1e-6)


def test_more_dimensions_reach_a_lower_loss(data):
    task = Task("mlp", data, epochs=30)
    few, many = (
        fit(task, RandomAffine().subspace(task, 0, d), jax.random.key(0))
        .history.train_loss.iloc[-1]
        for d in (4, 128)
    )  # fmt: skip
    assert many < 0.7 * few


def test_directions_are_fresh_for_every_d_unless_nested(task):
    def rows(d, nested):
        return RandomAffine(nested=nested).subspace(task, 0, d).directions.rows

    np.testing.assert_array_equal(rows(3, True), rows(5, True)[:3])
    assert not np.allclose(rows(3, False), rows(5, False)[:3])


def test_the_offset_is_shared_by_all_d_and_moves_with_t(task):
    offsets = [RandomAffine(t).subspace(task, 0, d).offset for d, t in ((2, 0), (9, 0), (2, 4))]
    np.testing.assert_array_equal(offsets[0], offsets[1])
    assert not np.allclose(offsets[0], offsets[2])


def test_keys_of_different_roles_and_seeds_differ():
    keys = {
        tuple(jax.random.key_data(run_key(seed, role, *n)).tolist())
        for seed in range(5) for role in Role for n in ((), (1,), (2,), (1, 2))
    }  # fmt: skip
    assert len(keys) == 5 * len(Role) * 4


@pytest.mark.parametrize("seed", [-1, 2**32, 2.0, True, "0", None])
def test_seeds_that_are_none_are_refused(task, seed):
    subspace = AffineSubspace(task.initialization(0), Identity(task.network.D))
    for use in (
        task.initialization,
        lambda seed: RandomAffine().subspace(task, seed, 2),
        lambda seed: train(task, subspace, seed),
    ):
        with pytest.raises(InputError, match=f"seed is {seed!r}; .* from 0 to 4294967295"):
            use(seed)


def test_the_key_of_a_seed_is_the_same_however_it_is_written():
    for seed in (0, 7, 2**32 - 1):
        wanted = jax.random.fold_in(jax.random.key(seed), 0)
        for written in (seed, np.uint32(seed), np.int64(seed), jnp.uint32(seed)):
            assert run_key(written, Role.INITIALIZATION) == wanted
    seeds = jnp.arange(3)
    keys = jax.jit(jax.vmap(lambda seed: run_key(seed, Role.DIRECTIONS)))(seeds)
    assert (keys == jnp.stack([run_key(int(seed), Role.DIRECTIONS) for seed in seeds])).all()


def test_bad_numbers_are_refused(network, data):
    for epochs in (0, 1.5, True):
        with pytest.raises(InputError, match=f"epochs is {epochs}"):
            TaskConfig(epochs=epochs)
        with pytest.raises(InputError, match=f"epochs is {epochs}"):
            Task(network, data, epochs=epochs)
    with pytest.raises(InputError, match="burn_in_steps is -1"):
        RandomAffine(-1)


def test_the_readers_own_directions_and_network_train(data):
    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10)(x.reshape(len(x), -1))

    task = Task(Tiny(), data, epochs=20)
    tiny = task.network
    w0 = tiny.init(jax.random.key(0))
    subspace = AffineSubspace(w0, gaussian(jax.random.key(1), 40, tiny.D))
    accuracy = fit(task, subspace, jax.random.key(2)).history.train_accuracy
    assert accuracy.iloc[-1] > accuracy.iloc[0] + 0.3


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda y: y - 1, "y_train.* -1 to 8"),
        (lambda y: y.astype(float), "y_train is float.*integer labels"),
        (lambda y: y[:, None], r"labels \(N\);.* y_train is \(N, 1\)"),
        (lambda y: y[:-1], "y_train.* 299"),
    ],
)
def test_labels_that_are_none_are_refused(network, data, labels, said):
    y = labels(data.y_train)
    with pytest.raises(InputError, match=said):
        Task(network, Dataset.from_arrays(data.x_train, y, data.x_test, labels(data.y_test)))


def test_a_label_without_a_logit_is_refused(network, data):
    more = Dataset.from_arrays(data.x_train, data.y_train + 1, data.x_test, data.y_test)
    with pytest.raises(InputError, match="labels 1 to 10; the network's 10 logits allow 0 to 9"):
        Task(network, more)


# --- tasks ---------------------------------------------------------------------------------------


def test_a_task_of_names_is_written_down_and_found_again():
    config = TaskConfig("digits", "mlp", batch_size=64, train_size=300, linearized_at=3)
    task = make_task(config)
    assert task.config == config
    assert (task.batch_size, task.steps_per_epoch, task.epochs) == (64, 5, 40)
    assert Task("mlp", "digits").config == TaskConfig("digits", "mlp")
    assert Task("mlp", task.data).config is None


def test_what_is_replaced_in_a_task_is_replaced_in_its_written_form():
    task = make_task(TaskConfig("digits", "mlp", train_size=300))
    fewer = replace(task, epochs=2)
    assert (fewer.epochs, fewer.steps) == (2, 6)
    assert fewer.config == replace(task.config, epochs=2)
    momentum = OptimizerConfig(name="momentum")
    assert replace(task, optimizer=momentum).config == replace(task.config, optimizer=momentum)
    # What has no name is not written down under the name of what it replaces.
    others = {"optimizer": optax.sgd(0.1), "data": replace(task.data),
              "network": Task("conv2", task.data).network}  # fmt: skip
    for name, other in others.items():
        assert replace(task, **{name: other}).config is None


def test_the_convention_holds_for_names_and_objects_alike(data):
    names = Task("conv2", "digits", convention="released_code")
    assert names.config == follow_convention(TaskConfig("digits", "conv2"), "released_code")
    objects = Task("conv2", data, convention="released_code")
    for task in (names, objects):
        assert (task.extra_burn_in_step, task.optimizer.bias_correction) == (1, "constant")
    w, paper = names.initialization(0), Task("conv2", data)
    outputs = [task.network.apply(w, data.x_test[:2]) for task in (names, objects, paper)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.allclose(outputs[0], outputs[2])  # max pooling
    assert (paper.extra_burn_in_step, paper.optimizer) == (0, OptimizerConfig())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "adam"}, "optimizer is 'adam'; give an OptimizerConfig"),
        ({"burn_in_optimizer": 3}, "optimizer is 3; give an OptimizerConfig"),
        ({"objective": 3}, "objective is 3; allowed: classification, regression, next_token"),
        ({"objective": "hinge"}, "objective is 'hinge'"),
        ({"convention": "code"}, "convention is 'code'; allowed: 'paper', 'released_code'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"checkpoints_per_epoch": 1.0}, "checkpoints_per_epoch is 1.0"),
        ({"extra_burn_in_step": 2}, "extra_burn_in_step is 2; it must be a whole number from 0"),
    ],
)
def test_values_that_are_not_allowed_are_refused(data, settings, said):
    with pytest.raises(InputError, match=said):
        Task("mlp", data, **settings)
    with pytest.raises(InputError, match="data is ndarray; give a name or a Dataset"):
        Task("mlp", data.x_train)


def test_other_data_get_as_many_epochs_as_the_digits_get_steps(data):
    own = replace(data, name="own")
    assert Task("mlp", own).epochs == 160  # of 3 batches
    assert Task("mlp", own, batch_size=1).epochs == 3
    assert Task("mlp", data).epochs == 40
