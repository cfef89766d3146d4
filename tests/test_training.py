"""The trainer against a plain Python loop with stock Flax layers, and its bookkeeping."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dofbook import methods, training
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.networks import flat_network, flatten
from dofbook.subspaces import AffineSubspace, Identity, gaussian
from dofbook.training import DeviceData, TrainConfig, burn_in, put, train
from dofbook.training.optimizers import OptimizerConfig


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(300, 100)


@pytest.fixture(scope="module")
def network():
    return flat_network("conv2", (8, 8, 1), 10)


class StockConv2(nn.Module):
    """Conv-2 from Flax's own layers, with XLA's own gradients."""

    @nn.compact
    def __call__(self, x):
        for features in (16, 32):
            x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(10)(x.reshape(len(x), -1))


def _plain_loop(data, subspace, key, config):
    """Train batch by batch from Python, with none of the package's loop, layers or gradients."""
    stock = flatten(StockConv2(), (8, 8, 1))
    rows = np.asarray(subspace.directions.rows)
    optimizer = optax.adam(config.optimizer.learning_rate, eps=config.optimizer.eps)
    theta = jnp.zeros(len(rows))
    state = optimizer.init(theta)

    @jax.jit
    def gradient(theta, x, y):
        def loss(w):
            logp = jax.nn.log_softmax(stock.apply(w, x))
            return -jnp.mean(logp[jnp.arange(len(y)), y])

        return rows @ jax.grad(loss)(subspace.offset + rows.T @ theta)

    x, y = np.asarray(data.x_train), np.asarray(data.y_train)
    for epoch in range(config.epochs):
        order = np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), len(x)))
        for start in range(0, len(x), config.batch_size):
            batch = order[start : start + config.batch_size]
            updates, state = optimizer.update(gradient(theta, x[batch], y[batch]), state)
            theta = optax.apply_updates(theta, updates)
    return theta


@pytest.mark.parametrize("chunk", [None, 4, 16])  # 16 does not divide the last batch
def test_a_run_equals_a_plain_loop_over_batches(network, data, chunk):
    network = replace(network, gradient_chunk=chunk)
    config = TrainConfig(epochs=2, batch_size=128)  # 3 batches an epoch, the last of 44 images
    subspace = methods.random_affine(network, data, seed=0, d=12)
    key = jax.random.key(7)
    got = train(network, data, subspace, key, config).theta
    np.testing.assert_allclose(got, _plain_loop(data, subspace, key, config), rtol=1e-2, atol=1e-4)


def test_metrics_equal_those_of_the_whole_split_at_once(network, data):
    network = replace(network, evaluation_chunk=64)  # 300 images: 4 chunks and a rest of 44
    subspace = methods.random_affine(network, data, seed=1, d=5)
    trained = train(network, data, subspace, jax.random.key(0), TrainConfig(epochs=1))
    apply = jax.jit(network.apply)
    for index, theta in ((0, jnp.zeros(5)), (-1, trained.theta)):
        for split in ("train", "test"):
            x, y = getattr(data, f"x_{split}"), np.asarray(getattr(data, f"y_{split}"))
            logits = np.asarray(apply(subspace.point(theta), x), np.float64)
            loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(y)), y]
            history = trained.history._asdict()
            assert history[f"{split}_loss"][index] == pytest.approx(loss.mean(), rel=1e-4)
            accuracy = (logits.argmax(1) == y).mean()
            assert history[f"{split}_accuracy"][index] == pytest.approx(accuracy, abs=1e-6)


def test_the_full_space_is_the_identity_subspace(network, data):
    w0 = methods.initialization(network, 3)
    config = TrainConfig(epochs=1, optimizer=OptimizerConfig(name="momentum"))
    key = run_key(3, Role.BURN_IN_BATCHES)
    trained = train(network, data, AffineSubspace(w0, Identity(network.D)), key, config)
    steps = training.steps_per_epoch(300, 128)
    # Two routes to w_3: the trainer's epoch, and burn-in for as many steps with the same batches.
    wanted = burn_in(network, data, w0, key, steps)
    np.testing.assert_allclose(w0 + trained.theta, wanted, rtol=1e-5, atol=1e-6)


def test_burn_in_follows_one_trajectory(network, data):
    w0, key = methods.initialization(network, 0), jax.random.key(1)
    np.testing.assert_array_equal(burn_in(network, data, w0, key, 0), w0)
    # One step by hand: momentum SGD's first update is the plain gradient.
    batch = np.asarray(jax.random.permutation(jax.random.fold_in(key, 0), 300))[:128]

    @jax.jit
    def loss(w, x, y):
        return training.cross_entropy(network.apply(w, x), y)

    x, y = np.asarray(data.x_train), np.asarray(data.y_train)
    gradient = np.asarray(jax.jit(jax.grad(loss))(w0, x[batch], y[batch]))
    one_step = burn_in(network, data, w0, key, 1)
    np.testing.assert_allclose(one_step, np.asarray(w0) - 5e-2 * gradient, rtol=1e-3, atol=1e-5)
    losses = [
        float(loss(burn_in(network, data, w0, key, t), x, y))
        for t in (0, 2, 3, 7)  # 3 batches an epoch: 3 ends on one, 7 crosses two
    ]
    assert losses == sorted(losses, reverse=True)


def test_checkpoints_fall_where_they_are_said_to(network, data):
    subspace = methods.random_affine(network, data, seed=0, d=4)
    config = TrainConfig(epochs=2, batch_size=50, checkpoints_per_epoch=3)
    history = train(network, data, subspace, jax.random.key(0), config).history
    np.testing.assert_array_equal(history.step, [0, 2, 4, 6, 8, 10, 12])
    np.testing.assert_allclose(history.epoch, np.arange(7) / 3)


def test_results_do_not_depend_on_the_number_of_checkpoints_or_on_what_ran_before(network, data):
    subspace = methods.random_affine(network, data, seed=2, d=6)
    key = jax.random.key(3)
    runs = [
        train(network, data, subspace, key, TrainConfig(epochs=2, checkpoints_per_epoch=c)).theta
        for c in (1, 3, 1)
    ]
    np.testing.assert_array_equal(runs[0], runs[2])
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-4, atol=1e-6)


def test_more_dimensions_reach_a_lower_loss(data):
    mlp = flat_network("mlp", (8, 8, 1), 10)
    few, many = (
        train(
            mlp, data, methods.random_affine(mlp, data, 0, d), jax.random.key(0),
            TrainConfig(epochs=30),
        ).history.train_loss[-1]
        for d in (4, 128)
    )  # fmt: skip
    assert many < 0.7 * few


def test_directions_are_fresh_for_every_d_unless_nested(network, data):
    def rows(d, nested):
        return methods.random_affine(network, data, 0, d, nested=nested).directions.rows

    np.testing.assert_array_equal(rows(3, True), rows(5, True)[:3])
    assert not np.allclose(rows(3, False), rows(5, False)[:3])


def test_the_offset_is_shared_by_all_d_and_moves_with_t(network, data):
    offsets = [
        methods.random_affine(network, data, 0, d, burn_in_steps=t).offset
        for d, t in ((2, 0), (9, 0), (2, 4))
    ]
    np.testing.assert_array_equal(offsets[0], offsets[1])
    assert not np.allclose(offsets[0], offsets[2])


def test_keys_of_different_roles_and_seeds_differ():
    keys = {
        tuple(jax.random.key_data(run_key(seed, role, *n)).tolist())
        for seed in range(5) for role in Role for n in ((), (1,), (2,), (1, 2))
    }  # fmt: skip
    assert len(keys) == 5 * len(Role) * 4


def test_bad_numbers_are_refused(network, data):
    with pytest.raises(InputError, match="epochs is 0"):
        TrainConfig(epochs=0)
    with pytest.raises(InputError, match="burn_in_steps is -1"):
        methods.random_affine(network, data, 0, 4, burn_in_steps=-1)


def test_the_readers_own_directions_and_network_train(data):
    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10)(x.reshape(len(x), -1))

    tiny = flatten(Tiny(), (8, 8, 1))
    w0 = tiny.init(jax.random.key(0))
    subspace = AffineSubspace(w0, gaussian(jax.random.key(1), 40, tiny.D))
    history = train(tiny, data, subspace, jax.random.key(2), TrainConfig(epochs=20)).history
    assert history.train_accuracy[-1] > history.train_accuracy[0] + 0.3


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (lambda y: y - 1, "label -1"),
        (lambda y: y.astype(float), "one integer to an image"),
        (lambda y: y[:, None], "one integer to an image"),
        (lambda y: y[:-1], "one integer to an image"),
    ],
)
def test_labels_that_are_none_are_refused(data, labels, said):
    y = np.asarray(data.y_train)
    with pytest.raises(InputError, match=said):
        put(DeviceData(data.x_train, labels(y), data.x_test, data.y_test))


def test_a_label_without_a_logit_is_refused(network, data):
    more = DeviceData(data.x_train, data.y_train + 1, data.x_test, data.y_test)
    subspace = methods.random_affine(network, data, 0, 4)
    with pytest.raises(InputError, match="the label 10 needs"):
        train(network, more, subspace, run_key(0, Role.SUBSPACE_BATCHES), TrainConfig(epochs=1))
