"""Tomography: what observed successes say about the size of the set that was hit.

Let d_hit be the first dimension at which a growing chain of random subspaces through w0 hits S.

- S convex, w0 fixed:  E d_hit = D - delta + 1/2, exactly (Amelunxen et al. 2014, via the conic
  kinematic formula). The mean of d_hit is an unbiased measurement of delta.
- Any closed S:  P_s(d) >= p implies w >= alpha_{D-d} - sqrt(2 ln(1/p)), one-sided.

Everything here takes plain arrays or a yes/no question; fits of success curves on a grid of d are
in `dofbook.success`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dofbook.errors import InputError
from dofbook.geometry.gaussian_width import alpha
from dofbook.geometry.montecarlo import Estimate, mean_of


def dimension_from_hits(hits: np.ndarray, D: int) -> Estimate:
    """Estimate the statistical dimension of a convex set seen from w0 by D + 1/2 - mean d_hit.

    Args:
        hits: (runs,) first successful dimensions, from 1 to D, one per independent chain of
            nested subspaces; all from the same w0 (with one w0 per run the estimate is the
            average over initializations).
        D: number of parameters.

    Returns:
        delta with its standard error.

    Raises:
        InputError: if there are fewer than two runs or a d_hit is out of range.
    """
    hits = np.asarray(hits, dtype=np.float64)
    if hits.ndim != 1 or hits.size < 2 or hits.min() < 1 or hits.max() > D:
        raise InputError(f"hits must be two or more dimensions from 1 to D = {D}, in one vector")
    return mean_of(D + 0.5 - hits)


def transition_width_bound(delta: np.ndarray | float, D: int) -> np.ndarray:
    """Bound the standard deviation of the transition of a convex set, sqrt(2 min(delta, D-delta)).

    Args:
        delta: statistical dimension(s), from 0 to D.
        D: number of parameters.

    Returns:
        The bound on sigma_C, in the shape of delta. A convex set with d* = D - delta << D thus has
        a relative width of at most sqrt(2 / d*).

    Raises:
        InputError: if a delta is out of range.

    Source: McCoy and Tropp (2014), variance of the intrinsic volumes.
    """
    delta = np.asarray(delta, dtype=np.float64)
    if not ((delta >= 0) & (delta <= D)).all():
        raise InputError(f"every delta must lie between 0 and D = {D}")
    return np.sqrt(2 * np.minimum(delta, D - delta))


def width_lower_bound(d: np.ndarray | int, D: int, p: np.ndarray | float) -> np.ndarray:
    """Bound the Gaussian width of proj(S) from below, given success with probability >= p at d.

    Holds for every closed set: subspaces of codimension k = D - d with alpha_k > w hit it with
    probability at most exp(-(alpha_k - w)^2 / 2). A training run that fails to find an existing
    point of S only lowers p, so the bound stays true.

    Args:
        d: dimension(s) at which training succeeded.
        D: number of parameters.
        p: success probability, or a lower confidence limit for it; above 0, at most 1.

    Returns:
        Lower bound(s) on w, at least 0, in the broadcast shape of d and p.

    Raises:
        InputError: if d or p is out of range.
    """
    d, p = np.asarray(d, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if not ((d >= 0) & (d <= D)).all():
        raise InputError(f"every d must lie between 0 and D = {D}")
    if not ((p > 0) & (p <= 1)).all():
        raise InputError("p must be above 0 and at most 1")
    return np.maximum(alpha(D - d) - np.sqrt(-2 * np.log(p)), 0.0)


class Bracket(NamedTuple):
    """The outcome of a search for d_hit.

    Attributes:
        failed: largest dimension known to fail (0 if none was tried).
        succeeded: smallest dimension known to succeed.
        trainings: number of dimensions tried.
    """

    failed: int
    succeeded: int
    trainings: int

    @property
    def estimate(self) -> float:
        """Mean of the dimensions failed + 1, ..., succeeded: d_hit itself once they coincide."""
        return (self.failed + 1 + self.succeeded) / 2


def search_hitting_dimension(
    succeeds: Callable[[int], bool], D: int, guess: int, resolution: float = 0.0
) -> Bracket:
    """Find d_hit by doubling or halving from a guess, then bisecting in log d.

    The question must be monotone: ask it about the first d columns of one fixed matrix A, so that
    subspaces are nested and a point found at d is still there at d + 1.

    Args:
        succeeds: tells whether training in the first d directions reaches the set; d = D is
            taken to succeed and never tried.
        D: number of parameters.
        guess: dimension to start from, 1 to D - 1.
        resolution: stop once succeeded <= failed (1 + resolution); 0 finds d_hit exactly.

    Returns:
        The final bracket and the number of trainings spent.

    Raises:
        InputError: if the guess or the resolution is out of range.
    """
    if not 1 <= guess < D:
        raise InputError(f"guess is {guess}; it must lie between 1 and D - 1 = {D - 1}")
    if not resolution >= 0:
        raise InputError(f"resolution is {resolution}; it must be at least 0")
    failed, succeeded, trainings = 0, D, 0
    d = guess
    while succeeded - failed > 1 and (failed == 0 or succeeded > failed * (1 + resolution)):
        trainings += 1
        if succeeds(d):
            succeeded = d
        else:
            failed = d
        d = _next_dimension(failed, succeeded, D)
    return Bracket(failed, succeeded, trainings)


def _next_dimension(failed: int, succeeded: int, D: int) -> int:
    if succeeded == D:
        proposal = 2 * failed
    elif failed == 0:
        proposal = succeeded // 2
    else:
        proposal = round(np.sqrt(failed * succeeded))
    return int(np.clip(proposal, failed + 1, max(succeeded - 1, failed + 1)))
