"""The networks of the paper as Flax modules, and their view as functions of one flat vector."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dofbook import layers
from dofbook.errors import InputError
from dofbook.layers import Derivatives
from dofbook.own import is_reference, resolve
from dofbook.provenance import cores

Pooling = Literal["max", "average"]


class Conv(nn.Module):
    """Convolve as ``nn.Conv`` does, with the layers of ``dofbook.layers``.

    Flax's defaults, lecun_normal kernels and zero biases, are those of the released code.

    Attributes:
        features: Output channels.
        kernel_size: Height and width of the kernels.
        strides: Steps down and across.
        padding: "SAME" or "VALID".
        use_bias: Whether a bias is added.
        derivatives: Which derivatives it has; see ``dofbook.layers``.
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
        derivatives: Which derivatives it has; see ``dofbook.layers``.
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
        derivatives: Which derivatives it has; see ``dofbook.layers``.
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
        derivatives: Which derivatives it has; see ``dofbook.layers``.
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
        derivatives: Which derivatives it has; see ``dofbook.layers``.
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
        name: One of ``NAMES``, or "module:function" of one's own (``dofbook.own``): a function of
            the number of classes that returns a Flax module.
        num_classes: Number of logits.
        pooling: "max" (the paper's text) or "average" (its released code); resnet20, mlp and one's
            own networks ignore it.
        derivatives: "gradient" (for training), "linear" or "all"; see ``dofbook.layers``. The
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


@dataclass(frozen=True, eq=False)
class FlatNetwork:
    """See a network as a function of one flat weight vector w in R^D.

    Args:
        init: Draws w0 of shape (D,) from a key.
        apply: Maps w (D,) and images (N, H, W, C) to logits (N, classes).
        D: Number of parameters.
        evaluation_chunk: Images evaluated at once. It sets speed and memory (on a CPU small chunks
            stay in the cache); with on-the-fly batch normalization also the batch of the
            statistics.
        gradient_chunk: Images whose gradients are computed at once when a batch is a multiple of
            it, for speed and memory; None for the whole batch, as the statistics of a batch need.
    """

    init: Callable[[jax.Array], jax.Array]
    apply: Callable[[jax.Array, jax.Array], jax.Array]
    D: int
    evaluation_chunk: int = 100
    gradient_chunk: int | None = None


def flatten(
    module: nn.Module,
    image_shape: tuple[int, ...],
    evaluation_chunk: int = 100,
    gradient_chunk: int | None = None,
) -> FlatNetwork:
    """Flatten any Flax module with a single "params" collection.

    Args:
        module: The network; ``module.apply({"params": p}, images)`` gives logits.
        image_shape: Shape (H, W, C) of one image.
        evaluation_chunk: Images evaluated at once; see ``FlatNetwork``.
        gradient_chunk: Images whose gradients are computed at once; see ``FlatNetwork``.

    Returns:
        The network as a function of its flat weights, in ``ravel_pytree`` order.

    Raises:
        InputError: If the module has other state than parameters (such as running averages).
    """
    blank = jnp.zeros((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), blank)
    if set(shapes) != {"params"}:
        raise InputError(
            f"the network has the collections {', '.join(sorted(shapes))}; only networks whose "
            "state is their parameters can be trained in a subspace."
        )
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes["params"])
    flat, unravel = ravel_pytree(zeros)

    def init(key):
        return ravel_pytree(module.init(key, blank)["params"])[0]

    def apply(w, images):
        return module.apply({"params": unravel(w)}, images)

    return FlatNetwork(jax.jit(init), apply, flat.size, evaluation_chunk, gradient_chunk)


_CACHED_PIXELS = 16 * 28 * 28  # so many fit a core's cache in Conv-2 and Conv-3 (measured)


def _chunks(module: nn.Module, image_shape: tuple[int, int, int]) -> tuple[int, int | None]:
    """Choose the images evaluated at once, and those whose gradients are.

    A single core is a quarter faster on what stays in its cache; several share a whole batch. A
    GPU waits for the launch of its kernels where an evaluation has many small chunks.
    """
    if isinstance(module, ResNet20):  # the statistics of its batches
        return 1000, None
    images = 2 ** int(math.log2(max(_CACHED_PIXELS // (image_shape[0] * image_shape[1]), 1)))
    alone = jax.default_backend() == "cpu" and cores() == 1
    if not alone or images > 32 or not isinstance(module, ConvNet):
        alike = jax.default_backend() == "gpu" and isinstance(module, ConvNet)
        return (500 if alike else 100), None
    return images, images


@lru_cache(maxsize=32)
def flat_network(
    name: str,
    image_shape: tuple[int, int, int],
    num_classes: int,
    pooling: Pooling = "max",
    derivatives: Derivatives = "gradient",
) -> FlatNetwork:
    """Build a network by name and flatten it; equal arguments give the same object.

    Args:
        name: One of ``NAMES`` or "module:function"; see ``build``.
        image_shape: Shape (H, W, C) of one image.
        num_classes: Number of logits.
        pooling: "max" or "average".
        derivatives: "gradient", "linear" or "all"; see ``build``.

    Returns:
        The flat network. Sharing one object lets compiled programs be shared between cells.

    Raises:
        InputError: If the name, the pooling or the derivatives are unknown.
    """
    module = build(name, num_classes, pooling, derivatives)
    return flatten(module, image_shape, *_chunks(module, image_shape))
