"""Tomography: what observed successes say about the size of the set that was hit.

Let d_hit be the first dimension at which a growing chain of random subspaces through w0 hits S.

- S convex, w0 fixed:  E d_hit = D - delta + 1/2, exactly (Amelunxen et al. 2014, via the conic
  kinematic formula). The mean of d_hit is an unbiased measurement of delta.
- Any closed S:  P_s(d) >= p implies w >= alpha_{D-d} - sqrt(2 ln(1/p)), one-sided.

Everything here takes plain arrays. `success.bisection.Search` finds d_hit in few trainings, and
fits of success curves on a grid of d are in `dofbook.success`.
"""

import numpy as np
from numpy.typing import ArrayLike

from dofbook import checks
from dofbook.errors import InputError
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.montecarlo import Estimate, mean_of


def dimension_from_hits(hits: ArrayLike, D: int) -> Estimate:
    """Estimate the statistical dimension of a convex set seen from w0 by D + 1/2 - mean d_hit.

    `hits` holds two or more first successful dimensions, from 1 to D, one per independent chain of
    nested subspaces; all from the same w0 (with one w0 per run the estimate is the average over
    initializations).

    >>> print(dimension_from_hits([70, 72, 71, 75], D=100))
    28.5 ± 1.1
    """
    D = checks.integer("D", D, 1)
    return mean_of(D + 0.5 - checks.integers("hits", hits, 1, D))


def width_lower_bound(d: ArrayLike, D: int, p: ArrayLike) -> np.ndarray:
    """Bound the Gaussian width of proj(S) from below, given success with probability >= p at d.

    Holds for every closed set: subspaces of codimension k = D - d with alpha_k > w hit it with
    probability at most exp(-(alpha_k - w)^2 / 2). A training run that fails to find an existing
    point of S only lowers p, so the bound stays true. p, in (0, 1], may be a lower confidence
    limit; d and p broadcast.

    >>> print(width_lower_bound(60, 1000, 0.5).round(2))
    29.47
    """
    D = checks.integer("D", D, 1)
    k, p = D - checks.integers("d", d, 0, D), checks.finite("p", p, None, 0, 1)
    if not (p > 0).all():
        raise InputError("p holds 0; success must be possible.")
    checks.broadcast(d=k, p=p)
    return np.maximum(alpha(k) - np.sqrt(-2 * np.log(p)), 0.0)
