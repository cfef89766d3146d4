"""Random directions by the name of their kind."""

from typing import Literal, get_args

import jax

from dofbook.errors import InputError
from dofbook.subspaces.base import Directions
from dofbook.subspaces.dense import gaussian
from dofbook.subspaces.fastfood import fastfood
from dofbook.subspaces.hadamard import hadamard
from dofbook.subspaces.sparse import sparse

Kind = Literal["gaussian", "sparse", "fastfood", "hadamard"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BUILDERS = {"gaussian": gaussian, "sparse": sparse, "fastfood": fastfood, "hadamard": hadamard}


def directions(kind: Kind, key: jax.Array, d: int, D: int) -> Directions:
    """Draw random directions of a named kind.

    | kind | columns | memory, bytes | time of a product |
    |---|---|---|---|
    | gaussian | independent, uniform on the sphere | 4 d D | O(d D) |
    | sparse | sqrt(D) Gaussian entries, unit norm | 8 d sqrt(D) | O(d sqrt(D) + D) |
    | fastfood | nearly Gaussian, norm 1 in mean square | 16 D | O(D log D) |
    | hadamard | exactly orthonormal | 16 D | O(D log D) |

    Args:
        kind: One of ``KINDS``.
        key: Random key; for the same key and D the subspaces of a kind are nested in d.
        d: Training dimension, 1 <= d <= D.
        D: Number of parameters.

    Returns:
        The directions.

    Raises:
        InputError: If the kind is unknown, or d does not lie between 1 and D.
    """
    if kind not in KINDS:
        raise InputError(f"the kind of directions is {kind!r}; allowed: {', '.join(KINDS)}.")
    return _BUILDERS[kind](key, d, D)
