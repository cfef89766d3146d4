"""Frozen, validated descriptions of cells and sweeps, and the hash that names a cell.

A kind of cell is a subclass of ``Cell``: what is hashed, what it costs, how its rows are computed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from dofbook import checks
from dofbook.errors import InputError
from dofbook.keys import SEEDS
from dofbook.methods import FullSpace, Method, RandomAffine, method_class, read_method
from dofbook.methods.base import ForeignMethod, class_at_hand
from dofbook.references import (
    author_of,
    check_own_name,
    is_foreign,
    is_reference,
    resolve,
    subclasses,
)
from dofbook.training.config import OptimizerConfig, TaskConfig, hashed

if TYPE_CHECKING:
    import pandas as pd

    from dofbook.training import Batching, Task

SCHEMA_VERSION = 1
"""Version of the cell files; a change of meaning of any field raises it."""


def check_integers(name: str, values: object, least: int) -> tuple[int, ...]:
    """Require a non-empty tuple of different integers of at least so much.

    >>> check_integers("dims", (8, 4), 1)
    (8, 4)
    """
    if not isinstance(values, tuple) or not values:
        raise InputError(f"{name} is {values!r}; it must be a non-empty tuple of integers.")
    found = tuple(checks.integer(f"every entry of {name}", value, least) for value in values)
    if len(set(found)) != len(found):
        raise InputError(f"{name} is {values}; its entries must differ.")
    return found


def check_methods(methods: Sequence[Method]) -> None:
    """Refuse a method without a name, and two that would make one curve of a table.

    >>> check_methods([RandomAffine(), RandomAffine(nested=True)])
    Traceback (most recent call last):
    dofbook.errors.InputError: two methods make one curve, 'random affine'; sweep them apart.
    """
    curves = set()
    for method in methods:
        if not method.name:
            kind = type(method)
            named = f"name = '{kind.__module__}:{kind.__name__}'"
            raise InputError(f"{kind.__name__} has no name; give the class one, such as {named}.")
        if (curve := (method.name, method.t, method.variant)) in curves:
            two = f"two methods make one curve, {method.label!r}"
            raise InputError(f"{two}; sweep them apart.")
        curves.add(curve)


def _check_seeds(seeds: object) -> tuple[int, ...]:
    found = check_integers("seeds", seeds, 0)
    if max(found) >= SEEDS:
        raise InputError(f"the largest seed is {max(found)}; it must be below 2**32 = {SEEDS}.")
    return found


@dataclass(frozen=True)
class Work:
    """Say what a cell costs: so many runs of so many epochs, after others of full training each.

    ``d`` is 0 where it costs no time in every step; ``kind``, what else the time depends on.

    >>> CellConfig(task=TaskConfig("mnist"), seeds=(0, 1)).work().runs
    2
    """

    kind: tuple
    runs: int
    epochs: float
    before: float = 0.0
    d: int = 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Describe the unit of work and of storage: a task and seeds, and what the subclass adds.

    ``kind`` is its name in the configuration: "" for runs, "module:Class" for a reader's own.
    ``later_fields`` names fields that are not hashed at their default: cells are older than they.

    >>> Cell(task=TaskConfig("mnist"), seeds=(0, 1)).with_seed(1).seeds
    (1,)
    """

    task: TaskConfig
    seeds: tuple[int, ...] = (0,)

    kind: ClassVar[str] = ""
    later_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if not cls.__module__.startswith("dofbook."):
            check_own_name(cls, "kind", Cell)
            if issubclass(cls, CellConfig):  # which writes its own fields alone
                raise InputError(
                    f"{cls.__name__} extends CellConfig; a kind of its own extends Cell."
                )
            if not is_reference(cls.kind):
                own = f"{cls.__module__}:{cls.__qualname__}"
                raise InputError(f"{own} has the kind {cls.kind!r}; it must be {own!r}.")

    def __post_init__(self):
        checks.instance("task", self.task, TaskConfig)
        object.__setattr__(self, "seeds", _check_seeds(self.seeds))
        self.validate()

    def validate(self) -> None:
        """Refuse values that are not allowed."""

    @property
    def name(self) -> str:
        """Name of the cell's file: SHA-256 of the canonical JSON, 16 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()[:16]

    def content(self) -> dict[str, Any]:
        """Give what is hashed beside the schema, ready for JSON."""
        return {**hashed(self), "kind": self.kind, "task": _written_task(self.task)}

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Cell":
        """Make the cell that ``content`` describes."""
        del content["kind"]
        own: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return cls(**{**own, "task": read_task(content["task"])})

    def place(self) -> dict[str, object]:
        """Say where it stands in a sweep: method, t and d, for tables and events."""
        return {"method": self.kind, "burn_in_steps": 0, "d": None}

    def with_seed(self, seed: int) -> "Cell":
        """Leave it one seed."""
        return replace(self, seeds=(seed,))

    def check(self, task: "Task") -> None:
        """Refuse what cannot run, once the data are known and before anything is trained."""

    @property
    def author(self) -> tuple[str, str]:
        """Module and name of the class whose code decides the rows; a reader's has own columns."""
        return author_of(self.kind, type(self))

    @property
    def by_seed(self) -> bool:
        """Whether its rows of a seed are the same whatever other seeds it has."""
        return type(self).rows.__module__.startswith("dofbook.")

    @property
    def names(self) -> dict[str, str]:
        """Hash, data set and network, as columns and events name them."""
        return {"cell": self.name, "dataset": self.task.dataset, "network": self.task.network}

    def labels(self) -> dict[str, object]:
        """Name it to a machine: what distinguishes it in a sweep, ready for JSON."""
        return {**self.names, **self.place(), "seeds": list(self.seeds)}

    def work(self) -> Work:
        """Say what it costs: by default, its task's epochs for each seed."""
        sizes = (self.task.train_size, self.task.test_size, self.task.batch_size)
        kind = (self.task.dataset, self.task.network, *sizes, self.kind)
        return Work(kind, len(self.seeds), self.task.epochs or 0)

    def most_rows(self) -> int:
        """Bound the number of its rows, before any is read."""
        return len(self.seeds) * 3 * 10**5

    def rows(self, task: "Task", batching: "Batching") -> "pd.DataFrame":
        """Compute its tidy rows; they depend on the cell alone."""
        import pandas as pd

        parts = [{"seed": seed, **part} for seed in self.seeds for part in self.parts(task, seed)]
        return pd.concat([pd.DataFrame(self.names | part) for part in parts], ignore_index=True)

    def parts(self, task: "Task", seed: int) -> Iterator[dict[str, Any]]:
        """Compute columns of the rows of one seed, part by part."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class CellConfig(Cell):
    """Describe runs of one method at one d, None for full training, with all their seeds.

    >>> CellConfig(task=TaskConfig("mnist"), d=64, seeds=tuple(range(10))).name
    'e22e50f2e2cca07a'
    """

    method: Method = field(default_factory=RandomAffine)
    d: int | None = 16

    def validate(self):
        check_methods([method := checks.instance("method", self.method, Method)])
        if (self.d is None) != (method.dims((1,)) == (None,)):
            allowed = "d must be None for full training and a number otherwise"
            raise InputError(f"method {method.name!r} with d = {self.d}; {allowed}.")
        if self.d is not None:
            checks.integer_fields(self, 1, "d")

    def content(self):
        own = {"task": _written_task(self.task), "d": self.d, "seeds": self.seeds}
        return own | self.method.written()

    @classmethod
    def read(cls, content):
        task, d, seeds = (content.pop(name) for name in ("task", "d", "seeds"))
        kind = class_at_hand(content["method"]) or ForeignMethod
        method = _method_of(kind, json.dumps(content))
        return cls(task=read_task(task), method=method, d=d, seeds=tuple(seeds))

    def place(self):
        return {"method": self.method.name, "burn_in_steps": self.method.t, "d": self.d}

    @property
    def author(self):
        return self.method.author

    def check(self, task):
        self.method.check(task, self.d)

    def work(self):
        plain, method = super().work(), self.method
        own = (self.task.linearized_at is not None, self.task.solver, method.name, method.author)
        before, d = method.epochs_before(int(plain.epochs)), method.explicit_dimension(self.d)
        return replace(plain, kind=plain.kind[:5] + own, before=before, d=d)

    def most_rows(self):
        return len(self.seeds) * (1 + (self.task.epochs or 0) * self.task.checkpoints_per_epoch)

    def rows(self, task, batching):
        from dofbook.experiments.cell import training_rows

        return training_rows(task, self.method, self.d, self.seeds, self.name, batching)


@dataclass(frozen=True, kw_only=True)
class _ForeignCell(Cell):
    """Stand for a stored cell of a reader's kind whose code is not imported: it cannot run."""

    text: str

    def validate(self):
        object.__setattr__(self, "kind", json.loads(self.text)["kind"])

    def content(self):
        return {**json.loads(self.text), "seeds": self.seeds}

    @classmethod
    def read(cls, content):
        task, seeds = read_task(content["task"]), tuple(content["seeds"])
        return cls(task=task, seeds=seeds, text=json.dumps(content))

    def place(self):
        d = self.content().get("d")
        return super().place() | {"d": d if isinstance(d, int) else None}


def cell_kind(name: str) -> type[Cell]:
    """Find a kind of cells by the name its configuration has, or import a reader's own.

    >>> cell_kind("cut").__name__
    'CutCell'
    """
    from dofbook.experiments import cuts, spectra  # noqa: F401  (they define theirs)

    if not is_reference(name):
        return {kind.kind: kind for kind in subclasses(Cell)}[name]
    found = resolve(name)
    if isinstance(found, type) and issubclass(found, Cell) and found.kind == name:
        return found
    raise InputError(f"{name} is {found!r}; it must be a dofbook Cell of this kind.")


# --- canonical JSON -------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _written_task(task: TaskConfig) -> dict[str, Any]:
    """Give what is hashed of a task, ready for JSON and shared."""
    optimizers = ("optimizer", "burn_in_optimizer")
    return hashed(task) | {name: hashed(getattr(task, name)) for name in optimizers}


def read_task(content: dict[str, Any]) -> TaskConfig:
    """Make the task that a configuration describes.

    >>> read_task(Cell(task=TaskConfig("mnist")).content()["task"]).epochs
    3
    """
    return _task_of(json.dumps(content))


@lru_cache(maxsize=64)
def _task_of(text: str) -> TaskConfig:
    content = json.loads(text)
    for name in ("optimizer", "burn_in_optimizer"):
        content[name] = OptimizerConfig(**content[name])
    return TaskConfig(**content)


@lru_cache(maxsize=64)
def _method_of(kind: type[Method], text: str) -> Method:
    """Make the method described; by ``kind``, too, since a reader's class may be defined anew."""
    content = json.loads(text)
    method = read_method(content)
    if content:
        raise TypeError(f"unknown {', '.join(sorted(content))}")
    return method


def canonical_json(cell: Cell) -> str:
    """Write a cell as one line of JSON with sorted keys, the text its hash is taken of.

    >>> canonical_json(CellConfig(task=TaskConfig(), d=64))[:25]
    '{"burn_in_steps":0,"d":64'
    """
    content = {"schema": SCHEMA_VERSION, **cell.content()}
    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as problem:
        raise InputError(f"{cell!r:.200} cannot be written as JSON: {problem}.") from None


def cell_from_json(text: str) -> Cell:
    """Read a cell back from its canonical JSON; InputError if schema or fields are others.

    A reader's own kind or method that is not at hand is only named: see ``with_code``.

    >>> cell = CellConfig(task=TaskConfig("mnist"), d=64)
    >>> cell_from_json(canonical_json(cell)) == cell
    True
    """
    raw = json.loads(text)
    if (schema := raw.pop("schema", None)) != SCHEMA_VERSION:
        now = f"this dofbook reads {SCHEMA_VERSION}"
        raise InputError(f"the cell has schema version {schema}; {now}.")
    try:
        if "method" in raw:
            return CellConfig.read(raw)
        kind = _ForeignCell if is_foreign(raw["kind"]) else cell_kind(raw["kind"])
        return kind.read(raw)
    except (KeyError, TypeError) as problem:
        raise InputError(f"the cell's configuration is not one of dofbook's: {problem}.") from None


def with_code(cell: Cell) -> Cell:
    """Import the reader's code that a stored cell only names, so that it can run.

    >>> with_code(CellConfig(task=TaskConfig())).method.name
    'affine'
    """
    content = cell.content()
    if "method" in content:
        method_class(content["method"])
    else:
        cell_kind(content["kind"])
    return cell_from_json(canonical_json(cell))


# --- sweeps ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SweepConfig:
    """Describe a grid of cells: methods and dimensions, and the baseline.

    Args:
        methods: Each at every d; none for the baseline alone.
        dims: Training dimensions d.
        runs: Seeds per cell.
        first_seed: The seeds are first_seed, first_seed + 1, ...
        baseline_learning_rates: Learning rates of the full-space baseline (paper A.4 takes the
            better of 5e-2 and 1e-2); empty for no baseline.

    >>> [cell.d for cell in SweepConfig(dims=(2, 1), baseline_learning_rates=()).cells()]
    [1, 2]
    """

    task: TaskConfig = field(default_factory=TaskConfig)
    methods: tuple[Method, ...] = (RandomAffine(),)
    dims: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    runs: int = 3
    first_seed: int = 0
    baseline_learning_rates: tuple[float, ...] = (5e-2, 1e-2)

    def __post_init__(self):
        check_methods(self.methods)
        object.__setattr__(self, "dims", check_integers("dims", self.dims, 1))
        checks.integer_fields(self, 1, "runs")
        checks.integer_fields(self, 0, "first_seed")
        _check_seeds((self.first_seed + self.runs - 1,))
        for rate in self.baseline_learning_rates:
            checks.positive("learning_rate", rate)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of every cell."""
        return tuple(range(self.first_seed, self.first_seed + self.runs))

    def cells(self) -> list[Cell]:
        """List the cells: baseline first, then small d to large d, all methods at each d."""
        task = self.task
        rates = self.baseline_learning_rates
        optimizers = (replace(task.optimizer, learning_rate=rate) for rate in rates)
        wanted = [(replace(task, optimizer=o), FullSpace(), None) for o in optimizers]
        wanted += [(task, method, d) for method, d in grid_of(self.methods, self.dims)]
        cells = (CellConfig(task=t, method=m, d=d, seeds=self.seeds) for t, m, d in wanted)
        return list(dict.fromkeys(cells))


def grid_of(methods: Sequence[Method], dims: Sequence[int]) -> list[tuple[Method, int | None]]:
    """List pairs of method and d: full training first, then d by d all methods.

    >>> grid_of((FullSpace(), RandomAffine()), (2, 1))[:2]
    [(FullSpace(t=0), None), (RandomAffine(t=0, ...), 1)]
    """
    ordered = sorted(dims)
    return [(m, d) for d, m in product((None, *ordered), methods) if d in m.dims(ordered)]
