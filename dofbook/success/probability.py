"""Success probability P_s(d, eps, t): how often a run reaches a sublevel set.

Larsen et al. (2022), Eq. 2.3: the probability, over the subspace and the initialization, that the
affine subspace of dimension d meets the sublevel set S(eps) = {w : L(w) <= eps}. As in the paper
the minimum over the subspace is replaced by the best value that training reached, so what is
estimated is a lower bound on Eq. 2.3. Accuracy takes superlevel sets {accuracy >= a}.

A run that diverged (NaN) has failed; a run that was not made is absent, which is not the same.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv, ndtri

from dofbook.success.checks import (
    Kind,
    check_counts,
    check_fraction,
    check_kind,
    check_levels,
    check_values,
)

LEVEL_RTOL = 2.0**-22
"""A value this close to a level (relative) lies on it: tables hold float32, levels are decimals."""


def success_indicator(values: ArrayLike, levels: ArrayLike, *, kind: Kind) -> np.ndarray:
    """Mark which run reached which level.

    Args:
        values: Losses or accuracies, shape (dims, runs); NaN counts as failure.
        levels: Losses eps or accuracies, shape (levels,).
        kind: "loss" for values <= level, "accuracy" for values >= level.

    Returns:
        Booleans, shape (dims, runs, levels).

    Raises:
        InputError: If an argument has the wrong shape or kind.
    """
    check_kind(kind)
    array, _ = check_values(values, None)
    grid = check_levels(levels)
    slack = LEVEL_RTOL * np.abs(grid)
    if kind == "loss":
        return array[:, :, None] <= grid + slack
    return array[:, :, None] >= grid - slack


def success_counts(
    values: ArrayLike, levels: ArrayLike, *, kind: Kind, present: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Count successes and runs.

    Args:
        values: Losses or accuracies, shape (dims, runs); NaN counts as failure.
        levels: Losses eps or accuracies, shape (levels,).
        kind: "loss" or "accuracy".
        present: Whether the run was made, shape (dims, runs); None for all.

    Returns:
        Successes, shape (dims, levels), and runs, shape (dims,), as integers.

    Raises:
        InputError: If an argument has the wrong shape or kind.
    """
    array, mask = check_values(values, present)
    reached = success_indicator(array, levels, kind=kind) & mask[:, :, None]
    return reached.sum(axis=1), mask.sum(axis=1)


def success_probability(
    values: ArrayLike, levels: ArrayLike, *, kind: Kind, present: ArrayLike | None = None
) -> np.ndarray:
    """Estimate P_s(d, eps) by the fraction of runs that reached each level.

    Args:
        values: Best loss or accuracy of each run, shape (dims, runs); NaN counts as failure.
        levels: Losses eps or accuracies, shape (levels,).
        kind: "loss" for sublevel sets {L <= eps}, "accuracy" for superlevel sets {acc >= a}.
        present: Whether the run was made, shape (dims, runs); None for all.

    Returns:
        Fractions, shape (dims, levels).

    Raises:
        InputError: If an argument has the wrong shape or kind.

    Source: Larsen et al. (2022), Eq. 2.3 and the operational procedure after Definition 2.1.
    """
    successes, runs = success_counts(values, levels, kind=kind, present=present)
    return successes / runs[:, None]


def wilson_interval(
    successes: ArrayLike, runs: ArrayLike, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Bound success probabilities by Wilson's score interval.

    Args:
        successes: Numbers of successes, shape (dims, ...).
        runs: Numbers of runs, a scalar, shape (dims,) or that of successes; at least 1.
        confidence: Coverage aimed at.

    Returns:
        Lower and upper ends, each with the shape of successes.

    Raises:
        InputError: If the counts or the confidence make no sense.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    k, n = check_counts(successes, runs, least=1)
    z = ndtri((1 + check_fraction("confidence", confidence)) / 2)
    p = k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # The ends are exactly 0 and 1 at k = 0 and k = n; rounding must not move them.
    return np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)


def jeffreys_interval(
    successes: ArrayLike, runs: ArrayLike, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Bound success probabilities by the equal-tailed interval of Jeffreys' prior.

    Args:
        successes: Numbers of successes, shape (dims, ...).
        runs: Numbers of runs, a scalar, shape (dims,) or that of successes; at least 1.
        confidence: Coverage aimed at.

    Returns:
        Lower and upper ends, each with the shape of successes; 0 at no success, 1 at no failure.

    Raises:
        InputError: If the counts or the confidence make no sense.

    Source: Brown, Cai and DasGupta (2001), "Interval estimation for a binomial proportion".
    """
    k, n = check_counts(successes, runs, least=1)
    tail = (1 - check_fraction("confidence", confidence)) / 2
    lower = betaincinv(k + 0.5, n - k + 0.5, tail)
    upper = betaincinv(k + 0.5, n - k + 0.5, 1 - tail)
    return np.where(k == 0, 0.0, lower), np.where(k == n, 1.0, upper)


def running_maximum(values: ArrayLike, *, kind: Kind = "accuracy") -> np.ndarray:
    """Carry each run's best value over to every larger d.

    A subspace that contains a smaller one contains its best point, so for nested subspaces the
    running maximum of accuracy (minimum of loss) over d is a valid, and better, value.

    Args:
        values: Losses or accuracies, shape (dims, runs), d increasing; NaN is passed over.
        kind: "accuracy" for the maximum, "loss" for the minimum.

    Returns:
        The best value at this or any smaller d, shape (dims, runs).

    Raises:
        InputError: If the shape or kind is wrong.

    Source: Larsen et al. (2022), Section 4 and Fig. 3 (lottery subspaces).
    """
    check_kind(kind)
    array, _ = check_values(values, None)
    best = np.fmax if kind == "accuracy" else np.fmin
    return best.accumulate(array, axis=0)
