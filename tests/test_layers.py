"""Gradients of our convolution and pooling against XLA's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax import lax

from dofbook.networks import flatten, layers, paper_network

LAYOUT = ("NHWC", "HWIO", "NHWC")
NO_PADDING = ((0, 0), (0, 0))


def _normal(rng, *shape):
    """Draw in NumPy: JAX would compile a program for every new shape."""
    return rng.standard_normal(shape, np.float32)


def _values_and_gradients(convolve, x, kernel, cotangent):
    @jax.jit
    def compute(x, kernel, cotangent):
        y, back = jax.vjp(convolve, x, kernel)
        return y, *back(cotangent)

    return compute(x, kernel, cotangent)


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
    rng = np.random.default_rng(seed)
    x, k = _normal(rng, 4, *size, channels), _normal(rng, *kernel, channels, 5)

    def ours(x, k):
        return layers.conv_general_dilated(x, k, stride, padding, dimension_numbers=LAYOUT)

    def native(x, k):
        return lax.conv_general_dilated(x, k, stride, padding, dimension_numbers=LAYOUT)

    cotangent = _normal(rng, *jax.eval_shape(native, x, k).shape)
    y, *gradients = _values_and_gradients(ours, x, k, cotangent)
    wanted, *native_gradients = _values_and_gradients(native, x, k, cotangent)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)
    for got, wanted in zip(gradients, native_gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize(
    "options", [{"rhs_dilation": (2, 2)}, {"feature_group_count": 2}, {"lhs_dilation": (2, 2)}]
)
def test_shapes_not_covered_go_to_the_native_convolution(options):
    channels = 4
    rng = np.random.default_rng(0)
    x = _normal(rng, 2, 8, 8, channels)
    groups = options.get("feature_group_count", 1)
    k = _normal(rng, 3, 3, channels // groups, 6)
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
    rng = np.random.default_rng(3)
    x = _normal(rng, *shape)
    np.testing.assert_allclose(pool(x), _pool_by_hand(x, reduce), rtol=1e-6, atol=1e-6)
    direction = _normal(rng, *shape)
    slope = np.vdot(jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(pool(x)))))(x), direction)
    wide, way, step = x.astype(np.float64), direction.astype(np.float64), 1e-6
    above, below = (np.sin(_pool_by_hand(wide + s * step * way, reduce)).sum() for s in (1, -1))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-4)


def test_max_pool_of_a_relu_has_the_gradient_of_the_native_reduction():
    rng = np.random.default_rng(5)
    x = _normal(rng, 3, 6, 6, 4)

    def native(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    weights = _normal(rng, 3, 3, 3, 4)
    ours, theirs = (
        jax.jit(jax.grad(lambda x, p=p: jnp.sum(p(jax.nn.relu(x)) * weights)))(x)
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
    rng = np.random.default_rng(7)
    x, dx = (_normal(rng, 3, 7, 8, channels) for _ in range(2))
    k, dk = (_normal(rng, 3, 3, channels, 5) for _ in range(2))
    ours, native = (_covered(kind, stride, padding) for kind in ("linear", "all"))

    def along(convolve):
        return lambda tangents: jax.jvp(convolve, (x, k), tangents)[1]

    tangent = jax.jit(along(native))((dx, dk))
    np.testing.assert_allclose(jax.jit(along(ours))((dx, dk)), tangent, rtol=1e-4, atol=1e-4)
    weights = _normal(rng, *tangent.shape)
    got, wanted = (
        jax.jit(jax.grad(lambda t, c=c: jnp.vdot(along(c)(t), weights)))((dx, dk))
        for c in (ours, native)
    )
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=3e-4)
    # Images are not differentiated when a network's weights are.
    only_kernel, wanted = (
        jax.jit(lambda dk, c=c: jax.jvp(lambda k: c(x, k), (k,), (dk,))[1])(dk)
        for c in (ours, native)
    )
    np.testing.assert_allclose(only_kernel, wanted, rtol=1e-4, atol=1e-4)


def test_the_three_kinds_of_convolution_have_the_same_value():
    x = jax.random.normal(jax.random.key(8), (3, 6, 6, 1))
    k = jax.random.normal(jax.random.key(9), (3, 3, 1, 4))
    values = {kind: _covered(kind)(x, k) for kind in layers.CONVOLUTIONS}
    np.testing.assert_array_equal(values["linear"], values["gradient"])
    np.testing.assert_allclose(values["all"], values["gradient"], rtol=1e-5, atol=1e-5)


def test_a_bias_has_the_gradients_of_a_sum():
    rng = np.random.default_rng(10)
    x, bias, cotangent = _normal(rng, 3, 5, 4, 7), _normal(rng, 7), _normal(rng, 3, 5, 4, 7)
    value, back = jax.vjp(layers.add_bias, x, bias)
    np.testing.assert_array_equal(value, x + bias)
    dx, dbias = back(cotangent)
    np.testing.assert_array_equal(dx, cotangent)
    np.testing.assert_allclose(dbias, cotangent.sum((0, 1, 2)), rtol=1e-5, atol=1e-5)


def test_plain_max_pool_counts_a_tie_once():
    constant = jnp.ones((1, 4, 4, 2))  # background: every window is a tie
    slope = jax.grad(lambda b: layers.plain_max_pool(constant + b).sum())(0.5)
    assert slope == pytest.approx(8.0)  # 2 x 2 windows, 2 channels, each one max(1 + b, ...)
    _, tangent = jax.jvp(layers.plain_max_pool, (constant,), (3 * constant,))
    np.testing.assert_array_equal(tangent, jnp.full((1, 2, 2, 2), 3.0))


def test_a_flat_background_has_the_gradient_of_stock_layers():
    """Four equal pixels tie; with a positive bias the tie is not among the zeros of the ReLU."""
    constant = jnp.ones((2, 4, 4, 3))
    slope = jax.jit(jax.grad(lambda b: layers.max_pool(jax.nn.relu(constant + b)).sum()))(0.5)
    assert slope == 2 * 2 * 2 * 3

    class Stock(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in (16, 32):
                x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(x.reshape(len(x), -1))

    ours = paper_network("conv2", (12, 12, 1), 10)
    w = ours.init(jax.random.key(0)) + 0.05  # every bias is positive
    rng = np.random.default_rng(1)
    x = np.zeros((5, 12, 12, 1), np.float32)
    x[:, 4:8, 4:8] = rng.standard_normal()
    theirs = flatten(Stock(), x)
    weights = _normal(rng, 5, 10)
    found, wanted = (
        jax.jit(jax.grad(lambda w, net=net: jnp.sum(net.apply(w, x) * weights)))(w)
        for net in (ours, theirs)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * float(abs(wanted).max()))


@pytest.mark.parametrize(("stride", "padding"), [((1, 1), "SAME"), ((2, 1), ((0, 2), (1, 0)))])
@pytest.mark.parametrize("kind", ["gradient", "linear"])
def test_convolutions_of_runs_on_a_gpu_equal_the_native_ones(monkeypatch, kind, stride, padding):
    rng = np.random.default_rng(11)
    x, k = _normal(rng, 3, 2, 9, 8, 4), _normal(rng, 3, 3, 3, 4, 5)  # three runs
    ours, native = (jax.vmap(_covered(which, stride, padding)) for which in (kind, "all"))
    cotangent = _normal(rng, *jax.eval_shape(native, x, k).shape)
    wanted = _values_and_gradients(native, x, k, cotangent)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    text = str(jax.make_jaxpr(ours)(x, k))
    assert "dot_general" in text
    assert "conv_general_dilated" not in text
    for got, want in zip(_values_and_gradients(ours, x, k, cotangent), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
