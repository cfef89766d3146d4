"""Any network as a function of one flat weight vector."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from dofbook import checks
from dofbook.errors import InputError
from dofbook.networks.forms import find_form
from dofbook.networks.layers import Derivatives
from dofbook.references import own_code


class Layer(NamedTuple):
    """Name a parameter array, such as "Conv_0/kernel", and its coordinates [start, stop) of w.

    >>> Layer("Dense_0/bias", (3,), 6, 9).stop
    9
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Network:
    """See a network as a function of one flat weight vector w in R^D, float32.

    ``init`` draws w0 (D,) from a key; ``apply`` maps w (D,) and inputs (N, ...) to float32 outputs
    (N, ...); ``layers`` are the parameter arrays in the order of w, from 0 to D; tables and figures
    show ``name``. ``evaluation_chunk`` inputs are evaluated at once, ``gradient_chunk`` inputs are
    differentiated at once where a batch is a multiple of it (None: the whole batch). They set speed
    and memory and, with on-the-fly batch normalization, the batch of the statistics.

    >>> line = Network(jax.random.normal, lambda w, x: x * w, 1, (Layer("w", (1,), 0, 1),))
    >>> line.apply(jnp.full(1, 2.0), jnp.ones((1, 1)))
    Array([[2.]], dtype=float32)
    """

    init: Callable[[jax.Array], jax.Array]
    apply: Callable[[jax.Array, jax.Array], jax.Array]
    D: int
    layers: tuple[Layer, ...]
    evaluation_chunk: int = 100
    gradient_chunk: int | None = None
    name: str = "network"
    _variant: Callable[[str], "Network"] | None = field(default=None, repr=False)

    def __post_init__(self):
        checks.integer_fields(self, 1, "D", "evaluation_chunk", "gradient_chunk")
        for name in ("init", "apply"):
            checks.function(name, getattr(self, name))
        checks.instance("layers", self.layers, tuple)
        checks.instance("name", self.name, str)

    def with_derivatives(self, kind: str) -> "Network":
        """Give the same function with other derivatives: "gradient", "linear" or "all".

        Equal kinds give one object, so one program; a network without kinds gives itself.
        """
        return self if self._variant is None else self._variant(kind)


def flatten(
    module: Any, example: Any, trainable: Callable[[str, jax.ShapeDtypeStruct], bool] | None = None,
    *, evaluation_chunk: int = 100, gradient_chunk: int | None = None, name: str | None = None,
) -> Network:  # fmt: skip
    """Lay the parameters of a network out as one vector.

    ``module`` is one of flax.linen; or of flax.nnx or equinox, whose weights are w0 of every seed,
    or a function of ``rngs`` or ``key`` that draws one (equinox modules take single inputs); or a
    pair (init, apply) of functions ``init(key)`` or ``init(key, inputs)`` and
    ``apply(parameters, inputs)``, with parameters in any tree of arrays. ``example`` is inputs with
    a leading axis of examples, such as ``x_train[:1]``, or their ``ShapeDtypeStruct``.
    ``trainable`` tells of an array, by its path such as "Dense_0/kernel" and its shape and dtype,
    whether it moves; the others, and those of integers and booleans, stay what key 0 draws. Arrays
    of other types than float32 are cast back to their own on use. For the chunks and ``name``, by
    default the module's, see ``Network``.

    Raises InputError if it is no such network, cannot be applied to such inputs, has no parameters,
    draws random numbers or keeps a state when applied, or gives not one array (N, ...).

    >>> import flax.linen as nn
    >>> network = flatten(nn.Dense(3), jnp.zeros((1, 2)))
    >>> network.D, network.layers[1]
    (9, Layer(name='kernel', shape=(2, 3), start=3, stop=9))
    """
    if name is None:
        given = str(getattr(module, "__name__", type(module).__name__))
        name = given if given.isidentifier() and given not in ("tuple", "list") else "network"
    blank = _blank(example)
    if trainable is not None:
        checks.function("trainable", trainable)

    def one(module):
        functions = _functions(name, module, blank, trainable)
        return Network(*functions, evaluation_chunk, gradient_chunk, name)

    kind = getattr(module, "derivatives", None)
    if kind not in get_args(Derivatives):
        return one(module)

    @lru_cache
    def variant(other):
        checks.choice("derivatives", other, get_args(Derivatives))
        found = one(module if other == kind else module.clone(derivatives=other))
        return replace(found, _variant=variant)

    return variant(kind)


def _blank(example) -> jax.Array:
    with suppress(AttributeError, TypeError):
        if len(example.shape):
            return jnp.zeros((1, *example.shape[1:]), jax.dtypes.canonicalize_dtype(example.dtype))
    wanted = "give inputs with a leading axis, such as x_train[:1]"
    raise InputError(f"example is {example!r:.80}; {wanted}.")


def _functions(name, module, blank, trainable):
    """Write init and apply of the flat weights; count and name their parts."""
    form, key = find_form(module, blank), jax.random.key(0)
    with own_code(name, _WAYS_OUT):
        tree = jax.eval_shape(form.make, key)
        found, treedef = jax.tree_util.tree_flatten_with_path(tree)
        names, leaves = [form.name(path) for path, _ in found], [leaf for _, leaf in found]
        free = [i for i, (path, _) in enumerate(found) if _moves(form, path, leaves[i], trainable)]
        x = jax.ShapeDtypeStruct((2, *blank.shape[1:]), blank.dtype)
        outputs = jax.eval_shape(form.call, tree, x)
    sizes, layers = [leaves[i].size for i in free], []
    for i, stop in zip(free, accumulate(sizes), strict=True):
        layers.append(Layer(names[i], leaves[i].shape, stop - leaves[i].size, stop))
    _check(name, layers, names if trainable else [], blank.shape[1:], outputs)
    held = [i for i in range(len(leaves)) if i not in free]

    def make(key, chosen):
        drawn = jax.tree.leaves(form.make(key))
        return [drawn[i] for i in chosen]

    def init(key):
        return ravel_pytree([array.astype(jnp.float32) for array in make(key, free)])[0]

    fixed = jax.jit(lambda key: make(key, held))(key) if held else []

    def apply(w, x):
        arrays = dict(zip(held, fixed, strict=True))
        parts = jax.lax.split(jnp.asarray(w, jnp.float32), sizes)
        for i, part in zip(free, parts, strict=True):
            arrays[i] = part.reshape(leaves[i].shape).astype(leaves[i].dtype)
        tree = jax.tree.unflatten(treedef, [arrays[i] for i in range(len(leaves))])
        return form.call(tree, x).astype(jnp.float32)

    return jax.jit(init), apply, sum(sizes), tuple(layers)


def _moves(form, path, leaf, trainable) -> bool:
    name, kind = form.name(path), leaf.dtype
    free = form.trains(path) and jnp.issubdtype(kind, jnp.inexact)
    free = free and (trainable is None or bool(trainable(name, leaf)))
    if free and jnp.issubdtype(kind, jnp.complexfloating):
        raise InputError(f"the parameter {name} is {kind}; give its two parts as real arrays.")
    return free


_WAYS_OUT = (
    ("PRNG|requires a key|determin", "a network in a subspace draws nothing when it is applied: "
     "leave dropout out, or set deterministic=True or inference=True"),
    (r"missing \d+ required", "it is given the inputs alone: give other arguments a default, such "
     "as train=False"),
    ("ZeroDivision|negative|non-neg", "the inputs may be too small for it, or have their channels "
     "first where it takes (N, height, width, channels)"),
)  # fmt: skip


def _check(name, layers, offered, shape, outputs) -> None:
    for empty in (layer for layer in layers if 0 in layer.shape):
        what = f"the parameter {empty.name} of {name} has shape {empty.shape} for inputs {shape}"
        order = "have their channels first where it takes (height, width, channels)"
        raise InputError(f"{what}; they are too small for it, or {order}.")
    if not layers:
        among = f" among {', '.join(offered)}" if offered else ""
        raise InputError(f"{name} has no parameters to train{among}; D must be at least 1.")
    if not hasattr(outputs, "dtype"):
        wanted = "one array, so return only the outputs that the objective takes"
        raise InputError(f"{name} gives a {type(outputs).__name__}; it must give {wanted}.")
    if outputs.shape[:1] != (2,) or not jnp.issubdtype(outputs.dtype, jnp.floating):
        what = f"{name} gives {outputs.dtype} {outputs.shape} for 2 inputs of shape {shape}"
        raise InputError(f"{what}; it must give floats (2, ...), one row for each input.")
