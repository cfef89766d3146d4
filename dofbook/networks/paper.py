"""The networks of the paper as Flax modules, and their view as functions of one flat vector."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from dofbook.errors import InputError
from dofbook.networks import flat, layers
from dofbook.networks.flat import Network
from dofbook.networks.layers import Derivatives
from dofbook.provenance import cores
from dofbook.references import is_reference, resolve

Pooling = Literal["max", "average"]


class Conv(nn.Module):
    """Convolve as ``nn.Conv`` does, with the layers of ``dofbook.networks.layers``.

    Flax's defaults, lecun_normal kernels and zero biases, are those of the released code.

    Attributes:
        features: Output channels.
        kernel_size: Height and width of the kernels.
        strides: Steps down and across.
        padding: "SAME" or "VALID".
        use_bias: Whether a bias is added.
        derivatives: Which derivatives it has; see ``dofbook.networks.layers``.
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
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        convolve = layers.CONVOLUTIONS[self.derivatives]
        y = convolve(x, kernel, self.strides, self.padding, dimension_numbers=layers.LAYOUT)
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return layers.BIASES[self.derivatives](y, bias)


def _conv(derivatives: Derivatives) -> Callable[..., nn.Module]:
    return partial(Conv, derivatives=derivatives)


def _pool(x: jax.Array, pooling: Pooling, derivatives: Derivatives) -> jax.Array:
    return layers.MAX_POOLS[derivatives](x) if pooling == "max" else layers.average_pool(x)


class ConvNet(nn.Module):
    """Stack 3x3 convolutions, each with ReLU and 2x2 pooling, below one dense layer (paper 2.1).

    Attributes:
        channels: Output channels of each convolution: (16, 32) is Conv-2, (32, 64, 64) Conv-3.
        num_classes: Number of logits.
        pooling: "max" (the paper's text) or "average" (its released code).
        derivatives: Which derivatives it has; see ``dofbook.networks.layers``.
    """

    channels: tuple[int, ...]
    num_classes: int
    pooling: Pooling = "max"
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        conv = _conv(self.derivatives)
        for features in self.channels:
            x = _pool(nn.relu(conv(features)(x)), self.pooling, self.derivatives)
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1))


class BatchNorm(nn.Module):
    """Normalise by the mean and variance of the batch at hand, in training and evaluation alike.

    This is the paper's "on-the-fly batch normalization" (A.4): no running averages, so no state.

    Attributes:
        eps: Added to the variance.
    """

    eps: float = 1e-5

    @nn.compact
    def __call__(self, x):
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        mean = x.mean(axis=(0, 1, 2))
        variance = ((x - mean) ** 2).mean(axis=(0, 1, 2))
        return (x - mean) * (scale * jax.lax.rsqrt(variance + self.eps)) + bias


class ResidualBlock(nn.Module):
    """Add two 3x3 convolutions to the input; a 1x1 convolution adapts its shape where needed.

    Attributes:
        features: Output channels.
        stride: Stride of the first convolution.
        derivatives: Which derivatives it has; see ``dofbook.networks.layers``.
    """

    features: int
    stride: int = 1
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        conv, strides = _conv(self.derivatives), (self.stride, self.stride)
        y = conv(self.features, strides=strides, use_bias=False)(x)
        y = nn.relu(BatchNorm()(y))
        y = BatchNorm()(conv(self.features, use_bias=False)(y))
        if y.shape != x.shape:
            x = conv(self.features, kernel_size=(1, 1), strides=strides, use_bias=False)(x)
            x = BatchNorm()(x)
        return nn.relu(x + y)


class ResNet20(nn.Module):
    """ResNet20v1 (He et al., 2016) with on-the-fly batch normalization and 1x1 shortcuts.

    Attributes:
        num_classes: Number of logits.
        derivatives: Which derivatives it has; see ``dofbook.networks.layers``.
    """

    num_classes: int
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        x = nn.relu(BatchNorm()(_conv(self.derivatives)(16, use_bias=False)(x)))
        for stage, features in enumerate((16, 32, 64)):
            for block in range(3):
                stride = 2 if stage and not block else 1
                x = ResidualBlock(features, stride, self.derivatives)(x)
        return nn.Dense(self.num_classes)(x.mean(axis=(1, 2)))


class MLP(nn.Module):
    """Stack dense layers with ReLU.

    Attributes:
        hidden: Widths of the hidden layers.
        num_classes: Number of logits.
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
    """LeNet as in Li et al. (2018), 44,426 parameters on MNIST: 5x5 convolutions without padding.

    Attributes:
        num_classes: Number of logits.
        pooling: "max" or "average".
        derivatives: Which derivatives it has; see ``dofbook.networks.layers``.
    """

    num_classes: int
    pooling: Pooling = "max"
    derivatives: Derivatives = "gradient"

    @nn.compact
    def __call__(self, x):
        if min(x.shape[1:3]) < 16:
            raise InputError(
                f"lenet was given images of {x.shape[1]}x{x.shape[2]} pixels; it needs at least "
                "16x16."
            )
        for features in (6, 16):
            x = _conv(self.derivatives)(features, kernel_size=(5, 5), padding="VALID")(x)
            x = _pool(nn.relu(x), self.pooling, self.derivatives)
        x = x.reshape(x.shape[0], -1)
        for width in (120, 84):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.num_classes)(x)


_BUILDERS: dict[str, Callable[[int, Pooling, Derivatives], nn.Module]] = {
    "conv2": lambda classes, pooling, how: ConvNet((16, 32), classes, pooling, how),
    "conv3": lambda classes, pooling, how: ConvNet((32, 64, 64), classes, pooling, how),
    "resnet20": lambda classes, pooling, how: ResNet20(classes, how),
    "mlp": lambda classes, pooling, how: MLP((32,), classes),
    "lenet": lambda classes, pooling, how: LeNet(classes, pooling, how),
}
NAMES = tuple(_BUILDERS)


def build(
    name: str, num_classes: int, pooling: Pooling = "max", derivatives: Derivatives = "gradient"
) -> nn.Module:
    """Build a network by name.

    Args:
        name: One of ``NAMES``, or "module:function" of one's own (``dofbook.references``): a function of
            the number of classes that returns a Flax module.
        num_classes: Number of logits.
        pooling: "max" (the paper's text) or "average" (its released code); resnet20, mlp and one's
            own networks ignore it.
        derivatives: "gradient" (for training), "linear" or "all"; see ``dofbook.networks.layers``. The
            network is the same function of the same parameters. One's own networks ignore it.

    Returns:
        The Flax module.

    Raises:
        InputError: If the name, the pooling or the derivatives are unknown, or the function gives
            something else.
    """
    if not is_reference(name) and name not in _BUILDERS:
        raise InputError(f"network is {name!r}; allowed: {', '.join(NAMES)}, or module:function.")
    if pooling not in get_args(Pooling):
        raise InputError(f"pooling is {pooling!r}; allowed: {', '.join(get_args(Pooling))}.")
    if derivatives not in get_args(Derivatives):
        raise InputError(
            f"derivatives is {derivatives!r}; allowed: {', '.join(get_args(Derivatives))}."
        )
    if not is_reference(name):
        return _BUILDERS[name](num_classes, pooling, derivatives)
    module = resolve(name)(num_classes)
    if not isinstance(module, nn.Module):
        raise InputError(f"{name} gave {type(module).__name__}; it must give a flax.linen.Module.")
    return module


_CACHED_PIXELS = 16 * 28 * 28  # so many fit a core's cache in Conv-2 and Conv-3 (measured)


def _chunks(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int | None]:
    """Choose the images evaluated at once, and those whose gradients are.

    A single core is a quarter faster on what stays in its cache; several share a whole batch.
    """
    if isinstance(module, ResNet20):  # the statistics of its batches
        return 1000, None
    fitting = max(_CACHED_PIXELS // (image_shape[0] * image_shape[1]), 1)
    images = 2 ** (fitting.bit_length() - 1)  # a power of two divides most batches
    alone = jax.default_backend() == "cpu" and cores() == 1
    if not alone or images > 32 or not isinstance(module, ConvNet):
        return 100, None
    return images, images


def paper_network(
    name: str,
    input_shape: tuple[int, ...],
    num_classes: int | None,
    pooling: Pooling = "max",
    derivatives: Derivatives = "gradient",
) -> Network:
    """Build a network by name and flatten it; equal arguments give the same object.

    Args:
        name: One of ``NAMES`` or "module:function"; see ``build``.
        input_shape: Shape of one input, such as (H, W, C).
        num_classes: Number of logits; None, for data without classes, means one output.
        pooling: "max" or "average".
        derivatives: "gradient", "linear" or "all"; see ``build``.

    Raises:
        InputError: If the name, the pooling or the derivatives are unknown.
    """
    outputs = 1 if num_classes is None else num_classes
    return _named(name, tuple(input_shape), outputs, pooling).with_derivatives(derivatives)


@lru_cache(maxsize=32)
def _named(name, input_shape, num_classes, pooling) -> Network:
    module = build(name, num_classes, pooling)
    evaluation, gradient = _chunks(module, input_shape)
    example = jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    return flat.of_module(module, example, None, (evaluation, gradient), name)
