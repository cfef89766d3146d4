"""What is trained and how: a task, and its written form of names alone, which is hashed."""

from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from dofbook.datasets import NAMES as DATASETS
from dofbook.datasets import Dataset, load, subset
from dofbook.errors import InputError
from dofbook.keys import Role, run_key
from dofbook.networks import NAMES as NETWORKS
from dofbook.networks import Network, Pooling, flatten, paper_network
from dofbook.references import is_reference
from dofbook.training.objectives import NAMES as OBJECTIVES
from dofbook.training.objectives import Objective, classification, objective
from dofbook.training.optimizers import MOMENTUM, Optimizer, OptimizerConfig, make_optimizer

Convention = Literal["paper", "released_code"]
Solver = Literal["descent", "exact"]

# Paper, Table 2. digits is ours: 40 epochs of 12 batches, a third of an MNIST run's steps.
EPOCHS = {
    ("mnist", "conv2"): 3, ("fashion_mnist", "conv2"): 3, ("cifar10", "conv2"): 4,
    ("svhn_cropped", "conv2"): 4,
    ("mnist", "conv3"): 4, ("fashion_mnist", "conv3"): 5, ("cifar10", "conv3"): 5,
    ("cifar100", "conv3"): 5,
    ("mnist", "resnet20"): 3, ("fashion_mnist", "resnet20"): 3, ("cifar10", "resnet20"): 4,
}  # fmt: skip
DIGITS_EPOCHS, DEFAULT_EPOCHS, DEFAULT_STEPS = 40, 3, 480


def default_epochs(dataset: str, network: str) -> int:
    """Look up the paper's Table 2; 3 (its default) for other pairs, 40 for digits.

    >>> default_epochs("cifar10", "conv2")
    4
    """
    if dataset == "digits":
        return DIGITS_EPOCHS
    return EPOCHS.get((dataset, network), DEFAULT_EPOCHS)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Count the batches of an epoch, the last smaller one included.

    >>> steps_per_epoch(60_000, 128)
    469
    """
    return -(-count // batch_size)


def check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among the allowed ones."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; allowed: {', '.join(allowed)}.")


def check_name(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Take a name of ours or a reference, which is imported only where it is run."""
    if not is_reference(value):
        check_choice(name, value, (*allowed, "module:function"))


def check_integer(name: str, value: object, least: int) -> None:
    """Refuse what is not an integer of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} is {value!r}; it must be an integer of at least {least}.")


def check_settings(task: Any) -> None:
    """Refuse settings out of range, of a task or of its written form."""
    for name in ("batch_size", "checkpoints_per_epoch"):
        check_integer(name, getattr(task, name), 1)
    if task.extra_burn_in_step not in (0, 1):
        raise InputError(f"extra_burn_in_step is {task.extra_burn_in_step!r}; allowed: 0, 1.")


@dataclass(frozen=True)
class TaskConfig:
    """Name a task: all that decides its runs beside method, d and seeds.

    Args:
        dataset: One of ``datasets.NAMES``, or "module:function"; see ``datasets.load``.
        network: One of ``networks.NAMES``, or "module:function"; see ``networks.paper_network``.
        pooling: "max" (the paper's text) or "average" (its released code).
        train_size: Examples of a stratified training subset; None for all of them.
        test_size: The same for the test set.
        epochs: Passes over the training set; None for the paper's Table 2.
        batch_size: Examples per step; the paper uses 128. A last smaller batch is used too.
        checkpoints_per_epoch: Evaluations on the whole training and test sets per epoch.
        optimizer: The optimizer inside the subspace, or of the full baseline.
        burn_in_optimizer: The optimizer of full-space training up to step t.
        extra_burn_in_step: 1 reproduces the released code, which makes t + 1 updates; 0 makes t.
        objective: One of ``objectives.NAMES``, or "module:name".
        linearized_at: The network is replaced by its linearization around the weights after so
            many steps of full training (paper, A.1 and Fig. 9); None for the network itself.
        solver: "descent", or "exact": the minimum in the subspace by convex optimization, of a
            linearized network.

    Raises:
        InputError: If a value is not allowed.

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

    def __post_init__(self):
        check_name("dataset", self.dataset, DATASETS)
        check_name("network", self.network, NETWORKS)
        check_name("objective", self.objective, OBJECTIVES)
        check_choice("pooling", self.pooling, get_args(Pooling))
        check_choice("solver", self.solver, get_args(Solver))
        for name, least in (("train_size", 1), ("test_size", 1), ("linearized_at", 0)):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), least)
        if self.epochs is None:
            object.__setattr__(self, "epochs", default_epochs(self.dataset, self.network))
        check_integer("epochs", self.epochs, 1)
        check_settings(self)
        if self.solver == "exact" and self.linearized_at is None:
            raise InputError(
                "solver is 'exact', which needs a linearized network; give linearized_at."
            )
        if self.linearized_at is not None and self.objective != "classification":
            raise InputError(
                f"objective is {self.objective!r}; a linearized network's is 'classification'."
            )


def follow_convention(config: TaskConfig, convention: Convention) -> TaskConfig:
    """Set every option in which the paper's text and its released code differ.

    The default everywhere is "paper", because the text is the claim being tested; what the text
    leaves open (the burn-in optimizer, one initialization shared by all d) follows the code.

    Args:
        config: The task to adapt.
        convention: "paper" (max pooling, textbook Adam, t burn-in steps) or "released_code"
            (average pooling, Adam with constant bias correction, t + 1 burn-in steps).

    Raises:
        InputError: If the convention is unknown.

    >>> follow_convention(TaskConfig(), "released_code").pooling
    'average'
    """
    check_choice("convention", convention, get_args(Convention))
    released = convention == "released_code"
    correction = "constant" if released else "textbook"
    return replace(
        config,
        pooling="average" if released else "max",
        optimizer=replace(config.optimizer, bias_correction=correction),
        extra_burn_in_step=int(released),
    )


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["x_train", "y_train", "x_test", "y_test"],
    meta_fields=[],
)
@dataclass(frozen=True)
class DeviceData:
    """Hold a data set on the device: inputs (N, ...) and targets (N, ...) of both splits."""

    x_train: jax.Array
    y_train: jax.Array
    x_test: jax.Array
    y_test: jax.Array


def start_key(seed: int) -> jax.Array:
    """Derive the key of the initialization, the same for every method, d and t of a seed."""
    return run_key(seed, Role.INITIALIZATION)


@lru_cache(maxsize=1)
def put(data: Dataset) -> DeviceData:
    """Copy a data set to the default device, once; the last one is kept.

    >>> put(load("digits")).x_train.shape
    (1438, 8, 8, 1)
    """
    return DeviceData(*(jnp.asarray(getattr(data, f.name)) for f in fields(DeviceData)))


@lru_cache(maxsize=1)
def _load_part(
    name: str, train_size: int | None, test_size: int | None, data_dir: str | None
) -> Dataset:
    data = load(name, data_dir)
    return data if train_size is test_size is None else subset(data, train_size, test_size)


_SETTINGS = (
    "optimizer", "burn_in_optimizer", "epochs", "batch_size", "checkpoints_per_epoch",
    "extra_burn_in_step",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Task:
    """Bring together a network, data, an objective and how to train.

    Names or objects are taken; a task of names alone can be stored, see ``config``.

    Args:
        network: A ``Network``, a name, or anything that ``flatten`` takes.
        data: A ``Dataset`` or a name.
        objective: What is minimised and measured; classification by default.
        epochs: Passes over the training set. None for the paper's Table 2; for other data, as many
            as make 480 steps (as on the digits), at least 3.
        batch_size: Examples per step.
        checkpoints_per_epoch: Evaluations on the whole training and test sets per epoch.
        optimizer: Of theta: an ``OptimizerConfig`` or any optax transformation. None for the
            paper's Adam with learning rate 5e-2.
        burn_in_optimizer: Of full-space training up to step t. None for momentum SGD (0.9) with
            learning rate 5e-2, which the paper's text leaves open and its released code uses.
        extra_burn_in_step: 1 makes t + 1 updates, as the released code.
        convention: "paper", or "released_code": all in which that differs; ``follow_convention``.
        config: The written form, as ``make_task`` gives it; None where an object has no name.

    Raises:
        InputError: If the parts do not fit together.

    >>> task = Task("mlp", "digits", epochs=2)
    >>> task.network.D, task.steps
    (2410, 24)
    """

    network: Any
    data: Any
    objective: Any = classification
    _: KW_ONLY
    epochs: Any = None
    batch_size: int = 128
    checkpoints_per_epoch: int = 1
    optimizer: Any = None
    burn_in_optimizer: Any = None
    extra_burn_in_step: int = 0
    convention: Convention = "paper"
    config: TaskConfig | None = None
    _of: tuple = field(default=(), repr=False)  # what the names in config stand for

    def __post_init__(self):
        settle = partial(object.__setattr__, self)
        check_choice("convention", self.convention, get_args(Convention))
        released, names = self.convention == "released_code", self._names()
        usual = "average" if released else "max"
        pooling = self.config.pooling if self.config else usual
        settle("data", _as_dataset(self.data))
        settle("network", _as_network(self.network, self.data, pooling))
        given = self.objective
        settle("objective", given if isinstance(given, Objective) else objective(given))
        settle("optimizer", _as_optimizer(self.optimizer, released))
        settle("burn_in_optimizer", self.burn_in_optimizer or MOMENTUM)
        settle("extra_burn_in_step", 1 if released else self.extra_burn_in_step)
        check_settings(self)
        if self.epochs is None:
            settle("epochs", default_epochs(*names[:2]) if names else self._enough_epochs())
        check_integer("epochs", self.epochs, 1)
        settle("config", self._write(names, pooling))
        settle("_of", (self.data, self.network, self.objective))
        for optimizer in (self.optimizer, self.burn_in_optimizer):
            make_optimizer(optimizer)
        check_outputs(self.network, self.objective, self.data)

    def _names(self) -> tuple[str, ...] | None:
        """Give the names of data, network and objective if all have one."""
        goal = self.objective
        if isinstance(goal, Objective) and goal.name in OBJECTIVES:
            goal = goal.name if objective(goal.name) is goal else goal
        names = tuple(x for x in (self.data, self.network, goal) if isinstance(x, str))
        return names if len(names) == 3 else None

    def _write(self, names: tuple[str, ...] | None, pooling: Pooling) -> TaskConfig | None:
        """Write the task down, unless something in it has no name."""
        settings = {name: getattr(self, name) for name in _SETTINGS}
        if not all(isinstance(settings[name], OptimizerConfig) for name in _SETTINGS[:2]):
            return None
        if self.config is None:
            if names is None:
                return None
            data, network, goal = names
            return TaskConfig(data, network, pooling, objective=goal, **settings)
        now = (self.data, self.network, self.objective)
        same = all(a is b for a, b in zip(self._of, now, strict=False))
        return replace(self.config, **settings) if same else None

    def _enough_epochs(self) -> int:
        known = default_epochs(self.data.name, self.network.name)
        if self.data.name in DATASETS:
            return known
        return max(known, -(-DEFAULT_STEPS // self.steps_per_epoch))

    @property
    def arrays(self) -> DeviceData:
        """The data on the device."""
        return put(self.data)

    @property
    def steps_per_epoch(self) -> int:
        """Updates of an epoch."""
        return steps_per_epoch(len(self.data.y_train), self.batch_size)

    @property
    def steps(self) -> int:
        """Updates of a run."""
        return self.epochs * self.steps_per_epoch

    def initialization(self, seed: int) -> jax.Array:
        """Draw w0 (D,), the same for every method, d and t of a seed."""
        return self.network.init(start_key(seed))


def _as_dataset(data: Any) -> Dataset:
    if isinstance(data, str):
        return _load_part(data, None, None, None)
    if not isinstance(data, Dataset):
        raise InputError(
            f"data is {type(data).__name__}; give a name or a Dataset, such as "
            "Dataset.from_arrays makes."
        )
    return data


def _as_network(network: Any, data: Dataset, pooling: Pooling) -> Network:
    if isinstance(network, Network):
        return network
    if isinstance(network, str):
        shape, dtype = data.x_train.shape[1:], str(data.x_train.dtype)
        return paper_network(network, shape, data.num_classes, pooling, dtype=dtype)
    return flatten(network, data.x_train[:1])


def _as_optimizer(optimizer: Any, released: bool) -> Any:
    optimizer = optimizer or OptimizerConfig()
    if released and isinstance(optimizer, OptimizerConfig):
        return replace(optimizer, bias_correction="constant")
    return optimizer


def check_outputs(network: Network, goal: Objective, data: Dataset) -> None:
    """Make sure, by abstract evaluation, that the objective can use what the network gives.

    Raises:
        InputError: If a label has no logit, or shapes do not fit.
    """
    w = jax.ShapeDtypeStruct((network.D,), jnp.float32)
    example = jax.ShapeDtypeStruct((1, *data.x_train.shape[1:]), data.x_train.dtype)
    goal.check(jax.eval_shape(network.apply, w, example).shape, data)


@lru_cache(maxsize=4)
def make_task(config: TaskConfig, data_dir: str | None = None) -> Task:
    """Bring a written task to life; data and networks are shared between tasks that name the same.

    Args:
        data_dir: Folder of official data files; see ``datasets.load``.

    Raises:
        InputError: If the data cannot be had or are smaller than asked.

    >>> make_task(TaskConfig("digits", "mlp")).network.D
    2410
    """
    data = _load_part(config.dataset, config.train_size, config.test_size, data_dir)
    settings = {name: getattr(config, name) for name in _SETTINGS}
    return Task(config.network, data, config.objective, config=config, **settings)


def seeds_of(seeds: int | tuple[int, ...] | list[int] | np.ndarray) -> tuple[int, ...]:
    """Read seeds given as a count or as a list.

    >>> seeds_of(3)
    (0, 1, 2)
    """
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        check_integer("seeds", seeds, 1)
        return tuple(range(seeds))
    return tuple(int(seed) for seed in seeds)  # type: ignore[union-attr]  # a bool ends here too


__all__ = [
    "DIGITS_EPOCHS",
    "Convention",
    "DeviceData",
    "Optimizer",
    "Solver",
    "Task",
    "TaskConfig",
    "check_choice",
    "check_integer",
    "check_name",
    "default_epochs",
    "follow_convention",
    "make_task",
    "put",
    "seeds_of",
    "steps_per_epoch",
]
