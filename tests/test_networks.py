"""Networks: the paper's parameter counts, batch normalization by hand, refusals."""

from typing import get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dofbook import networks
from dofbook.errors import InputError
from dofbook.networks.layers import Derivatives

GREY, COLOUR = (28, 28, 1), (32, 32, 3)
DERIVATIVES = get_args(Derivatives)


def _images(*shape):
    """Draw in NumPy: JAX would compile a program for every new shape."""
    return np.random.default_rng(1).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("conv2", GREY, 20_490),  # paper, Fig. 3: 20.5k and 25.6k
        ("conv2", COLOUR, 25_578),
        ("conv3", GREY, 61_514),  # 61.5k and 66.5k
        ("conv3", COLOUR, 66_570),
        ("resnet20", GREY, 272_186),  # 272.2k and 272.5k
        ("resnet20", COLOUR, 272_474),
        ("lenet", GREY, 44_426),  # Li et al. (2018)
        ("mlp", (8, 8, 1), 64 * 32 + 32 + 32 * 10 + 10),
    ],
)
def test_parameter_counts(name, shape, parameters):
    network = networks.paper_network(name, shape, 10)
    assert parameters == network.D
    assert jax.eval_shape(network.init, jax.random.key(0)).shape == (parameters,)


@pytest.mark.parametrize(
    ("name", "pooling"),
    [("conv2", "average"), ("conv3", "max"), ("resnet20", "max"), ("mlp", "max"), ("lenet", "max")],
)
def test_logits_have_one_entry_per_class(name, pooling):
    shape = (16, 16, 2)
    network = networks.paper_network(name, shape, 7, pooling)
    images = _images(3, *shape)
    logits = jax.jit(network.apply)(network.init(jax.random.key(0)), images)
    assert logits.shape == (3, 7)
    assert np.isfinite(logits).all()


def test_pooling_changes_the_function_but_not_the_parameters():
    images = _images(3, 8, 8, 1)
    flats = [networks.paper_network("conv2", (8, 8, 1), 10, p) for p in ("max", "average")]
    w = flats[0].init(jax.random.key(0))
    np.testing.assert_array_equal(w, flats[1].init(jax.random.key(0)))
    largest, mean = (np.asarray(jax.jit(flat.apply)(w, images)) for flat in flats)
    assert np.abs(largest - mean).max() > 1e-3


def test_conv2_equals_the_same_network_built_from_stock_flax():
    class Stock(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in (16, 32):
                x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
            return nn.Dense(10)(x.reshape(len(x), -1))

    images = _images(5, 28, 28, 1)
    ours = networks.paper_network("conv2", (28, 28, 1), 10)
    w = ours.init(jax.random.key(0))
    theirs = networks.flatten(Stock(), images)
    np.testing.assert_array_equal(w, theirs.init(jax.random.key(0)))
    got, wanted = (jax.jit(network.apply)(w, images) for network in (ours, theirs))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_single_core_takes_images_in_chunks_that_fit_its_cache(monkeypatch):
    conv2, resnet, own = networks.build("conv2", 10), networks.build("resnet20", 10), nn.Dense(10)
    mnist, cifar, digits = (28, 28, 1), (32, 32, 3), (8, 8, 1)
    monkeypatch.setattr(networks.paper, "cores", lambda: 1)
    assert networks.paper._chunks(conv2, mnist) == (16, 16)
    assert networks.paper._chunks(conv2, cifar) == (8, 8)
    assert networks.paper._chunks(conv2, digits) == (100, None)  # a whole batch fits
    assert networks.paper._chunks(resnet, cifar) == (1000, None)  # images see one another
    assert networks.paper._chunks(own, mnist) == (100, None)  # they might
    monkeypatch.setattr(networks.paper, "cores", lambda: 2)
    assert networks.paper._chunks(conv2, mnist) == (100, None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert networks.paper._chunks(conv2, mnist) == (500, None)
    assert networks.paper._chunks(resnet, cifar) == (1000, None)
    assert networks.paper._chunks(own, mnist) == (100, None)


def test_batch_norm_uses_the_batch_at_hand():
    x = 3 + 2 * _images(6, 4, 4, 5)
    norm = networks.BatchNorm()
    variables = norm.init(jax.random.key(1), x)
    assert set(variables) == {"params"}
    y = np.asarray(jax.jit(norm.apply)(variables, x))
    h = np.asarray(x, np.float64)
    wanted = (h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(y, wanted, atol=1e-5)


def test_batch_norm_after_a_dense_layer_normalises_each_feature():
    x = 3 + 2 * _images(6, 5)
    y = networks.BatchNorm().init_with_output(jax.random.key(1), x)[0]
    h = np.asarray(x, np.float64)
    np.testing.assert_allclose(y, (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5), atol=1e-5)


def test_initialization_is_lecun_normal_with_zero_biases():
    network = networks.build("mlp", 10)
    params = network.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    kernel = np.asarray(params["Dense_0"]["kernel"])
    assert kernel.std() == pytest.approx(784**-0.5, rel=0.02)
    assert not params["Dense_0"]["bias"].any()


def test_unknown_names_are_refused_with_the_allowed_ones():
    with pytest.raises(InputError, match="'conv9'; allowed: conv2, conv3"):
        networks.build("conv9", 10)
    with pytest.raises(InputError, match="'median'; allowed: 'max', 'average'"):
        networks.build("conv2", 10, "median")
    with pytest.raises(InputError, match="'third'; allowed: 'gradient', 'linear', 'all'"):
        networks.paper_network("conv2", GREY, 10).with_derivatives("third")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((3, GREY, 10), "network is 3; allowed: conv2"),
        (([], GREY, 10), r"network is \[\]; allowed: conv2"),
        (("conv2", "shape", 10), "input_shape must hold real numbers"),
        (("conv2", (28, 28, 0), 10), "input_shape holds 0.0; every entry must be .* at least 1"),
        (("conv2", (28, 28, 1.5), 10), "input_shape must hold whole numbers"),
        (("conv2", GREY, 0), "num_classes is 0; it must be a whole number of at least 1"),
        (("conv2", GREY, 2.5), "num_classes is 2.5"),
        (("conv2", GREY, 10, []), r"pooling is \[\]; allowed: 'max', 'average'"),
        (("conv2", GREY, 10, "max", "float16"), "dtype is 'float16'; allowed"),
        (("mine", GREY, 10), "network is 'mine'; allowed: .*, or module:function"),
    ],
)
def test_wrong_arguments_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        networks.paper_network(*arguments)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("lenet", (8, 8, 1), "given images of 8x8 pixels; it needs at least 16x16"),
        ("conv3", (4, 28, 1), "given images of 4x28 pixels; it needs at least 8x8"),
        ("resnet20", (3, 32, 32), "look as if channels came first; .* np.moveaxis"),
        ("conv2", (1, 28, 28), "look as if channels came first"),
        ("conv2", (30,), r"conv2 takes images \(height, width, channels\); it was given \(30,\)"),
    ],
)
def test_images_that_do_not_fit_are_refused(name, shape, said):
    with pytest.raises(InputError, match=said):
        networks.paper_network(name, shape, 10)


def test_without_classes_there_is_one_output():
    network = networks.paper_network("mlp", (30,), None)
    assert network.D == 30 * 32 + 32 + 32 + 1
    assert jax.eval_shape(network.apply, jnp.zeros(network.D), jnp.zeros((5, 30))).shape == (5, 1)


def test_a_network_knows_its_layers():
    network = networks.paper_network("conv2", GREY, 10)
    module = networks.build("conv2", 10)
    params = module.init(jax.random.key(2), jnp.zeros((1, *GREY)))["params"]
    w = np.asarray(network.init(jax.random.key(2)))
    assert [layer.start for layer in network.layers[1:]] == [x.stop for x in network.layers[:-1]]
    assert (network.layers[0].start, network.layers[-1].stop) == (0, network.D)
    for layer in network.layers:
        module_name, array = layer.name.split("/")
        wanted = params[module_name][array]
        np.testing.assert_array_equal(w[layer.start : layer.stop].reshape(layer.shape), wanted)


def test_equal_arguments_give_the_same_object():
    network = networks.paper_network("conv2", [28, 28, 1], 10)
    assert network is networks.paper_network("conv2", GREY, 10, "max", "float32")
    assert network is not networks.paper_network("conv2", GREY, 10, "average")
    linear = network.with_derivatives("linear")
    assert linear is networks.paper_network("conv2", GREY, 10).with_derivatives("linear")
    assert linear.with_derivatives("gradient") is network
    assert network.with_derivatives("gradient") is network
    assert (network.name, linear.name) == ("conv2", "conv2")
    mlp = networks.paper_network("mlp", GREY, 10)  # plain layers have every derivative
    assert mlp.with_derivatives("all") is mlp
    module = networks.flatten(networks.ConvNet((2,), 3), jnp.zeros((1, 8, 8, 1)))
    assert module.with_derivatives("all") is not module
    assert module.with_derivatives("all").with_derivatives("gradient") is module


def test_networks_with_running_averages_are_refused():
    with pytest.raises(InputError, match="batch_stats"):
        networks.flatten(nn.BatchNorm(use_running_average=False), jnp.zeros((1, 4, 4, 1)))


def test_every_kind_of_derivative_belongs_to_the_same_network():
    shape = (8, 8, 1)
    plain = networks.paper_network("conv2", shape, 10)
    kinds = {k: plain.with_derivatives(k) for k in DERIVATIVES}
    w, v = (kinds["gradient"].init(jax.random.key(seed)) for seed in (0, 1))
    images = _images(4, *shape)
    logits = {k: jax.jit(network.apply)(w, images) for k, network in kinds.items()}
    np.testing.assert_array_equal(logits["linear"], logits["gradient"])
    np.testing.assert_allclose(logits["all"], logits["gradient"], rtol=1e-4, atol=1e-4)

    def gradient(kind):
        return jax.jit(jax.grad(lambda w: jnp.sin(kinds[kind].apply(w, images)).sum()))(w)

    def slope(kind):
        return jax.jit(lambda w, v: jax.jvp(lambda w: kinds[kind].apply(w, images), (w,), (v,))[1])(
            w, v
        )

    for kind in ("linear", "gradient"):
        np.testing.assert_allclose(gradient(kind), gradient("all"), rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(slope("linear"), slope("all"), rtol=2e-3, atol=2e-3)


def test_a_resnet_of_every_kind_has_the_same_parameters():
    resnet = networks.paper_network("resnet20", COLOUR, 10)
    kinds = [resnet.with_derivatives(k) for k in DERIVATIVES]
    assert {network.D for network in kinds} == {272_474}
