"""Which coordinates of the weights are kept: what lottery tickets and random pruning share.

Pruned weights are zero, not frozen: the offset is the masked weights and A selects the kept ones.
"""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from dofbook import subspaces, training
from dofbook.errors import InputError
from dofbook.methods.base import Method

if TYPE_CHECKING:
    import jax

    from dofbook.networks import Layer

Retraining = Literal["common", "released_code"]


class Pruned(Method):
    """Share what pruned networks have in common; not a method by itself.

    Args:
        retraining: By the "common" optimizer of all methods, or by momentum SGD with the stepped
            rate of the paper's "released_code".

    >>> from dofbook.methods import LotteryTicket
    >>> isinstance(LotteryTicket(), Pruned)
    True
    """

    retraining: Retraining
    extra_columns: ClassVar = {"collapsed": str}
    _group = "pruning"
    _renamed: ClassVar = {"pruning_epochs": "training_epochs", "retraining": "schedule"}

    def optimizer(self, task):
        """Choose the task's, or momentum SGD at rate 0.1 with the released code's steps."""
        if self.retraining == "common":
            return task.optimizer
        return training.OptimizerConfig("momentum", learning_rate=0.1, schedule="released_code")

    def columns(self, task, subspace) -> dict[str, object]:
        """Name the kernels that kept nothing, joined by blanks."""
        directions: Any = subspace.directions
        counts = count_kept(np.asarray(directions.indices), task.network.layers)
        return {"collapsed": " ".join(count.name for count in counts if count.collapsed)}

    def explicit_dimension(self, d):
        return 0

    def directions_like(self, d, D):
        return subspaces.axis_aligned(np.arange(d), D)


class KeptCount(NamedTuple):
    """Count what pruning left of a parameter array.

    ``collapsed`` is a layer's kernel, of two axes or more, that kept nothing: then nothing passes,
    except by a shortcut around the layer.

    >>> from dofbook.networks import Layer
    >>> count_kept(np.array([3]), [Layer("a", (1, 2), 0, 2), Layer("b", (2,), 2, 4)])[0].collapsed
    True
    """

    name: str
    size: int
    kept: int
    collapsed: bool


def count_kept(kept: np.ndarray, layers: "Sequence[Layer]") -> tuple[KeptCount, ...]:
    """Report what pruning left of each parameter array, in order, by the coordinates kept (d,).

    >>> from dofbook.networks import Layer
    >>> count_kept(np.array([0, 7]), [Layer("a", (2, 3), 0, 6), Layer("b", (2,), 6, 8)])[1]
    KeptCount(name='b', size=2, kept=1, collapsed=False)
    """
    edges = [layer.start for layer in layers] + [layers[-1].stop]
    counts = np.diff(np.searchsorted(np.sort(kept), edges))
    return tuple(
        KeptCount(layer.name, prod(layer.shape), int(n), bool(n == 0 and len(layer.shape) > 1))
        for layer, n in zip(layers, counts, strict=True)
    )


def keep_largest(w: np.ndarray, count: int, among: np.ndarray | None = None) -> np.ndarray:
    """Choose the ``count`` coordinates of largest magnitude in w (D,), ascending.

    ``among`` are the candidates, ascending, all by default; InputError if there are not so many.
    Of equal magnitudes the first in the flat order are kept; NaN is pruned first.

    >>> keep_largest(np.array([0.1, -3.0, 2.0]), 2)
    array([1, 2])
    """
    candidates = np.arange(len(w)) if among is None else np.asarray(among)
    if not 1 <= count <= len(candidates):
        allowed = f"between 1 and {len(candidates)}"
        raise InputError(f"{count} coordinates are to be kept; the number must lie {allowed}.")
    order = np.argsort(-np.abs(np.asarray(w))[candidates], kind="stable")
    return np.sort(candidates[order[:count]])


def keep_random(key: "jax.Array", count: int, D: int) -> np.ndarray:
    """Choose coordinates uniformly at random, ascending; with one key, fewer lie among more.

    >>> import jax
    >>> len(keep_random(jax.random.key(0), 3, 10))
    3
    """
    import jax

    count = subspaces.check_dimension(count, D)
    return np.sort(np.asarray(jax.random.permutation(key, D))[:count])


def keep_schedule(D: int, d: int, iterations: int) -> tuple[int, ...]:
    """Divide pruning from D to d into rounds that keep the same fraction each, up to rounding.

    >>> keep_schedule(1000, 1, 3)
    (100, 10, 1)
    """
    return tuple(round(D * (d / D) ** (i / iterations)) for i in range(1, iterations)) + (d,)


def masked(w: "jax.Array", kept: np.ndarray) -> "subspaces.AffineSubspace":
    """Build the subspace of a pruned network: kept coordinates train, the others are zero.

    >>> import jax.numpy as jnp
    >>> masked(jnp.array([1.0, 2.0, 3.0]), np.array([0, 2])).offset
    Array([1., 0., 3.], dtype=float32)
    """
    directions = subspaces.axis_aligned(kept, len(w))
    return subspaces.AffineSubspace(directions.lift(directions.project(w)), directions)
