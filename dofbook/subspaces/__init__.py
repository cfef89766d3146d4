"""Affine subspaces w(theta) = offset + A theta of weight space: the one object of the package.

Directions are pytrees with two methods, ``lift`` (theta -> A theta) and ``project`` (g -> A^T g);
a method of the paper's Table 1 is a choice of offset and directions (see ``dofbook.methods``).

- `affine`: the subspace itself, and what every kind of directions offers
- `explicit`: dense or sparse columns, O(d D) and O(d nnz) memory
- `structured`: Hadamard and Fastfood, O(D) memory and O(D log D) time at any d
- `axis_aligned`: some coordinates, or all of them
"""

from typing import Literal, get_args

import jax

from dofbook import checks
from dofbook.subspaces.affine import AffineSubspace, Directions, check_dimension
from dofbook.subspaces.axis_aligned import AxisAligned, Identity, axis_aligned
from dofbook.subspaces.explicit import Dense, Sparse, gaussian, sparse
from dofbook.subspaces.structured import Fastfood, Hadamard, fastfood, hadamard

__all__ = [
    "KINDS", "AffineSubspace", "AxisAligned", "Dense", "Directions", "Fastfood", "Hadamard",
    "Identity", "Kind", "Sparse", "axis_aligned", "check_dimension", "directions", "fastfood",
    "gaussian", "hadamard", "sparse",
]  # fmt: skip

Kind = Literal["gaussian", "sparse", "fastfood", "hadamard"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_BUILDERS = dict(zip(KINDS, (gaussian, sparse, fastfood, hadamard), strict=True))


def directions(kind: Kind, key: jax.Array, d: int, D: int) -> Directions:
    """Draw random directions of a named kind, 1 <= d <= D; those of one key and D are nested in d.

    | kind | columns | memory, bytes | time of a product |
    |---|---|---|---|
    | gaussian | independent, uniform on the sphere | 4 d D | O(d D) |
    | sparse | sqrt(D) Gaussian entries, unit norm | 8 d sqrt(D) | O(d sqrt(D) + D) |
    | fastfood | nearly Gaussian, norm 1 in mean square | 16 D | O(D log D) |
    | hadamard | exactly orthonormal | 16 D | O(D log D) |

    >>> directions("sparse", jax.random.key(0), 2, 100).values.shape
    (2, 10)
    """
    return _BUILDERS[checks.choice("the kind of directions", kind, KINDS)](key, d, D)
