"""Frozen, validated descriptions of sweeps and cells, and the hash that names a cell."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Literal, get_args

from dofbook.datasets import NAMES as DATASETS
from dofbook.errors import InputError
from dofbook.keys import SEEDS
from dofbook.methods.pruning import PruningConfig
from dofbook.methods.trajectories import LotteryConfig
from dofbook.networks import NAMES as NETWORKS
from dofbook.networks import Pooling
from dofbook.references import is_reference
from dofbook.training.optimizers import OptimizerConfig

SCHEMA_VERSION = 1
"""Version of the cell files; a change of meaning of any field raises it."""

Method = Literal["affine", "full", "lottery_subspace", "lottery_ticket", "random_pruning"]
Structure = Literal["sparse", "fastfood", "hadamard"]
Convention = Literal["paper", "released_code"]

# Paper, Table 2. digits is ours: 40 epochs of 12 batches, a third of an MNIST run's steps.
EPOCHS = {
    ("mnist", "conv2"): 3, ("fashion_mnist", "conv2"): 3, ("cifar10", "conv2"): 4,
    ("svhn_cropped", "conv2"): 4,
    ("mnist", "conv3"): 4, ("fashion_mnist", "conv3"): 5, ("cifar10", "conv3"): 5,
    ("cifar100", "conv3"): 5,
    ("mnist", "resnet20"): 3, ("fashion_mnist", "resnet20"): 3, ("cifar10", "resnet20"): 4,
}  # fmt: skip
DIGITS_EPOCHS = 40
DEFAULT_EPOCHS = 3


def default_epochs(dataset: str, network: str) -> int:
    """Look up the number of epochs the paper trains for.

    Args:
        dataset: Name of the data set.
        network: Name of the network.

    Returns:
        Table 2's entry where there is one; 3 (the paper's default) otherwise; 40 for digits.
    """
    if dataset == "digits":
        return DIGITS_EPOCHS
    return EPOCHS.get((dataset, network), DEFAULT_EPOCHS)


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; allowed: {', '.join(allowed)}.")


def _check_name(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Take a name of ours or a reference, which is imported only where it is run."""
    if not is_reference(value):
        _check_choice(name, value, (*allowed, "module:function"))


def _check_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}.")


def _check_integers(name: str, values: object, least: int) -> None:
    if not isinstance(values, tuple) or not values:
        raise InputError(f"{name} is {values!r}; it must be a non-empty tuple of integers.")
    for value in values:
        _check_integer(f"every entry of {name}", value, least)
    if len(set(values)) != len(values):
        raise InputError(f"{name} is {values}; its entries must differ.")


def _check_largest_seed(seed: int) -> None:
    if seed >= SEEDS:
        raise InputError(f"the largest seed is {seed}; it must be below 2**32 = {SEEDS}.")


@dataclass(frozen=True)
class TaskConfig:
    """Name the data, the network and how it is trained: everything but method, d and seeds.

    Args:
        dataset: One of ``datasets.NAMES``, or "module:function"; see ``datasets.load``.
        network: One of ``networks.NAMES``, or "module:function"; see ``networks.build``.
        pooling: "max" (the paper's text) or "average" (its released code).
        train_size: Images per class-stratified training subset; None for all of them.
        test_size: The same for the test set.
        epochs: Passes over the training set; None for the paper's Table 2.
        batch_size: Images per step; the paper uses 128.
        checkpoints_per_epoch: Evaluations on the full training and test sets per epoch.
        optimizer: The optimizer used inside the subspace, or for the full baseline.
        burn_in_optimizer: The optimizer of full-space training up to step t.
        extra_burn_in_step: 1 reproduces the released code, which makes t + 1 updates; 0 makes t.

    Raises:
        InputError: If a value is not allowed.
    """

    dataset: str = "digits"
    network: str = "conv2"
    pooling: Pooling = "max"
    train_size: int | None = None
    test_size: int | None = None
    epochs: int | None = None
    batch_size: int = 128
    checkpoints_per_epoch: int = 1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    burn_in_optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(name="momentum", learning_rate=5e-2)
    )
    extra_burn_in_step: int = 0

    def __post_init__(self):
        _check_name("dataset", self.dataset, DATASETS)
        _check_name("network", self.network, NETWORKS)
        _check_choice("pooling", self.pooling, get_args(Pooling))
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                _check_integer(name, getattr(self, name), 1)
        if self.epochs is None:
            object.__setattr__(self, "epochs", default_epochs(self.dataset, self.network))
        _check_integer("epochs", self.epochs, 1)
        _check_integer("batch_size", self.batch_size, 1)
        _check_integer("checkpoints_per_epoch", self.checkpoints_per_epoch, 1)
        if self.extra_burn_in_step not in (0, 1):
            raise InputError(f"extra_burn_in_step is {self.extra_burn_in_step!r}; allowed: 0, 1.")


def follow_convention(task: TaskConfig, convention: Convention) -> TaskConfig:
    """Set every option in which the paper's text and its released code differ.

    The default everywhere is "paper", because the text is the claim being tested; what the text
    leaves open (the burn-in optimizer, one initialization shared by all d) follows the code.

    Args:
        task: The task to adapt.
        convention: "paper" (max pooling, textbook Adam, t burn-in steps) or "released_code"
            (average pooling, Adam with constant bias correction, t + 1 burn-in steps).

    Returns:
        The adapted task.

    Raises:
        InputError: If the convention is unknown.
    """
    _check_choice("convention", convention, get_args(Convention))
    released = convention == "released_code"
    return replace(
        task,
        pooling="average" if released else "max",
        optimizer=replace(task.optimizer, bias_correction="constant" if released else "textbook"),
        extra_burn_in_step=int(released),
    )


def _check_method(cell) -> None:
    """Complete and check what goes with the method, in a cell or a sweep."""
    _check_choice("method", cell.method, get_args(Method))
    if cell.directions is not None:
        _check_choice("directions", cell.directions, get_args(Structure))
    if not isinstance(cell.nested, bool):
        raise InputError(f"nested is {cell.nested!r}; it must be true or false.")
    owners = {
        "directions": ("affine",),
        "nested": ("affine", "full"),  # a matter of indifference in the full space
        "lottery": ("lottery_subspace",),
        "pruning": ("lottery_ticket", "random_pruning"),
    }
    for name, methods in owners.items():
        if getattr(cell, name) and cell.method not in methods:
            raise InputError(
                f"method {cell.method!r} does not take {name}; it belongs to "
                f"{' and '.join(methods)}."
            )
    if cell.method == "lottery_subspace" and cell.lottery is None:
        object.__setattr__(cell, "lottery", LotteryConfig())
    if cell.method in owners["pruning"]:
        criterion = "magnitude" if cell.method == "lottery_ticket" else "random"
        if cell.pruning is None:
            object.__setattr__(cell, "pruning", PruningConfig(criterion=criterion))
        if cell.pruning.criterion != criterion:
            raise InputError(
                f"method {cell.method!r} with pruning by {cell.pruning.criterion!r}; it must be "
                f"by {criterion!r}."
            )


@dataclass(frozen=True)
class CellConfig:
    """Describe one cell: one task, method, burn-in time and dimension, with all its seeds.

    Args:
        task: Data, network and training.
        method: A row of the paper's Table 1, its left or right entry by ``burn_in_steps``:
            "affine" (random affine subspaces; burn-in affine for t > 0), "lottery_subspace",
            "lottery_ticket" (rewound to step t), "random_pruning"; or "full", the baseline.
        burn_in_steps: t, steps of full-space training before the subspace is laid, or the step
            that lottery methods rewind to.
        d: Training dimension; None for "full".
        seeds: One run per seed.
        nested: Whether the random subspaces of one seed are nested in d (the first d directions
            of one draw). Lottery subspaces always are.
        directions: Structured random directions of "affine"; None for dense Gaussian ones.
        lottery: Trajectory and basis of "lottery_subspace"; None for the defaults.
        pruning: How "lottery_ticket" and "random_pruning" choose; None for the defaults.

    Raises:
        InputError: If a value is not allowed.
    """

    task: TaskConfig
    method: Method = "affine"
    burn_in_steps: int = 0
    d: int | None = 16
    seeds: tuple[int, ...] = (0,)
    nested: bool = False
    directions: Structure | None = None
    lottery: LotteryConfig | None = None
    pruning: PruningConfig | None = None

    def __post_init__(self):
        _check_method(self)
        _check_integer("burn_in_steps", self.burn_in_steps, 0)
        _check_integers("seeds", self.seeds, 0)
        _check_largest_seed(max(self.seeds))
        if (self.d is None) != (self.method == "full"):
            raise InputError(
                f"method {self.method!r} with d = {self.d}; d must be None for 'full' and a "
                "number otherwise."
            )
        if self.d is not None:
            _check_integer("d", self.d, 1)

    @property
    def name(self) -> str:
        """Hash that names the cell's file: SHA-256 of the canonical JSON, 16 hexadecimal digits."""
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SweepConfig:
    """Describe a grid of cells of one method.

    Args:
        task: Data, network and training.
        burn_in_steps: Burn-in times t; 0 is the random affine subspace.
        dims: Training dimensions d.
        runs: Seeds per cell.
        first_seed: The seeds are first_seed, first_seed + 1, ...
        baseline_learning_rates: Learning rates of the full-space baseline (paper A.4 takes the
            better of 5e-2 and 1e-2); empty for no baseline.
        nested: Whether the random subspaces of one seed are nested in d.
        method: As in ``CellConfig``; "full" gives the baseline alone.
        directions: As in ``CellConfig``.
        lottery: As in ``CellConfig``.
        pruning: As in ``CellConfig``.

    Raises:
        InputError: If a value is not allowed.
    """

    task: TaskConfig = field(default_factory=TaskConfig)
    burn_in_steps: tuple[int, ...] = (0,)
    dims: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    runs: int = 3
    first_seed: int = 0
    baseline_learning_rates: tuple[float, ...] = (5e-2, 1e-2)
    nested: bool = False
    method: Method = "affine"
    directions: Structure | None = None
    lottery: LotteryConfig | None = None
    pruning: PruningConfig | None = None

    def __post_init__(self):
        _check_method(self)
        _check_integers("burn_in_steps", self.burn_in_steps, 0)
        _check_integers("dims", self.dims, 1)
        _check_integer("runs", self.runs, 1)
        _check_integer("first_seed", self.first_seed, 0)
        _check_largest_seed(self.first_seed + self.runs - 1)
        for rate in self.baseline_learning_rates:
            replace(self.task.optimizer, learning_rate=rate)

    def cells(self) -> list[CellConfig]:
        """List the cells: baseline first, then small d to large d, all burn-in times at each d.

        Returns:
            One configuration per cell.
        """
        seeds = tuple(range(self.first_seed, self.first_seed + self.runs))
        baseline = [
            CellConfig(
                task=replace(
                    self.task, optimizer=replace(self.task.optimizer, learning_rate=rate)
                ),
                method="full", d=None, seeds=seeds,
            )
            for rate in self.baseline_learning_rates
        ]  # fmt: skip
        if self.method == "full":
            return baseline
        common = {name: getattr(self, name) for name in _METHOD}
        grid = [
            CellConfig(task=self.task, burn_in_steps=t, d=d, seeds=seeds, **common)
            for d, t in product(sorted(self.dims), sorted(self.burn_in_steps))
        ]
        return baseline + grid


_METHOD = ("method", "nested", "directions", "lottery", "pruning")
_LATER = ("directions", "lottery", "pruning", "schedule")
"""Fields younger than the first published cells: left out when None, so that hashes stand."""


def _without_unset(fields: dict) -> dict:
    kept = {k: v for k, v in fields.items() if v is not None or k not in _LATER}
    return {k: _without_unset(v) if isinstance(v, dict) else v for k, v in kept.items()}


def canonical_json(cell: CellConfig) -> str:
    """Write a cell as JSON with sorted keys, the text its hash is taken of.

    Args:
        cell: The cell.

    Returns:
        One line of JSON.
    """
    return json.dumps(
        {"schema": SCHEMA_VERSION, **_without_unset(asdict(cell))},
        sort_keys=True,
        separators=(",", ":"),
    )


def cell_from_json(text: str) -> CellConfig:
    """Read a cell back from its canonical JSON.

    Args:
        text: What ``canonical_json`` wrote.

    Returns:
        The cell, equal to the one written.

    Raises:
        InputError: If the schema version is another one or a field is unknown.
    """
    raw = json.loads(text)
    schema = raw.pop("schema", None)
    if schema != SCHEMA_VERSION:
        raise InputError(
            f"the cell has schema version {schema}; this dofbook reads {SCHEMA_VERSION}."
        )
    try:
        task = raw.pop("task")
        for name in ("optimizer", "burn_in_optimizer"):
            task[name] = OptimizerConfig(**task[name])
        for name, kind in (("lottery", LotteryConfig), ("pruning", PruningConfig)):
            if raw.get(name) is not None:
                raw[name] = kind(**raw[name])
        return CellConfig(**{**raw, "task": TaskConfig(**task), "seeds": tuple(raw["seeds"])})
    except (KeyError, TypeError) as problem:
        raise InputError(f"the cell's configuration is not one of dofbook's: {problem}.") from None
