"""The one place where options by name become a ``SweepConfig``."""

from collections.abc import Iterable
from dataclasses import fields, replace
from numbers import Real
from typing import Any

from dofbook import checks
from dofbook.errors import InputError
from dofbook.experiments.config import SweepConfig
from dofbook.methods import Method, RandomAffine, method_class, methods
from dofbook.training.config import OptimizerConfig, TaskConfig, follow_convention


def octaves(largest: int, smallest: int = 1, factor: float = 2.0) -> tuple[int, ...]:
    """List training dimensions in a geometric progression, rounded to integers, each once.

    Neighbours have the ratio ``factor``, at least 1.01; none exceeds ``largest``.

    >>> octaves(16), octaves(64, 16, 2**0.5)
    ((1, 2, 4, 8, 16), (16, 23, 32, 45, 64))
    """
    given, inf = (largest, smallest, factor), float("inf")
    numbers = all(isinstance(value, Real) and not isinstance(value, bool) for value in given)
    if not (numbers and 1 <= smallest <= largest < 2**63 and 1.01 <= factor < inf):
        needed = "1 <= first <= last and a factor of at least 1.01"
        given = f"the dimensions {smallest}:{largest}:x{factor}"
        raise InputError(f"{given} make no progression; it needs {needed}.")
    dims, value = [], float(smallest)
    while round(value) <= largest:
        dims.append(round(value))
        value *= factor
    return tuple(dict.fromkeys(dims))


PROFILES: dict[str, dict[str, Any]] = {
    # Minutes on two cores. With fewer than 4 dimensions runs stay near their start; from 20 epochs
    # to 40 no mean accuracy moves by more than 7 points, most by less than 4.
    "reduced": {
        "dataset": "digits", "network": "conv2", "dims": octaves(512, 4),
        "burn_in_steps": (0, 4, 8, 16), "runs": 5, "epochs": 20,
    },
    # The MNIST row of the paper's Fig. 2; 3 epochs by its Table 2.
    "paper": {
        "dataset": "mnist", "network": "conv2", "dims": octaves(4096),
        "burn_in_steps": (0, 4, 8, 16), "runs": 10,
    },
}  # fmt: skip
"""Options by profile: "reduced", minutes on digits, and "paper", the MNIST row of Fig. 2."""

TASK_OPTIONS = tuple(field.name for field in fields(TaskConfig))
GRID_OPTIONS = ("dims", "runs", "first_seed", "baseline_learning_rates")


def method_options() -> dict[str, list[type[Method]]]:
    """List the options of methods, and which methods take each.

    >>> [kind.name for kind in method_options()["basis"]]
    ['lottery_subspace']
    """
    found: dict[str, list[type[Method]]] = {}
    for kind in methods().values():
        for option in kind.options():
            found.setdefault(option, []).append(kind)
    return found


def _make_methods(
    kind: type[Method], times: tuple[int, ...], chosen: dict[str, Any], released: bool
) -> tuple[Method, ...]:
    """Make a method of a class at each burn-in time; InputError for options that are not its."""
    options = dict(kind.released_code) if released else {}
    for option, value in chosen.items():
        if option in kind.options():
            options[option] = value
        elif value is not None and value is not False:
            owners = " and ".join(owner.name for owner in method_options()[option])
            raise InputError(f"method {kind.name!r} takes no {option}; it belongs to {owners}.")
    if not isinstance(times, tuple) or not times or len(set(times)) != len(times):
        raise InputError(f"burn_in_steps is {times!r}; it must be a tuple of different integers.")
    return tuple(kind(t=t, **options) for t in sorted(times))


def _join_profile(profile: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Join a profile and the options that override it; its epochs are for its own data."""
    given = {} if profile is None else PROFILES[checks.choice("profile", profile, PROFILES)]
    chosen = {**given, **options}
    if "epochs" not in options and chosen.get("dataset") != given.get("dataset"):
        chosen.pop("epochs", None)
    # Notebooks and JSON give lists where the frozen configuration holds tuples.
    return {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}


def make_sweep(
    profile: str | None = None, *, method: str = RandomAffine.name, convention: str | None = None,
    learning_rate: float | None = None, baseline: bool = True, **options: Any,
) -> SweepConfig:  # fmt: skip
    """Build a sweep from a profile and options by name.

    Args:
        profile: One of ``PROFILES``; None starts from the defaults of the configuration classes.
        method: A name of ``methods.methods()``, or a reader's own as "module:Class".
        convention: "paper" or "released_code", see ``follow_convention``; None leaves the
            defaults, which are the paper's.
        learning_rate: Inside the subspaces; 5e-2 as in the paper by default.
        baseline: Whether to run full training too.
        **options: Fields of ``TaskConfig``, of the method and of the grid (dims, burn_in_steps,
            runs, first_seed); they override the profile and the convention.

    >>> make_sweep("reduced", method="lottery_subspace", basis="centred").methods[0].basis
    'centred'
    """
    chosen = _join_profile(profile, options)
    kind, known = method_class(method), method_options()
    owned = {*known, *kind.options()}
    allowed = {*TASK_OPTIONS, *GRID_OPTIONS, "burn_in_steps", *owned}
    if unknown := sorted(chosen.keys() - allowed):
        words = ", ".join(sorted(allowed))
        raise InputError(f"unknown option {', '.join(unknown)}; allowed: {words}.")
    whole = kind().dims((1,)) == (None,)
    given = options if learning_rate is None else {**options, "learning_rate": learning_rate}
    if whole and (
        extra := sorted({"burn_in_steps", "dims", "learning_rate", *owned} & given.keys())
    ):
        about = f"method {kind.name!r} is the baseline at its own learning rates"
        raise InputError(f"{about}; it takes no {', '.join(extra)}.")

    def pick(names: Iterable[str]) -> dict[str, Any]:
        return {name: chosen[name] for name in names if name in chosen}

    if learning_rate is not None:
        chosen["optimizer"] = OptimizerConfig(learning_rate=learning_rate)
    task = TaskConfig(**pick(TASK_OPTIONS))
    if convention is not None:
        task = follow_convention(task, convention)  # type: ignore[arg-type]  # checked there
        task = replace(task, **pick(("pooling", "extra_burn_in_step")))
    grid: dict[str, Any] = pick(GRID_OPTIONS)
    if not baseline:
        grid["baseline_learning_rates"] = ()
    if whole:
        return SweepConfig(task, (), **grid)
    times, released = chosen.get("burn_in_steps", (0,)), convention == "released_code"
    return SweepConfig(task, _make_methods(kind, times, pick(owned), released), **grid)


def fit_dims(sweep: SweepConfig, data_dir: str | None = None) -> SweepConfig:
    """Leave out of a sweep the d that are too large for its network or trajectory.

    Raises InputError, for the smallest d, where none is left.

    >>> sweep = make_sweep(network="mlp", dims=[64, 4096], method="affine")
    >>> fit_dims(sweep).dims
    (64,)
    """
    from dofbook.training import make_task

    checks.instance("sweep", sweep, SweepConfig)
    task, fitting = make_task(sweep.task, data_dir), []
    for d in sweep.dims:
        try:
            for method in sweep.methods:
                method.check(task, d)
            fitting.append(d)
        except InputError:
            if not fitting:
                raise
    return replace(sweep, dims=tuple(fitting))
