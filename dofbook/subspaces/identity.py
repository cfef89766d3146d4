"""The full space as directions."""

from dataclasses import dataclass
from functools import partial

import jax


@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["D"])
@dataclass(frozen=True)
class Identity:
    """Stand for the full space: A is the identity of R^D.

    >>> Identity(3).d
    3
    """

    D: int

    @property
    def d(self) -> int:
        return self.D

    def lift(self, theta: jax.Array) -> jax.Array:
        return theta

    def project(self, g: jax.Array) -> jax.Array:
        return g
