"""Convolution and pooling whose gradients stay fast inside ``lax.scan`` on a CPU.

Images are (N, H, W, C), kernels (kh, kw, C, features). Autodiff turns the gradients of a
convolution into convolutions with unusual layouts, which XLA's CPU backend runs about forty times
slower inside any loop; here they are ordinary convolutions and matrix products. On a GPU every
convolution is a matrix product with patches of the images: ``vmap`` over runs, each with its own
kernels, makes that one batched product, not a convolution of many groups. Other backends, and
dilation, groups and other layouts, get ``lax.conv_general_dilated`` unchanged. One's own network
may take the convolution alone: ``nn.Conv(..., conv_general_dilated=layers.conv_general_dilated)``.
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero, linear_call

Derivatives = Literal["gradient", "linear", "all"]
"""What can be differentiated: "gradient", reverse mode only, the fastest to train; "linear", first
derivatives forward (jvp) and back, fast in loops too; "all", XLA's own layers, with every
derivative and ``vmap`` but slow gradients in loops on a CPU."""

LAYOUT = ("NHWC", "HWIO", "NHWC")
_PATCH_COLUMNS = 64  # below this many columns a patch matrix beats a convolution (measured)


def _convolve(x, kernel, strides, padding):
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)


def _patches(x, kernel_shape, strides, padding):
    """Lay the receptive fields side by side: (N, H', W', kh * kw * C)."""
    height, width = kernel_shape[:2]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    shifted = [
        x[:, i : i + rows : strides[0], j : j + columns : strides[1]]
        for i, j in np.ndindex(height, width)
    ]
    return jnp.concatenate(shifted, axis=-1)


def patch_convolution(x, kernel, strides, padding):
    """Convolve as ``loop_convolution``, by one matrix product; JAX has its every derivative.

    >>> patch_convolution(jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 2, 1)), (1, 1), 2 * [(0, 0)])
    Array([[[[18.]]]], dtype=float32)
    """
    return _patches(x, kernel.shape, strides, padding) @ kernel.reshape(-1, kernel.shape[-1])


def _small(kernel) -> bool:
    return math.prod(kernel.shape[:3]) <= _PATCH_COLUMNS


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def loop_convolution(x, kernel, strides, padding):
    """Convolve images with kernels; the gradients, reverse mode only, are fast in loops on a CPU.

    ``padding`` is zeros (above, below), (left, right).

    >>> loop_convolution(jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 2, 1)), (1, 1), 2 * ((0, 0),))
    Array([[[[18.]]]], dtype=float32)
    """
    if _small(kernel):
        return patch_convolution(x, kernel, strides, padding)
    return _convolve(x, kernel, strides, padding)


def _backward(strides, padding, saved, cotangent):
    x, kernel = saved
    # Undo the stride by zeros between the cotangent's entries; pad to the reach of the input.
    inside = [(0, 0, 0), (0, 0, strides[0] - 1), (0, 0, strides[1] - 1), (0, 0, 0)]
    spread = lax.pad(cotangent, jnp.zeros((), cotangent.dtype), inside)
    size, wide, narrow = kernel.shape[:2], x.shape[1:3], spread.shape[1:3]
    low = [before for before, _ in padding]
    reach = [(size[a] - 1 - low[a], wide[a] + low[a] - narrow[a]) for a in (0, 1)]
    dx = _convolve(spread, kernel[::-1, ::-1].transpose(0, 1, 3, 2), (1, 1), reach)
    if _small(kernel):
        patches = _patches(x, kernel.shape, strides, padding)
        dkernel = jnp.tensordot(patches, cotangent, axes=((0, 1, 2), (0, 1, 2)))
        return dx, dkernel.reshape(kernel.shape)
    # Channels play the batch and the batch plays the channels: again an ordinary convolution.
    pads = [(low[a], size[a] - 1 + narrow[a] - wide[a] - low[a]) for a in (0, 1)]
    dkernel = _convolve(x.transpose(3, 1, 2, 0), spread.transpose(1, 2, 0, 3), (1, 1), pads)
    return dx, dkernel.transpose(1, 2, 0, 3)


loop_convolution.defvjp(
    lambda x, kernel, *window: (loop_convolution(x, kernel, *window), (x, kernel)), _backward
)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def linear_convolution(x, kernel, strides, padding):
    """Convolve as ``loop_convolution`` does, with a forward mode whose transpose is fast in loops.

    Only first derivatives exist: JAX cannot take those of the tangent in x or kernel.

    >>> linear_convolution(jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 2, 1)), (1, 1), 2 * ((0, 0),))
    Array([[[[18.]]]], dtype=float32)
    """
    return loop_convolution(x, kernel, strides, padding)


def _tangent(strides, padding, primals, tangents):
    """Sum the convolutions of each tangent with the other factor; images have none."""
    along = (
        lambda factors, dx: loop_convolution(dx, factors[1], strides, padding),
        lambda factors, dkernel: loop_convolution(factors[0], dkernel, strides, padding),
    )
    parts = [
        linear_call(along[i], lambda f, c, i=i: _backward(strides, padding, f, c)[i], primals, part)
        for i, part in enumerate(tangents)
        if not isinstance(part, SymbolicZero)
    ]
    return linear_convolution(*primals, strides, padding), sum(parts)


linear_convolution.defjvp(_tangent, symbolic_zeros=True)


def conv_general_dilated(
    lhs, rhs, window_strides, padding, *, convolution: Callable = loop_convolution, **options
):
    """Convolve as ``lax.conv_general_dilated`` does, as fits the backend (see the module).

    ``convolution``, for a CPU, is ``loop_convolution`` or ``linear_convolution``.

    >>> x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 1))
    >>> conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=LAYOUT).shape
    (1, 4, 4, 1)
    """
    given = {name: value for name, value in options.items() if name != "dimension_numbers"}
    numbers = partial(lax.conv_dimension_numbers, lhs.shape, rhs.shape)
    backend = jax.default_backend()
    covered = (
        backend in ("cpu", "gpu")
        and lhs.ndim == 4
        and numbers(options.get("dimension_numbers")) == numbers(LAYOUT)
        and all(value is None or np.all(np.asarray(value) == 1) for value in given.values())
    )
    if not covered:
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **options)
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
    pads = tuple((int(low), int(high)) for low, high in padding)
    if backend == "gpu":
        convolution = patch_convolution
    return convolution(lhs, rhs, tuple(window_strides), pads)


def _windows(x):
    """View (N, H, W, C) as 2x2 windows (N, H/2, 2, W/2, 2, C), dropping an odd last row/column."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])


def _bias_backward(_, cotangent):
    rows = cotangent.reshape(-1, cotangent.shape[-1])
    return cotangent, jnp.ones(len(rows), rows.dtype) @ rows


_loop_bias = jax.custom_vjp(lambda x, bias: x + bias)
_loop_bias.defvjp(lambda x, bias: (x + bias, None), _bias_backward)


def add_bias(x, bias):
    """Add one number per channel; on a CPU the bias's gradient is a matrix product, the fastest.

    >>> add_bias(jnp.zeros((1, 1, 1, 2)), jnp.arange(2.0)).ravel()
    Array([0., 1.], dtype=float32)
    """
    return _loop_bias(x, bias) if jax.default_backend() == "cpu" else x + bias


@jax.custom_vjp
def max_pool(x):
    """Take the maximum over 2x2 windows with stride 2, dropping an odd last row or column.

    Entries that attain it, several on a flat background, share the gradient.

    >>> max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
    3.0
    """
    return reduce(jnp.maximum, _corners(x))  # slices fuse; a maximum over two axes does not


def _corners(x):
    """Cut (N, H, W, C) into the four entries of its 2x2 windows, (N, H // 2, W // 2, C) each."""
    rows, columns = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1)]


def _max_forward(x):
    pooled = max_pool(x)
    # Counted here, where the entries are at hand: the backward pass is then a single product.
    share = 1 / sum((corner == pooled).astype(x.dtype) for corner in _corners(x))
    return pooled, (x, pooled, share)


def _max_backward(saved, cotangent):
    x, pooled, share = saved
    wide = (slice(None), slice(None), None, slice(None), None)
    gradient = jnp.where(_windows(x) == pooled[wide], (cotangent * share)[wide], 0.0)
    even = gradient.reshape(x.shape[0], 2 * pooled.shape[1], 2 * pooled.shape[2], x.shape[3])
    return (jnp.pad(even, [(0, a - b) for a, b in zip(x.shape, even.shape, strict=True)]),)


max_pool.defvjp(_max_forward, _max_backward)


def average_pool(x):
    """Take the mean over 2x2 windows with stride 2, dropping an odd last row or column.

    >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
    1.5
    """
    w = _windows(x)  # the sum of four slices fuses; a mean over two axes does not
    return (w[:, :, 0, :, 0] + w[:, :, 0, :, 1] + w[:, :, 1, :, 0] + w[:, :, 1, :, 1]) / 4


def plain_max_pool(x):
    """Pool as ``max_pool`` does, with JAX's own derivatives; of a tie, the mean of its entries'.

    >>> plain_max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
    3.0
    """
    return _windows(x).max(axis=(2, 4))


CONVOLUTIONS = {
    "gradient": conv_general_dilated,
    "linear": partial(conv_general_dilated, convolution=linear_convolution),
    "all": lax.conv_general_dilated,
}
BIASES = {"gradient": add_bias, "linear": jnp.add, "all": jnp.add}
MAX_POOLS = {"gradient": max_pool, "linear": plain_max_pool, "all": plain_max_pool}
