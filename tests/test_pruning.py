"""Pruning: exact counts, what trains and what does not, layer collapse, several rounds."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.flatten_util import ravel_pytree
from scipy import stats

from dofbook import training
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.methods import LotteryTicket, RandomAffine, RandomPruning, read_method
from dofbook.methods.pruning import count_kept, keep_largest, keep_random, keep_schedule, masked
from dofbook.networks import NETWORK_NAMES, build, flatten, paper_network
from dofbook.training import OptimizerConfig, Task, burn_in, classification, fit
from dofbook.training.loop import batch_gradient

PLAIN = LotteryTicket(pruning_epochs=1, weight_decay=0)


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(256, 128)


@pytest.fixture(scope="module")
def task(data):
    return Task(flatten(build("mlp", 10), data.x_train[:1], evaluation_chunk=128), data, epochs=1)


@pytest.fixture(scope="module")
def layers(task):
    return task.network.layers


def mean_loss(network, w, x, y):
    return classification.loss(network.apply(w, x), y).mean()


# Few distinct values, so that ties are the rule.
weights = st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.5, np.nan]), min_size=1)


@settings(deadline=None)
@given(weights, st.data())
def test_counts_are_exact_and_ties_go_to_the_first(values, draw):
    w = np.array(values, np.float32)
    count = draw.draw(st.integers(1, len(w)))
    kept = keep_largest(w, count)
    # Sorting by (magnitude descending, position), numbers before what is not a number.
    wanted = sorted(range(len(w)), key=lambda k: (-np.nan_to_num(abs(w[k]), nan=-1.0), k))[:count]
    assert kept.tolist() == sorted(wanted)


def test_only_candidates_are_kept_even_where_others_are_larger():
    w = np.array([9.0, 0.0, -8.0, 0.0, 1.0])
    assert keep_largest(w, 2, among=[1, 3, 4]).tolist() == [1, 4]
    for count in (0, 4):
        with pytest.raises(InputError, match=f"{count} coordinates are to be kept"):
            keep_largest(w, count, among=[1, 3, 4])


@settings(deadline=None)
@given(st.integers(1, 300_000), st.data())
def test_rounds_fall_to_the_exact_count(D, draw):
    d, iterations = draw.draw(st.integers(1, D)), draw.draw(st.integers(1, 30))
    counts = keep_schedule(D, d, iterations)
    assert len(counts) == iterations
    assert counts[-1] == d
    assert all(a >= b for a, b in zip((D, *counts), counts, strict=False))


def test_rounds_keep_the_same_fraction():
    # Frankle and Carbin's fifth removed in each of 7 rounds leaves 0.8^7 = 21%.
    counts = keep_schedule(100_000, round(100_000 * 0.8**7), 7)
    np.testing.assert_allclose(np.diff(np.log(counts)), np.log(0.8), rtol=1e-3)


def test_random_pruning_is_uniform():
    D, d, draws = 12, 3, 2000
    counts = np.zeros(D)
    for seed in range(draws):
        kept = keep_random(jax.random.key(seed), d, D)
        assert len(set(kept.tolist())) == d
        counts[kept] += 1
    # Each coordinate is kept with probability d / D; their counts are correlated by the exact
    # total, which divides the statistic by (D - d) / (D - 1).
    statistic = ((counts - draws * d / D) ** 2).sum() / (draws * d / D) * (D - 1) / (D - d)
    assert stats.chi2.sf(statistic, D - 1) > 1e-3
    assert stats.chi2.cdf(statistic, D - 1) > 1e-3


def test_random_pruning_is_nested_for_one_key():
    few, many = (keep_random(jax.random.key(1), d, 100) for d in (10, 40))
    assert set(few) < set(many)


def test_pruned_weights_are_zero_and_get_no_gradient_while_kept_negative_ones_move(task, data):
    network, w0 = task.network, task.initialization(0)
    kept = keep_random(jax.random.key(0), 600, network.D)
    subspace = masked(w0, kept)
    pruned = np.setdiff1d(np.arange(network.D), kept)
    offset = np.asarray(subspace.offset)
    np.testing.assert_array_equal(offset[kept], np.asarray(w0)[kept])
    assert not offset[pruned].any()
    assert np.asarray(w0)[pruned].any()
    # The network's gradient does not vanish at pruned coordinates; it must not be applied.
    batch = data.x_train[:128], data.y_train[:128]
    slope = jax.jit(jax.grad(lambda w: mean_loss(network, w, *batch)))
    assert np.asarray(slope(subspace.offset))[pruned].any()
    trained = fit(task, subspace, jax.random.key(1), epochs=3)
    w = np.asarray(subspace.point(trained.theta))
    assert not w[pruned].any()
    moved = np.abs(w[kept] - offset[kept]) > 1e-6
    # A mask that compares w instead of |w| with its threshold would leave negative weights out.
    for sign in (-1, 1):
        assert moved[np.sign(offset[kept]) == sign].mean() > 0.8
    loss = trained.history.train_loss
    assert loss.iloc[-1] < loss.iloc[0]


def test_the_gradient_in_the_subspace_is_that_of_the_kept_coordinates(task, data):
    network = task.network
    kept = keep_random(jax.random.key(5), 40, network.D)
    subspace = masked(task.initialization(1), kept)
    x, y = data.x_train, data.y_train

    def loss(w):
        return mean_loss(network, w, x, y)

    got = jax.jit(jax.grad(lambda theta: loss(subspace.point(theta))))(jnp.zeros(40))
    wanted = jax.jit(jax.grad(loss))(subspace.offset)[kept]
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(NETWORK_NAMES))
def test_layers_cover_the_flat_weights_in_their_order(name):
    shape = (32, 32, 3)
    module, network = build(name, 10), paper_network(name, shape, 10)
    layers = network.layers
    assert flatten(module, jax.ShapeDtypeStruct((1, *shape), jnp.float32)).layers == layers
    assert [layer.start for layer in layers] + [network.D] == [0] + [layer.stop for layer in layers]
    # Each slice holds the values of the array its name says.
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *shape)))["params"]
    numbers = iter(range(len(layers)))
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, next(numbers), np.float32), shapes)
    w = np.asarray(ravel_pytree(params)[0])
    for layer in layers:
        leaf = params
        for part in layer.name.split("/"):
            leaf = leaf[part]
        np.testing.assert_array_equal(w[layer.start : layer.stop].reshape(layer.shape), leaf)


def test_layer_collapse_is_reported(layers):
    assert [layer.name for layer in layers] == [
        "Dense_0/bias", "Dense_0/kernel", "Dense_1/bias", "Dense_1/kernel",
    ]  # fmt: skip
    bias, first, _, last = layers
    kept = np.array([bias.start, last.stop - 1, last.start, first.start])
    report = count_kept(kept, layers)
    assert [(c.kept, c.size) for c in report] == [(1, 32), (1, 64 * 32), (0, 10), (2, 320)]
    assert not any(c.collapsed for c in report)  # a bias without parameters blocks nothing
    report = count_kept(kept[:1], layers)
    assert [c.name for c in report if c.collapsed] == ["Dense_0/kernel", "Dense_1/kernel"]
    everything = count_kept(np.arange(last.stop), layers)
    assert all(c.kept == c.size for c in everything)


class Normalised(nn.Module):
    """On-the-fly normalization, which divides by a deviation that is zero in a collapsed layer."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x.reshape(len(x), -1))
        x = nn.relu((x - x.mean(0)) * jax.lax.rsqrt(x.var(0) + 1e-5))
        return nn.Dense(10)(x)


def test_networks_with_nothing_or_one_weight_left_in_a_layer_train(data):
    task = Task(flatten(Normalised(), data.x_train[:1], evaluation_chunk=128), data, epochs=2)
    bias, first, _, last = layers = task.network.layers
    for one, collapsed in ((bias.start, True), (first.start, False)):
        kept = np.array([one, *range(last.start, last.stop)])
        assert count_kept(kept, layers)[1].collapsed == collapsed
        subspace = masked(task.initialization(0), kept)
        named = "Dense_0/kernel" if collapsed else ""
        assert RandomPruning().columns(task, subspace) == {"collapsed": named}
        trained = fit(task, subspace, jax.random.key(0))
        assert np.isfinite(trained.history.train_loss).all()
        assert np.isfinite(trained.theta).all()


def test_the_mask_holds_the_largest_weights_of_two_plain_epochs(task):
    w0 = task.initialization(3)
    got = LotteryTicket(weight_decay=0).kept(task, 3, 100, w0)
    # Burn-in for two epochs of two steps each is the same training by another door.
    w = np.abs(burn_in(task, w0, run_key(3, Role.BURN_IN_BATCHES), 4))
    assert len(got) == 100
    assert w[got].min() >= np.sort(w)[-100] - 1e-5


def test_one_training_serves_all_dimensions(task, monkeypatch):
    calls = []
    monkeypatch.setattr(training, "fit", lambda *a, **k: calls.append(1) or fit(*a, **k))
    w0 = task.initialization(20)
    few, many = (PLAIN.kept(task, 20, d, w0) for d in (10, 300))
    assert set(few) < set(many)
    assert len(calls) == 1
    PLAIN.kept(task, 21, 10, task.initialization(21))
    assert len(calls) == 2


def test_rounds_of_iterative_pruning_nest_and_retrain_from_the_rewinding_point(task, monkeypatch):
    trained_in = []

    def spy(task, subspace, *rest, **options):
        trained_in.append(subspace)
        return fit(task, subspace, *rest, **options)

    monkeypatch.setattr(training, "fit", spy)
    w_t = RandomAffine(2).offset(task, 30)
    kept = LotteryTicket(pruning_epochs=1, weight_decay=0, iterations=3).kept(task, 30, 50, w_t)
    counts = keep_schedule(task.network.D, 50, 3)
    assert [s.d for s in trained_in] == [task.network.D, counts[0], counts[1]]
    sets = [set(np.asarray(s.directions.indices).tolist()) for s in trained_in[1:]]
    assert set(kept.tolist()) < sets[1] < sets[0]
    for subspace in trained_in[1:]:
        indices = np.asarray(subspace.directions.indices)
        np.testing.assert_array_equal(subspace.offset[indices], w_t[indices])
        assert np.count_nonzero(subspace.offset) <= len(indices)
    at_once = PLAIN.kept(task, 30, 50, w_t)
    assert set(at_once.tolist()) != set(kept.tolist())


class Patches(nn.Module):
    """A cheap network with a kernel of three axes, as convolutions have."""

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (2, 4, 8))
        x = nn.relu(jnp.einsum("nijk,ijh->nkh", x.reshape(len(x), 2, 4, 8), kernel))
        return nn.Dense(10)(x.reshape(len(x), -1))


@pytest.fixture(scope="module")
def patches(data):
    return Task(flatten(Patches(), data.x_train[:1], evaluation_chunk=128), data)


def test_weight_decay_acts_on_convolution_kernels_alone(patches, monkeypatch):
    given = []

    def spy(*rest, decay, **options):
        given.append(decay)
        return fit(*rest, decay=decay, **options)

    monkeypatch.setattr(training, "fit", spy)
    w0, network = patches.initialization(0), patches.network
    LotteryTicket(pruning_epochs=1, weight_decay=0.5).kept(patches, 0, 10, w0)
    decay = np.asarray(given[0])
    (kernel,) = (slice(a.start, a.stop) for a in network.layers if a.name == "kernel")
    np.testing.assert_array_equal(decay[kernel], 0.5)
    assert decay.sum() == 0.5 * 64

    # The gradient is that of the loss with the penalty written out, also away from theta = 0.
    kept = keep_random(jax.random.key(2), 300, network.D)
    plain = masked(w0, kept)
    theta = jax.random.normal(jax.random.key(3), (300,))
    x, y = patches.arrays.x_train, patches.arrays.y_train

    def penalised(theta):
        w = plain.point(theta)
        return mean_loss(network, w, x, y) + 0.5 / 2 * (w[kernel] ** 2).sum()

    wanted = jax.jit(jax.grad(penalised))(theta)
    everything = jnp.arange(len(x))
    for chunk in (None, 64):
        chunked = replace(network, gradient_chunk=chunk)
        got = jax.jit(
            lambda t, n=chunked: batch_gradient(
                n, classification, plain, t, x, y, everything, jnp.asarray(decay)
            )
        )(theta)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_weight_decay_shrinks_what_it_acts_on(patches):
    w0, half = patches.initialization(0), patches.network.D // 2
    of_kernel = []
    for weight_decay in (2.0, 0):
        ticket = LotteryTicket(pruning_epochs=40, weight_decay=weight_decay)
        counts = count_kept(ticket.kept(patches, 0, half, w0), patches.network.layers)
        of_kernel.append(next(c.kept for c in counts if c.name == "kernel"))
    assert of_kernel[0] < 0.2 * of_kernel[1]


def test_without_convolutions_the_default_decay_changes_nothing(task):
    w0 = task.initialization(0)
    np.testing.assert_array_equal(
        LotteryTicket(pruning_epochs=1).kept(task, 0, 77, w0), PLAIN.kept(task, 0, 77, w0)
    )


def test_dimensions_outside_the_network_are_refused(task):
    w0, D = task.initialization(0), task.network.D
    for d in (0, D + 1):
        with pytest.raises(InputError, match=f"d is {d}"):
            PLAIN.kept(task, 0, d, w0)
        with pytest.raises(InputError, match=f"d is {d}"):
            keep_random(jax.random.key(0), d, D)


@pytest.mark.parametrize("method", [LotteryTicket, RandomPruning])
def test_the_released_schedule_is_an_option(data, method):
    common = OptimizerConfig(learning_rate=0.02)
    task = Task("mlp", data, optimizer=common)
    assert method().optimizer(task) == common
    released = method(retraining="released_code").optimizer(task)
    assert (released.name, released.learning_rate, released.momentum, released.schedule) == (
        "momentum", 0.1, 0.9, "released_code",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pruning_epochs", 0), ("iterations", 0), ("iterations", True),
        ("retraining", "cosine"), ("weight_decay", -1e-4), ("weight_decay", float("nan")),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        LotteryTicket(**{field: value})


def test_random_pruning_takes_no_rounds_and_0_is_0_point_0():
    written = RandomPruning().written()
    for option, value in (("iterations", 2), ("training_epochs", 3), ("weight_decay", 0.5)):
        with pytest.raises(InputError, match=f"{option} is {value}"):
            read_method(written | {"pruning": written["pruning"] | {option: value}})
    assert RandomPruning(retraining="common") == RandomPruning()
    with pytest.raises(InputError, match="retraining is 'cosine'"):
        RandomPruning(retraining="cosine")
    assert LotteryTicket(weight_decay=0) == LotteryTicket(weight_decay=0.0)
