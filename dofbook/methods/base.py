"""What a method is: a frozen dataclass that builds the affine subspace a run trains in.

A method is a row of the paper's Table 1, and an object of its class a cell of it: left or right by
t. It owns all that depends on it. A new method is a subclass in one file; see CONTRIBUTING.md.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_type_hints

from dofbook import checks, subspaces, training
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.references import (
    author_of,
    check_own_name,
    is_foreign,
    is_reference,
    resolve,
    subclasses,
)
from dofbook.training.config import hashed

if TYPE_CHECKING:  # methods are described, hashed and listed without JAX
    import jax


@dataclass(frozen=True)
class Method:
    """Build subspaces of one kind at w_t.

    A subclass has a ``name`` for tables, files and the command line; ``styles``, its places in the
    figures' list of colours by t (others take what is free); ``released_code``, the options in
    which the paper's released code differs from its text; ``extra_columns``, the names of its own
    ``columns`` and their kinds: str, int, float or bool; and ``later_fields``, not hashed at their
    default, since cells are older than they. Its fields are its options.

    Args:
        t: Steps of full-space training before the subspace is laid, or that are rewound to.

    >>> from dofbook.methods import RandomPruning
    >>> isinstance(RandomPruning(4), Method), RandomPruning(4).label
    (True, 'random pruning, t = 4')
    """

    t: int = 0

    name: ClassVar[str] = ""
    styles: ClassVar[dict[int, int]] = {}
    released_code: ClassVar[dict[str, Any]] = {}
    extra_columns: ClassVar[dict[str, type]] = {}
    later_fields: ClassVar[tuple[str, ...]] = ()
    # How configurations, whose hashes must not change, write the options: where, under which names
    # if not their own, and with what beside them. ``_silent`` are no part of a label.
    _group: ClassVar[str] = "options"
    _renamed: ClassVar[dict[str, str]] = {}
    _constant: ClassVar[dict[str, Any]] = {}
    _silent: ClassVar[tuple[str, ...]] = ("nested",)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        check_own_name(cls, "name", Method)

    def __post_init__(self):
        object.__setattr__(self, "t", checks.integer("burn_in_steps", self.t))
        with suppress(NameError):  # hints may name what is not imported
            hints = get_type_hints(type(self))
            for name, default in self.options().items():
                if (value := getattr(self, name)) is not default:
                    checks.field(name, value, hints[name])
        self.validate()

    def validate(self) -> None:
        """Refuse values that are not allowed; called when an object is made."""

    def subspace(self, task: "training.Task", seed: int, d: int) -> "subspaces.AffineSubspace":
        """Build the subspace of a run; it depends on the method, the task, the seed and d alone."""
        raise NotImplementedError

    def offset(self, task: "training.Task", seed: int) -> "jax.Array":
        """Train a run in the full space up to step t: w_t (D,), the same for every method and d."""
        steps = self.t + (task.extra_burn_in_step if self.t else 0)
        key = run_key(seed, Role.BURN_IN_BATCHES)
        return training.burn_in(task, task.initialization(seed), key, steps)

    def optimizer(self, task: "training.Task") -> "training.Optimizer":
        """Choose the optimizer inside the subspace."""
        return task.optimizer

    def columns(
        self, task: "training.Task", subspace: "subspaces.AffineSubspace"
    ) -> dict[str, object]:
        """Tabulate what else is to be known of a run: the columns that ``extra_columns`` names."""
        return {}

    @classmethod
    def options(cls) -> dict[str, Any]:
        """List its options beside t, with their defaults."""
        return {f.name: f.default for f in fields(cls) if f.name != "t"}

    @property
    def is_nested(self) -> bool:
        """Whether the subspaces of one seed are nested in d."""
        return getattr(self, "nested", False)

    def as_nested(self) -> "Method":
        """Make its subspaces nested in d, for bisection; InputError if they cannot be."""
        if self.is_nested:
            return self
        if "nested" not in self.options():
            raise InputError(f"method is {self.name!r}; only nested subspaces can be searched.")
        return replace(self, nested=True)

    def dims(self, dims: Sequence[int]) -> Sequence[int | None]:
        """Choose the training dimensions it is run at, of those of a sweep."""
        return dims

    def check(self, task: "training.Task", d: int | None) -> None:
        """Refuse a d that cannot be trained, by an InputError before anything is."""
        if d is not None and d > task.network.D:
            where = f"{task.network.name} on {task.data.name}"
            raise InputError(f"d is {d}, but {where} has only D = {task.network.D} parameters.")

    def epochs_before(self, epochs: int) -> float:
        """Count the epochs of full training that it makes before its own ``epochs``."""
        return 0.0

    def explicit_dimension(self, d: int | None) -> int:
        """Give the d that costs time in every step: dense directions do, others do not."""
        return d or 0

    def shapes(self, d: int, D: int) -> "subspaces.AffineSubspace":
        """Describe the subspace by shapes, without drawing it."""
        import jax

        def made():
            return subspaces.AffineSubspace(jax.numpy.zeros(D), self.directions_like(d, D))

        return jax.eval_shape(made)

    def directions_like(self, d: int, D: int) -> "subspaces.Directions":
        """Make directions of the shape of its own, for ``shapes``; dense ones by default."""
        import jax.numpy as jnp

        return subspaces.Dense(jnp.zeros((d, D)))

    @property
    def author(self) -> tuple[str, str]:
        """Module and name of the class whose code decides the rows."""
        return author_of(self.name, type(self))

    @property
    def variant(self) -> str:
        """Words for what distinguishes it from the default of its class; "" for the default.

        A word stands alone, a number has its field's name.
        """
        told = {k: getattr(self, k) for k in self.options() if k not in self._silent}
        return ", ".join(
            value if isinstance(value, str) else f"{name.replace('_', ' ')} {value}"
            for name, value in told.items()
            if value != self.options()[name]
        )

    @classmethod
    def words(cls, t: int) -> str:
        """Name the row of Table 1 at t, without options; a reader's own by its class."""
        return _in_words(cls.name)

    @property
    def label(self) -> str:
        """Its name in legends, such as "lottery subspace, t = 16 (centred)"."""
        return label(self.name, self.t, self.variant)

    def written(self) -> dict[str, Any]:
        """Give what is hashed of it in a cell's configuration, ready for JSON."""
        named = {k: v for k, v in hashed(self).items() if k not in ("t", "nested")}
        options = {self._renamed.get(k, k): v for k, v in named.items()} | self._constant
        own = {self._group: options} if options else {}
        return {"method": self.name, "burn_in_steps": self.t, "nested": self.is_nested, **own}

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """Make the object that ``written`` describes; ``content`` loses what is used."""
        nested, names = content.pop("nested"), {cls._renamed.get(k, k): k for k in cls.options()}
        own: dict[str, Any] = {"nested": nested} if "nested" in names else {}
        stored: dict[str, Any] = content.pop(cls._group, {})
        for k, v in stored.items():
            if k not in cls._constant:
                own[names.get(k, k)] = tuple(v) if isinstance(v, list) else v
        return cls(t=content.pop("burn_in_steps"), **own)


@dataclass(frozen=True)
class ForeignMethod(Method):
    """Stand for a reader's own method whose code is not imported: it is named, and cannot run.

    >>> ForeignMethod(text='{"method": "my_project:Own", "nested": false}').name
    'my_project:Own'
    """

    text: str = ""

    _silent = ("nested", "text")

    def validate(self):
        content = self.written()
        object.__setattr__(self, "name", content["method"])
        object.__setattr__(self, "nested", bool(content["nested"]))

    def written(self):
        return json.loads(self.text)

    @classmethod
    def read(cls, content):
        found = cls(t=content["burn_in_steps"], text=json.dumps(content))
        content.clear()
        return found


def methods() -> dict[str, type[Method]]:
    """List the methods there are, ours by name before the reader's own.

    >>> methods()["affine"].__name__
    'RandomAffine'
    """
    kinds = sorted(subclasses(Method), key=lambda kind: (is_reference(kind.name), kind.name))
    return {kind.name: kind for kind in kinds if kind.name}


def method_class(name: str) -> type[Method]:
    """Find a method by name, or import a reader's own as "module:Class".

    >>> method_class("affine").__name__
    'RandomAffine'
    """
    if is_reference(name):
        found = resolve(name)
        if isinstance(found, type) and issubclass(found, Method):
            if found.name != name:  # or nobody could read the cells without importing it
                raise InputError(f"{name} has the name {found.name!r}; it must be {name!r}.")
            return found
        raise InputError(f"{name} is {found!r}; it must be a dofbook method's class.")
    known = methods()
    if not isinstance(name, str) or name not in known:
        raise InputError(f"method is {name!r}; allowed: {', '.join((*known, 'module:Class'))}.")
    return known[name]


def class_at_hand(name: str) -> type[Method] | None:
    """Find a method by name without importing a reader's code; None if that were needed.

    >>> class_at_hand("no_such_module:Own") is None
    True
    """
    return None if is_foreign(name) else method_class(name)


def label(name: str, t: int, variant: str = "") -> str:
    """Name a curve of a table in legends; a method that is not known here by its name.

    >>> label("affine", 8, "fastfood")
    'burn-in affine, t = 8 (fastfood)'
    """
    kind = methods().get(checks.instance("name", name, str))
    words = kind.words(t) if kind else _in_words(name)
    return words + (f", t = {t}" if t else "") + (f" ({variant})" if variant else "")


def _in_words(name: str) -> str:
    if is_reference(name):
        name = re.sub(r"(?<=[^\W_])(?=[A-Z][a-z])", " ", name.partition(":")[2]).lower()
    return name.replace("_", " ")


def read_method(content: dict[str, Any]) -> Method:
    """Make the method a cell's configuration describes; ``content`` loses what is used.

    A reader's own that is not at hand is only named: a store is read without its code.

    >>> read_method({"method": "affine", "burn_in_steps": 4, "nested": False})
    RandomAffine(t=4, ...)
    """
    if (kind := class_at_hand(checks.instance("content", content, dict)["method"])) is None:
        return ForeignMethod.read(content)
    given = deepcopy(content)
    del content["method"]
    try:
        found = kind.read(content)
    except (KeyError, TypeError) as problem:
        text = json.dumps(given, sort_keys=True, default=str)
        raise InputError(f"{text} is no {kind.name} of dofbook's: {problem}.") from None
    for name, value in found.written().items():
        _check_read(kind.name, name, *json.loads(json.dumps([given.get(name), value])))
    return found


def _check_read(method: str, name: str, given: Any, kept: Any) -> None:
    """Refuse what a method would silently read as something else."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key in sorted(given.keys() | kept.keys()):
            _check_read(method, key, given.get(key), kept.get(key))
    elif given != kept:
        raise InputError(f"{name} is {given!r}; {method} has {kept!r}.")
