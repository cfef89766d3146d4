"""What every kind of directions offers."""

from collections.abc import Callable
from typing import Protocol

import jax

from dofbook.errors import InputError


class Directions(Protocol):
    """Offer a linear map A from R^d to R^D and its transpose."""

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


def check_dimension(d: int, D: int) -> None:
    """Refuse a training dimension that does not lie between 1 and D.

    >>> check_dimension(3, 2)
    Traceback (most recent call last):
    dofbook.errors.InputError: d is 3; it must lie between 1 and D = 2.
    """
    if not 1 <= d <= D:
        raise InputError(f"d is {d}; it must lie between 1 and D = {D}.")


def transpose(lift: Callable[[jax.Array], jax.Array], d: int, g: jax.Array) -> jax.Array:
    """Apply the transpose of a linear map R^d -> R^D, given as a program, to g (D,)."""
    return jax.linear_transpose(lift, jax.ShapeDtypeStruct((d,), g.dtype))(g)[0]
