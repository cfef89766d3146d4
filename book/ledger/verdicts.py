"""Estimates, what a panel shows, and the verdict that the panels of a claim give together."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import t as student

from dofbook.success.bootstrap import percentile_ends, resample_runs
from ledger.criteria import Criterion

CONFIDENCE = 0.95
REPLICATES = 500

Outcome = Literal["holds", "in part", "fails", "not run"]
Verdict = Literal["reproduced", "partly", "not reproduced", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "partly", "not reproduced", "not run")


class Estimate(NamedTuple):
    """A figure with the ends of its interval; the ends are NaN where there is none."""

    value: float
    lower: float = math.nan
    upper: float = math.nan

    def text(self, unit: str = "", scale: float = 1.0, digits: int = 2) -> str:
        """Write the figure with its interval.

        Args:
            unit: What follows the numbers.
            scale: Factor to the unit, 100 for percent.
            digits: Digits behind the point.

        Returns:
            Such as "-0.42 [-0.61, -0.23] octaves".
        """
        value, lower, upper = (_number(scale * x, digits) for x in self)
        interval = "" if math.isnan(self.lower) else f" [{lower}, {upper}]"
        return f"{value}{interval} {unit}".strip()


def _number(x: float, digits: int) -> str:
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{x:.{digits}f}".replace("-", "−")


@dataclass(frozen=True)
class Finding:
    """What one panel (or other part of a claim) shows.

    Args:
        subject: Its name, such as "Conv-2 on MNIST".
        outcome: Whether the claim holds there.
        measured: The figure with its interval, in words and numbers; empty if not run.
        note: Level used, what is missing, why it could not be judged.
    """

    subject: str
    outcome: Outcome
    measured: str = ""
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """A claim with its findings.

    Args:
        criterion: The claim.
        findings: One per panel.
    """

    criterion: Criterion
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Reproduced if all panels that were run hold, not if all fail, else partly."""
        seen = {f.outcome for f in self.findings} - {"not run"}
        if not seen:
            return "not run"
        if seen == {"holds"}:
            return "reproduced"
        return "not reproduced" if seen == {"fails"} else "partly"

    @property
    def panels_run(self) -> int:
        """Number of panels that could be judged."""
        return sum(f.outcome != "not run" for f in self.findings)


def count_verdicts(judgements: Iterable[Judgement]) -> dict[Verdict, tuple[int, int]]:
    """Count the claims of each verdict.

    Args:
        judgements: The ledger.

    Returns:
        Verdict to the number of claims, and how many of them were judged on all their panels.
    """
    judgements = list(judgements)
    total = Counter(j.verdict for j in judgements)
    whole = Counter(j.verdict for j in judgements if j.panels_run == len(j.findings))
    return {verdict: (total[verdict], whole[verdict]) for verdict in VERDICTS}


def side(
    estimate: Estimate, *, at_most: float | None = None, at_least: float | None = None
) -> Outcome:
    """Compare a figure and its interval with one bound; above and below 0 count 0 as outside.

    Args:
        estimate: The figure.
        at_most: The claim's side is at or below it; at 0 strictly below.
        at_least: The claim's side is at or above it; at 0 strictly above.

    Returns:
        "holds" if value and far end are on the claim's side, "in part" if the value alone is.
    """
    bound, sign = (at_most, 1) if at_most is not None else (at_least, -1)

    def inside(x: float) -> bool:
        return sign * x < sign * bound or (x == bound and bound != 0)

    if not inside(estimate.value):
        return "fails"
    return "holds" if inside(estimate.upper if sign > 0 else estimate.lower) else "in part"


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """Join the outcomes of several conditions on one panel.

    Args:
        outcomes: What each condition gave; "not run" is passed over.

    Returns:
        "holds" if all hold, "fails" if all fail, "not run" if there is none, else "in part".
    """
    seen = set(outcomes) - {"not run"}
    if not seen:
        return "not run"
    return seen.pop() if len(seen) == 1 else "in part"


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Join the outcomes of conditions that must all hold.

    Args:
        outcomes: What each condition gave, at least one.

    Returns:
        The worst of them.
    """
    return min(outcomes, key=("fails", "in part", "holds").index)


def mean_estimate(sample: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Average over initializations, with Student's t-interval.

    Args:
        sample: One number per seed, shape (seeds,), finite.
        confidence: Coverage aimed at.

    Returns:
        The mean; a single seed has an unbounded interval.
    """
    sample = np.asarray(sample, float)
    n, mean = len(sample), float(sample.mean())
    if n < 2:
        return Estimate(mean, -math.inf, math.inf)
    half = student.ppf((1 + confidence) / 2, n - 1) * sample.std(ddof=1) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half)


def bootstrap_estimate(
    statistic: Callable[[np.ndarray], float], seeds: int, replicates: int = REPLICATES
) -> Estimate:
    """Evaluate a statistic on the seeds, with the percentile bootstrap over them.

    Args:
        statistic: Function of the indices of the seeds to use, with repetitions.
        seeds: Number of seeds.
        replicates: Number of bootstrap samples.

    Returns:
        The statistic of all seeds with its interval; replicates without a value (NaN) are left
        out, and where none has one the ends are infinite.
    """
    value = float(statistic(np.arange(seeds)))
    drawn = np.array([statistic(chosen) for chosen in resample_runs(seeds, replicates, rng=0)])
    drawn = drawn[~np.isnan(drawn)]
    if drawn.size == 0:
        return Estimate(value, -math.inf, math.inf)
    lower, upper = percentile_ends(drawn, CONFIDENCE)
    return Estimate(value, float(lower), float(upper))
