"""The full space around w0: the baseline."""

from dataclasses import dataclass
from typing import ClassVar

from dofbook import checks, subspaces, training
from dofbook.errors import InputError
from dofbook.methods.base import Method


@dataclass(frozen=True)
class FullSpace(Method):
    """Train all D weights from w0.

    >>> from dofbook.training import Task
    >>> FullSpace().subspace(Task("mlp", "digits"), seed=0).d
    2410
    """

    name: ClassVar[str] = "full"

    def validate(self) -> None:
        if self.t:
            raise InputError(f"burn_in_steps is {self.t}; full training starts at w0 (0).")

    def subspace(self, task, seed, d=None):
        D = checks.instance("task", task, training.Task).network.D
        directions = subspaces.Identity(D if d is None else checks.integer("d", d, D, D))
        return subspaces.AffineSubspace(task.initialization(seed), directions)

    def dims(self, dims):
        return (None,)

    def explicit_dimension(self, d):
        return 0

    def directions_like(self, d, D):
        return subspaces.Identity(D)
