"""The networks of the paper as Flax modules, and by name."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from dofbook import checks
from dofbook.errors import InputError
from dofbook.networks import NETWORK_NAMES, Network, Pooling, flatten, layers
from dofbook.networks.layers import Derivatives
from dofbook.provenance import cores
from dofbook.references import call, check_name, found_now, is_reference

_PARAMETER = jnp.float32  # also where JAX would take double precision


class Conv(nn.Module):
    """Convolve as ``nn.Conv`` does, with the layers of ``dofbook.networks.layers``.

    Flax's defaults, lecun_normal kernels and zero biases, are those of the released code.

    >>> x = jnp.ones((1, 3, 3, 1))
    >>> Conv(4, padding="VALID").init_with_output(jax.random.key(0), x)[0].shape
    (1, 1, 1, 4)
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    use_bias: bool = True
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, _PARAMETER)
        convolve = layers.CONVOLUTIONS[self.derivatives]
        y = convolve(x, kernel, self.strides, self.padding, dimension_numbers=layers.LAYOUT)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,), _PARAMETER)
        return layers.BIASES[self.derivatives](y, bias)


def _pool(x: jax.Array, pooling: Pooling, derivatives: Derivatives) -> jax.Array:
    return layers.MAX_POOLS[derivatives](x) if pooling == "max" else layers.average_pool(x)


class ConvNet(nn.Module):
    """Stack 3x3 convolutions, each with ReLU and 2x2 pooling, below one dense layer (paper 2.1).

    Conv-2 has the channels (16, 32), Conv-3 (32, 64, 64); for ``pooling`` see ``build``.

    >>> ConvNet((16, 32), 10).channels
    (16, 32)
    """

    channels: tuple[int, ...]
    num_classes: int
    pooling: Pooling = "max"
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        for features in self.channels:
            x = nn.relu(Conv(features, derivatives=self.derivatives)(x))
            x = _pool(x, self.pooling, self.derivatives)
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1))


class BatchNorm(nn.Module):
    """Normalise each channel by its mean and variance in the batch, in training and evaluation.

    This is the paper's "on-the-fly batch normalization" (A.4): no running averages, so no state.

    >>> x = jnp.array([[1.0], [3.0]])
    >>> BatchNorm(eps=0).init_with_output(jax.random.key(0), x)[0].tolist()
    [[-1.0], [1.0]]
    """

    eps: float = 1e-5

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],), _PARAMETER)
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],), _PARAMETER)
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axis=axes)
        variance = ((x - mean) ** 2).mean(axis=axes)
        return (x - mean) * (scale * jax.lax.rsqrt(variance + self.eps)) + bias


class ResidualBlock(nn.Module):
    """Add two 3x3 convolutions to the input; a 1x1 convolution adapts its shape where needed.

    >>> ResidualBlock(16, stride=2).stride
    2
    """

    features: int
    stride: int = 1
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        conv = partial(Conv, self.features, use_bias=False, derivatives=self.derivatives)
        strides = (self.stride, self.stride)
        y = nn.relu(BatchNorm()(conv(strides=strides)(x)))
        y = BatchNorm()(conv()(y))
        if y.shape != x.shape:
            x = BatchNorm()(conv(kernel_size=(1, 1), strides=strides)(x))
        return nn.relu(x + y)


class ResNet20(nn.Module):
    """Build ResNet20v1 (He et al., 2016) with on-the-fly batch normalization and 1x1 shortcuts.

    >>> ResNet20(10).num_classes
    10
    """

    num_classes: int
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        conv = Conv(16, use_bias=False, derivatives=self.derivatives)
        x = nn.relu(BatchNorm()(conv(x)))
        for stage, features in enumerate((16, 32, 64)):
            for block in range(3):
                stride = 2 if stage and not block else 1
                x = ResidualBlock(features, stride, self.derivatives)(x)
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class MLP(nn.Module):
    """Stack dense layers of the widths ``hidden`` with ReLU, on inputs of any shape.

    >>> MLP((32,), 10).init_with_output(jax.random.key(0), jnp.ones((2, 4, 4)))[0].shape
    (2, 10)
    """

    hidden: tuple[int, ...]
    num_classes: int

    @nn.compact
    def __call__(self, x):
        x = x.reshape(x.shape[0], -1)
        for width in self.hidden:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_classes)(x)


class LeNet(nn.Module):
    """Build LeNet as in Li et al. (2018): 5x5 convolutions without padding, D = 44,426 on MNIST.

    >>> LeNet(10).pooling
    'max'
    """

    num_classes: int
    pooling: Pooling = "max"
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        for features in (6, 16):
            conv = Conv(features, (5, 5), padding="VALID", derivatives=self.derivatives)
            x = _pool(nn.relu(conv(x)), self.pooling, self.derivatives)
        x = x.reshape(x.shape[0], -1)
        for width in (120, 84):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_classes)(x)


_BUILDERS: dict[str, Callable[[int, Pooling], nn.Module]] = {
    "conv2": partial(ConvNet, (16, 32)),
    "conv3": partial(ConvNet, (32, 64, 64)),
    "resnet20": lambda classes, pooling: ResNet20(classes),
    "mlp": lambda classes, pooling: MLP((32,), classes),
    "lenet": LeNet,
}
_LEAST_SIDES = {"conv2": 4, "conv3": 8, "resnet20": 1, "lenet": 16}


def build(name: str, num_classes: int | None, pooling: Pooling = "max") -> Any:
    """Build a network by name, one of ``NETWORK_NAMES``, or as "module:function".

    A reader's function, of ``num_classes`` alone, returns anything ``flatten`` takes.
    ``num_classes`` is the number of logits; None, for data without classes, means one output.
    ``pooling``, not of resnet20 and mlp, is "max" (the paper) or "average" (its released code).

    >>> build("conv2", 10).channels
    (16, 32)
    """
    checks.choice("pooling", pooling, get_args(Pooling))
    if num_classes is not None:
        checks.integer("num_classes", num_classes, 1)
    check_name("network", name, NETWORK_NAMES)
    if is_reference(name):
        return call(name, num_classes)
    return _BUILDERS[name](1 if num_classes is None else num_classes, pooling)


def paper_network(
    name: str, input_shape: tuple[int, ...], num_classes: int | None, pooling: Pooling = "max",
    dtype: str = "float32",
) -> Network:  # fmt: skip
    """Build a network by name and flatten it; for options see ``build``.

    Equal arguments give the same object, so that cells share compiled programs. ``input_shape`` is
    that of one input, such as (H, W, C); ``dtype`` that of the inputs, "int32" for tokens.

    >>> paper_network("mlp", (8, 8, 1), 10).D
    2410
    """
    shape = tuple(map(int, checks.integers("input_shape", input_shape, 1).ravel()))
    checks.choice("dtype", dtype, ("float32", "int32"))
    if not is_reference(name):
        build(name, num_classes, pooling)  # what is no name cannot be looked up
    return _named(name, shape, num_classes, pooling, dtype, found_now(name))


@lru_cache(maxsize=32)
def _named(name, input_shape, num_classes, pooling, dtype, _) -> Network:
    module = build(name, num_classes, pooling)
    if name in _LEAST_SIDES:
        _check_images(name, input_shape)
    example = jax.ShapeDtypeStruct((1, *input_shape), dtype)
    many, some = _chunks(module, input_shape)
    return flatten(module, example, name=name, evaluation_chunk=many, gradient_chunk=some)


def _check_images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3:
        raise InputError(f"{name} takes images (height, width, channels); it was given {shape}.")
    if shape[0] in (1, 3) and shape[1] == shape[2] > 4:
        given = f"{name} was given images of shape {shape}, which look as if channels came first"
        wanted = "(height, width, channels), as np.moveaxis(images, 1, -1) gives"
        raise InputError(f"{given}; it takes {wanted}.")
    if min(shape[:2]) < (least := _LEAST_SIDES[name]):
        given = f"{name} was given images of {shape[0]}x{shape[1]} pixels"
        raise InputError(f"{given}; it needs at least {least}x{least}.")


_CACHED_PIXELS = 16 * 28 * 28  # so many fit a core's cache in Conv-2 and Conv-3 (measured)


def _chunks(module: Any, input_shape: tuple[int, ...]) -> tuple[int, int | None]:
    """Choose the images evaluated at once, and those whose gradients are.

    One core is a quarter faster on what stays in its cache; several share a whole batch. A GPU
    waits for the launch of kernels where chunks are many.
    """
    if isinstance(module, ResNet20):  # the statistics of its batches
        return 1000, None
    backend = jax.default_backend()
    if isinstance(module, ConvNet) and backend == "gpu":
        return 500, None
    if isinstance(module, ConvNet) and backend == "cpu" and cores() == 1:
        fitting = max(_CACHED_PIXELS // (input_shape[0] * input_shape[1]), 1)
        images = 2 ** (fitting.bit_length() - 1)  # a power of two divides most batches
        if images <= 32:
            return images, images
    return 100, None
