"""What decides a result beside its configuration: a reader's code, JAX's settings, the commit.

What would give other numbers under the same name is refused; what may round otherwise is recorded.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NoReturn

import jax

from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.sources import source_digest
from dofbook.experiments.store import StoredCell
from dofbook.references import is_reference
from dofbook.training import Task

_PINNED = {
    "jax_enable_x64": False,  # weights are float32 throughout
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
}
_RECORDED = (
    "jax_default_matmul_precision", "jax_disable_jit", "jax_disable_most_optimizations",
    "jax_numpy_dtype_promotion", "jax_softmax_custom_jvp", "jax_optimization_level",
    "jax_exec_time_optimization_effort", "jax_threefry_gpu_kernel_lowering",
)  # fmt: skip
_VARIABLES = ("XLA_FLAGS", "NVIDIA_TF32_OVERRIDE", "TF_CUDNN_DETERMINISTIC")


def check_machine_settings() -> None:
    """Refuse settings of JAX with which the same seed would mean other numbers."""
    for name, value in _PINNED.items():
        if (now := jax.config.values.get(name, value)) != value:
            raise InputError(
                f"{name.upper()} is {now}, with which a seed means other numbers; dofbook's "
                f"results are those of {value}: unset it."
            )


def settings() -> dict[str, object]:
    """List settings that may change the rounding of results, ready for JSON."""
    found = {name: jax.config.values.get(name) for name in _RECORDED}
    found |= {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {k: v if isinstance(v, bool | int | float | None) else str(v) for k, v in found.items()}


def code_of(cell: Cell, task: Task) -> dict[str, Any]:
    """Describe the code behind a cell's names: D, the shapes of the weights, a reader's sources.

    >>> task = Task("mlp", "digits")
    >>> code_of(Cell(task=task.config), task)["D"]
    2410
    """
    return {**_shapes(task), "sources": sources_of(cell)}


def _shapes(task: Task) -> dict[str, Any]:
    layers = json.dumps([(layer.name, layer.shape) for layer in task.network.layers])
    return {"D": task.network.D, "layers": hashlib.sha256(layers.encode()).hexdigest()[:16]}


def sources_of(cell: Cell) -> dict[str, str | None]:
    """Digest the reader's code behind a cell's names; this needs neither data nor imports.

    >>> sources_of(Cell(task=Task("mlp", "digits").config))
    {}
    """
    names = attrgetter("dataset", "network", "objective")(cell.task)
    found = {name: source_digest(*name.split(":")) for name in names if is_reference(name)}
    if not cell.author[0].startswith("dofbook."):
        found[str(cell.place()["method"])] = source_digest(*cell.author)
    return found


def edited(then: dict[str, Any], now: dict[str, str | None]) -> list[str]:
    """Name the sources that differ; None, of those that cannot be read, differs from nothing.

    >>> edited({"nets:wide": "f00d", "nets:deep": None}, {"nets:wide": "cafe", "nets:deep": "cafe"})
    ['nets:wide']
    """
    return [name for name, one in now.items() if one and one != (then.get(name) or one)]


def check_sources(stored: Iterable[StoredCell], cells: Iterable[Cell]) -> None:
    """Refuse to add cells to a store in which others are of other code under the same names."""
    now = {name: one for cell in cells for name, one in sources_of(cell).items()}
    for other in stored:
        if names := edited((other.provenance.get("code") or {}).get("sources") or {}, now):
            _refuse(other, f"with another {names[0]}: its code was edited since", "code")


def _refuse(stored: StoredCell, other: str, same: str) -> NoReturn:
    about = f"the store's cell {stored.config.name} was computed {other}"
    raise InputError(f"{about}; use another store or the same {same}.")


def check_origin(stored: StoredCell, cell: Cell, task: Task | None) -> None:
    """Refuse to go on beside a stored cell of other data, weights or sources under the same names.

    ``task`` is what the names of ``cell`` stand for now; None, where its data cannot be had, leaves
    the sources to compare.
    """
    origin, names, rows = stored.provenance, stored.config.task, stored.table
    then = origin.get("code") or {}

    data = attrgetter("dataset", "train_size", "test_size")
    network = attrgetter("dataset", "network")
    known = (origin.get("dataset") or {}).get("fingerprint")
    if task and data(names) == data(cell.task) and known != task.data.fingerprint:
        _refuse(stored, f"from other {names.dataset} data than {task.data.source}", "data")
    if task and network(names) == network(cell.task):
        other = f"with another {names.network}: it"
        D = rows["D"][0].as_py() if rows and "D" in rows.column_names else None
        D, now = then.get("D") or D, _shapes(task)
        if D not in (None, now["D"]):
            _refuse(stored, f"{other} had D = {D} parameters, now it has {now['D']}", "network")
        if then.get("layers", now["layers"]) != now["layers"]:
            _refuse(stored, f"{other}s arrays had other names or shapes", "network")
    check_sources([stored], [cell])
