"""Success probability P_s(d, eps, t): how often a run reaches a sublevel set {loss <= eps}.

By Eq. 2.3 of the paper it is the probability, over subspace and initialization, that an affine
subspace of dimension d meets the set. The best value that training reached replaces the minimum
over the subspace, which makes the estimate a lower bound. Accuracy takes superlevel sets. `values`
have shape (dims, runs): a run that diverged (NaN) has failed; a run that was not made is absent,
which is not the same. `successes` have shape (dims, ...), `runs` that shape, (dims,) or ().
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtri

from dofbook import checks
from dofbook.success.checks import WAYS, Arrays, Way, check_counts, check_levels, check_values

LEVEL_RTOL = 2.0**-22
"""A value this close to a level (relative) lies on it: tables hold float32, levels are decimals."""


def success_indicator(values: ArrayLike, levels: ArrayLike, *, kind: Way) -> np.ndarray:
    """Mark which run reached which level: <= for a loss, >= for an accuracy; (dims, runs, levels).

    >>> success_indicator([[0.3, 0.2], [0.1, float("nan")]], 0.2, kind="loss")[..., 0].tolist()
    [[False, True], [True, False]]
    """
    checks.choice("kind", kind, WAYS)
    array, _ = check_values(values, None)
    grid = check_levels(levels)
    slack, each = LEVEL_RTOL * np.abs(grid), array[:, :, None]
    return each <= grid + slack if kind == "loss" else each >= grid - slack


def success_counts(
    values: ArrayLike, levels: ArrayLike, *, kind: Way, present: ArrayLike | None = None
) -> Arrays:
    """Count successes (dims, levels) and runs (dims,) among those made, `present` (dims, runs).

    >>> k, n = success_counts([[0.9, 0.8], [0.1, 0.7]], [0.2, 0.8], kind="loss")
    >>> k.tolist(), n.tolist()
    ([[0, 1], [1, 2]], [2, 2])
    """
    array, mask = check_values(values, present)
    reached = success_indicator(array, levels, kind=kind) & mask[:, :, None]
    return reached.sum(axis=1), mask.sum(axis=1)


def success_fraction(
    values: ArrayLike, levels: ArrayLike, *, kind: Way, present: ArrayLike | None = None
) -> np.ndarray:
    """Estimate P_s(d, eps) by the fraction of runs that reached each level, shape (dims, levels).

    >>> success_fraction([[0.9, 0.8], [0.1, 0.7]], 0.5, kind="loss").tolist()
    [[0.0], [0.5]]
    """
    successes, runs = success_counts(values, levels, kind=kind, present=present)
    return successes / runs[:, None]


def wilson_interval(successes: ArrayLike, runs: ArrayLike, confidence: float = 0.95) -> Arrays:
    """Bound success probabilities by Wilson's score interval (1927), from 1 run on.

    >>> low, high = wilson_interval([9, 10], 10)
    >>> low.round(2), high.round(2)
    (array([0.6 , 0.72]), array([0.98, 1.  ]))
    """
    k, n = check_counts(successes, runs, least=1)
    z = ndtri((1 + checks.probability("confidence", confidence)) / 2)
    p = k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # The ends are exactly 0 and 1 at k = 0 and k = n; rounding must not move them.
    return np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)


def jeffreys_interval(successes: ArrayLike, runs: ArrayLike, confidence: float = 0.95) -> Arrays:
    """Bound success probabilities by the equal-tailed interval of Jeffreys' prior.

    Shapes as in `wilson_interval`. The lower end is 0 at no success, the upper 1 at no failure, as
    Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion", have it.

    >>> low, high = jeffreys_interval(9, 10)
    >>> print(low.round(2), high.round(2))
    0.62 0.99
    """
    k, n = check_counts(successes, runs, least=1)
    tail = (1 - checks.probability("confidence", confidence)) / 2
    lower, upper = (betaincinv(k + 0.5, n - k + 0.5, end) for end in (tail, 1 - tail))
    return np.where(k == 0, 0.0, lower), np.where(k == n, 1.0, upper)


def running_maximum(values: ArrayLike, *, kind: Way = "accuracy") -> np.ndarray:
    """Carry each run's best value over to every larger d, shape (dims, runs) like `values`.

    Where subspaces are nested the larger contains the smaller one's best point, so the running
    maximum (minimum of a loss) is a valid value. NaN is passed over. Paper, Section 4, Fig. 3.

    >>> running_maximum([[0.4, 0.3], [0.9, 0.2]], kind="loss").tolist()
    [[0.4, 0.3], [0.4, 0.2]]
    """
    best = np.fmax if checks.choice("kind", kind, WAYS) == "accuracy" else np.fmin
    return best.accumulate(check_values(values, None)[0], axis=0)
