"""The threshold training dimension by a probit fit of the success probability.

The fit is of P_s(d) = Phi((log2 d - centre) / width) by penalised likelihood. A grid of
octaves often does not identify the width. A log-normal prior settles it, around the most that
theory gives a convex sublevel set at fixed initialization: variance 2 d* of the transition in d
(McCoy and Tropp, 2014, "From Steiner formulas for cones to concentration of intrinsic volumes").
For networks that is a scale to start from, not a law.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, ndtri

from dofbook import checks
from dofbook.errors import InputError
from dofbook.success.checks import check_grid_counts
from dofbook.success.thresholds import isotonic_threshold

LN2 = math.log(2)
STEPS = 200  # of Levenberg-Marquardt; about 10 are used


def probit_threshold(
    dims: ArrayLike, successes: ArrayLike, runs: ArrayLike, delta: float, *,
    prior_sd: float | None = 1.0,
) -> np.ndarray:  # fmt: skip
    """Read d* off probit fits, for many curves at once, censored to the grid of two or more d.

    Shapes are those of `first_threshold`. `prior_sd` is the standard deviation of ln(width /
    theoretical width); None leaves the width to the data, above 1/100 of the finest grid spacing.
    Thresholds are inf beyond the largest d and d_min below the smallest.

    >>> print(probit_threshold([16, 32, 64, 128], [0, 2, 9, 10], 10, delta=0.1).round(1))
    62.7
    """
    grid, k, n = check_grid_counts(dims, successes, runs)
    shape, z = k.shape[1:], ndtri(1 - checks.probability("delta", delta))
    if len(grid) < 2:
        raise InputError(f"dims has length {len(grid)}; a probit fit needs two or more.")
    if prior_sd is not None:
        checks.positive("prior_sd", prior_sd)
    x, k, n = np.log2(grid), k.reshape(len(k), -1), n.reshape(len(k), -1)
    span, finest = x[-1] - x[0], np.diff(x).min()
    middle = isotonic_threshold(grid, k, n, 0.5, interpolate=True)
    m = np.log2(np.clip(middle, grid[0], grid[-1]))
    log_s = np.log(finest / 2) if prior_sd is None else np.log(_limit(np.exp2(m)))
    low = np.array([[x[0] - span - 3], [math.log(finest / 100)]])
    high = np.array([[x[-1] + span + 3], [math.log(100 * span)]])
    start = np.clip(np.stack([m, np.broadcast_to(log_s, m.shape)]), low, high)
    m, log_s = _minimise(start, low, high, lambda p: _loss(p, x[:, None], k, n - k, prior_sd))
    m = np.where(k.sum(axis=0) == 0, np.inf, np.where((n - k).sum(axis=0) == 0, -np.inf, m))
    d = np.exp2(np.clip(m + z * np.exp(log_s), -99, 99))
    return np.where(d > grid[-1], np.inf, np.maximum(d, grid[0])).reshape(shape)


def spread_limit(d: ArrayLike) -> np.ndarray:
    """Bound the spread of d_hit for a convex set, in octaves: sqrt(2 / d*) / ln 2, shape of d.

    >>> print(spread_limit(300).round(3))
    0.118
    """
    return _limit(checks.finite("d", d, None, 0, open=True))


def _limit(d: np.ndarray) -> np.ndarray:  # of steps of a fit, too, which need no check
    return np.sqrt(2 / d) / LN2


def _loss(p, x, k, failures, prior_sd) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evaluate minus the log posterior of (centre, ln width), its gradient and information."""
    m, log_s = p
    s = np.exp(log_s)
    z = (x - m) / s
    up, down = log_ndtr(z), log_ndtr(-z)
    log_density = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    slope = k * np.exp(log_density - up) - failures * np.exp(log_density - down)
    information = (k + failures) * np.exp(2 * log_density - up - down)
    dz = np.stack([np.broadcast_to(-1 / s, z.shape), -z])  # of z by centre and by ln width
    value = -np.sum(k * up + failures * down, axis=0)
    gradient = -np.einsum("dc,pdc->pc", slope, dz)
    curvature = np.einsum("dc,pdc,qdc->pqc", information, dz, dz)
    if prior_sd is not None:
        gap = (log_s - np.log(_limit(np.exp2(m)))) / prior_sd
        towards = np.array([LN2 / 2, 1.0]) / prior_sd  # the theoretical width falls with d
        value = value + 0.5 * gap**2
        gradient = gradient + towards[:, None] * gap
        curvature = curvature + np.outer(towards, towards)[:, :, None]
    return value, gradient, curvature


def _minimise(p, low, high, loss) -> np.ndarray:
    """Minimise many two-parameter losses at once by Levenberg-Marquardt within bounds."""
    damping = np.full(p.shape[1], 1e-2)
    value, gradient, curvature = loss(p)
    for _ in range(STEPS):
        (a, b), (_, c) = curvature
        a, c = a * (1 + damping) + 1e-12, c * (1 + damping) + 1e-12
        step = np.stack([b * gradient[1] - c * gradient[0], b * gradient[0] - a * gradient[1]])
        trial = np.clip(p + np.clip(step / (a * c - b**2), -1, 1), low, high)
        found, moved = (trial, *loss(trial)), np.abs(trial - p).max()
        better = found[1] <= value
        p, value, gradient, curvature = (
            np.where(better, new, old)
            for new, old in zip(found, (p, value, gradient, curvature), strict=True)
        )
        damping = np.where(better, damping / 5, damping * 5)
        if moved < 1e-9:
            break
    return p
