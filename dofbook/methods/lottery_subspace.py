"""Lottery subspaces: the top directions of a full training (paper, section 4)."""

from dataclasses import dataclass
from typing import ClassVar

from dofbook import checks, subspaces, training
from dofbook.cache import Cache
from dofbook.errors import InputError
from dofbook.methods.base import Method
from dofbook.methods.trajectories import Basis, Spectrum, record, spectrum, stored_steps

_SPECTRA = Cache(2**31)


@dataclass(frozen=True)
class LotterySubspace(Method):
    """Lay w_t + span(U_d), U the top directions of the path from w0; nested in d.

    The path always starts at w0, whatever t.

    Args:
        basis: What is decomposed. "increments": the steps between stored points, as the paper's
            released code. "centred": w_{0:T} less its mean, the principal components of the
            paper's text. "uncentred": w_t - w0. All span the same space, but not their first d.
        spacing: Updates between stored points; 5 in the released code.
        trajectory_steps: Updates of full training; None for those inside the subspace.
        extra_first_step: 1 for a first increment of spacing + 1 updates, as in the released code.

    >>> from dofbook.training import Task
    >>> LotterySubspace(trajectory_steps=30).subspace(Task("mlp", "digits"), seed=0, d=4).d
    4
    """

    basis: Basis = "increments"
    spacing: int = 5
    trajectory_steps: int | None = None
    extra_first_step: int = 0

    name: ClassVar[str] = "lottery_subspace"
    styles: ClassVar[dict[int, int]] = {0: 4}
    released_code: ClassVar = {"extra_first_step": 1}
    _group = "lottery"
    _renamed: ClassVar = {"trajectory_steps": "steps"}

    def validate(self) -> None:
        checks.integer_fields(self, 1, "spacing", "trajectory_steps")
        checks.integer_fields(self, 0, "extra_first_step", most=1)

    def points(self, steps: int):
        """List the updates after which the path of a training of so many is stored, (T,)."""
        return stored_steps(self.trajectory_steps or steps, self.spacing, self.extra_first_step)

    def spectrum(self, task: "training.Task", seed: int) -> Spectrum:
        """Train, store and decompose; kept and shared, so that one path serves all d of a seed."""
        stored = self.points(task.steps)
        return _SPECTRA.get(
            (task.network, task.objective, task.data),
            (seed, self.basis, tuple(stored.tolist()), task.batch_size, task.burn_in_optimizer),
            lambda: spectrum(record(task, seed, stored), self.basis),
            lambda found: found.rows.nbytes,
        )

    def subspace(self, task, seed, d):
        import jax.numpy as jnp

        d = training.task.check_run(task, d)
        offset = self.offset(task, seed)
        rows = self.spectrum(task, seed).rows
        if d > len(rows):
            steps = self.trajectory_steps or task.steps
            raise InputError(
                f"d is {d}, but {steps} steps of training stored every {self.spacing} span only "
                f"{len(rows)} directions; take a smaller d, more steps or a smaller spacing."
            )
        directions = subspaces.Dense(jnp.asarray(rows[:d]))
        return subspaces.AffineSubspace(offset, directions)

    def check(self, task, d):
        super().check(task, d)
        points = len(self.points(task.steps))
        if d is not None and d > points:
            raise InputError(
                f"d is {d}, but a trajectory of {self.trajectory_steps or task.steps} steps, "
                f"stored every {self.spacing}, spans at most {points} directions."
            )

    def as_nested(self):
        return self

    def epochs_before(self, epochs):
        return epochs
