"""Random keys derived from what a run *is*, never from when or beside what it runs.

Every random draw of a run comes from ``key(seed)`` folded with a role and, where the draw differs
between cells, with the numbers that distinguish them (``d``, the epoch, the row of A). Order,
batching and resumption therefore cannot change a result.
"""

from enum import IntEnum
from functools import reduce
from typing import TYPE_CHECKING

from dofbook import checks

if TYPE_CHECKING:
    import jax

SEEDS = 2**32
"""Number of different seeds: JAX takes a seed modulo this, so larger ones, refused, repeat runs."""


class Role(IntEnum):
    """Name every purpose a run draws random numbers for.

    The numbers are part of the seed policy: changing one changes published results.
    """

    INITIALIZATION = 0
    """w0: one initialization per seed, shared by all d and all burn-in times (as released code)."""
    BURN_IN_BATCHES = 1
    """Order of the batches in full-space training; w_4 lies on the trajectory that reaches w_16."""
    SUBSPACE_BATCHES = 2
    """Order of the batches when training inside the subspace; shared by all d of a seed."""
    DIRECTIONS = 3
    """The random directions A; a fresh draw for every d unless subspaces are nested."""


def run_key(seed: int, role: Role, *numbers: int) -> "jax.Array":
    """Derive the key of one purpose of one run; ``numbers``, such as d, distinguish draws.

    InputError unless the seed, where it is known, is a whole number from 0 to 2**32 - 1.

    >>> w0, A = (run_key(0, role) for role in (Role.INITIALIZATION, Role.DIRECTIONS))
    >>> bool(w0 == A)
    False
    """
    import jax
    from jax.core import Tracer

    if not isinstance(seed, Tracer):
        seed = checks.integer("seed", seed, 0, SEEDS - 1)
    return reduce(jax.random.fold_in, (int(role), *numbers), jax.random.key(seed))
