"""Lottery subspaces: the top directions of a full-training trajectory, without decomposing D x T.

The trajectory is stored at a spacing, T points of R^D. Its singular values and directions come from
the T x T Gram matrix, summed in float64 over blocks of coordinates (method of snapshots).
"""

from dataclasses import dataclass
from typing import Literal, get_args

from dofbook.errors import InputError

Basis = Literal["increments", "centred", "uncentred"]


@dataclass(frozen=True)
class LotteryConfig:
    """Say which trajectory is stored and which of its directions span the lottery subspace.

    Args:
        basis: What is decomposed. "increments": the steps between stored points, as the paper's
            released code. "centred": w_{0:T} less its mean, the principal components of the
            paper's text. "uncentred": w_t - w_0. All span the same space; truncated to d
            directions they differ greatly.
        spacing: Updates between stored points; 5 in the released code.
        steps: Updates of full training; None for as many as the training inside the subspace
            makes.
        extra_first_step: 1 reproduces the released code, whose first increment covers
            spacing + 1 updates; 0 makes all alike.

    Raises:
        InputError: If a value is not allowed.
    """

    basis: Basis = "increments"
    spacing: int = 5
    steps: int | None = None
    extra_first_step: int = 0

    def __post_init__(self):
        if self.basis not in get_args(Basis):
            raise InputError(f"basis is {self.basis!r}; allowed: {', '.join(get_args(Basis))}.")
        for name in ("spacing", "steps"):
            value = getattr(self, name)
            if name == "steps" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}; it must be an integer of at least 1.")
        if self.extra_first_step not in (0, 1):
            raise InputError(f"extra_first_step is {self.extra_first_step!r}; allowed: 0, 1.")
