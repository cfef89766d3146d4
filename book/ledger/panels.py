"""Arrange the runs of a panel for the judges, and say what is missing."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dofbook.figures import DATASETS, NETWORKS
from dofbook.success import baseline_accuracy, interpolated_hits, run_values
from dofbook.success.tables import RunValues, metric_kind
from ledger.criteria import BURN_INS, DIMS, LOTTERY_RUNS, RUNS
from ledger.evidence import Evidence
from ledger.verdicts import Finding

BASELINE_RATES = 2  # paper A.4: the better of 5e-2 and 1e-2


class CannotJudge(Exception):
    """Say in one sentence why a panel gives no figure."""


@dataclass(frozen=True)
class Panel:
    """One network on one data set, with the runs made for it.

    Args:
        dataset: Name of the data set.
        network: Name of the network.
        rows: Its rows, of all methods.
    """

    dataset: str
    network: str
    rows: pd.DataFrame

    @property
    def label(self) -> str:
        """Name for readers."""
        return f"{NETWORKS[self.network]} on {DATASETS[self.dataset]}"

    @property
    def runs(self) -> int:
        """Number of initializations the paper has."""
        return RUNS[self.network]

    @property
    def few_runs(self) -> int:
        """Number of initializations needed of methods that use training."""
        return min(self.runs, LOTTERY_RUNS)

    @property
    def delta(self) -> float:
        """All but one of the runs must succeed."""
        return 1 / self.runs

    @property
    def burn_ins(self) -> tuple[int, ...]:
        """The paper's burn-in times, 0 among them."""
        return BURN_INS[self.network]

    def require(
        self, burn_ins: Iterable[int] = (), dims: Iterable[int] = DIMS, baseline: bool = False
    ) -> None:
        """Make sure that the affine runs that a criterion needs are there.

        Args:
            burn_ins: Values of t.
            dims: Training dimensions needed at each.
            baseline: Whether full training is needed too.

        Raises:
            CannotJudge: If runs are missing; the sentence says which.
        """
        dims, missing = tuple(dims), []
        for t in burn_ins:
            seeds = self._seeds("affine", t)
            lacking = [d for d in dims if seeds.get(d, 0) < self.runs]
            if lacking:
                missing.append(
                    f"t = {t}: {len(dims) - len(lacking)} of {len(dims)} dimensions have "
                    f"{self.runs} runs"
                )
        if baseline:
            full = self.rows[self.rows["method"] == "full"]
            rates = full.groupby("learning_rate")["seed"].nunique() if len(full) else pd.Series()
            ready = int((rates >= self.runs).sum())
            if ready < BASELINE_RATES:
                missing.append(
                    f"full training: {ready} of {BASELINE_RATES} learning rates have {self.runs} "
                    "runs"
                )
        if missing:
            raise CannotJudge("; ".join(missing))

    def _seeds(self, method: str, t: int = 0) -> dict[int, int]:
        """Count the seeds that were trained to the end, by d."""
        rows = self.rows[(self.rows["method"] == method) & (self.rows["burn_in_steps"] == t)]
        if "epochs" in rows.columns and "epoch" in rows.columns:
            rows = rows[np.isclose(rows["epoch"].astype(float), rows["epochs"].astype(float))]
        return rows.groupby("d")["seed"].nunique().to_dict()

    def require_method(self, method: str, least: int, what: str) -> None:
        """Make sure that there are enough runs of a method other than affine.

        Args:
            method: The method.
            least: Seeds needed at every d there is.
            what: Its name for readers.

        Raises:
            CannotJudge: If there are none or too few.
        """
        counts = self._seeds(method)
        if not counts:
            raise CannotJudge(f"no runs of {what}")
        if min(counts.values()) < least:
            raise CannotJudge(f"{what}: {min(counts.values())} of {least} runs at some d")

    def curve(self, method: str, t: int = 0, metric: str = "train_accuracy") -> RunValues:
        """Arrange one method's best values as a matrix over d and seed.

        Args:
            method: The method.
            t: Burn-in steps.
            metric: One of ``success.METRICS``.

        Returns:
            The matrix, with the seeds that were run at every d.

        Raises:
            CannotJudge: If there are no such runs.
        """
        rows = self.rows[(self.rows["method"] == method) & (self.rows["burn_in_steps"] == t)]
        if rows.empty:
            raise CannotJudge(f"no runs of {method.replace('_', ' ')} at t = {t}")
        if method == "affine":  # a finer grid with fewer seeds must not cost seeds
            rows = rows[rows["d"].isin(DIMS)]
        return run_values(rows, metric).complete()

    def affine(self, metric: str = "train_accuracy") -> dict[int, RunValues]:
        """Arrange the affine runs at every burn-in time, on the seeds and dimensions they share.

        Args:
            metric: One of ``success.METRICS``.

        Returns:
            Burn-in time to its matrix; all of one shape.
        """
        found = {t: self.curve("affine", t, metric) for t in self.burn_ins}
        return dict(zip(found, align(*found.values()), strict=True))

    def start(self, t: int, seeds: np.ndarray, metric: str = "train_accuracy") -> np.ndarray:
        """Take each seed's value at w_t itself, where training in the subspace starts.

        Args:
            t: Burn-in steps.
            seeds: The seeds wanted, those of the curve it is compared with.
            metric: One of ``success.METRICS``.

        Returns:
            Values in the order of the seeds, shape (seeds,).

        Raises:
            CannotJudge: If a seed has no checkpoint at step 0.
        """
        rows = self.rows
        rows = rows[
            (rows["method"] == "affine") & (rows["burn_in_steps"] == t) & (rows["step"] == 0)
        ]
        if not set(seeds) <= set(rows["seed"]):
            raise CannotJudge(f"no checkpoint at the start of t = {t}")
        return rows.groupby("seed")[metric].mean().loc[seeds].to_numpy(float)

    def baseline(self, metric: str = "train_accuracy") -> float:
        """Average full training over seeds at the better learning rate.

        Args:
            metric: One of ``success.METRICS``.

        Returns:
            The baseline.
        """
        return float(baseline_accuracy(self.rows, metric)["baseline"].iloc[0])


def panel_findings(
    judge: Callable[[Panel], Finding], panels: Iterable[tuple[str, str]], evidence: Evidence
) -> tuple[Finding, ...]:
    """Judge every panel; what cannot be judged is "not run", with the reason.

    Args:
        judge: Function of one panel.
        panels: Data set and network of each.
        evidence: The tables.

    Returns:
        One finding per panel.
    """
    findings, runs = [], evidence.runs
    for dataset, network in panels:
        rows = runs[(runs["dataset"] == dataset) & (runs["network"] == network)]
        panel = Panel(dataset, network, rows)
        try:
            findings.append(judge(panel) if len(rows) else absent(panel))
        except CannotJudge as reason:
            findings.append(Finding(panel.label, "not run", note=f"{reason}."))
    return tuple(findings)


def absent(panel: Panel) -> Finding:
    """Say that a panel has no run at all.

    Args:
        panel: The panel.

    Returns:
        The finding.
    """
    return Finding(panel.label, "not run", note="No runs at the paper's settings.")


def align(*curves: RunValues) -> list[RunValues]:
    """Cut curves to the seeds and dimensions they share.

    Args:
        *curves: Complete matrices.

    Returns:
        The same with one shape.

    Raises:
        CannotJudge: If they share no seed or no dimension.
    """
    seeds = sorted(set.intersection(*(set(c.seeds.tolist()) for c in curves)))
    dims = sorted(set.intersection(*(set(c.dims.tolist()) for c in curves)))
    if not seeds or not dims:
        raise CannotJudge("the methods share no seed or no dimension")
    return [_cut(curve, dims, seeds) for curve in curves]


def _cut(curve: RunValues, dims: list[int], seeds: list[int]) -> RunValues:
    at = np.ix_(np.isin(curve.dims, dims), np.isin(curve.seeds, seeds))
    values, present = curve.values[at], curve.present[at]
    return RunValues(np.array(dims), np.array(seeds), values, present, curve.kind)


def share_seeds(*curves: RunValues) -> list[RunValues]:
    """Cut curves to the seeds they share; each keeps its dimensions.

    Args:
        *curves: Complete matrices.

    Returns:
        The same with equal seeds.

    Raises:
        CannotJudge: If they share fewer than two seeds.
    """
    seeds = sorted(set.intersection(*(set(c.seeds.tolist()) for c in curves)))
    if len(seeds) < 2:
        raise CannotJudge("the methods share fewer than two seeds")
    return [_cut(curve, curve.dims.tolist(), seeds) for curve in curves]


def crossings(curve: RunValues, level: float) -> np.ndarray:
    """Find each seed's d_hit, interpolated between grid points.

    Args:
        curve: Values over d and seed.
        level: Loss or accuracy.

    Returns:
        log2 of ``success.interpolated_hits``, shape (seeds,).
    """
    return np.log2(interpolated_hits(curve.dims, curve.values, level, kind=curve.kind))


def capped(log_hits: np.ndarray, curve: RunValues) -> np.ndarray:
    """Let seeds that never reach a level count as the largest d.

    Args:
        log_hits: What `crossings` gave.
        curve: The curve it was given.

    Returns:
        The same, finite.
    """
    return np.minimum(log_hits, math.log2(curve.dims[-1]))


def metric_level(metric: str, value: float) -> str:
    """Write a level for readers.

    Args:
        metric: One of ``success.METRICS``.
        value: The level.

    Returns:
        Such as "a training accuracy of 97.1 %".
    """
    split = "training" if metric.startswith("train") else "test"
    if metric_kind(metric) == "loss":
        return f"a {split} loss of {value:.3g}"
    return f"a {split} accuracy of {100 * value:.1f} %"
