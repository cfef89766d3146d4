"""What every kind of directions offers."""

from collections.abc import Callable
from typing import Protocol

import jax

from dofbook.errors import InputError


class Directions(Protocol):
    """What every kind of directions offers: a linear map A from R^d to R^D and its transpose."""

    @property
    def d(self) -> int:
        """Training dimension."""

    def lift(self, theta: jax.Array) -> jax.Array:
        """Map theta (d,) to A theta (D,)."""

    def project(self, g: jax.Array) -> jax.Array:
        """Map g (D,) to A^T g (d,)."""


def check_dimension(d: int, D: int) -> None:
    """Refuse a training dimension that does not lie between 1 and D.

    Args:
        d: Training dimension.
        D: Number of parameters.

    Raises:
        InputError: If d is out of range.
    """
    if not 1 <= d <= D:
        raise InputError(f"d is {d}; it must lie between 1 and D = {D}.")


def transpose(lift: Callable[[jax.Array], jax.Array], d: int, g: jax.Array) -> jax.Array:
    """Apply the transpose of a linear map that is given as a program.

    Args:
        lift: The map theta -> A theta.
        d: Length of theta.
        g: (D,).

    Returns:
        A^T g, (d,).
    """
    return jax.linear_transpose(lift, jax.ShapeDtypeStruct((d,), g.dtype))(g)[0]
