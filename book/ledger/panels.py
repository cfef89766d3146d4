"""Arrange the runs of a panel for the judges, and say what is missing."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dofbook.errors import InputError
from dofbook.experiments.published import published_names, read_published
from dofbook.figures.style import block_label
from dofbook.success import RunValues, baseline_accuracy, hit_dimensions, run_values
from ledger.criteria import BURN_INS, DIMS, FRACTIONS, LEAST_RUNS
from ledger.evidence import Evidence
from ledger.verdicts import Finding

ACCURACY = "train_accuracy"
BASELINE_RATES = 2  # paper A.4: the better of 5e-2 and 1e-2
Folder = str | Path | None
METHODS = {
    "affine": "random affine subspaces", "lottery_subspace": "lottery subspaces",
    "lottery_ticket": "lottery tickets", "random_pruning": "random pruning",
}  # fmt: skip
NOT_RUN = {
    "resnet20": "0.5 s a step of one run on two CPU cores: a day for the random and burn-in "
    "subspaces of one data set",
    "svhn_cropped": "its data are not at hand",
}
"""Why panels are missing for now, by network or data set."""
JUDGES: dict[str, Callable[[Evidence], tuple[Finding, ...]]] = {}
"""The judge of each claim, by its id; the modules with the judges fill it."""


ANSWERS: dict[str, Callable[[Folder], tuple[Finding, ...]]] = {}
"""The judge of each question beyond the paper, by its id: a function of the folder of tables."""


class CannotJudge(Exception):
    """Say in a few words why a panel gives no figure."""


def panel_label(dataset: str, network: str) -> str:
    """Name a panel for readers, such as "Conv-2 on MNIST"."""
    return block_label((dataset, network))


@dataclass(frozen=True)
class Panel:
    """One network on one data set, with its runs of all methods at the paper's settings."""

    dataset: str
    network: str
    rows: pd.DataFrame

    @property
    def label(self) -> str:
        """Name for readers."""
        return panel_label(self.dataset, self.network)

    @property
    def D(self) -> int:
        """Number of parameters."""
        return int(self.rows["D"].iloc[0])

    @property
    def burn_ins(self) -> tuple[int, ...]:
        """The paper's burn-in times, 0 among them."""
        return BURN_INS[self.network]

    def curve(
        self,
        method: str,
        t: int = 0,
        metric: str = ACCURACY,
        dims: Iterable[int] = (),
        least: int | None = None,
    ) -> RunValues:
        """Arrange one method's best values over d and the seeds that were run at every d.

        Random affine subspaces need the dimensions given, by default the whole grid, and no other
        d counts: a finer grid with fewer seeds must not cost seeds. `least` seeds are needed, by
        default `LEAST_RUNS`.
        """
        least = LEAST_RUNS[self.network] if least is None else least
        rows = self.rows[(self.rows["method"] == method) & (self.rows["burn_in_steps"] == t)]
        what = f"{METHODS[method]}, t = {t}"
        if method == "affine":
            wanted = tuple(dims) or DIMS
            rows = rows[rows["d"].isin(wanted)]
            seeds = rows.groupby("d")["seed"].nunique()
            ready = int((seeds >= least).sum())
            if ready < len(wanted):
                raise CannotJudge(f"{what}: {ready} of {len(wanted)} dimensions have {least} runs")
        if rows.empty:
            raise CannotJudge(f"no runs of {what}")
        found = run_values(rows, metric).complete()
        if len(found.seeds) < least:
            raise CannotJudge(f"{what}: {len(found.seeds)} of {least} runs at every d")
        return found

    def affine(
        self, times: Iterable[int] = (), metric: str = ACCURACY, least: int | None = None
    ) -> dict[int, RunValues]:
        """Arrange the affine runs at several t, by default the paper's, on shared seeds."""
        found = {
            t: self.curve("affine", t, metric, least=least) for t in tuple(times) or self.burn_ins
        }
        return dict(zip(found, align(*found.values()), strict=True))

    def start(self, t: int, seeds: np.ndarray, metric: str = ACCURACY) -> np.ndarray:
        """Take each seed's value at w_t itself, where training in the subspace starts."""
        rows = self.rows[
            (self.rows["method"] == "affine")
            & (self.rows["burn_in_steps"] == t)
            & (self.rows["step"] == 0)
        ]
        if not set(seeds) <= set(rows["seed"]):
            raise CannotJudge(f"no checkpoint at the start of t = {t}")
        return rows.groupby("seed")[metric].mean().loc[seeds].to_numpy(float)

    def baseline(self, metric: str = ACCURACY) -> float:
        """Average full training over seeds at the better learning rate."""
        least = LEAST_RUNS[self.network]
        full = self.rows[self.rows["method"] == "full"]
        seeds = full.groupby("learning_rate")["seed"].nunique() if len(full) else pd.Series()
        ready = int((seeds >= least).sum())
        if ready < BASELINE_RATES:
            raise CannotJudge(
                f"full training: {ready} of {BASELINE_RATES} learning rates have {least} runs"
            )
        return float(baseline_accuracy(self.rows, metric)["baseline"].iloc[0])

    def levels(self, metric: str = ACCURACY) -> np.ndarray:
        """List the levels of accuracy that criteria name, lowest first."""
        return self.baseline(metric) * np.array(FRACTIONS)


def judges(
    claim: str, panels: Iterable[tuple[str, str]]
) -> Callable[[Callable[[Panel], Finding]], Callable[[Panel], Finding]]:
    """Register a function of one panel as the judge of a claim on the panels given."""
    panels = tuple(panels)

    def register(judge: Callable[[Panel], Finding]) -> Callable[[Panel], Finding]:
        JUDGES[claim] = lambda evidence: panel_findings(judge, panels, evidence)
        return judge

    return register


def panel_findings(
    judge: Callable[[Panel], Finding], panels: Iterable[tuple[str, str]], evidence: Evidence
) -> tuple[Finding, ...]:
    """Judge every panel; what cannot be judged is "not run", with the reason."""
    findings, runs = [], evidence.runs
    for dataset, network in panels:
        rows = runs[(runs["dataset"] == dataset) & (runs["network"] == network)]
        panel = Panel(dataset, network, rows)
        findings.append(attempt(panel.label, lambda panel=panel: judge(_some(panel))))
    return tuple(findings)


def _some(panel: Panel) -> Panel:
    if panel.rows.empty:
        reason = NOT_RUN.get(panel.network) or NOT_RUN.get(panel.dataset)
        raise CannotJudge(f"no runs at the paper's settings{f' ({reason})' if reason else ''}")
    return panel


def attempt(label: str, judge: Callable[[], Finding]) -> Finding:
    """Judge; where that cannot be done the finding is "not run", with the reason."""
    try:
        return judge()
    except (CannotJudge, InputError) as reason:
        text = str(reason).removesuffix(".")
        return Finding(label, "not run", note=f"{text[:1].upper()}{text[1:]}.")


def answers(
    question: str, subject: str
) -> Callable[[Callable[[Folder], Finding]], Callable[[Folder], Finding]]:
    """Register a function of the folder of tables, None for ours, as the judge of a question."""

    def register(judge: Callable[[Folder], Finding]) -> Callable[[Folder], Finding]:
        ANSWERS[question] = lambda folder: (attempt(subject, lambda: judge(folder)),)
        return judge

    return register


def need(found: int, wanted: int, what: str = "seeds") -> None:
    """Raise CannotJudge where there are fewer of something than a criterion names."""
    if found < wanted:
        raise CannotJudge(f"{found} of {wanted} {what}")


def published(name: str, folder: Folder = None) -> pd.DataFrame:
    """Read a published table; where there is none its question is not run."""
    if name not in published_names(folder):
        raise CannotJudge(f"the table {name} is not published")
    return read_published(name, folder)


def published_or_none(name: str, folder: Folder = None) -> pd.DataFrame | None:
    """Read a published table, None where there is none yet: a figure leaves its place empty."""
    return published(name, folder) if name in published_names(folder) else None


# --- curves ---------------------------------------------------------------------------------------


def take(curve: RunValues, dims: Iterable[int], seeds: Iterable[int]) -> RunValues:
    """Cut a curve to some of its dimensions and seeds."""
    dims, seeds = np.array(sorted(dims)), np.array(sorted(seeds))
    at = np.ix_(np.isin(curve.dims, dims), np.isin(curve.seeds, seeds))
    return RunValues(dims, seeds, curve.values[at], curve.present[at], curve.kind)


def align(*curves: RunValues) -> list[RunValues]:
    """Cut curves to the seeds and dimensions they share."""
    dims = set.intersection(*(set(c.dims.tolist()) for c in curves))
    if not dims:
        raise CannotJudge("the methods share no dimension")
    return [take(curve, dims, curve.seeds) for curve in share_seeds(*curves)]


def share_seeds(*curves: RunValues) -> list[RunValues]:
    """Cut curves to the seeds they share; each keeps its dimensions."""
    seeds = set.intersection(*(set(c.seeds.tolist()) for c in curves))
    if len(seeds) < 2:
        raise CannotJudge("the methods share fewer than two seeds")
    return [take(curve, curve.dims, seeds) for curve in curves]


def crossings(curve: RunValues, level: float) -> np.ndarray:
    """Find log2 of each seed's d_hit, interpolated between grid points; inf where it misses."""
    hits = hit_dimensions(curve.dims, curve.values, level, kind=curve.kind, interpolate=True)
    return np.log2(hits)


def settlings(curve: RunValues, level: float) -> np.ndarray:
    """Find log2 of the d from which on each seed has the level, interpolated; inf if at none."""
    with np.errstate(divide="ignore"):
        up, goal = (-np.log(curve.values), -math.log(level)) if curve.kind == "loss" else (
            curve.values, level)  # fmt: skip
    up = np.where(np.isnan(up), -1e12, up)  # diverged: far below every level
    # From the largest d downwards, the first failure is the last one.
    downwards = curve.dims[-1] / curve.dims[::-1]
    failed = hit_dimensions(
        downwards, -up[::-1], -np.nextafter(goal, -np.inf), kind="accuracy", interpolate=True
    )
    settled = np.log2(curve.dims[-1] / np.minimum(failed, downwards[-1]))
    return np.where(up[-1] >= goal, settled, np.inf)


def capped(log_hits: np.ndarray, curve: RunValues) -> np.ndarray:
    """Let seeds that never reach a level count as the largest d."""
    return np.minimum(log_hits, math.log2(curve.dims[-1]))


def level_text(metric: str, value: float) -> str:
    """Write a level for readers.

    >>> level_text("train_accuracy", 0.9), level_text("test_loss", 0.5)
    ('a training accuracy of 90.0 %', 'a test loss of 0.5')
    """
    split = "training" if metric.startswith("train") else "test"
    if metric.endswith("loss"):
        return f"a {split} loss of {value:.3g}"
    return f"a {split} accuracy of {100 * value:.1f} %"
