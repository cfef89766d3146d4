"""How many bits describe a network trained in a random subspace, and what they say of its error.

Seed, d and θ rebuild the weights, so a code for θ is one for the network. One of few bits that fits
the training set is no accident: Occam's bound (Blumer et al. 1987; Lotfi et al. 2022).
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import gammaln, rel_entr

from dofbook import checks
from dofbook.errors import InputError
from dofbook.subspaces import AffineSubspace
from dofbook.training import Task, evaluate

_SEED_BITS, _LEVEL_BITS = 64, 16


def integer_bits(value: int) -> int:
    """Count the bits of a whole number from 1 in Elias's gamma code, which needs no known end.

    >>> [integer_bits(n) for n in (1, 2, 3, 4)]
    [1, 3, 3, 5]
    """
    return 2 * checks.integer("value", value, least=1).bit_length() - 1


def sequence_bits(symbols: ArrayLike, kinds: int) -> float:
    """Count the bits of a sequence (d,) of symbols 0 … kinds - 1 in an adaptive arithmetic code.

    Each symbol is coded by Laplace's rule from those before it: no frequencies are sent. The coder
    rounds the whole up by at most two bits, which are counted.

    >>> round(sequence_bits([0, 0, 1, 0], kinds=2), 6)  # log2(5 · 4) + 2
    6.321928
    """
    kinds = checks.integer("kinds", kinds, least=1)
    counts = np.bincount(checks.integers("symbols", symbols, 0, kinds - 1).ravel(), minlength=kinds)
    nats = gammaln(counts.sum() + kinds) - gammaln(kinds) - gammaln(counts + 1).sum()
    return float(nats / math.log(2)) + 2


def error_bound(error: float, examples: int, bits: float, confidence: float = 0.95) -> float:
    """Bound the expected error of a network of so many bits, found on independent ``examples``.

    The largest p with kl(error, p) <= (bits ln 2 - ln(1 - confidence)) / examples, kl being the
    relative entropy of two coins: Chernoff's bound for each network, and a union over all by their
    code lengths. It holds, with this confidence, for all networks of a code fixed beforehand.

    >>> round(error_bound(0.0, 1000, bits=100), 3)  # 1 - exp(-0.0723...)
    0.07
    """
    q, chance = checks.real("error", error, 0, 1), checks.probability("confidence", confidence)
    nats = checks.real("bits", bits, 0) * math.log(2) - math.log1p(-chance)
    budget = nats / checks.integer("examples", examples, least=1)

    def excess(p: float) -> float:
        return float(rel_entr(q, p) + rel_entr(1 - q, 1 - p)) - budget

    almost_one = float(np.nextafter(1, 0))
    return 1.0 if q == 1 or excess(almost_one) <= 0 else float(brentq(excess, q, almost_one))


@dataclass(frozen=True)
class Description:
    """Hold a code of a trained network, θ as ``symbols`` (d,) of few ``levels``, and its errors.

    >>> Description(np.array([0, 1, 1]), np.array([-1, 1], np.float16), 0.1, 0.2, 100).theta
    array([-1.,  1.,  1.], dtype=float32)
    """

    symbols: np.ndarray
    levels: np.ndarray
    error: float
    test_error: float
    examples: int

    @property
    def theta(self) -> np.ndarray:
        """The decoded θ, (d,) float32."""
        return self.levels.astype(np.float32)[self.symbols]

    @property
    def bits(self) -> float:
        """Bits of the seed, d, the number of levels, the levels in half precision, and θ."""
        head = _SEED_BITS + integer_bits(len(self.symbols)) + integer_bits(len(self.levels))
        return head + _LEVEL_BITS * len(self.levels) + sequence_bits(self.symbols, len(self.levels))

    def bound(self, confidence: float = 0.95) -> float:
        """Bound the test error, see ``error_bound``."""
        return error_bound(self.error, self.examples, self.bits, confidence)


def describe(
    task: Task, subspace: AffineSubspace, theta: ArrayLike, levels: int = 8
) -> Description:
    """Round θ (d,) to a few levels by k-means, and measure the network that is left.

    The bound speaks of the error on new images only where nothing but θ was fitted to the training
    set: offset and directions come from a seed (t = 0). One code covers every number of levels.

    >>> from dofbook.methods import RandomAffine
    >>> task = Task("mlp", "digits", epochs=1)
    >>> found = describe(task, RandomAffine().subspace(task, 0, 16), np.linspace(-1, 1, 16), 2)
    >>> found.levels, found.theta[0]
    (array([-0.533,  0.533], dtype=float16), np.float32(-0.5332031))
    """
    from sklearn.cluster import KMeans

    names = list(task.objective.metric_names)
    if "train_accuracy" not in names:
        raise InputError("the bound is on the error of a classifier; this task has no accuracy.")
    values = checks.finite("theta", theta, (subspace.d,))
    count = min(checks.integer("levels", levels, least=1), len(np.unique(values)))
    found = KMeans(count, random_state=0, n_init=4).fit(values[:, None])
    order = np.argsort(found.cluster_centers_[:, 0])
    centres = found.cluster_centers_[order, 0].astype(np.float16)
    symbols = np.argsort(order)[found.labels_]
    rounded = jnp.asarray(centres.astype(np.float32)[symbols])
    measured = evaluate(task, subspace.point(rounded))
    splits = ("train", "test")
    error, test = (1 - float(measured[names.index(f"{split}_accuracy")]) for split in splits)
    return Description(symbols, centres, error, test, len(task.data.y_train))
