"""Judges of the claims on lottery subspaces and tickets (section 4, A.2; Figs. 3, 6, 10, 11).

Each takes the evidence and returns one finding per panel; `criteria` says what it applies.
"""

from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np

from dofbook.figures import DATASETS
from dofbook.success import running_maximum
from dofbook.success.bootstrap import resample_runs
from dofbook.success.tables import RunValues
from ledger import criteria
from ledger.evidence import Evidence
from ledger.panels import (
    CannotJudge,
    Panel,
    align,
    capped,
    crossings,
    panel_findings,
    share_seeds,
)
from ledger.verdicts import (
    CONFIDENCE,
    Estimate,
    Finding,
    Outcome,
    bootstrap_estimate,
    mean_estimate,
    side,
    worst,
)

REPLICATES = 500
BASIS = "increments"  # the released code's, and the default of lottery subspaces
CIFAR10_PANELS = tuple(("cifar10", network) for network in criteria.RUNS)


def lottery_curve(panel: Panel, *, raw: bool = False) -> RunValues:
    """Arrange the lottery subspaces' training accuracies over d and seed.

    Args:
        panel: The panel.
        raw: Leave out the running maximum over the nested subspaces.

    Returns:
        The matrix.

    Raises:
        CannotJudge: If there are too few runs.
    """
    panel.require_method("lottery_subspace", panel.few_runs, "lottery subspaces")
    curve = panel.curve("lottery_subspace")
    values = curve.values if raw else running_maximum(curve.values)
    return RunValues(curve.dims, curve.seeds, values, curve.present, curve.kind)


def _tickets(panel: Panel) -> RunValues:
    panel.require_method("lottery_ticket", panel.few_runs, "lottery tickets")
    return panel.curve("lottery_ticket")


def _size(panel: Panel) -> float:
    return float(panel.rows["D"].iloc[0])


def _everywhere(estimates: Iterable[Estimate]) -> Outcome:
    """A lead must hold at every d; in part, at half of them or more."""
    above = [estimate.lower > 0 for estimate in estimates]
    if all(above):
        return "holds"
    return "in part" if 2 * sum(above) >= len(above) else "fails"


def _leads(panel: Panel, dims: Iterable, leads: dict[int, Estimate]) -> Finding:
    """Report the leads by d: the least of them, and at how many d it is above 0."""
    least = min(leads, key=lambda d: leads[d].lower)
    count = sum(lead.lower > 0 for lead in leads.values())
    return Finding(
        panel.label,
        _everywhere(leads.values()),
        f"least lead {leads[least].text('points', 100, 1)}, at d = {least}",
        f"Above 0 with its interval at {count} of {len(leads)} values of d "
        f"(from {min(dims)} to {max(dims)}).",
    )


def _beats_random(panel: Panel) -> Finding:
    panel.require((0,))
    lottery, random = align(lottery_curve(panel), panel.curve("affine"))
    return _compare(panel, lottery, random)


def _compare(panel: Panel, lottery: RunValues, other: RunValues) -> Finding:
    early = lottery.dims <= criteria.EARLY_DIMS
    if not early.any():
        raise CannotJudge(f"no shared d up to {criteria.EARLY_DIMS}")
    gains = lottery.values - other.values
    dims = [int(d) for d in lottery.dims[early]]
    return _leads(panel, dims, dict(zip(dims, map(mean_estimate, gains[early]), strict=True)))


def _beats_burn_in(panel: Panel) -> Finding:
    times = panel.burn_ins[1:]
    panel.require(times)
    lottery, *burnt = align(lottery_curve(panel), *(panel.curve("affine", t) for t in times))
    stack = np.stack([curve.values for curve in burnt])  # (t, dims, seeds)
    best = stack.mean(axis=2).argmax(axis=0)
    values = np.take_along_axis(stack, best[None, :, None], axis=0)[0]
    first = burnt[0]
    return _compare(
        panel, lottery, RunValues(first.dims, first.seeds, values, first.present, first.kind)
    )


def _full_accuracy(panel: Panel) -> Finding:
    panel.require(baseline=True)
    curve, level = lottery_curve(panel), panel.baseline() - criteria.POINT
    low, high = criteria.FULL_ACCURACY_DIMS
    hits = crossings(curve, level)
    missed = int(np.isinf(hits).sum())
    if missed and curve.dims[-1] <= high:
        raise CannotJudge(f"{missed} runs do not get there up to the largest d, {curve.dims[-1]}")
    ends = mean_estimate(capped(hits, curve))
    found = Estimate(*(2.0**x for x in ends))
    note = f"At a training accuracy of {100 * level:.1f} %."
    if missed:
        found = Estimate(found.value, found.lower, np.inf)
        note += f" {missed} of {len(hits)} runs never get there."
    if found.lower > high:
        outcome = "fails"
    else:
        outcome = "holds" if low <= found.lower and found.upper <= high else "in part"
    return Finding(panel.label, outcome, f"d_hit {found.text('dimensions', digits=0)}", note)


# --- tickets --------------------------------------------------------------------------------------


def _beats_tickets(panel: Panel) -> Finding:
    lottery, tickets = share_seeds(lottery_curve(panel), _tickets(panel))
    within = tickets.dims * criteria.HIGH_COMPRESSION <= _size(panel)
    within &= (tickets.dims >= lottery.dims[0]) & (tickets.dims <= lottery.dims[-1])
    if not within.any():
        raise CannotJudge(f"no ticket with D/d of at least {criteria.HIGH_COMPRESSION}")
    leads = {}
    for i in np.flatnonzero(within):
        at = np.searchsorted(lottery.dims, tickets.dims[i], side="right") - 1
        leads[int(tickets.dims[i])] = mean_estimate(lottery.values[at] - tickets.values[i])
    return _leads(panel, leads, leads)


def ticket_gains(panel: Panel) -> dict[int, Estimate]:
    """Compare tickets with random affine subspaces of the same size.

    Args:
        panel: The panel.

    Returns:
        Size d of the ticket to its lead in training accuracy; intervals hold jointly (Bonferroni).

    Raises:
        CannotJudge: If the two do not overlap, or runs are missing.
    """
    panel.require((0,))
    random, tickets = share_seeds(panel.curve("affine"), _tickets(panel))
    inside = (tickets.dims >= random.dims[0]) & (tickets.dims <= random.dims[-1])
    if not inside.any():
        raise CannotJudge("no ticket in the range of the random affine subspaces")
    confidence = 1 - (1 - CONFIDENCE) / inside.sum()
    x = np.log2(random.dims)
    gains = {}
    for d, values in zip(tickets.dims[inside], tickets.values[inside], strict=True):
        reference = [np.interp(np.log2(d), x, column) for column in random.values.T]
        gains[int(d)] = mean_estimate(values - reference, confidence)
    return gains


def _largest_gain(panel: Panel, gains: dict[int, Estimate], outcome: Outcome) -> Finding:
    top = max(gains, key=lambda d: gains[d].value)
    return Finding(
        panel.label,
        outcome,
        f"largest lead of tickets {gains[top].text('points', 100, 1)}, at d = {top}",
        f"{len(gains)} sizes from {min(gains)} to {max(gains)}.",
    )


def _tickets_no_better(panel: Panel) -> Finding:
    gains = ticket_gains(panel)
    if any(gain.lower > criteria.POINT for gain in gains.values()):
        outcome: Outcome = "fails"
    else:
        inside = all(gain.upper <= criteria.POINT for gain in gains.values())
        outcome = "holds" if inside else "in part"
    return _largest_gain(panel, gains, outcome)


def _tickets_exception(panel: Panel) -> Finding:
    gains = ticket_gains(panel)
    if any(gain.lower > 0 for gain in gains.values()):
        outcome: Outcome = "holds"
    else:
        outcome = "in part" if any(gain.value > 0 for gain in gains.values()) else "fails"
    return _largest_gain(panel, gains, outcome)


def _layer_collapse(panel: Panel) -> Finding:
    panel.require(baseline=True)
    tickets = _tickets(panel)
    rows = panel.rows[panel.rows["method"] == "lottery_ticket"]
    if "collapsed" not in rows.columns:
        raise CannotJudge("the tables do not say which layers collapsed (column collapsed)")
    empty = (rows["collapsed"].fillna("") != "").groupby([rows["d"], rows["seed"]]).any()
    empty = empty.unstack("seed").loc[tickets.dims, tickets.seeds].to_numpy(bool)
    strong = tickets.dims * criteria.COLLAPSE_COMPRESSION <= _size(panel)
    if not strong.any():
        raise CannotJudge(f"no ticket with D/d of at least {criteria.COLLAPSE_COMPRESSION}")
    poor = (tickets.values < panel.baseline() / 2) & strong[:, None]
    if not poor.any():
        return Finding(
            panel.label, "fails", "no poor ticket", "None ends below half of the baseline."
        )

    def share(chosen: np.ndarray) -> float:
        bad = poor[:, chosen].sum()
        return (poor & empty)[:, chosen].sum() / bad if bad else np.nan

    found = bootstrap_estimate(share, len(tickets.seeds))
    outcome = side(found, at_least=criteria.COLLAPSE_SHARE)
    if outcome != "holds":
        outcome = "in part" if found.value >= 0.5 else "fails"
    return Finding(
        panel.label,
        outcome,
        f"{found.text('% of the poor tickets', 100, 0)}",
        f"{int(poor.sum())} of {poor[strong].size} tickets with D/d of at least "
        f"{criteria.COLLAPSE_COMPRESSION} are poor.",
    )


def _table_1(panel: Panel) -> Finding:
    last = panel.burn_ins[-1]
    panel.require((0, last), baseline=True)
    panel.require_method("random_pruning", panel.few_runs, "random pruning")
    level = 0.9 * panel.baseline()
    pairs = {
        "random pruning to tickets": (panel.curve("random_pruning"), _tickets(panel)),
        "random affine to burn-in": (panel.curve("affine"), panel.curve("affine", last)),
        "burn-in to lottery subspaces": (panel.curve("affine", last), lottery_curve(panel)),
    }
    contrasts = {}
    for name, pair in pairs.items():
        pair = share_seeds(*pair)
        ends = np.log2([max(c.dims[0] for c in pair), min(c.dims[-1] for c in pair)])
        first, second = (np.clip(crossings(c, level), *ends) for c in pair)
        contrasts[name] = mean_estimate(second - first)
    outcomes = [side(contrast, at_most=0) for contrast in contrasts.values()]
    outcome = worst(outcomes)
    if outcome != "holds":
        outcome = "in part" if "holds" in outcomes else "fails"
    name = max(contrasts, key=lambda n: contrasts[n].upper)
    return Finding(
        panel.label,
        outcome,
        f"{name}: {contrasts[name].text('octaves')}",
        f"At a training accuracy of {100 * level:.1f} %; {outcomes.count('holds')} of "
        f"{len(outcomes)} steps hold.",
    )


# --- trajectories ---------------------------------------------------------------------------------


def spectra_by_panel(evidence: Evidence) -> dict[tuple[str, str], np.ndarray]:
    """Arrange the singular values, of the increments of the trajectory, by panel.

    Args:
        evidence: The tables.

    Returns:
        Data set and network to singular values, largest first, shape (seeds, values).
    """
    found = {}
    for key, rows in evidence.spectra.groupby(["dataset", "network"]):
        rows = rows[rows["basis"] == BASIS]
        matrix = rows.pivot_table(index="seed", columns="index", values="singular_value")
        if not matrix.empty:
            found[key] = matrix.dropna(axis=1).to_numpy(float)
    return found


def _log_spectra(evidence: Evidence) -> dict[tuple[str, str], np.ndarray]:
    """Normalized log10 spectra of the panels that have enough values and seeds."""
    length, logs = criteria.SPECTRUM_LENGTH, {}
    for (dataset, network), values in spectra_by_panel(evidence).items():
        enough = network in criteria.RUNS and len(values) >= criteria.RUNS[network]
        if not enough or values.shape[1] < length or (values[:, :length] <= 0).any():
            continue
        top = values[:, :length]
        logs[dataset, network] = np.log10(top / np.linalg.norm(top, axis=1, keepdims=True))
    return logs


def _mean_distance(means: dict, pairs: list) -> float:
    return float(np.mean([np.sqrt(np.mean((means[a] - means[b]) ** 2)) for a, b in pairs]))


def spectra_consistent(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge whether spectra depend on the data set rather than on the architecture.

    Args:
        evidence: The tables; `Evidence.spectra` is used.

    Returns:
        One finding per data set of Figs. 10 and 11 with several architectures.
    """
    logs = _log_spectra(evidence)
    pairs = list(combinations(sorted(logs), 2))
    across = [(a, b) for a, b in pairs if a[1] == b[1]]
    findings = []
    for dataset in criteria.IMAGES:
        within = [(a, b) for a, b in pairs if a[0] == b[0] == dataset]
        label = DATASETS[dataset]
        if not within or not across:
            note = f"{len([k for k in logs if k[0] == dataset])} architectures have spectra."
            if within:
                note = "No architecture has spectra on two data sets."
            findings.append(Finding(label, "not run", note=note))
            continue
        findings.append(_spectrum_finding(label, logs, within, across))
    return tuple(findings)


def _spectrum_finding(label: str, logs: dict, within: list, across: list) -> Finding:
    def ratio(means: dict) -> float:
        return _mean_distance(means, within) / _mean_distance(means, across)

    value = ratio({key: x.mean(axis=0) for key, x in logs.items()})
    draws = {
        key: resample_runs(len(x), REPLICATES, rng=i) for i, (key, x) in enumerate(logs.items())
    }
    drawn = [
        ratio({key: x[draws[key][r]].mean(axis=0) for key, x in logs.items()})
        for r in range(REPLICATES)
    ]
    tail = (1 - CONFIDENCE) / 2
    found = Estimate(value, *np.quantile(drawn, [tail, 1 - tail]).tolist())
    inside = [value < 1, found.upper < 1]
    outcome: Outcome = "holds" if all(inside) else "in part" if inside[0] else "fails"
    return Finding(
        label,
        outcome,
        f"ratio of distances {found.text()}",
        f"{len(within)} pairs of architectures, {len(across)} pairs of data sets.",
    )


def _fall(panel: Panel, spectra: dict[tuple[str, str], np.ndarray]) -> Finding:
    curve = lottery_curve(panel, raw=True)
    values = spectra.get((panel.dataset, panel.network))
    last = int(curve.dims[-1])
    if values is None or values.shape[1] < last:
        raise CannotJudge(f"no spectrum with {last} singular values")
    top = int(curve.values.mean(axis=1).argmax())
    fall = mean_estimate(curve.values[top] - curve.values[-1])
    ratio = float((values[:, last - 1] / values[:, 0]).mean())
    outcome = side(fall, at_least=criteria.POINT)
    if ratio > criteria.FALLEN_OFF:
        outcome = "fails"
    return Finding(
        panel.label,
        outcome,
        f"fall {fall.text('points', 100, 1)} from d = {curve.dims[top]} to {last}",
        f"The singular value there is {100 * ratio:.1f} % of the first.",
    )


def _falls_with_spectrum(evidence: Evidence) -> tuple[Finding, ...]:
    spectra = spectra_by_panel(evidence)
    return panel_findings(lambda panel: _fall(panel, spectra), CIFAR10_PANELS, evidence)


def steepest_step(curve: RunValues) -> tuple[int, int]:
    """Find the neighbouring grid points with the largest gain of the mean per octave.

    Args:
        curve: Accuracies over d and seed.

    Returns:
        The two training dimensions.
    """
    kept = curve.dims <= criteria.EARLY_DIMS
    dims, mean = curve.dims[kept], curve.values[kept].mean(axis=1)
    step = int(np.argmax(np.diff(mean) / np.diff(np.log2(dims))))
    return int(dims[step]), int(dims[step + 1])


def _ten(panel: Panel) -> Finding:
    curve = lottery_curve(panel, raw=True)
    if np.sum(curve.dims <= criteria.EARLY_DIMS) < 2:
        raise CannotJudge(f"fewer than two values of d up to {criteria.EARLY_DIMS}")
    low, high = criteria.CLASS_STEP

    def overlaps(chosen: np.ndarray) -> float:
        values = curve.values[:, chosen]
        first, second = steepest_step(
            RunValues(curve.dims, curve.seeds, values, curve.present, curve.kind)
        )
        return float(first < high and second > low)

    seeds = len(curve.seeds)
    share = np.mean([overlaps(chosen) for chosen in resample_runs(seeds, REPLICATES, rng=0)])
    first, second = steepest_step(curve)
    hit = overlaps(np.arange(seeds)) > 0
    outcome: Outcome = "holds" if hit and share >= CONFIDENCE else "in part" if hit else "fails"
    return Finding(
        panel.label,
        outcome,
        f"steepest from d = {first} to {second}, middle {np.sqrt(first * second):.1f}",
        f"Overlaps ({low}, {high}) in {100 * share:.0f} % of the bootstrap samples.",
    )


def _on(panels: tuple, judge: Callable[[Panel], Finding]) -> Callable:
    return lambda evidence: panel_findings(judge, panels, evidence)


_EXCEPTED = ("cifar10", "conv2")
JUDGES = {
    "lottery-beats-random": _on(criteria.FIG3_PANELS, _beats_random),
    "lottery-beats-burn-in": _on(criteria.FIG3_PANELS, _beats_burn_in),
    "lottery-full-accuracy": _on(criteria.FIG3_PANELS, _full_accuracy),
    "lottery-beats-tickets": _on(criteria.FIG3_PANELS, _beats_tickets),
    "tickets-no-better": _on(
        tuple(p for p in criteria.FIG3_PANELS if p != _EXCEPTED), _tickets_no_better
    ),
    "tickets-exception": _on((_EXCEPTED,), _tickets_exception),
    "layer-collapse": _on(criteria.FIG3_PANELS, _layer_collapse),
    "table-1-order": _on(criteria.FIG3_PANELS, _table_1),
    "spectra-consistent": spectra_consistent,
    "accuracy-falls-with-spectrum": _falls_with_spectrum,
    "cifar10-ten": _on(CIFAR10_PANELS, _ten),
}
"""The judge of each claim, by its id."""
