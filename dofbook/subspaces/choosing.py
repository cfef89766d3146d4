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
    """Draw random directions of a named kind; those of one key and D are nested in d.

    | kind | columns | memory, bytes | time of a product |
    |---|---|---|---|
    | gaussian | independent, uniform on the sphere | 4 d D | O(d D) |
    | sparse | sqrt(D) Gaussian entries, unit norm | 8 d sqrt(D) | O(d sqrt(D) + D) |
    | fastfood | nearly Gaussian, norm 1 in mean square | 16 D | O(D log D) |
    | hadamard | exactly orthonormal | 16 D | O(D log D) |

    Raises:
        InputError: If the kind is unknown, or d does not lie between 1 and D.

    >>> directions("sparse", jax.random.key(0), 2, 100).values.shape
    (2, 10)
    """
    if kind not in KINDS:
        raise InputError(f"the kind of directions is {kind!r}; allowed: {', '.join(KINDS)}.")
    return _BUILDERS[kind](key, d, D)
