"""How sure estimates of d* are: rules on grids against bisection, and intervals by resampling."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from dofbook import success
from dofbook.geometry import cones, escape


def search_hits(hits, grid, guess: int):
    """Bisect for each first hit on the grid, starting from the one before.

    Gives the middle of the step found and the number of trainings.

    >>> next(search_hits([40], np.array([16, 32, 64, 128]), guess=1)) == (48.5, 2)
    True
    """
    for hit in hits:
        search = success.Search(len(grid)).run(lambda i, h=hit: grid[i] >= h, guess)
        guess = search.succeeded
        yield (grid[search.failed] + 1 + grid[guess]) / 2, len(search.outcomes)


def errors(centre: float, D: int, grids: Mapping, inits: int, delta: float, repeats: int, rng):
    """Draw experiments with a circular cone whose transition is at ``centre``, of ``inits`` runs.

    For each method: errors in octaves (repeats,), of d*(delta) by rules on grids and of the mean
    first hit by bisection to 2 %, and the number of trainings.
    """
    dims, angle = np.arange(D + 1), np.arcsin(np.sqrt(1 - centre / D))
    law, found = escape.cap_hit_probability(D, dims, angle), {}
    quantile = dims[np.argmax(law >= 1 - delta)]
    for label, grid in grids.items():
        counts = rng.binomial(inits, law[grid][:, None], (grid.size, repeats))
        given = grid, counts, inits, delta
        for rule, values in {
            "rule": success.first_threshold(*given),
            "isotonic": success.isotonic_threshold(*given, interpolate=True),
            "probit": success.probit_threshold(*given, prior_sd=0.25),
        }.items():
            found[f"{rule}, {label}"] = np.log2(values / quantile), inits * grid.size
    fine = np.unique(np.round(1.02 ** np.arange(0, np.log(D) / np.log(1.02))).astype(int))
    guess = np.searchsorted(fine, 256)
    # P(d_hit <= d) is the success probability: invert it.
    drawn = np.searchsorted(law, rng.uniform(size=(repeats, inits)))
    hits, trainings = np.moveaxis([list(search_hits(row, fine, guess)) for row in drawn], -1, 0)
    exact = D - cones.cap_statistical_dimension(angle, D)
    found["nested, bisection"] = np.log2((hits.mean(1) - 0.5) / exact), inits * trainings.mean()
    return found


def summary(target: float, *arguments) -> pd.DataFrame:
    """Average `errors` over eight centres in an octave, so that no place on a grid decides."""
    parts = [errors(target * 2**shift, *arguments) for shift in (np.arange(8) - 3.5) / 8]
    rows = {}
    for method in parts[0]:
        error = np.concatenate([part[method][0] for part in parts])
        cost = round(np.mean([part[method][1] for part in parts]))
        rows[method] = error.mean(), np.sqrt(np.mean(error**2)), cost
    return pd.DataFrame.from_dict(rows, "index", columns=["bias", "rms error", "trainings"])


def coverage(
    steps: Mapping[str, float], replicates: int, inits: int, rng, *, median=100.0, spread=0.6,
    resamples=200,
) -> pd.DataFrame:  # fmt: skip
    """Count how often 95 % intervals hold the median of d_hit over initializations.

    Centres are log-normal, ``spread`` in octaves, each transition as wide as convex sets allow;
    grids, by label, have steps of so many octaves. Resampled are outcomes or initializations.
    """
    centres = np.log2(median) + spread * rng.standard_normal((replicates, inits))
    width = success.spread_limit(2**centres)
    picks = rng.integers(inits, size=(replicates, resamples, inits))
    weights = (picks[..., None] == np.arange(inits)).sum(2)  # (replicate, resample, run)
    rows = {}

    def covers(low, high):
        return np.mean((low <= np.log2(median)) & (np.log2(median) <= high))

    for label, step in steps.items():
        grid = np.unique(np.round(2 ** np.arange(2, 12, step)))
        chance = stats.norm.cdf((np.log2(grid)[:, None, None] - centres) / width)
        outcomes = rng.uniform(size=chance.shape) < chance  # (d, replicate, run)
        size = (*outcomes.shape[:2], resamples)
        resampled = {
            "single outcomes": rng.binomial(inits, outcomes.mean(2)[..., None], size),
            "initializations": np.einsum("drn,rbn->drb", outcomes.astype(float), weights),
        }
        found = {}
        for name, counts in resampled.items():
            d = success.isotonic_threshold(grid, counts, inits, 0.5, interpolate=True)
            found[name] = covers(*np.quantile(np.log2(d), [0.025, 0.975], axis=-1))
        first = np.log2(grid[outcomes.argmax(0)]) - step / 2  # middle of the grid step
        half = [success.half_width(one) for one in first]
        rows[label] = found | {
            "t-interval of log first hit": covers(first.mean(1) - half, first.mean(1) + half)
        }
    return pd.DataFrame(rows).T.rename_axis("grid")
