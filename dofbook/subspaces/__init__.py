"""Affine subspaces w(theta) = offset + A theta of weight space: the one object of the package.

Directions are pytrees with two methods, ``lift`` (theta -> A theta) and ``project`` (g -> A^T g);
a method of the paper's Table 1 is a choice of offset and directions (see ``dofbook.methods``).
"""

from typing import TYPE_CHECKING, Literal, get_args

from dofbook import checks, lazily

if TYPE_CHECKING:
    import jax

    from dofbook.subspaces.affine import AffineSubspace as AffineSubspace, Directions as Directions

__getattr__, __dir__ = lazily(__name__, {
    "affine": ("AffineSubspace", "Directions", "check_dimension"),
    "explicit": ("AxisAligned", "Dense", "Identity", "Sparse", "axis_aligned", "gaussian",
                 "sparse"),
    "structured": ("Fastfood", "Hadamard", "fastfood", "hadamard"),
})  # fmt: skip

Kind = Literal["gaussian", "sparse", "fastfood", "hadamard"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def directions(kind: Kind, key: "jax.Array", d: int, D: int) -> "Directions":
    """Draw random directions of a named kind, 1 <= d <= D; those of one key and D are nested in d.

    - "gaussian" columns: uniform on the sphere; 4 d D bytes, a product in time O(d D)
    - "sparse": sqrt(D) Gaussian entries, unit norm; 8 d sqrt(D) bytes, O(d sqrt(D) + D)
    - "fastfood": nearly Gaussian, norm 1 in mean square; 16 D bytes, O(D log D)
    - "hadamard": exactly orthonormal; 16 D bytes, O(D log D)

    >>> import jax
    >>> directions("sparse", jax.random.key(0), 2, 100).values.shape
    (2, 10)
    """
    return __getattr__(checks.choice("the kind of directions", kind, KINDS))(key, d, D)
