"""Judges of the claims on lottery subspaces and tickets (section 4, A.2; Figs. 3, 6, 10, 11).

Each is a function of one panel; `criteria` says what it applies.
"""

import math
from collections.abc import Mapping
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from dofbook.figures import DATASETS
from dofbook.success import RunValues, running_maximum
from ledger import criteria
from ledger.evidence import Evidence
from ledger.panels import (
    ACCURACY,
    JUDGES,
    CannotJudge,
    Panel,
    align,
    capped,
    crossings,
    judges,
    level_text,
    panel_findings,
    share_seeds,
)
from ledger.verdicts import (
    Decision,
    Finding,
    Outcome,
    combine,
    decide,
    decide_means,
    held_out_estimate,
    mean_estimate,
    side,
)

BASIS = "increments"  # the released code's, and the default of lottery subspaces
EXCEPTED = ("cifar10", "conv2")
CIFAR10_PANELS = tuple(("cifar10", network) for network in criteria.RUNS)

Leads = Mapping[int, np.ndarray]  # d to the lead of each seed


def lottery_curve(panel: Panel, t: int = 0) -> RunValues:
    """Arrange the lottery subspaces' running maximum of accuracy over the nested subspaces."""
    curve = panel.curve("lottery_subspace", t)
    values = running_maximum(curve.values)
    return RunValues(curve.dims, curve.seeds, values, curve.present, curve.kind)


# --- one test over all d --------------------------------------------------------------------------


def judge_leads(panel: Panel, leads: Leads, what: str) -> Finding:
    """Judge a mean lead over all d, which must be above 0, and none below 0 jointly."""
    mean = mean_estimate(np.mean(list(leads.values()), axis=0))
    least = decide_means(leads, low=0)
    outcome = side(mean, low=0)
    note = f"Mean over {len(leads)} values of d from {min(leads)} to {max(leads)}; the least at "
    note += f"d = {least.key}, {least.estimate.text('points', 100, 1)}."
    return Finding(
        panel.label,
        "in part" if outcome == "holds" and least.outcome == "fails" else outcome,
        f"{what} {mean.text('points', 100, 1)}",
        note if len(leads) > 1 else f"At d = {least.key}, the only value.",
    )


def _early_leads(lottery: RunValues, other: RunValues) -> Leads:
    lottery, other = align(lottery, other)
    gains = dict(zip(lottery.dims.tolist(), lottery.values - other.values, strict=True))
    early = {d: gain for d, gain in gains.items() if d <= criteria.EARLY_DIMS}
    if not early:
        raise CannotJudge(f"no shared d up to {criteria.EARLY_DIMS}")
    return early


@judges("lottery-beats-random", criteria.FIG3_PANELS)
def beats_random(panel: Panel) -> Finding:
    return judge_leads(panel, _early_leads(lottery_curve(panel), panel.curve("affine")), "lead")


@judges("lottery-beats-burn-in", criteria.FIG3_PANELS)
def beats_burn_in(panel: Panel) -> Finding:
    curves = {panel.burn_ins[-1]: panel.curve("affine", panel.burn_ins[-1])}
    for t in panel.burn_ins[1:-1]:
        try:
            curves[t] = panel.curve("affine", t)
        except CannotJudge:
            continue
    lottery, *burnt = align(lottery_curve(panel), *curves.values())
    stack = np.stack([curve.values for curve in burnt])  # (t, dims, seeds)
    best = stack.mean(axis=2).argmax(axis=0)
    values = np.take_along_axis(stack, best[None, :, None], axis=0)[0]
    other = RunValues(lottery.dims, lottery.seeds, values, lottery.present, lottery.kind)
    found = judge_leads(panel, _early_leads(lottery, other), "lead")
    note = f"{found.note} Against t = {', '.join(map(str, sorted(curves)))}."
    return Finding(found.subject, found.outcome, found.measured, note)


@judges("lottery-full-accuracy", criteria.FIG3_PANELS)
def full_accuracy(panel: Panel) -> Finding:
    curve, level = lottery_curve(panel), panel.baseline() - criteria.POINT
    low, high = criteria.FULL_ACCURACY_DIMS
    hits = crossings(curve, level)
    missed = int(np.isinf(hits).sum())
    if missed and curve.dims[-1] <= high:
        raise CannotJudge(f"{missed} runs do not get there up to the largest d, {curve.dims[-1]}")
    found = mean_estimate(capped(hits, curve)).through(lambda x: 2.0**x)
    note = f"At {level_text(ACCURACY, level)}."
    if missed:  # those runs only bound the mean from below
        found = found._replace(upper=math.inf)
        note += f" {missed} of {len(hits)} runs never get there."
    outcome = side(found, low, high)
    if found.upper <= low:
        outcome = "in part"
    return Finding(panel.label, outcome, f"d_hit {found.text('dimensions', digits=0)}", note)


# --- tickets --------------------------------------------------------------------------------------


def off_chance(tickets: RunValues) -> np.ndarray:
    """Mark the sizes at which tickets do more than guess; collapsed ones compare with nothing."""
    return tickets.values.mean(axis=1) >= criteria.OFF_CHANCE


@judges("lottery-beats-tickets", criteria.FIG3_PANELS)
def beats_tickets(panel: Panel) -> Finding:
    lottery, tickets = share_seeds(lottery_curve(panel), panel.curve("lottery_ticket"))
    counted = off_chance(tickets) & (tickets.dims >= lottery.dims[0])
    counted &= tickets.dims * criteria.HIGH_COMPRESSION <= panel.D
    if not counted.any():
        raise CannotJudge(f"no ticket with D/d ≥ {criteria.HIGH_COMPRESSION} is off chance")
    leads = {}
    for i in np.flatnonzero(counted):
        at = np.searchsorted(lottery.dims, tickets.dims[i], side="right") - 1
        leads[int(tickets.dims[i])] = lottery.values[at] - tickets.values[i]
    return judge_leads(panel, leads, "lead")


def ticket_gains(panel: Panel) -> Leads:
    """Compare tickets that are off chance with random affine subspaces of their size."""
    random, tickets = share_seeds(panel.curve("affine"), panel.curve("lottery_ticket"))
    counted = off_chance(tickets) & (tickets.dims >= random.dims[0])
    counted &= tickets.dims <= random.dims[-1]
    if not counted.any():
        raise CannotJudge("no ticket off chance in the range of the random affine subspaces")
    x, gains = np.log2(random.dims), {}
    for d, values in zip(tickets.dims[counted], tickets.values[counted], strict=True):
        gains[int(d)] = values - [np.interp(np.log2(d), x, column) for column in random.values.T]
    return gains


def no_gain(panel: Panel, gains: Leads, bound: float) -> Finding:
    """Judge a mean gain that must be below a bound, and no gain above it jointly."""
    mean = mean_estimate(np.mean(list(gains.values()), axis=0))
    top = decide_means(gains, high=bound)
    outcome: Outcome = side(mean, high=bound)
    return Finding(
        panel.label,
        "in part" if outcome == "holds" and top.outcome == "fails" else outcome,
        f"lead of tickets {mean.text('points', 100, 1)}",
        f"Mean over {len(gains)} sizes from {min(gains)} to {max(gains)}; the largest at "
        f"d = {top.key}, {top.estimate.text('points', 100, 1)}.",
    )


@judges("tickets-no-better", (p for p in criteria.FIG3_PANELS if p != EXCEPTED))
def tickets_no_better(panel: Panel) -> Finding:
    return no_gain(panel, ticket_gains(panel), criteria.POINT)


@judges("tickets-exception", (EXCEPTED,))
def tickets_exception(panel: Panel) -> Finding:
    gains = ticket_gains(panel)
    found = no_gain(panel, gains, 0.0)
    ahead = decide_means(gains, high=0).outcome == "fails"  # at some size, jointly
    better = {"holds": "fails", "fails": "holds", "in part": "in part"}
    outcome = better.get(found.outcome, "in part" if ahead else "undecided")
    return Finding(found.subject, outcome, found.measured, found.note)


def collapsed(rows: pd.DataFrame) -> pd.Series:
    """Mark, by d and seed, the runs of a method that lost a whole layer."""
    return (rows["collapsed"].fillna("") != "").groupby([rows["d"], rows["seed"]]).any()


@judges("layer-collapse", criteria.FIG3_PANELS)
def layer_collapse(panel: Panel) -> Finding:
    tickets, baseline = panel.curve("lottery_ticket"), panel.baseline()
    rows = panel.rows[
        (panel.rows["method"] == "lottery_ticket") & (panel.rows["burn_in_steps"] == 0)
    ]
    if "collapsed" not in rows.columns:
        raise CannotJudge("the tables do not say which layers collapsed (column collapsed)")
    empty = collapsed(rows).unstack("seed").loc[tickets.dims, tickets.seeds].to_numpy(bool)
    strong = tickets.dims * criteria.COLLAPSE_COMPRESSION <= panel.D
    if not strong.any():
        raise CannotJudge(f"no ticket with D/d ≥ {criteria.COLLAPSE_COMPRESSION}")
    poor = (tickets.values < baseline / 2) & strong[:, None]
    seeds = poor.any(axis=0)
    if not seeds.any():
        return Finding(
            panel.label, "fails", "no poor ticket", "None ends below half of the baseline."
        )
    if seeds.sum() < 2:
        raise CannotJudge("one seed alone has poor tickets")
    shares = (poor & empty).sum(axis=0)[seeds] / poor.sum(axis=0)[seeds]
    found = mean_estimate(shares, least_sd=1 / (strong.sum() * math.sqrt(12)))
    outcome = side(found, low=criteria.COLLAPSE_SHARE)
    if outcome == "fails" and side(found, low=criteria.MOST) != "fails":
        outcome = "in part" if side(found, low=criteria.MOST) == "holds" else "undecided"
    return Finding(
        panel.label,
        outcome,
        f"{found.text('% of the poor tickets', 100, 0)}",
        f"{int(poor.sum())} of {poor[strong].size} tickets with D/d ≥ "
        f"{criteria.COLLAPSE_COMPRESSION} are poor.",
    )


STEPS = {
    "random pruning to w0 → w16": (("random_pruning", 0), ("random_pruning", 1)),
    "pruning at w16 → tickets": (("random_pruning", 1), ("lottery_ticket", 0)),
    "tickets to w0 → w16": (("lottery_ticket", 0), ("lottery_ticket", 1)),
    "random affine → burn-in": (("affine", 0), ("affine", 1)),
    "burn-in → lottery subspaces": (("affine", 1), ("lottery_subspace", 0)),
    "lottery subspaces w0 → w16": (("lottery_subspace", 0), ("lottery_subspace", 1)),
}
"""The steps to the right in Table 1: method, and whether rewound to the last burn-in time."""


def _step(panel: Panel, ends: tuple, level: float) -> tuple[np.ndarray, bool]:
    """Contrast log2 d_hit over a step by seed; also whether a seed has both ends cut off."""
    curves = []
    for method, rewound in ends:
        t = panel.burn_ins[-1] if rewound else 0
        made = lottery_curve if method == "lottery_subspace" else partial(_plain, method)
        curves.append(made(panel, t))
    curves = share_seeds(*curves)
    low, high = max(c.dims[0] for c in curves), min(c.dims[-1] for c in curves)
    left, right = (np.clip(crossings(c, level), *np.log2([low, high])) for c in curves)
    cut = np.isin(left, np.log2([low, high])) & (left == right)
    return right - left, bool(cut.any())


def _plain(method: str, panel: Panel, t: int) -> RunValues:
    return panel.curve(method, t)


@judges("table-1-order", criteria.FIG3_PANELS)
def table_1_order(panel: Panel) -> Finding:
    level, found, missing = 0.9 * panel.baseline(), {}, []
    for name, ends in STEPS.items():
        try:
            contrast, cut = _step(panel, ends, level)
        except CannotJudge:
            missing.append(name)
            continue
        estimate = mean_estimate(contrast)
        outcome = side(estimate, high=0)
        found[name] = ("undecided" if cut and outcome == "fails" else outcome), estimate
    if not found:
        raise CannotJudge("no step of Table 1 has both of its ends")
    outcomes = [outcome for outcome, _ in found.values()]
    if missing:
        outcomes.append("undecided")
    joined = combine(outcomes)
    if "fails" in outcomes and "holds" not in outcomes:
        joined = "fails"
    name = max(found, key=lambda n: found[n][1].upper)
    return Finding(
        panel.label,
        joined,
        f"{name}: {found[name][1].text('octaves')}",
        f"The largest, at {level_text(ACCURACY, level)}. "
        + " ".join(
            f"{n[0].upper()}{n[1:]}: {e.text(digits=1)}, {o}." for n, (o, e) in found.items()
        )
        + (f" Not run: {', '.join(missing)}." if missing else ""),
    )


# --- trajectories ---------------------------------------------------------------------------------


def spectra_by_panel(evidence: Evidence) -> dict[tuple[str, str], pd.DataFrame]:
    """Arrange the singular values of increments by panel: a table of seeds and index."""
    found, table = {}, evidence.spectra
    for key, rows in table[table["basis"] == BASIS].groupby(["dataset", "network"]):
        found[key] = rows.pivot_table(index="seed", columns="index", values="singular_value")
    return found


def _log_spectra(evidence: Evidence) -> dict:
    """Normalized log10 spectra, by seed, of the panels that have enough values and seeds."""
    length, logs = criteria.SPECTRUM_LENGTH, {}
    for key, values in spectra_by_panel(evidence).items():
        top = values.iloc[:, :length].dropna()
        enough = len(top) >= criteria.LEAST_RUNS.get(key[1], math.inf)
        if enough and top.shape[1] == length and (top > 0).all(axis=None):
            logs[key] = np.log10(top.div(np.sqrt((top**2).sum(axis=1)), axis=0))
    return logs


def spectra_consistent(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge whether spectra depend on the data set rather than on the architecture."""
    logs = _log_spectra(evidence)
    pairs = list(combinations(sorted(logs), 2))
    across = [(a, b) for a, b in pairs if a[1] == b[1]]
    findings = []
    for dataset in criteria.IMAGES:
        within = [(a, b) for a, b in pairs if a[0] == b[0] == dataset]
        label, count = DATASETS[dataset], sum(key[0] == dataset for key in logs)
        if within and across:
            findings.append(_spectrum_finding(label, logs, within, across))
        else:
            note = "No architecture has spectra on two data sets." if within else (
                f"{count} architecture{'' if count == 1 else 's'} with enough spectra."
            )  # fmt: skip
            findings.append(Finding(label, "not run", note=note))
    return tuple(findings)


def _spectrum_finding(label: str, logs: dict, within: list, across: list) -> Finding:
    used = {key for pair in within + across for key in pair}
    seeds = sorted(set.intersection(*(set(logs[key].index) for key in used)))
    if len(seeds) < 2:
        return Finding(label, "not run", note="The spectra share fewer than two seeds.")

    def distance(pairs: list) -> np.ndarray:
        gaps = [logs[a].loc[seeds].to_numpy() - logs[b].loc[seeds].to_numpy() for a, b in pairs]
        return np.mean([np.sqrt(np.mean(gap**2, axis=1)) for gap in gaps], axis=0)

    found = mean_estimate(np.log2(distance(within) / distance(across)))
    return Finding(
        label,
        side(found, high=0),
        f"ratio of distances {found.through(lambda x: 2.0**x).text()}",
        f"Pairs of architectures: {len(within)}, of data sets: {len(across)}; {len(seeds)} seeds.",
    )


def held_out_falls(values: np.ndarray) -> np.ndarray:
    """Measure each seed's fall to the largest d from the d where the others' mean is largest."""
    peaks = [np.delete(values, s, axis=1).mean(axis=1).argmax() for s in range(values.shape[1])]
    return values[peaks, np.arange(values.shape[1])] - values[-1]


def _fall(panel: Panel, spectra: dict) -> Finding:
    curve, values = panel.curve("lottery_subspace"), spectra.get((panel.dataset, panel.network))
    last = int(curve.dims[-1])
    if last < criteria.FALLEN_DIMS:
        raise CannotJudge(
            f"lottery subspaces up to d = {last}; {criteria.FALLEN_DIMS} or more are needed"
        )
    if values is None or values.dropna(axis=1).shape[1] < last or len(values) < 2:
        raise CannotJudge(f"no spectra with {last} singular values")
    falls = held_out_falls(curve.values)
    ratios = (values.iloc[:, last - 1] / values.iloc[:, 0]).to_numpy()
    ratio = mean_estimate(ratios)
    # Each bound at 0, so that both are conditions of one claim.
    fall = partial(held_out_estimate, falls - criteria.POINT)
    left = partial(mean_estimate, criteria.FALLEN_OFF - ratios)
    top = curve.dims[curve.values.mean(axis=1).argmax()]
    return Finding(
        panel.label,
        decide({"fall": fall, "left": left}, low=0).outcome,
        f"fall {held_out_estimate(falls).text('points', 100, 1)} to d = {last}",
        f"The largest mean is at d = {top}; the last singular value is {ratio.text('%', 100, 1)} "
        "of the first.",
    )


JUDGES["spectra-consistent"] = spectra_consistent
JUDGES["accuracy-falls-with-spectrum"] = lambda evidence: panel_findings(
    partial(_fall, spectra=spectra_by_panel(evidence)), CIFAR10_PANELS, evidence
)


def octave_excess(curve: RunValues) -> Leads:
    """Compare the gain over the octave of ten with that over each other octave, by seed."""
    low, high = criteria.CLASS_STEP
    at = {int(d): values for d, values in zip(curve.dims, curve.values, strict=True)}
    gains = {d: at[2 * d] - at[d] for d in criteria.DIMS if {d, 2 * d} <= set(at)}
    gains = {d: gain for d, gain in gains.items() if 2 * d <= criteria.EARLY_DIMS}
    if not {low // 2, low, high} <= set(gains):
        raise CannotJudge(f"no d = {low // 2}, {low}, {high} and {2 * high}")
    return {d: gains[low] - gain for d, gain in gains.items() if d != low}


@judges("cifar10-ten", CIFAR10_PANELS)
def ten(panel: Panel) -> Finding:
    curve = panel.curve("lottery_subspace")
    low, high = criteria.CLASS_STEP
    least: Decision = decide_means(octave_excess(curve), low=0)
    gain = mean_estimate((curve.values[curve.dims == high] - curve.values[curve.dims == low])[0])
    return Finding(
        panel.label,
        least.outcome,
        f"gain from d = {low} to {high} {gain.text('points', 100, 1)}",
        f"Less that from {least.key} to {2 * least.key}, the nearest: "
        f"{least.estimate.text('points', 100, 1)}.",
    )
