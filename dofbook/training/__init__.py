"""What is trained and how: objectives, optimizers, tasks, and the one trainer.

- `objectives`: what is minimised and measured; `optimizers`: the paper's, or any of optax
- `task`: network, data and objective brought together
- `loop`: the trainer; `batched`: many runs at once; `compiling`: compiler options
"""

from dofbook.training.batched import Batching, train_runs
from dofbook.training.loop import Trained, batches_key, burn_in, evaluate, fit, train
from dofbook.training.objectives import Objective, classification, next_token, regression
from dofbook.training.optimizers import MOMENTUM, Optimizer, OptimizerConfig, make_optimizer
from dofbook.training.task import (
    DeviceData,
    Task,
    TaskConfig,
    make_task,
    put,
    start_key,
    steps_per_epoch,
)

__all__ = [
    "MOMENTUM",
    "Batching",
    "DeviceData",
    "Objective",
    "Optimizer",
    "OptimizerConfig",
    "Task",
    "TaskConfig",
    "Trained",
    "batches_key",
    "burn_in",
    "classification",
    "evaluate",
    "fit",
    "make_optimizer",
    "make_task",
    "next_token",
    "put",
    "regression",
    "start_key",
    "steps_per_epoch",
    "train",
    "train_runs",
]
