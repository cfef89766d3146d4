"""Random weight pruning at w0 or at w_t."""

from dataclasses import dataclass
from typing import ClassVar

from dofbook import training
from dofbook.keys import Role, run_key
from dofbook.methods.pruning import Pruned, Retraining, keep_random, masked


@dataclass(frozen=True)
class RandomPruning(Pruned):
    """Keep d random weights, training from their value in w_t; the others are zero.

    Args:
        nested: Whether the weights kept at d are among those kept at any larger d; otherwise every
            d has a draw of its own.

    >>> from dofbook.training import Task
    >>> RandomPruning().subspace(Task("mlp", "digits"), seed=0, d=100).d
    100
    """

    nested: bool = False
    retraining: Retraining = "common"

    name: ClassVar[str] = "random_pruning"
    styles: ClassVar[dict[int, int]] = {0: 6}
    _constant: ClassVar = {  # the first edition wrote the options of tickets here too
        "criterion": "random", "training_epochs": 2, "iterations": 1, "weight_decay": 1e-4,
    }  # fmt: skip

    def subspace(self, task, seed, d):
        d = training.task.check_run(task, d)
        key = run_key(seed, Role.DIRECTIONS, *(() if self.nested else (d,)))
        kept = keep_random(key, d, task.network.D)
        return masked(self.offset(task, seed), kept)
