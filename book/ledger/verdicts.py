"""Intervals, the rule that makes an outcome of them, and the verdict of all panels of a claim."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import beta, chi2, nct, norm, t as student

from ledger.criteria import Criterion

CONFIDENCE = 0.95
EACH = 1 - (1 - CONFIDENCE) / 2
"""Confidence of each of two intervals, so that both hold jointly (Bonferroni)."""
OCTAVES_10_TO_90 = 2 * norm.ppf(0.9)  # of a normal distribution, in standard deviations

Outcome = Literal["holds", "in part", "undecided", "fails", "not run"]
Verdict = Literal["reproduced", "partly", "undecided", "not reproduced", "not run"]
VERDICTS: tuple[Verdict, ...] = (
    "reproduced", "partly", "undecided", "not reproduced", "not run",
)  # fmt: skip


class Estimate(NamedTuple):
    """A figure with the ends of its interval."""

    value: float
    lower: float
    upper: float

    def text(self, unit: str = "", scale: float = 1.0, digits: int = 2) -> str:
        """Write the figure with its interval.

        >>> Estimate(-0.42, -0.61, -0.23).text("octaves")
        '−0.42 [−0.61, −0.23] octaves'
        """
        value, lower, upper = (_number(scale * x, digits) for x in self)
        return f"{value} [{lower}, {upper}] {unit}".strip()

    def through(self, transform: Callable[[float], float]) -> "Estimate":
        """Apply an increasing function to the figure and its ends."""
        return Estimate(*map(transform, self))


def _number(x: float, digits: int) -> str:
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    return f"{round(x, digits) + 0.0:.{digits}f}".replace("-", "−")  # no negative zero


# --- intervals ------------------------------------------------------------------------------------


def mean_estimate(
    sample: np.ndarray, confidence: float = CONFIDENCE, least_sd: float = 0.0
) -> Estimate:
    """Average over initializations, with Student's t-interval; one alone bounds nothing.

    >>> mean_estimate([1.0, 2.0, 3.0]).text()
    '2.00 [−0.48, 4.48]'
    """
    sample = np.asarray(sample, float)
    n, mean = len(sample), float(sample.mean())
    if n < 2:
        return Estimate(mean, -math.inf, math.inf)
    sd = max(sample.std(ddof=1), least_sd)
    half = _student_reach(n - 1, confidence) * sd / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half)


@cache
def _student_reach(degrees: int, confidence: float) -> float:
    return float(student.ppf((1 + confidence) / 2, degrees))


def held_out_estimate(sample: np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Average figures of which each rests on a choice made on the others, two or more.

    Those choices share data, which Student's interval does not know; it is widened.

    Source: Nadeau and Bengio (2003), "Inference for the generalization error", the corrected test.
    """
    value, lower, upper = mean_estimate(sample, confidence)
    wider = math.sqrt(1 + len(sample) / (len(sample) - 1))
    return Estimate(value, value - wider * (value - lower), value + wider * (upper - value))


def spread_estimate(variance: float, degrees: int, confidence: float = CONFIDENCE) -> Estimate:
    """Take a standard deviation from a variance with so many degrees of freedom.

    >>> spread_estimate(1.0, 25).text()
    '1.00 [0.78, 1.38]'
    """
    tails = np.array([(1 + confidence) / 2, (1 - confidence) / 2])
    ends = np.sqrt(degrees / chi2.ppf(tails, degrees))
    return Estimate(*(math.sqrt(variance) * np.array([1.0, *ends])).tolist())


def width_estimate(variance: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Take the range from 10 to 90 % of a normal distribution from the variance of n numbers.

    >>> width_estimate(1.0, 10).text()
    '2.56 [1.76, 4.68]'
    """
    return spread_estimate(variance, n - 1, confidence).through(lambda sd: OCTAVES_10_TO_90 * sd)


def quantile_estimate(sample: np.ndarray, share: float, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a quantile of a normal distribution, with the exact interval (noncentral t)."""
    sample = np.asarray(sample, float)
    n, z = len(sample), float(norm.ppf(share))
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    ends = nct.ppf(tails, n - 1, z * math.sqrt(n)) / math.sqrt(n)
    return Estimate(*(sample.mean() + sample.std(ddof=1) * np.array([z, *ends])).tolist())


def least_probability(successes: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """Bound a probability from below by the lower end of Clopper and Pearson's interval.

    >>> round(least_probability(10, 10), 3), least_probability(0, 10)
    (0.692, 0.0)
    """
    if successes == 0:
        return 0.0
    return float(beta.ppf((1 - confidence) / 2, successes, runs - successes + 1))


# --- outcomes -------------------------------------------------------------------------------------


def side(estimate: Estimate, low: float = -math.inf, high: float = math.inf) -> Outcome:
    """Compare an interval with the claim's range (low, high); the ends are not in it.

    >>> side(Estimate(-1, -2, -0.5), high=0), side(Estimate(-1, -2, 0.5), high=0)
    ('holds', 'undecided')
    """
    if low < estimate.lower and estimate.upper < high:
        return "holds"
    return "fails" if estimate.upper <= low or estimate.lower >= high else "undecided"


def all_of(*outcomes: Outcome) -> Outcome:
    """Judge conditions that must all hold.

    >>> all_of("holds", "undecided"), all_of("holds", "fails")
    ('undecided', 'fails')
    """
    if "fails" in outcomes:
        return "fails"
    return "holds" if set(outcomes) == {"holds"} else "undecided"


class Decision(NamedTuple):
    """What several conditions give together, and the one that decides."""

    outcome: Outcome
    key: Hashable
    estimate: Estimate


def decide(
    conditions: Mapping[Hashable, Callable[..., Estimate]],
    low: float = -math.inf,
    high: float = math.inf,
) -> Decision:
    """Judge conditions that must all hold; each is a function of the confidence.

    They hold if every interval lies in (low, high), and fail if one lies outside at the
    confidence at which all intervals hold jointly (Bonferroni). The condition that decides is the
    one farthest outside, or else the one with the least margin.
    """
    joint = 1 - (1 - CONFIDENCE) / len(conditions)
    single = {key: condition(CONFIDENCE) for key, condition in conditions.items()}
    failed = [key for key, c in conditions.items() if side(c(joint), low, high) == "fails"]

    def margin(key: Hashable) -> float:
        estimate = single[key]
        if key in failed:
            return max(estimate.lower - high, low - estimate.upper)
        return -min(estimate.lower - low, high - estimate.upper)

    key = max(failed or single, key=margin)
    outcomes = {side(estimate, low, high) for estimate in single.values()}
    outcome = "fails" if failed else "holds" if outcomes == {"holds"} else "undecided"
    return Decision(outcome, key, single[key])


def decide_means(samples: Mapping[Hashable, np.ndarray], **bounds: float) -> Decision:
    """Judge means over initializations that must all lie in the range; see `decide`."""
    return decide({key: partial(mean_estimate, x) for key, x in samples.items()}, **bounds)


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """Join parts of a claim of which each can be true alone.

    >>> combine(["holds", "fails"]), combine(["holds", "undecided"]), combine(["fails"])
    ('in part', 'undecided', 'fails')
    """
    seen = set(outcomes)
    if len(seen) == 1:
        return seen.pop()
    return "in part" if seen >= {"holds", "fails"} or "in part" in seen else "undecided"


@dataclass(frozen=True)
class Finding:
    """What one panel, or other part of a claim, shows; `measured` is empty if not run.

    `note` has what is beside the figure: the level used, what is missing.
    """

    subject: str
    outcome: Outcome
    measured: str = ""
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """A claim with one finding per panel."""

    criterion: Criterion
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Read the panels together; those undecided neither help nor harm."""
        seen = {f.outcome for f in self.findings} - {"not run"}
        if not seen:
            return "not run"
        seen -= {"undecided"}
        alone: dict[frozenset[Outcome], Verdict] = {
            frozenset(): "undecided", frozenset({"holds"}): "reproduced",
            frozenset({"fails"}): "not reproduced",
        }  # fmt: skip
        return alone.get(frozenset(seen), "partly")

    def count(self, *outcomes: Outcome) -> int:
        """Count the panels with one of the outcomes."""
        return sum(f.outcome in outcomes for f in self.findings)

    @property
    def decided(self) -> int:
        """Number of panels that hold, fail, or do so in part."""
        return self.count("holds", "in part", "fails")

    @property
    def narrow(self) -> bool:
        """Whether less than half of the paper's panels were decided."""
        return 2 * self.decided < len(self.findings)


def count_verdicts(judgements: Iterable[Judgement]) -> dict[Verdict, int]:
    """Count the claims of each verdict, in the order of `VERDICTS`."""
    counts = Counter(judgement.verdict for judgement in judgements)
    return {verdict: counts[verdict] for verdict in VERDICTS}
