"""The affine subspace of weight space that everything trains in, and what its directions offer."""

from dataclasses import dataclass
from typing import Protocol

import jax

from dofbook import checks
from dofbook.errors import InputError
from dofbook.references import own_code


class Directions(Protocol):
    """Offer a linear map A from R^d to R^D and its transpose.

    >>> from dofbook.subspaces import axis_aligned
    >>> axis_aligned([2], 3).project(jax.numpy.arange(3.0))
    Array([2.], dtype=float32)
    """

    @property
    def d(self) -> int:
        """Training dimension."""
        ...

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to A theta (D,)."""
        ...

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (D,) to A^T g (d,)."""
        ...


_lift = jax.jit(lambda A, theta: A.lift(theta))  # traced once for directions of a shape


@dataclass(frozen=True)
class AffineSubspace:
    """Hold the affine subspace {offset + A theta} (paper, Eq. 2.2).

    ``offset`` (D,) is the point of theta = 0: w0, or w_t after burn-in; ``directions`` is A.

    >>> from dofbook.subspaces import axis_aligned
    >>> AffineSubspace(jax.numpy.ones(3), axis_aligned([2], 3)).point(jax.numpy.array([5.0]))
    Array([1., 1., 6.], dtype=float32)
    """

    offset: jax.Array
    directions: Directions

    def __post_init__(self):
        A = self.directions
        if not all(hasattr(A, part) for part in ("d", "lift", "project")):
            wanted = "it must offer d, lift and project, as those of dofbook.subspaces"
            raise InputError(f"directions is {A!r:.80}; {wanted}.")
        advice = "register their class, as with jax.tree_util.register_dataclass"
        with own_code("directions", (("abstract array", advice),)):
            lifted = jax.eval_shape(_lift, A, jax.ShapeDtypeStruct((A.d,), "float32"))
        checks.floats("offset", self.offset, lifted.shape)

    @property
    def d(self) -> int:
        """Training dimension."""
        return self.directions.d

    @property
    def D(self) -> int:
        """Number of parameters."""
        return self.offset.shape[-1]

    def point(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to the weights w = offset + A theta, (D,)."""
        return self.offset + self.directions.lift(theta)


def _flat(subspace: AffineSubspace) -> tuple[tuple, None]:
    names = "offset", "directions"
    return tuple((jax.tree_util.GetAttrKey(n), getattr(subspace, n)) for n in names), None


def _bare(_, parts) -> AffineSubspace:
    """Make one without checks: JAX has trees of other things than arrays."""
    made = object.__new__(AffineSubspace)
    vars(made).update(zip(("offset", "directions"), parts, strict=True))
    return made


jax.tree_util.register_pytree_with_keys(AffineSubspace, _flat, _bare)


def check_dimension(d: int, D: int, name: str = "d") -> int:
    """Require a training dimension, or another number, to be a whole number from 1 to D.

    >>> check_dimension(3, 2)
    Traceback (most recent call last):
    dofbook.errors.InputError: d is 3; it must be a whole number from 1 to 2.
    """
    return checks.integer(name, d, 1, checks.integer("D", D, 1))
