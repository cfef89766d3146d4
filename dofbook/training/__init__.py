"""What is trained and how: objectives, optimizers, tasks, and the one trainer.

- `config`: tasks and optimizers written down, without JAX; `task`: a task brought to life
- `objectives`: what is minimised and measured; `optimizers`: the paper's, or any of optax
- `loop`: the trainer; `batched`: many runs at once; `compiling`: compiler options
"""

from typing import TYPE_CHECKING

from dofbook import lazily
from dofbook.training.config import MOMENTUM, OptimizerConfig, TaskConfig

if TYPE_CHECKING:
    from dofbook.training.batched import Batching, train_runs
    from dofbook.training.loop import Trained, batches_key, burn_in, evaluate, fit, train
    from dofbook.training.objectives import Objective, classification, next_token, regression
    from dofbook.training.optimizers import Optimizer, make_optimizer
    from dofbook.training.task import DeviceData, Task, make_task, put, start_key

__all__ = [
    "MOMENTUM", "Batching", "DeviceData", "Objective", "Optimizer", "OptimizerConfig", "Task",
    "TaskConfig", "Trained", "batches_key", "burn_in", "classification", "evaluate", "fit",
    "make_optimizer", "make_task", "next_token", "put", "regression", "start_key", "train",
    "train_runs",
]  # fmt: skip

_NAMES = {
    "batched": ("Batching", "train_runs"),
    "loop": ("Trained", "batches_key", "burn_in", "evaluate", "fit", "train"),
    "objectives": ("Objective", "classification", "next_token", "regression"),
    "optimizers": ("Optimizer", "make_optimizer"),
    "task": ("DeviceData", "Task", "make_task", "put", "start_key"),
}
__getattr__, __dir__ = lazily(__name__, _NAMES)
