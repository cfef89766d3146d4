"""Random affine subspaces at w0, burn-in affine subspaces at w_t (paper, section 2)."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from dofbook.errors import InputError
from dofbook.methods.base import Method, _at_shape

Directions = Literal["gaussian", "sparse", "fastfood", "hadamard"]


@dataclass(frozen=True)
class RandomAffine(Method):
    """Lay w_t + span(A) with random directions A (paper, Eq. 2.2).

    Args:
        directions: Kind of random directions, see ``subspaces.directions``; all but "gaussian"
            cost O(D log D) or less at any d.
        nested: Whether the directions of a seed at d are the first d of one sequence; otherwise
            every d has directions of its own, as in the paper. All t of one (seed, d) share A.

    >>> from dofbook.training import Task
    >>> RandomAffine().subspace(Task("mlp", "digits"), seed=0, d=16).d
    16
    """

    directions: Directions = "gaussian"
    nested: bool = False

    name: ClassVar[str] = "affine"
    styles: ClassVar[dict[int, int]] = {0: 0, 4: 1, 8: 2, 16: 3}

    def validate(self) -> None:
        if self.directions not in get_args(Directions):
            allowed = ", ".join(get_args(Directions))
            raise InputError(f"directions is {self.directions!r}; allowed: {allowed}.")
        if not isinstance(self.nested, bool):
            raise InputError(f"nested is {self.nested!r}; it must be true or false.")

    def subspace(self, task, seed, d):
        from dofbook import subspaces
        from dofbook.keys import Role, run_key

        key = run_key(seed, Role.DIRECTIONS, *(() if self.nested else (d,)))
        drawn = subspaces.directions(self.directions, key, d, task.network.D)
        return subspaces.AffineSubspace(self.offset(task, seed), drawn)

    def explicit_dimension(self, d):
        return (d or 0) if self.directions == "gaussian" else 0

    def shapes(self, d, D):
        import jax

        from dofbook import subspaces

        draw = lambda: subspaces.directions(self.directions, jax.random.key(0), d, D)  # noqa: E731
        return _at_shape(jax.eval_shape(draw), D)

    @classmethod
    def words(cls, t: int) -> str:
        return "burn-in affine" if t else "random affine"

    def written(self):
        structured = {} if self.directions == "gaussian" else {"directions": self.directions}
        plain = {"method": self.name, "burn_in_steps": self.t, "nested": self.nested}
        return plain | structured

    @classmethod
    def read(cls, content):
        given = {name: content.pop(name) for name in ("directions",) if name in content}
        return cls(content.pop("burn_in_steps"), nested=content.pop("nested"), **given)
