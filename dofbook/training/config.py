"""Tasks and optimizers written down, in names and numbers alone: what is hashed, without JAX."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from dofbook import checks
from dofbook.datasets import DATASET_NAMES
from dofbook.errors import InputError
from dofbook.networks import NETWORK_NAMES, Pooling
from dofbook.references import check_name

OBJECTIVES = ("classification", "regression", "next_token")
"""The objectives that have names; see ``training.objectives``."""
Convention = Literal["paper", "released_code"]
Solver = Literal["descent", "exact"]
OptimizerName = Literal["adam", "momentum"]
BiasCorrection = Literal["textbook", "constant"]
Schedule = Literal["released_code"]
Strategy = Literal["auto", "sequential", "batched"]
Precision = Literal["float32", "tf32"]

# Paper, Table 2. digits is ours: 40 epochs of 12 batches, a third of an MNIST run's steps.
EPOCHS = {
    "conv2": {"mnist": 3, "fashion_mnist": 3, "cifar10": 4, "svhn_cropped": 4},
    "conv3": {"mnist": 4, "fashion_mnist": 5, "cifar10": 5, "cifar100": 5},
    "resnet20": {"mnist": 3, "fashion_mnist": 3, "cifar10": 4},
}
DIGITS_EPOCHS, DEFAULT_EPOCHS, DEFAULT_STEPS = 40, 3, 480


def default_epochs(dataset: str, network: str) -> int:
    """Look up the paper's Table 2; 3 (its default) for other pairs, 40 for digits.

    >>> default_epochs("cifar10", "conv2")
    4
    """
    if dataset == "digits":
        return DIGITS_EPOCHS
    return EPOCHS.get(network, {}).get(dataset, DEFAULT_EPOCHS)


def checkpoints(steps: int, each: int, epochs: int) -> list[int]:
    """List the updates after which runs are measured, from 0 on, at most ``each`` times an epoch.

    ``steps`` are the updates of an epoch, after the last of which there always is one.

    >>> checkpoints(5, 2, epochs=2)
    [0, 2, 5, 7, 10]
    """
    stops = np.unique(np.linspace(0, steps, each + 1).round().astype(int)).tolist()[1:]
    return [0, *(epoch * steps + stop for epoch in range(epochs) for stop in stops)]


def hashed(described: Any) -> dict[str, Any]:
    """Give the fields of a configuration, without those of its ``later_fields`` at their default.

    These are younger than cells that were published: so their hashes stand.

    >>> "schedule" in hashed(OptimizerConfig())
    False
    """
    later = {f.name: f.default for f in fields(described) if f.name in described.later_fields}
    return {k: v for k, v in asdict(described).items() if k not in later or v != later[k]}


@dataclass(frozen=True)
class OptimizerConfig:
    """Choose an optimizer: "adam" (inside subspaces, paper A.4) or "momentum" (released code).

    The paper has the learning rate 5e-2 inside subspaces and an ``eps``, added to Adam's
    denominator, of 1e-7; its code has ``momentum`` 0.9. ``b1`` and ``b2`` are Adam's decays of its
    moments; these three are in [0, 1). ``bias_correction`` "textbook" divides the moments by
    1 - b**step, "constant" by 1 - b at every step, as the released code. ``schedule``
    "released_code" multiplies the rate of "momentum" by 0.3, 0.1 and 0.03 from updates 400, 800 and
    1200 on, as the code does when it retrains a lottery ticket.

    >>> OptimizerConfig("momentum", learning_rate=1).learning_rate
    1.0
    """

    name: OptimizerName = "adam"
    learning_rate: float = 5e-2
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-7
    momentum: float = 0.9
    bias_correction: BiasCorrection = "textbook"
    schedule: Schedule | None = None

    later_fields: ClassVar = ("schedule",)

    def __post_init__(self):
        checks.choice("optimizer name", self.name, get_args(OptimizerName))
        checks.choice("optimizer bias_correction", self.bias_correction, get_args(BiasCorrection))
        known = (None, "released_code") if self.name == "momentum" else (None,)
        if not isinstance(self.schedule, str | None) or self.schedule not in known:
            given = f"optimizer schedule is {self.schedule!r} with {self.name!r}"
            raise InputError(f"{given}; allowed: None, or 'released_code' with 'momentum'.")
        settle = partial(object.__setattr__, self)  # 1 and 1.0 are one configuration, hashed alike
        for name in ("learning_rate", "eps"):
            settle(name, checks.positive(name, getattr(self, name)))
        for name in ("b1", "b2", "momentum"):
            settle(name, checks.real(name, getattr(self, name), 0, 1, open="right"))


MOMENTUM = OptimizerConfig(name="momentum", learning_rate=5e-2)
"""SGD (0.9) of the released code for full-space training, which the paper's text leaves open."""


def check_settings(task: Any) -> None:
    """Refuse settings out of range, of a task or of its written form.

    >>> check_settings(TaskConfig(batch_size=64))  # allowed
    """
    checks.integer_fields(task, 1, "batch_size", "checkpoints_per_epoch")
    checks.integer_fields(task, 0, "extra_burn_in_step", most=1)


@dataclass(frozen=True)
class TaskConfig:
    """Name a task: all that decides its runs beside method, d and seeds.

    Args:
        dataset: One of ``DATASET_NAMES``, or "module:function"; see ``datasets.load``.
        network: One of ``NETWORK_NAMES``, or "module:function"; see ``networks.paper_network``.
        pooling: "max" (the paper's text) or "average" (its released code).
        train_size: Examples of a stratified training subset; None for all of them.
        test_size: The same for the test set.
        epochs: Passes over the training set; None for the paper's Table 2 (digits 40, others 3).
        batch_size: Examples per step; the paper uses 128. A last smaller batch is used too.
        checkpoints_per_epoch: Evaluations on the whole training and test sets per epoch.
        optimizer: The optimizer inside the subspace, or of the full baseline.
        burn_in_optimizer: The optimizer of full-space training up to step t.
        extra_burn_in_step: 1 reproduces the released code, which makes t + 1 updates; 0 makes t.
        objective: One of ``OBJECTIVES``, or "module:function".
        linearized_at: The network is replaced by its linearization around the weights after so
            many steps of full training (paper, A.1 and Fig. 9); None for the network itself.
        solver: "descent", or of a linearized network "exact": the minimum by Newton's method.

    >>> TaskConfig("mnist", "conv2").epochs
    3
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
    burn_in_optimizer: OptimizerConfig = MOMENTUM
    extra_burn_in_step: int = 0
    objective: str = "classification"
    linearized_at: int | None = None
    solver: Solver = "descent"

    later_fields: ClassVar = ("objective", "linearized_at", "solver")

    def __post_init__(self):
        for name in ("optimizer", "burn_in_optimizer"):
            checks.instance(name, getattr(self, name), OptimizerConfig)
        names = {"dataset": DATASET_NAMES, "network": NETWORK_NAMES, "objective": OBJECTIVES}
        for what, ours in names.items():
            check_name(what, getattr(self, what), ours)
        checks.choice("pooling", self.pooling, get_args(Pooling))
        checks.choice("solver", self.solver, get_args(Solver))
        if self.epochs is None:
            object.__setattr__(self, "epochs", default_epochs(self.dataset, self.network))
        checks.integer_fields(self, 1, "train_size", "test_size", "epochs")
        checks.integer_fields(self, 0, "linearized_at")
        check_settings(self)
        if self.solver == "exact" and self.linearized_at is None:
            wanted = "a linearized network; give linearized_at"
            raise InputError(f"solver is 'exact', which needs {wanted}.")
        if self.linearized_at is not None and self.objective != "classification":
            wanted = "a linearized network's is 'classification'"
            raise InputError(f"objective is {self.objective!r}; {wanted}.")


CONVENTIONS: dict[Convention, tuple[Pooling, BiasCorrection, int]] = {
    "paper": ("max", "textbook", 0),
    "released_code": ("average", "constant", 1),
}
"""Pooling, Adam's bias correction, extra burn-in steps: where the text and its code differ."""


def follow_convention(config: TaskConfig, convention: Convention) -> TaskConfig:
    """Set every option in which the paper's text and its released code differ, ``CONVENTIONS``.

    The default everywhere is "paper", the claim being tested; what that leaves open (the burn-in
    optimizer, one initialization shared by all d) follows the code.

    >>> follow_convention(TaskConfig(), "released_code").pooling
    'average'
    """
    pooling, correction, extra = CONVENTIONS[checks.choice("convention", convention, CONVENTIONS)]
    optimizer = replace(config.optimizer, bias_correction=correction)
    return replace(config, pooling=pooling, optimizer=optimizer, extra_burn_in_step=extra)


@dataclass(frozen=True)
class Batching:
    """Say how the runs of a cell go together; no result depends on it beyond rounding.

    ``strategy`` "auto" is "sequential" on a CPU, else "batched"; ``chunk`` is the runs trained at
    once when batched, None for as many as the memory is estimated to hold; ``precision``,
    "float32" or the faster "tf32" (10 bits of mantissa), is that of matrix products on a GPU.

    >>> Batching("sequential").batched
    False
    """

    strategy: Strategy = "auto"
    chunk: int | None = None
    precision: Precision = "float32"

    def __post_init__(self):
        checks.choice("strategy", self.strategy, get_args(Strategy))
        checks.choice("precision", self.precision, get_args(Precision))
        checks.integer_fields(self, 1, "chunk")

    @property
    def batched(self) -> bool:
        """Whether runs go together on this machine."""
        import jax

        auto = self.strategy == "auto" and jax.default_backend() != "cpu"
        return auto or self.strategy == "batched"

    def matmul_precision(self) -> AbstractContextManager:
        """Return the context manager that sets the precision of matrix products."""
        import jax

        if jax.default_backend() == "cpu":
            return nullcontext()
        precision = "tensorfloat32" if self.precision == "tf32" else "float32"
        return jax.default_matmul_precision(precision)
