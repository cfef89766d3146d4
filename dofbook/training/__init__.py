"""What is trained and how: objectives, optimizers, tasks, and the one trainer."""

from typing import TYPE_CHECKING

from dofbook import lazily
from dofbook.training.config import Batching, OptimizerConfig, TaskConfig

if TYPE_CHECKING:
    from dofbook.training.batched import train_runs
    from dofbook.training.loop import batches_key, burn_in, evaluate, fit, train
    from dofbook.training.objectives import Objective, classification, next_token, regression
    from dofbook.training.optimizers import Optimizer, make_optimizer
    from dofbook.training.task import Task, make_task, start_key

__all__ = [
    "Batching", "Objective", "Optimizer", "OptimizerConfig", "Task", "TaskConfig", "batches_key",
    "burn_in", "classification", "evaluate", "fit", "make_optimizer", "make_task", "next_token",
    "regression", "start_key", "train", "train_runs",
]  # fmt: skip
__getattr__, __dir__ = lazily(__name__, {
    "batched": ("train_runs",),
    "loop": ("batches_key", "burn_in", "evaluate", "fit", "train"),
    "objectives": ("Objective", "classification", "next_token", "regression"),
    "optimizers": ("Optimizer", "make_optimizer"),
    "task": ("Task", "make_task", "start_key"),
})  # fmt: skip
