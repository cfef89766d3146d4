"""A task: network, data, objective and how to train, brought together."""

import operator
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dofbook import checks
from dofbook.datasets import DATASET_NAMES, Dataset, load, subset
from dofbook.errors import InputError
from dofbook.keys import SEEDS, Role, run_key
from dofbook.networks import Network, Pooling, flatten, paper_network
from dofbook.references import found_now
from dofbook.subspaces import check_dimension
from dofbook.training import config as written
from dofbook.training.config import MOMENTUM, OBJECTIVES, Convention, OptimizerConfig, TaskConfig
from dofbook.training.objectives import Objective, classification, objective
from dofbook.training.optimizers import make_optimizer


class DeviceData(NamedTuple):
    """Hold a data set on the device: inputs (N, ...) and targets (N, ...) of both splits.

    >>> Task("mlp", "digits").arrays.y_test.shape
    (359,)
    """

    x_train: jax.Array
    y_train: jax.Array
    x_test: jax.Array
    y_test: jax.Array


def start_key(seed: int) -> jax.Array:
    """Derive the key of the initialization, the same for every method, d and t of a seed.

    >>> bool(start_key(0) == start_key(1))
    False
    """
    return run_key(seed, Role.INITIALIZATION)


@lru_cache(maxsize=1)
def put(data: Dataset) -> DeviceData:
    """Copy a data set to the default device, once; the last one is kept.

    >>> put(load("digits")).x_train.shape
    (1438, 8, 8, 1)
    """
    return DeviceData(*map(jnp.asarray, (data.x_train, data.y_train, data.x_test, data.y_test)))


def _load_part(name: str, train_size, test_size, data_dir: str | None) -> Dataset:
    return _loaded(name, train_size, test_size, data_dir, found_now(name))


@lru_cache(maxsize=1)
def _loaded(name: str, train_size, test_size, data_dir: str | None, _) -> Dataset:
    return subset(load(name, data_dir), train_size, test_size)


_SETTINGS = ("optimizer", "burn_in_optimizer", "epochs", "batch_size", "checkpoints_per_epoch",
             "extra_burn_in_step")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Task:
    """Bring together a network, data, an objective and how to train.

    Network, data and objective are names or objects (a network: anything that ``flatten`` takes); a
    task of names alone has a written form, ``config``, and can be stored.

    ``epochs`` None is the paper's Table 2; for other data, as many as make 480 steps, at least 3
    (a sweep described by options reads no data: there it is 3).
    ``checkpoints_per_epoch`` counts evaluations on both whole sets. ``optimizer``, of theta, is an
    ``OptimizerConfig`` or any optax transformation; None is the paper's Adam with learning rate
    5e-2. ``burn_in_optimizer``, of full-space training up to step t, is by default ``MOMENTUM``.
    ``extra_burn_in_step`` 1 makes t + 1 updates, as the released code; ``convention``
    "released_code" sets all of these in which that differs, ``training.config.CONVENTIONS``; the
    options of methods in which it does are set by ``make_sweep``.

    Raises InputError if the parts do not fit together.

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
        checks.choice("convention", self.convention, written.CONVENTIONS)
        pooling, correction, extra = written.CONVENTIONS[self.convention]
        if self.config is not None:
            checks.instance("config", self.config, TaskConfig)
            if self.convention != "paper" and pooling != self.config.pooling:
                raise InputError("convention decides the network's pooling; make the task with it.")
        pooling, names = self.config.pooling if self.config else pooling, self._names()
        if isinstance(self.data, str):
            settle("data", _load_part(self.data, None, None, None))
        if not isinstance(self.data, Dataset):
            wanted = "give a name or a Dataset, such as Dataset.from_arrays makes"
            raise InputError(f"data is {type(self.data).__name__}; {wanted}.")
        settle("network", _as_network(self.network, self.data, pooling))
        if not isinstance(self.objective, Objective):
            settle("objective", objective(self.objective))
        settle("optimizer", OptimizerConfig() if self.optimizer is None else self.optimizer)
        if self.convention != "paper" and isinstance(self.optimizer, OptimizerConfig):
            settle("optimizer", replace(self.optimizer, bias_correction=correction))
        first = self.burn_in_optimizer
        settle("burn_in_optimizer", MOMENTUM if first is None else first)
        settle("extra_burn_in_step", extra or self.extra_burn_in_step)
        written.check_settings(self)
        if self.epochs is None:
            settle("epochs", self._enough_epochs())
        checks.integer_fields(self, 1, "epochs")
        settle("config", self._write(names, pooling))
        settle("_of", (self.data, self.network, self.objective))
        for optimizer in (self.optimizer, self.burn_in_optimizer):
            make_optimizer(optimizer)
        w = jax.ShapeDtypeStruct((self.network.D,), jnp.float32)
        example = jax.ShapeDtypeStruct((1, *self.data.input_shape), self.data.x_train.dtype)
        self.objective.check(jax.eval_shape(self.network.apply, w, example).shape, self.data)

    def __repr__(self) -> str:
        what = f"{self.network.name!r}, {self.data.name!r}, {self.objective.name!r}"
        return f"Task({what}, epochs={self.epochs}, batch_size={self.batch_size})"

    def _names(self) -> tuple[Any, ...] | None:
        """Give the names of data, network and objective if all have one."""
        known = [name for name in OBJECTIVES if objective(name) is self.objective]
        names = self.data, self.network, *(known or [self.objective])
        return names if all(isinstance(name, str) for name in names) else None

    def _write(self, names: tuple[Any, ...] | None, pooling: Pooling) -> TaskConfig | None:
        """Write the task down, unless something in it has no name."""
        settings = {name: getattr(self, name) for name in _SETTINGS}
        if not all(isinstance(settings[name], OptimizerConfig) for name in _SETTINGS[:2]):
            return None
        if self.config is None:
            if names is None:
                return None
            data, network, goal = names
            return TaskConfig(data, network, pooling, objective=goal, **settings)
        same = all(map(operator.is_, self._of, (self.data, self.network, self.objective)))
        return replace(self.config, **settings) if same else None

    def _enough_epochs(self) -> int:
        known = written.default_epochs(self.data.name, self.network.name)
        enough = -(-written.DEFAULT_STEPS // self.steps_per_epoch)
        return known if self.data.name in DATASET_NAMES else max(known, enough)

    @property
    def arrays(self) -> DeviceData:
        """The data on the device."""
        return put(self.data)

    @property
    def steps_per_epoch(self) -> int:
        """Updates of an epoch, that of a last smaller batch included."""
        return -(-len(self.data.y_train) // self.batch_size)

    @property
    def steps(self) -> int:
        """Updates of a run."""
        return self.epochs * self.steps_per_epoch

    def initialization(self, seed: int) -> jax.Array:
        """Draw w0 (D,), the same for every method, d and t of a seed."""
        return self.network.init(start_key(seed))


def _as_network(network: Any, data: Dataset, pooling: Pooling) -> Network:
    if isinstance(network, Network):
        return network
    if isinstance(network, str):
        dtype = str(data.x_train.dtype)
        return paper_network(network, data.input_shape, data.num_classes, pooling, dtype=dtype)
    return flatten(network, data.x_train[:1])


def make_task(config: TaskConfig, data_dir: str | None = None) -> Task:
    """Bring a written task to life; equal data and networks are shared between tasks.

    Raises InputError if the data cannot be had (``datasets.load``) or are smaller than asked.

    >>> make_task(TaskConfig("digits", "mlp")).network.D
    2410
    """
    checks.instance("config", config, TaskConfig)
    checks.path("data_dir", data_dir)
    now = found_now(config.dataset, config.network, config.objective)
    return _made(config, data_dir, now)


@lru_cache(maxsize=4)
def _made(config: TaskConfig, data_dir: str | None, _) -> Task:
    data = _load_part(config.dataset, config.train_size, config.test_size, data_dir)
    settings = {name: getattr(config, name) for name in _SETTINGS}
    return Task(config.network, data, config.objective, config=config, **settings)


def check_run(task: Task, d: int) -> int:
    """Require a task, and a number of dimensions that it has.

    >>> check_run(Task("mlp", "digits"), 64)
    64
    """
    return check_dimension(d, checks.instance("task", task, Task).network.D)


def seeds_of(seeds: int | Sequence[int] | np.ndarray) -> tuple[int, ...]:
    """Read seeds given as a count or as a list.

    >>> seeds_of(3)
    (0, 1, 2)
    """
    if np.ndim(seeds) == 0:
        return tuple(range(checks.integer("seeds", seeds, 1, 10**6)))
    return tuple(checks.integers("seeds", seeds, 0, SEEDS - 1).tolist())
