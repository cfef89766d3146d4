"""Named sweeps, and the one place where options by name become a ``SweepConfig``."""

from dataclasses import dataclass, fields, replace

from dofbook.errors import InputError
from dofbook.experiments.config import (
    DIGITS_EPOCHS,
    CellConfig,
    SweepConfig,
    TaskConfig,
    follow_convention,
)
from dofbook.methods.pruning import PruningConfig
from dofbook.methods.trajectories import LotteryConfig
from dofbook.training.optimizers import OptimizerConfig


def octaves(largest: int, smallest: int = 1, factor: float = 2.0) -> tuple[int, ...]:
    """List training dimensions in a geometric progression.

    Args:
        largest: No dimension exceeds it.
        smallest: The first dimension.
        factor: Ratio of neighbours; 2 gives the paper's octaves. Dimensions are rounded to
            integers and listed once.

    Returns:
        The dimensions, increasing.

    Raises:
        InputError: If the bounds or the factor make no progression.
    """
    if not 1 <= smallest <= largest or not 1.01 <= factor < float("inf"):
        raise InputError(
            f"the dimensions {smallest}:{largest}:x{factor:g} make no progression; it needs "
            "1 <= first <= last and a factor of at least 1.01."
        )
    dims, value = [], float(smallest)
    while round(value) <= largest:
        dims.append(round(value))
        value *= factor
    return tuple(dict.fromkeys(dims))


PROFILES = {
    # Minutes on two cores; half octaves where the digits' transition lies.
    "reduced": {
        "dataset": "digits", "network": "conv2",
        "dims": octaves(8) + octaves(724, 16, 2**0.5),
        "burn_in_steps": (0, 4, 8, 16), "runs": 5,
    },
    # The MNIST row of the paper's Fig. 2; 3 epochs by its Table 2.
    "paper": {
        "dataset": "mnist", "network": "conv2", "dims": octaves(4096),
        "burn_in_steps": (0, 4, 8, 16), "runs": 10,
    },
}  # fmt: skip

_TASK = {field.name for field in fields(TaskConfig)}
_SWEEP = {field.name for field in fields(SweepConfig)} - {"task", "lottery", "pruning"}
_IN_SUBSPACES = {"dims", "burn_in_steps", "learning_rate", "nested", "directions"}
# Options by name that make up the configuration of one method: option to field.
_LOTTERY = {"basis": "basis", "spacing": "spacing", "trajectory_steps": "steps"}
_PRUNING = {
    "pruning_epochs": "training_epochs",
    "iterations": "iterations",
    "retraining": "schedule",
    "weight_decay": "weight_decay",
}


def _method_configs(chosen: dict, released: bool) -> dict:
    """Build the configurations of the chosen method; the convention fills what is not chosen."""
    method = chosen.get("method", "affine")
    lottery = {field: chosen[name] for name, field in _LOTTERY.items() if name in chosen}
    pruning = {field: chosen[name] for name, field in _PRUNING.items() if name in chosen}
    if method == "lottery_subspace":
        lottery = {"extra_first_step": int(released)} | lottery
    if method == "lottery_ticket":
        pruning = {"schedule": "released_code" if released else "common"} | pruning
    if method == "random_pruning":
        pruning = {"criterion": "random"} | pruning
    return {
        "lottery": LotteryConfig(**lottery) if lottery else None,
        "pruning": PruningConfig(**pruning) if pruning else None,
    }


def make_sweep(
    profile: str | None = None,
    *,
    convention: str | None = None,
    learning_rate: float | None = None,
    baseline: bool = True,
    **options,
) -> SweepConfig:
    """Build a sweep from a profile and options by name.

    Args:
        profile: One of ``PROFILES``; None starts from the defaults of the configuration classes.
        convention: "paper" or "released_code", see ``config.follow_convention``; None leaves the
            defaults, which are the paper's.
        learning_rate: Learning rate inside the subspaces; 5e-2 as in the paper by default.
        baseline: Whether to run the full-space baseline.
        **options: Fields of ``TaskConfig`` and ``SweepConfig``; they override the profile, and
            ``pooling`` and ``extra_burn_in_step`` override the convention. For lottery subspaces
            also ``basis``, ``spacing`` and ``trajectory_steps``; for pruning ``pruning_epochs``,
            ``iterations``, ``retraining`` and ``weight_decay``.

    Returns:
        The sweep.

    Raises:
        InputError: If a name or a value is not allowed.
    """
    if profile is not None and profile not in PROFILES:
        raise InputError(f"profile is {profile!r}; allowed: {', '.join(PROFILES)}.")
    chosen = {**PROFILES.get(profile, {}), **options}
    # Notebooks and JSON give lists where the frozen configuration holds tuples.
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()}
    allowed = _TASK | _SWEEP | _LOTTERY.keys() | _PRUNING.keys()
    if unknown := sorted(chosen.keys() - allowed):
        raise InputError(
            f"unknown option {', '.join(unknown)}; allowed: {', '.join(sorted(allowed))}."
        )
    given = options.keys() | ({"learning_rate"} if learning_rate is not None else set())
    if chosen.get("method") == "full" and (extra := sorted(given & _IN_SUBSPACES)):
        raise InputError(
            f"method 'full' is the baseline at its own learning rates; it takes no "
            f"{', '.join(extra)}."
        )
    if learning_rate is not None:
        chosen["optimizer"] = OptimizerConfig(learning_rate=learning_rate)
    task = TaskConfig(**{name: chosen[name] for name in _TASK & chosen.keys()})
    if convention is not None:
        explicit = {"pooling", "extra_burn_in_step"} & chosen.keys()
        task = follow_convention(task, convention)
        task = replace(task, **{name: chosen[name] for name in explicit})
    sweep = {name: chosen[name] for name in _SWEEP & chosen.keys()}
    sweep |= _method_configs(chosen, convention == "released_code")
    if not baseline:
        sweep["baseline_learning_rates"] = ()
    return SweepConfig(task=task, **sweep)


# Conv-2 has 10 runs in the paper, Conv-3 five, ResNet20 three; lottery tickets at least five.
_RUNS = {"conv2": 10, "conv3": 5, "resnet20": 3}
_PAIRS = {
    "2": [(d, "conv2") for d in ("mnist", "fashion_mnist", "cifar10", "svhn_cropped")],
    "7": [(d, "conv3") for d in ("mnist", "fashion_mnist", "cifar10")],
    "8": [(d, "resnet20") for d in ("mnist", "fashion_mnist", "cifar10")],
}
_TABLE_1 = {
    "paper": {
        # Dense around 10, where the paper sees a transition on CIFAR-10.
        "lottery_subspace": (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 24, 32, 48, 64),
        # Octaves that overlap those of the random subspaces.
        "lottery_ticket": octaves(16384, 8),
        "random_pruning": octaves(16384, 8),
    },
    "reduced": {
        "lottery_subspace": (1, 2, 3, 5, 8, 10, 12, 24),
        "lottery_ticket": octaves(4096, 64, 4),
        "random_pruning": octaves(4096, 64, 4),
    },
}


def table_1_sweeps(profile: str = "reduced", **options) -> list[SweepConfig]:
    """List the sweeps of the methods of Table 1 that are not random or burn-in affine subspaces.

    Args:
        profile: "reduced" or "paper".
        **options: Options of ``make_sweep`` for all of them.

    Returns:
        Lottery subspaces, lottery tickets and random pruning, from w0 and from w_16, without the
        baseline.

    Raises:
        InputError: If a name or a value is not allowed.
    """
    if profile not in _TABLE_1:
        raise InputError(f"profile is {profile!r}; allowed: {', '.join(_TABLE_1)}.")
    shared = {"burn_in_steps": (0, 16), "baseline": False, "runs": 3 if profile == "reduced" else 5}
    # Two epochs of the digits are 24 steps; as many as half of the training stand for the two of 3.
    pruning = {"pruning_epochs": DIGITS_EPOCHS // 2} if profile == "reduced" else {}
    return [
        make_sweep(
            profile,
            **{"method": method, "dims": dims, **shared, **options},
            **(pruning if method == "lottery_ticket" else {}),
        )
        for method, dims in _TABLE_1[profile].items()
    ]


def lottery_chapter(profile: str = "reduced", **options) -> dict[str, SweepConfig]:
    """List what the chapter on lottery subspaces and tickets compares.

    Args:
        profile: "reduced" or "paper".
        **options: Options of ``make_sweep`` for all of it.

    Returns:
        Name to sweep: the methods of Table 1 but random and burn-in affine subspaces, the other
        two bases of lottery subspaces, iterative pruning, structured directions up to large d, and
        last the baseline with random and burn-in affine subspaces ("affine").

    Raises:
        InputError: If a name or a value is not allowed.
    """
    table_1 = {sweep.method: sweep for sweep in table_1_sweeps(profile, **options)}
    reduced = profile == "reduced"
    few = {"runs": 3 if reduced else 5, "burn_in_steps": (0,), "baseline": False, **options}
    dims = table_1["lottery_subspace"].dims
    lottery = {"method": "lottery_subspace", "dims": dims[:6] if reduced else dims}
    ticket = table_1["lottery_ticket"]
    # Every round trains anew for every d: the reduced profile has few of both.
    iterative = {
        "method": "lottery_ticket",
        "dims": ticket.dims[:2] if reduced else ticket.dims,
        "iterations": 3 if reduced else 5,
        "pruning_epochs": ticket.pruning.training_epochs,
    }
    wide = octaves(4096, 16, 4) if reduced else octaves(16384, 16)
    affine = {"burn_in_steps": (0, 16), **options}
    return {
        **table_1,
        **{
            basis: make_sweep(profile, basis=basis, **lottery, **few)
            for basis in ("centred", "uncentred")
        },
        "iterative": make_sweep(profile, **iterative, **few),
        **{
            kind: make_sweep(profile, directions=kind, dims=wide, **few)
            for kind in ("hadamard", "fastfood")
        },
        # Last: a sweep of the phase transition running beside this one has stored it by then.
        "affine": make_sweep(profile, **affine),
    }


def _paper_figures() -> dict[str, dict]:
    """List what the paper's figures are computed from: figure and data set to sweeps and table."""
    found = {}
    for number, pairs in _PAIRS.items():
        for dataset, network in pairs:
            options = {"dataset": dataset, "network": network, "runs": _RUNS[network]}
            affine = make_sweep("paper", **options)
            lottery = table_1_sweeps("paper", **{**options, "runs": min(5, _RUNS[network])})
            table = f"{dataset}_{network}.parquet"
            names = {number: [affine], **({"12": [affine]} if number == "2" else {})}
            names |= {"3": [affine, lottery[0]], "6": [affine, *lottery]}
            for name, sweeps in names.items():
                key = f"{name}-{dataset}" if name in _PAIRS else f"{name}-{dataset}-{network}"
                title = f"Fig. {name}, {network} on {dataset}"
                found[key] = {"title": title, "sweeps": sweeps, "table": table}
    return found


PAPER_FIGURES = _paper_figures()
"""Figure and data set, such as "2-mnist" or "6-mnist-conv2", to title, sweeps and table."""


@dataclass(frozen=True)
class PaperFigure:
    """Name a figure of the paper, or one data set of it.

    Args:
        name: A key of ``PAPER_FIGURES``, or a figure's number for all of its data sets.

    Raises:
        InputError: If there is no such figure.
    """

    name: str

    def __post_init__(self):
        if not self._entries():
            allowed = f"{', '.join(PAPER_FIGURES)}, or a number"
            raise InputError(f"figure is {self.name!r}; allowed: {allowed}.")

    def _entries(self) -> list[dict]:
        return [e for key, e in PAPER_FIGURES.items() if self.name in (key, key.split("-")[0])]

    def cells(self) -> list[CellConfig]:
        """List the figure's cells, each once.

        Returns:
            One configuration per cell, in the order in which they are best run.
        """
        sweeps = [sweep for entry in self._entries() for sweep in entry["sweeps"]]
        return list(dict.fromkeys(cell for sweep in sweeps for cell in sweep.cells()))


def paper_figure(figure: str, **options) -> PaperFigure:
    """Choose a figure of the paper by name.

    Args:
        figure: A key of ``PAPER_FIGURES``, or a figure's number.
        **options: Only ``profile="paper"``: a figure's settings are the paper's.

    Returns:
        The figure.

    Raises:
        InputError: If there is no such figure, or another option is given.
    """
    if extra := sorted(name for name, value in options.items() if (name, value) != _PAPER):
        raise InputError(
            f"a figure is run at the paper's settings and takes no {', '.join(extra)}; describe "
            "another sweep without figure."
        )
    return PaperFigure(figure)


_PAPER = ("profile", "paper")
