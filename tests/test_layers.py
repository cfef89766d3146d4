"""Gradients of our convolution and pooling against XLA's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from dofbook import layers
from dofbook.networks import flat_network, flatten

LAYOUT = ("NHWC", "HWIO", "NHWC")
NO_PADDING = ((0, 0), (0, 0))


def _values_and_gradients(convolve, x, kernel, key):
    @jax.jit
    def compute(x, kernel):
        y, back = jax.vjp(convolve, x, kernel)
        return y, *back(jax.random.normal(key, y.shape))

    return compute(x, kernel)


@settings(max_examples=8, deadline=None)
@given(
    size=st.tuples(st.integers(5, 11), st.integers(5, 11)),
    kernel=st.sampled_from([(1, 1), (3, 3), (5, 5), (2, 3)]),
    stride=st.sampled_from([(1, 1), (2, 2), (2, 1)]),
    channels=st.sampled_from([1, 3, 16]),
    padding=st.sampled_from(["SAME", "VALID", ((0, 2), (1, 0))]),
    seed=st.integers(0, 2**31 - 1),
)
def test_convolution_and_both_gradients_equal_the_native_ones(
    size, kernel, stride, channels, padding, seed
):
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(keys[0], (4, *size, channels))
    k = jax.random.normal(keys[1], (*kernel, channels, 5))

    def ours(x, k):
        return layers.conv_general_dilated(x, k, stride, padding, dimension_numbers=LAYOUT)

    def native(x, k):
        return lax.conv_general_dilated(x, k, stride, padding, dimension_numbers=LAYOUT)

    y, *gradients = _values_and_gradients(ours, x, k, keys[2])
    wanted, *native_gradients = _values_and_gradients(native, x, k, keys[2])
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    for got, wanted in zip(gradients, native_gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize(
    "options", [{"rhs_dilation": (2, 2)}, {"feature_group_count": 2}, {"lhs_dilation": (2, 2)}]
)
def test_shapes_not_covered_go_to_the_native_convolution(options):
    channels = 4
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, channels))
    groups = options.get("feature_group_count", 1)
    k = jax.random.normal(jax.random.key(1), (3, 3, channels // groups, 6))
    got = layers.conv_general_dilated(x, k, (1, 1), NO_PADDING, dimension_numbers=LAYOUT, **options)
    wanted = lax.conv_general_dilated(x, k, (1, 1), NO_PADDING, dimension_numbers=LAYOUT, **options)
    np.testing.assert_array_equal(got, wanted)


def _pool_by_hand(x, reduce):
    n, h, w, c = x.shape
    out = np.empty((n, h // 2, w // 2, c), x.dtype)
    for i in range(h // 2):
        for j in range(w // 2):
            out[:, i, j] = reduce(x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], axis=(1, 2))
    return out


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 7, 9, 3)])
@pytest.mark.parametrize(
    ("pool", "reduce"), [(layers.max_pool, np.max), (layers.average_pool, np.mean)]
)
def test_pooling_equals_a_plain_loop_and_its_gradient_a_finite_difference(shape, pool, reduce):
    x = jax.random.normal(jax.random.key(3), shape)
    np.testing.assert_allclose(pool(x), _pool_by_hand(np.asarray(x), reduce), rtol=1e-6, atol=1e-6)
    direction = jax.random.normal(jax.random.key(4), shape)
    slope = jnp.vdot(jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))(x), direction)
    wide, way, step = np.asarray(x, np.float64), np.asarray(direction, np.float64), 1e-6
    above, below = (np.sin(_pool_by_hand(wide + s * step * way, reduce)).sum() for s in (1, -1))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-4)


def test_max_pool_of_a_relu_has_the_gradient_of_the_native_reduction():
    x = jax.random.normal(jax.random.key(5), (3, 6, 6, 4))

    def native(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    weights = jax.random.normal(jax.random.key(6), (3, 3, 3, 4))
    ours, theirs = (
        jax.grad(lambda x, p=p: jnp.sum(p(jax.nn.relu(x)) * weights))(x)
        for p in (layers.max_pool, native)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def _covered(kind, stride=(1, 1), padding="SAME"):
    def convolve(x, k):
        return layers.CONVOLUTIONS[kind](x, k, stride, padding, dimension_numbers=LAYOUT)

    return convolve


@pytest.mark.parametrize("channels", [1, 8])  # patches for one channel, a convolution for eight
@pytest.mark.parametrize(("stride", "padding"), [((1, 1), "SAME"), ((2, 2), "VALID")])
def test_linear_convolution_has_the_native_jvp_and_the_native_transpose(channels, stride, padding):
    keys = jax.random.split(jax.random.key(7), 5)
    x, dx = (jax.random.normal(key, (3, 7, 8, channels)) for key in keys[:2])
    k, dk = (jax.random.normal(key, (3, 3, channels, 5)) for key in keys[2:4])
    ours, native = (_covered(kind, stride, padding) for kind in ("linear", "all"))

    def along(convolve):
        return lambda tangents: jax.jvp(convolve, (x, k), tangents)[1]

    tangent = along(native)((dx, dk))
    np.testing.assert_allclose(along(ours)((dx, dk)), tangent, rtol=1e-4, atol=1e-4)
    weights = jax.random.normal(keys[4], tangent.shape)
    got, wanted = (
        jax.jit(jax.grad(lambda t, c=c: jnp.vdot(along(c)(t), weights)))((dx, dk))
        for c in (ours, native)
    )
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=3e-4)
    # Images are not differentiated when a network's weights are.
    only_kernel = jax.jvp(lambda k: ours(x, k), (k,), (dk,))[1]
    wanted = jax.jvp(lambda k: native(x, k), (k,), (dk,))[1]
    np.testing.assert_allclose(only_kernel, wanted, rtol=1e-4, atol=1e-4)


def test_the_three_kinds_of_convolution_have_the_same_value():
    x = jax.random.normal(jax.random.key(8), (3, 6, 6, 1))
    k = jax.random.normal(jax.random.key(9), (3, 3, 1, 4))
    values = {kind: _covered(kind)(x, k) for kind in layers.CONVOLUTIONS}
    np.testing.assert_array_equal(values["linear"], values["gradient"])
    np.testing.assert_allclose(values["all"], values["gradient"], rtol=1e-5, atol=1e-5)


def test_plain_max_pool_counts_a_tie_once():
    constant = jnp.ones((1, 4, 4, 2))  # background: every window is a tie
    slope = jax.grad(lambda b: layers.plain_max_pool(constant + b).sum())(0.5)
    assert slope == pytest.approx(8.0)  # 2 x 2 windows, 2 channels, each one max(1 + b, ...)
    _, tangent = jax.jvp(layers.plain_max_pool, (constant,), (3 * constant,))
    np.testing.assert_array_equal(tangent, jnp.full((1, 2, 2, 2), 3.0))


def test_a_flat_background_has_the_gradient_of_stock_layers():
    """Four equal pixels tie; with a positive bias the tie is not among the zeros of the ReLU."""
    constant = jnp.ones((2, 4, 4, 3))
    slope = jax.grad(lambda b: layers.max_pool(jax.nn.relu(constant + b)).sum())(0.5)
    assert slope == 2 * 2 * 2 * 3

    class Stock(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in (16, 32):
                x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(x.reshape(len(x), -1))

    ours = flat_network("conv2", (12, 12, 1), 10)
    theirs = flatten(Stock(), (12, 12, 1))
    w = ours.init(jax.random.key(0)) + 0.05  # every bias is positive
    x = jnp.zeros((5, 12, 12, 1)).at[:, 4:8, 4:8].set(jax.random.normal(jax.random.key(1)))
    weights = jax.random.normal(jax.random.key(2), (5, 10))
    found, wanted = (
        jax.grad(lambda w, net=net: jnp.sum(net.apply(w, x) * weights))(w) for net in (ours, theirs)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(abs(wanted).max()))
