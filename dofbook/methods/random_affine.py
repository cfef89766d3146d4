"""Random affine subspaces at w0, burn-in affine subspaces at w_t (paper, section 2)."""

from dataclasses import dataclass
from typing import ClassVar

from dofbook import checks, subspaces, training
from dofbook.keys import SEEDS, Role, run_key
from dofbook.methods.base import Method


@dataclass(frozen=True)
class RandomAffine(Method):
    """Lay w_t + span(A) with random directions A (paper, Eq. 2.2).

    Args:
        directions: Kind of random directions; ``subspaces.directions`` says what each costs.
        nested: Whether the directions of a seed at d are the first d of one sequence; otherwise
            every d has directions of its own, as in the paper. All t of one (seed, d) share A.
        directions_seed: Seed of the directions of all runs; None for that of each run.

    >>> from dofbook.training import Task
    >>> RandomAffine().subspace(Task("mlp", "digits"), seed=0, d=16).d
    16
    """

    directions: subspaces.Kind = "gaussian"
    nested: bool = False
    directions_seed: int | None = None

    name: ClassVar[str] = "affine"
    styles: ClassVar[dict[int, int]] = {0: 0, 4: 1, 8: 2, 16: 3}

    def validate(self) -> None:
        checks.integer_fields(self, 0, "directions_seed", most=SEEDS - 1)

    def subspace(self, task, seed, d):
        d = training.task.check_run(task, d)
        own = seed if self.directions_seed is None else self.directions_seed
        key = run_key(own, Role.DIRECTIONS, *(() if self.nested else (d,)))
        drawn = subspaces.directions(self.directions, key, d, task.network.D)
        return subspaces.AffineSubspace(self.offset(task, seed), drawn)

    def explicit_dimension(self, d):
        return super().explicit_dimension(d) if self.directions == "gaussian" else 0

    def directions_like(self, d, D):
        return subspaces.directions(self.directions, run_key(0, Role.DIRECTIONS), d, D)

    @classmethod
    def words(cls, t: int) -> str:
        return "burn-in affine" if t else "random affine"

    def written(self):
        content, defaults = super().written(), self.options()
        options = content.pop("options")  # left out at their defaults: hashes stand
        return content | {k: v for k, v in options.items() if v != defaults[k]}

    @classmethod
    def read(cls, content):
        names = content.keys() & (cls.options().keys() - {"nested"})
        content["options"] = {name: content.pop(name) for name in names}
        return super().read(content)
