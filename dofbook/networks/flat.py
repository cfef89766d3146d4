"""Any network as a function of one flat weight vector."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dofbook.errors import InputError


class Layer(NamedTuple):
    """Name one parameter array and its coordinates [start, stop) in the flat weights.

    Attributes:
        name: Path in the module, such as "Conv_0/kernel".
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Network:
    """See a network as a function of one flat weight vector w in R^D, float32.

    Attributes:
        init: Draws w0 of shape (D,) from a key.
        apply: Maps w (D,) and inputs (N, ...) to float32 outputs (N, ...).
        layers: The parameter arrays in the order of w; they cover 0 to D.
        evaluation_chunk: Inputs evaluated at once. It sets speed and memory (on a CPU small chunks
            stay in the cache); with on-the-fly batch normalization also the batch of the
            statistics.
        gradient_chunk: Inputs whose gradients are computed at once when a batch is a multiple of
            it, for speed and memory; None for the whole batch, as the statistics of a batch need.
        name: What tables and figures call it.
    """

    init: Callable[[jax.Array], jax.Array]
    apply: Callable[[jax.Array, jax.Array], jax.Array]
    D: int
    layers: tuple[Layer, ...]
    evaluation_chunk: int = 100
    gradient_chunk: int | None = None
    name: str = "network"
    _variant: Callable[[str], "Network"] | None = field(default=None, repr=False)

    def with_derivatives(self, kind: str) -> "Network":
        """Give the same function with other derivatives: "gradient", "linear" or "all".

        Equal kinds give the same object, so that compiled programs are shared. A network without
        kinds, such as a reader's own, gives itself.

        Raises:
            InputError: If the network has kinds, but not this one.
        """
        return self if self._variant is None else self._variant(kind)


def flatten(
    module: Any,
    example: Any,
    trainable: Callable[[str, jax.ShapeDtypeStruct], bool] | None = None,
    *,
    evaluation_chunk: int = 100,
    gradient_chunk: int | None = None,
) -> Network:
    """Flatten a Flax module with a single "params" collection.

    Args:
        example: Inputs with a leading axis of examples, such as ``x_train[:1]``, or their
            ``ShapeDtypeStruct``.

    Raises:
        InputError: If the module has other state than parameters (such as running averages).
    """
    chunks = (evaluation_chunk, gradient_chunk)
    return of_module(module, example, trainable, chunks, type(module).__name__)


def of_module(module, example, trainable, chunks, name) -> Network:
    """Flatten under a name, with the kinds of derivatives that the module has."""
    one = partial(_one, example=example, trainable=trainable, chunks=chunks, name=name)
    if not hasattr(module, "derivatives"):
        return one(module)

    @lru_cache
    def variant(kind):
        found = one(module if kind == module.derivatives else module.clone(derivatives=kind))
        return replace(found, _variant=variant)

    return variant(module.derivatives)


def _one(module, example, trainable, chunks, name) -> Network:
    blank = jnp.zeros((1, *example.shape[1:]), jax.dtypes.canonicalize_dtype(example.dtype))
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

    def apply(w, x):
        return module.apply({"params": unravel(w)}, x)

    return Network(jax.jit(init), apply, flat.size, tuple(_layers(shapes["params"])), *chunks, name)


def _layers(tree):
    start = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        yield Layer(name, tuple(leaf.shape), start, start + prod(leaf.shape))
        start += prod(leaf.shape)
