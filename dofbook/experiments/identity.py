"""What decides a result beside its configuration: a reader's code, JAX's settings, the commit.

What would give other numbers under the same name is refused; what may round otherwise is recorded.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any, NoReturn

import jax
import numpy as np

from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.sources import source_digest
from dofbook.experiments.store import StoredCell
from dofbook.networks import Network
from dofbook.references import is_reference
from dofbook.training import Task

_PINNED = {
    "jax_enable_x64": False,  # weights are float32 throughout
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": None,
    "jax_debug_nans": False,  # a run that diverged has NaN
    "jax_debug_infs": False,
}
_RECORDED = (
    "jax_default_matmul_precision", "jax_disable_jit", "jax_disable_most_optimizations",
    "jax_softmax_custom_jvp", "jax_optimization_level",
    "jax_exec_time_optimization_effort", "jax_threefry_gpu_kernel_lowering",
)  # fmt: skip
_VARIABLES = ("XLA_FLAGS", "NVIDIA_TF32_OVERRIDE", "TF_CUDNN_DETERMINISTIC")


def check_machine_settings() -> None:
    """Refuse settings of JAX that change what a seed gives, or end runs that are sound."""
    for name, value in _PINNED.items():
        now = jax.config.values.get(name, value)
        if (now := getattr(now, "value", now)) != value:  # JAX has words for some
            raise InputError(
                f"{name.upper()} is {now}, with which runs give other numbers or end; dofbook's "
                f"results are those of {value}: unset it."
            )


def settings() -> dict[str, object]:
    """List settings that may change the rounding of results, ready for JSON."""
    found = {name: jax.config.values.get(name) for name in _RECORDED}
    found |= {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {k: v if isinstance(v, bool | int | float | None) else str(v) for k, v in found.items()}


def code_of(cell: Cell, task: Task) -> dict[str, Any]:
    """Describe the code behind a cell's names: D, shapes and program of a network, and sources.

    >>> task = Task("mlp", "digits")
    >>> code_of(Cell(task=task.config), task)["D"]
    2410
    """
    return {**_network(task), "sources": sources_of(cell)}


def _network(task: Task) -> dict[str, Any]:
    layers = json.dumps([(layer.name, layer.shape) for layer in task.network.layers])
    about = {"D": task.network.D, "layers": hashlib.sha256(layers.encode()).hexdigest()[:16]}
    if not (task.config and is_reference(task.config.network)):
        return about
    return about | {
        "program": _program(task.network, task.data.input_shape, task.data.x_train.dtype)
    }


@lru_cache(maxsize=16)
def _program(network: Network, shape: tuple[int, ...], dtype: Any) -> str:
    """Hash what JAX makes of a reader's network, whatever its code reads; by version of JAX."""
    w, x = (
        jax.ShapeDtypeStruct(s, t) for s, t in (((network.D,), "float32"), ((2, *shape), dtype))
    )
    parts = jax.make_jaxpr(network.apply)(w, x), jax.make_jaxpr(network.init)(jax.random.key(0))
    digest = hashlib.sha256(re.sub("0x[0-9a-f]+", "", str(parts)).encode())
    for array in (array for part in parts for array in part.consts):
        digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()[:16]


def sources_of(cell: Cell) -> dict[str, str | None]:
    """Digest the reader's code behind a cell's names; this needs neither data nor imports.

    >>> sources_of(Cell(task=Task("mlp", "digits").config))
    {}
    """
    names = attrgetter("dataset", "network", "objective")(cell.task)
    found = {name: source_digest(*name.split(":")) for name in names if is_reference(name)}
    if name := _own_name(cell):
        found[name] = source_digest(*cell.author)
    return found


def _own_name(cell: Cell) -> str | None:
    return None if cell.author[0].startswith("dofbook.") else str(cell.place()["method"])


def sources_of_each(cells: Iterable[Cell]) -> dict[Cell, dict[str, str | None]]:
    """Digest the sources of many cells, once for those of one task and author: it takes time."""
    found, known = {}, {}
    for cell in cells:
        alike = cell.task, cell.author, _own_name(cell)
        found[cell] = known[alike] = known[alike] if alike in known else sources_of(cell)
    return found


def check_sources(sources: Iterable[dict[str, str | None]]) -> None:
    """Refuse to store what a reader's code gives where its source cannot be read."""
    for name in (name for found in sources for name, one in found.items() if one is None):
        unseen = "the source of its code cannot be read, so that an edit would go unseen"
        raise InputError(f"{name} cannot be stored: {unseen}; put it into a module.")


def edited(then: dict[str, Any], now: dict[str, str | None]) -> list[str]:
    """Name the sources that differ; None, of those that cannot be read, differs from nothing.

    >>> edited({"nets:wide": "f00d", "nets:deep": None}, {"nets:wide": "cafe", "nets:deep": "cafe"})
    ['nets:wide']
    """
    return [name for name, one in now.items() if one and one != (then.get(name) or one)]


def check_origin(
    stored: StoredCell, cell: Cell, task: Task | None, sources: dict[str, str | None] | None = None
) -> None:
    """Refuse to go on beside a stored cell of other data, weights or sources under the same names.

    ``task`` is what the names of ``cell`` stand for now; None, where its data cannot be had, leaves
    the sources to compare, by default those of now.
    """
    origin, names, rows = stored.provenance, stored.config.task, stored.table
    then = origin.get("code") or {}

    def refuse(other: str, same: str) -> NoReturn:
        about = f"the store's cell {stored.config.name} was computed {other}"
        raise InputError(f"{about}; use another store or the same {same}.")

    data = attrgetter("dataset", "train_size", "test_size")
    network = attrgetter("dataset", "network")
    known = (origin.get("dataset") or {}).get("fingerprint")
    if task and data(names) == data(cell.task) and known != task.data.fingerprint:
        refuse(f"from other {names.dataset} data than {task.data.source}", "data")
    changed = edited(then.get("sources") or {}, sources_of(cell) if sources is None else sources)
    if task and network(names) == network(cell.task):
        other = f"with another {names.network}: it"
        D = rows["D"][0].as_py() if rows and "D" in rows.column_names else None
        D, now = then.get("D") or D, _network(task)
        if D not in (None, now["D"]):
            refuse(f"{other} had D = {D} parameters, now it has {now['D']}", "network")
        if then.get("layers", now["layers"]) != now["layers"]:
            refuse(f"{other}s arrays had other names or shapes", "network")
        jax_then = ((origin.get("environment") or {}).get("versions") or {}).get("jax")
        same = jax_then == jax.__version__ and names.pooling == cell.task.pooling
        if same and not changed and then.get("program", now.get("program")) != now.get("program"):
            refuse(f"{other} computed otherwise, as by what its code reads", "network")
    for name in changed:
        refuse(f"with another {name}: its code was edited since", "code")
