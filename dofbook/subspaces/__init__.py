"""Affine subspaces w(theta) = offset + A theta of weight space: the one object of the package.

Directions are pytrees with two methods, ``lift`` (theta -> A theta) and ``project`` (g -> A^T g);
a method of the paper's Table 1 is a choice of offset and directions (see ``dofbook.methods``).

- `base`: what every kind of directions offers; `affine`: the subspace itself
- `dense`, `sparse`: explicit columns, O(d D) and O(d nnz) memory
- `hadamard`, `fastfood`: structured columns, O(D) memory and O(D log D) time at any d
- `axis_aligned`, `identity`: some coordinates, and all of them
- `choosing`: random directions by the name of their kind
"""

from dofbook.subspaces.affine import AffineSubspace
from dofbook.subspaces.axis_aligned import AxisAligned, axis_aligned
from dofbook.subspaces.base import Directions, check_dimension
from dofbook.subspaces.choosing import KINDS, Kind, directions
from dofbook.subspaces.dense import Dense, gaussian
from dofbook.subspaces.fastfood import Fastfood, fastfood
from dofbook.subspaces.hadamard import Hadamard, hadamard
from dofbook.subspaces.identity import Identity
from dofbook.subspaces.sparse import Sparse, sparse

__all__ = [
    "KINDS",
    "AffineSubspace",
    "AxisAligned",
    "Dense",
    "Directions",
    "Fastfood",
    "Hadamard",
    "Identity",
    "Kind",
    "Sparse",
    "axis_aligned",
    "check_dimension",
    "directions",
    "fastfood",
    "gaussian",
    "hadamard",
    "sparse",
]
