"""The linearized network against explicit Jacobians, the network itself, and convexity."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dofbook.errors import InputError
from dofbook.landscape import linearization as lin
from dofbook.networks import MLP, flatten, layers, paper_network
from dofbook.subspaces import AffineSubspace, gaussian
from dofbook.training import Task, burn_in, classification, fit

SHAPE = (8, 8, 1)
EXAMPLE = jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32)


def cross_entropy(logits, labels):
    return classification.loss(logits, labels).mean()


@pytest.fixture(scope="module")
def data(first_digits):
    return first_digits(100, 40)


@pytest.fixture(scope="module")
def conv2():
    return paper_network("conv2", SHAPE, 10).with_derivatives("linear")


@pytest.fixture(scope="module")
def mlp():
    """A network of 64 * 4 + 4 + 4 * 10 + 10 = 310 parameters, and its weights at two points."""
    network = flatten(MLP((4,), 10), EXAMPLE)
    return network, network.init(jax.random.key(0)), network.init(jax.random.key(1))


class Smooth(nn.Module):
    """A network of our layers without kinks."""

    @nn.compact
    def __call__(self, x):
        convolution = layers.CONVOLUTIONS["linear"]
        for features in (4, 8):
            x = nn.Conv(features, (3, 3), conv_general_dilated=convolution)(x)
            x = layers.average_pool(nn.tanh(x))
        return nn.Dense(10)(x.reshape(len(x), -1))


def _errors(network, centre, images, sizes):
    way = jax.random.normal(jax.random.key(5), centre.shape)
    way = way / jnp.linalg.norm(way)
    ours = jax.jit(lambda t: lin.expand(network, centre, centre + t * way, images))
    true = jax.jit(lambda t: network.apply(centre + t * way, images))
    return [float(jnp.linalg.norm(ours(t) - true(t))) for t in sizes]


def _order(network, images):
    sizes = np.geomspace(0.05, 0.5, 6)  # larger than rounding, smaller than the third order
    errors = _errors(network, network.init(jax.random.key(2)), images, sizes)
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def test_the_error_is_of_second_order(data):
    assert _order(flatten(Smooth(), EXAMPLE), data.x_train) == pytest.approx(2, abs=0.1)


def test_the_kinks_of_relu_lower_the_order_to_one_and_a_half(data, conv2):
    """A step of size s switches a share ~ s of the units, each wrong by ~ s: in norm s^(3/2)."""
    assert 1.4 < _order(conv2, data.x_train) < 2.1


def test_it_is_exact_at_the_centre(data, conv2):
    centre = conv2.init(jax.random.key(3))
    expected = jax.jit(conv2.apply)(centre, data.x_test)
    got = jax.jit(lin.linearize(conv2, centre).apply)(centre, data.x_test)
    np.testing.assert_array_equal(got, expected)


def _jacobian(network, centre, x):
    return np.asarray(jax.jit(jax.jacrev(lambda w: network.apply(w, x)))(centre), np.float64)


def test_it_agrees_with_an_explicit_jacobian(data, mlp):
    network, centre, w = mlp
    x, y = data.x_train, np.asarray(data.y_train)
    J = _jacobian(network, centre, x)
    logits = np.asarray(network.apply(centre, x)) + J @ np.asarray(w - centre)
    linear = lin.linearize(network, centre)
    np.testing.assert_allclose(linear.apply(w, x), logits, rtol=1e-4, atol=1e-4)

    gradient = jax.jit(jax.grad(lambda w: cross_entropy(linear.apply(w, x), y)))(w)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    by_hand = np.einsum("ncd,nc->d", J, p - np.eye(10)[y]) / len(y)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-3, atol=1e-5)

    rows = gaussian(jax.random.key(4), 7, network.D).rows
    B = lin.jacobian_products(network, centre, rows, x, chunk=30)
    np.testing.assert_allclose(B, J @ np.asarray(rows).T, rtol=1e-3, atol=1e-5)


def _excess(network, data, ends):
    """Loss at the middle of each segment above the mean of its ends; a convex one has none."""

    def one(ends):
        points = jnp.stack([*ends, ends.mean(0)])
        loss = [cross_entropy(network.apply(w, data.x_train), data.y_train) for w in points]
        return loss[2] - (loss[0] + loss[1]) / 2

    return np.asarray(jax.jit(lambda ends: jax.lax.map(one, ends))(ends))


def test_its_loss_is_convex_along_random_segments(data, conv2):
    centre = conv2.init(jax.random.key(0))
    ways = jax.random.normal(jax.random.key(6), (20, 2, conv2.D))
    sizes = jnp.geomspace(0.1, 100, 20)[:, None, None] / jnp.sqrt(conv2.D)
    excess = _excess(lin.linearize(conv2, centre), data, centre + sizes * ways)
    assert excess.max() <= 1e-5
    assert excess.min() < -0.1  # the segments are long enough to bend


def test_the_networks_own_loss_is_not_convex_and_the_linearized_one_is_there(data):
    """Exchange two hidden units: the same function, but not on the way."""
    network = flatten(MLP((4,), 10), EXAMPLE)
    w = burn_in(Task(network, data), network.init(jax.random.key(0)), jax.random.key(1), 100)
    params = ravel_pytree(MLP((4,), 10).init(jax.random.key(0), data.x_test))[1](w)["params"]
    order = jnp.array([1, 0, 3, 2])
    params["Dense_0"] = jax.tree.map(lambda leaf: leaf[..., order], params["Dense_0"])
    params["Dense_1"]["kernel"] = params["Dense_1"]["kernel"][order]
    ends = jnp.stack([w, ravel_pytree(params)[0]])[None]
    assert _excess(network, data, ends) > 0.05
    assert _excess(lin.linearize(network, w), data, ends) < 0


def test_a_carried_centre_trains_as_a_fixed_one_and_shares_its_program(data, conv2):
    w0, centre = (conv2.init(jax.random.key(seed)) for seed in (0, 1))
    subspace = AffineSubspace(w0, gaussian(jax.random.key(2), 5, conv2.D))
    key, settings = jax.random.key(3), {"epochs": 2, "batch_size": 50}
    assert lin.carrying(conv2) is lin.carrying(conv2)
    moving = Task(lin.carrying(conv2), data, **settings)
    carried = fit(moving, lin.carry(subspace, centre), key)
    fixed = fit(Task(lin.linearize(conv2, centre), data, **settings), subspace, key)
    np.testing.assert_allclose(carried.theta, fixed.theta, rtol=1e-3, atol=1e-3)
    assert carried.history.train_loss.iloc[-1] < carried.history.train_loss.iloc[0]
    assert list(carried.history) == list(fixed.history)
    np.testing.assert_allclose(carried.history, fixed.history, rtol=2e-3)


def test_carried_directions_leave_the_centre_alone():
    directions = gaussian(jax.random.key(0), 3, 6)
    carried = lin.Carried(directions, 6)
    theta, g = jnp.arange(3.0), jnp.arange(12.0)
    np.testing.assert_array_equal(carried.lift(theta)[6:], jnp.zeros(6))
    # project is the transpose of lift.
    assert float(carried.lift(theta) @ g) == pytest.approx(float(theta @ carried.project(g)))
    assert carried.d == 3


def test_a_network_without_forward_mode_is_refused(data):
    network = paper_network("conv2", SHAPE, 10)
    w = jnp.zeros(network.D)
    if jax.default_backend() != "cpu":
        pytest.skip("the convolution has a forward mode elsewhere")
    with pytest.raises(InputError, match=r"with_derivatives\('linear'\)"):
        lin.expand(network, w, w, data.x_test)
