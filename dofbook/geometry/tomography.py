"""What observed successes say about the size of the set S that random subspaces through w0 hit."""

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.montecarlo import Estimate, mean_of


def dimension_from_hits(hits: ArrayLike, D: int) -> Estimate:
    """Estimate the statistical dimension of a convex set seen from w0: D + 1/2 - mean d_hit.

    `hits` holds the first successful dimension, from 1 to D, of two or more independent chains of
    nested subspaces from one w0; with one w0 per run the estimate is the average over
    initializations. Unbiased, by the conic kinematic formula: Amelunxen et al. (2014).

    >>> print(dimension_from_hits([70, 72, 71, 75], D=100))
    28.5 ± 1.1
    """
    D = checks.integer("D", D, 1)
    return mean_of(D + 0.5 - checks.integers("hits", hits, 1, D))


def width_lower_bound(d: ArrayLike, D: int, p: ArrayLike) -> np.ndarray:
    """Bound the Gaussian width of proj(S) from below, given success with probability >= p at d.

    The bound, alpha_{D-d} - sqrt(2 ln(1/p)), holds for every closed set, and where training misses
    a point of S, which only lowers p. p, in (0, 1], may be a lower confidence limit.

    >>> print(width_lower_bound(60, 1000, 0.5).round(2))
    29.47
    """
    k = checks.integer("D", D, 1) - checks.integers("d", d, 0, D)
    p = checks.finite("p", p, None, 0, 1, open="left")
    checks.broadcast(d=k, p=p)
    return np.maximum(alpha(k) - np.sqrt(-2 * np.log(p)), 0.0)
