"""What can be flattened, each kind brought to the form of two pure functions."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dofbook.errors import InputError

ALLOWED = (
    "a module of flax.linen, flax.nnx or equinox, a function of rngs or of a key that returns "
    "one of the latter two, or a pair (init, apply)"
)


def path_name(path: Sequence) -> str:
    """Write a path of a tree as "Dense_0/kernel"."""
    return "/".join(jax.tree_util.keystr((entry,), simple=True) for entry in path)


class Form(NamedTuple):
    """See a network as functions that JAX can trace.

    ``make`` maps a key to a tree of arrays, and is traced before ``call``, which maps such a tree
    and inputs (N, ...) to outputs; ``trains`` tells of a path whether what is there may move.
    """

    make: Callable[[jax.Array], Any]
    call: Callable[[Any, jax.Array], Any]
    trains: Callable[[tuple], bool] = lambda path: True
    name: Callable[[tuple], str] = path_name


def find_form(module: Any, blank: jax.Array) -> Form:
    """Bring what a reader calls a network to its form; ``blank`` is zeros like inputs (1, ...)."""
    if _is(module, "flax.linen"):
        return _linen(module, blank)
    if isinstance(module, tuple | list):
        return _pair(module, blank)
    if _is(module, *_OBJECTS):
        arrays, call = _take_apart(module)
        arrays = jax.tree.map(lambda leaf: leaf, arrays)  # nnx modules can be changed later
        return Form(lambda key: arrays, call, _in_first, _inner_name)
    if callable(module):
        return _drawn(module)
    raise InputError(f"network is {type(module).__name__}; give {ALLOWED}.")


_OBJECTS = ("flax.nnx", "equinox")  # their modules hold their parameters


def _is(value: Any, *libraries: str) -> bool:
    """Tell whether a value is a module of one; a library never imported has none."""
    classes = (sys.modules[one].Module for one in libraries if one in sys.modules)
    return isinstance(value, tuple(classes))


def _stateful(module, found: str, advice: str) -> InputError:
    allowed = "only networks whose state is their parameters can be trained in a subspace"
    return InputError(f"{type(module).__name__} {found}; {allowed}: {advice}.")


def _linen(module, blank):
    def make(key):
        variables = module.init(key, blank)
        if others := sorted(set(variables) - {"params"}):
            found = f"has the collections {', '.join(sorted(variables))}"
            instead = "(networks.BatchNorm keeps no running averages)"
            raise _stateful(module, found, f"leave out {' and '.join(others)} {instead}")
        return variables.get("params", {})

    return Form(make, lambda tree, x: module.apply({"params": tree}, x))


def _pair(pair, blank):
    if len(pair) != 2 or not all(map(callable, pair)):
        raise InputError(f"network is a {type(pair).__name__} of {len(pair)}; give {ALLOWED}.")
    init, apply = pair
    needed = [p for p in _parameters(init).values() if p.default is p.empty]
    positional = [p for p in needed if p.kind not in (p.VAR_KEYWORD, p.KEYWORD_ONLY)]
    given = (blank,) if len(positional) > 1 else ()  # *args counts as one

    def take_apart(tree):
        arrays, rest = _split(jax.tree_util.tree_map_with_path(_as_leaf, tree))
        return arrays, lambda arrays, x: apply(_join(arrays, rest), x)

    return _traced(lambda key: init(key, *given), take_apart)


def _as_leaf(path, leaf):
    if isinstance(leaf, float):
        advice = "make it an array if it is to be trained, or keep it out of the parameters"
        raise InputError(f"the parameter {path_name(path)} is {leaf!r}, a Python number; {advice}.")
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else leaf


def _parameters(function) -> dict[str, inspect.Parameter]:
    try:  # a class may hide the arguments of its __init__ behind those of a metaclass
        known = inspect.signature(function.__init__ if isinstance(function, type) else function)
    except (TypeError, ValueError):
        return {}
    return dict(known.parameters)


def _drawn(function):
    name = getattr(function, "__name__", type(function).__name__)
    known = _parameters(function)
    if not {"rngs", "key"} & known.keys():
        way = f"make one: {name}()" if isinstance(function, type) else f"give {ALLOWED}"
        raise InputError(f"network is {name}, which takes no rngs and no key; {way}.")

    def build(key):
        if "rngs" not in known:
            return function(key=key)
        from flax import nnx

        return function(rngs=nnx.Rngs(key))

    def take_apart(module):
        if not _is(module, *_OBJECTS):
            raise InputError(f"{name} gave {type(module).__name__}; give {ALLOWED}.")
        return _take_apart(module)

    return _traced(build, take_apart)._replace(trains=_in_first, name=_inner_name)


def _traced(build, take_apart) -> Form:
    """Join what builds a module from a key with what takes it apart, keeping its static part."""
    calls = []

    def make(key):
        arrays, call = take_apart(build(key))
        if not calls:
            calls.append(call)
        return arrays

    return Form(make, lambda tree, x: calls[0](tree, x))


def _take_apart(module):
    """Divide a module of nnx or equinox into (parameters, other arrays) and a function of them."""
    if _is(module, "equinox"):
        index = getattr(sys.modules["equinox"].nn, "StateIndex", ())
        stateful = lambda node: isinstance(node, index)  # noqa: E731
        if any(map(stateful, jax.tree.leaves(module, is_leaf=stateful))):
            found = "keeps a state, as running averages are"
            raise _stateful(module, found, "use LayerNorm or GroupNorm")
        arrays, rest = _split(module)
        return (arrays, ()), lambda tree, x: jax.vmap(_join(tree[0], rest))(x)
    from flax import nnx

    graph, *states = nnx.split(module, nnx.Param, ...)

    def call(tree, x):
        before = dict(jax.tree_util.tree_leaves_with_path(tree))
        model = nnx.merge(graph, *tree)
        outputs = model(x)
        after = tuple(nnx.split(model, nnx.Param, ...)[1:])
        for path, leaf in jax.tree_util.tree_leaves_with_path(after):
            if before.get(path, leaf) is not leaf:
                change = f"changes {_inner_name(path)} whenever it is applied"
                found = f"{change}, as dropout and running averages do"
                raise _stateful(model, found, "call its eval(), or leave that out")
        return outputs

    return tuple(states), call


def _in_first(path) -> bool:
    return path[0].idx == 0


def _inner_name(path) -> str:
    """Drop the place in the pair, and the "value" of nnx below the keys of its state."""
    kept = [entry for entry in path if isinstance(entry, jax.tree_util.DictKey)]
    return path_name(kept or path[1:])


def _split(tree):
    """Divide a tree into its arrays and the rest, None standing where the other has a leaf."""
    arrays = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else None, tree)
    return arrays, jax.tree.map(lambda leaf: None if isinstance(leaf, jax.Array) else leaf, tree)


def _join(arrays, rest):
    either = lambda a, b: b if a is None else a  # noqa: E731
    return jax.tree.map(either, arrays, rest, is_leaf=lambda leaf: leaf is None)
