"""Judges of the claims on random and burn-in affine subspaces (section 2.1, Figs. 2, 3, 7, 8, 12).

Each takes the evidence and returns one finding per panel; `criteria` says what it applies.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import linregress

from dofbook.success import (
    hit_dimensions,
    phase_boundary,
    success_counts,
    success_fraction,
    threshold_dimensions,
    wilson_interval,
)
from dofbook.success.tables import RunValues
from dofbook.success.thresholds import SLACK
from ledger import criteria
from ledger.evidence import Evidence
from ledger.panels import (
    CannotJudge,
    Panel,
    align,
    capped,
    crossings,
    metric_level,
    panel_findings,
)
from ledger.verdicts import (
    Estimate,
    Finding,
    bootstrap_estimate,
    combine,
    mean_estimate,
    side,
    worst,
)

Judge = Callable[[Panel], Finding]
ACCURACY = "train_accuracy"
LEVELS_TRACKED = 41


def _levels(panel: Panel, metric: str = ACCURACY) -> np.ndarray:
    return panel.baseline(metric) * np.array(criteria.FRACTIONS)


# --- the transition -------------------------------------------------------------------------------


def transition_octaves(curve: RunValues, level: float, delta: float) -> float:
    """Measure how many octaves of d the transition takes.

    Args:
        curve: Values over d and seed.
        level: Loss or accuracy.
        delta: Failure probability at the upper end, success probability at the lower.

    Returns:
        log2 of the ratio of the first d from which on at least 1 - delta succeed to the last d up
        to which at most delta do; inf where the former is not on the grid, NaN where the latter
        is not.
    """
    p = success_fraction(curve.values, [level], kind=curve.kind)[:, 0]
    low = np.logical_and.accumulate(p <= delta + SLACK)
    high = np.logical_and.accumulate((p >= 1 - delta - SLACK)[::-1])[::-1]
    if not low.any():
        return np.nan
    if not high.any():
        return np.inf
    return float(np.log2(curve.dims[high.argmax()] / curve.dims[low.sum() - 1]))


def _take(curve: RunValues, chosen: np.ndarray) -> RunValues:
    return RunValues(
        curve.dims, curve.seeds[chosen], curve.values[:, chosen], curve.present[:, chosen],
        curve.kind,
    )  # fmt: skip


def _sharpness(panel: Panel) -> Finding:
    panel.require(panel.burn_ins, baseline=True)
    curves, levels = panel.affine(), _levels(panel)
    pairs = [
        (curve, level)
        for curve in curves.values()
        for level in levels
        if np.isfinite(transition_octaves(curve, level, panel.delta))
    ]
    if not pairs:
        raise CannotJudge("the grid settles none of the levels")
    seeds = len(pairs[0][0].seeds)

    def median(chosen: np.ndarray) -> float:
        widths = [transition_octaves(_take(c, chosen), a, panel.delta) for c, a in pairs]
        return float(np.nanmedian(widths)) if not np.all(np.isnan(widths)) else np.nan

    width = bootstrap_estimate(median, seeds)
    return Finding(
        panel.label,
        side(width, at_most=criteria.SHARP_OCTAVES),
        f"median width {width.text('octaves', digits=1)}",
        f"{len(pairs)} of {len(curves) * len(levels)} pairs of t and level settled by the grid.",
    )


def tracked_share(curves: dict[int, RunValues], delta: float) -> float:
    """Measure how well d* splits the grid into success and failure.

    Args:
        curves: Burn-in time to values over d and seed.
        delta: Failure probability allowed.

    Returns:
        The share of grid points, an octave or more above d* and two octaves or more below it, at
        which the success probability is at least 1 - delta and at most delta.
    """
    right = total = 0
    for curve in curves.values():
        boundary = phase_boundary(curve.values, delta, kind=curve.kind)
        levels = np.linspace(boundary[0], boundary[-1], LEVELS_TRACKED)
        found = threshold_dimensions(curve.dims, curve.values, levels, kind=curve.kind, delta=delta)
        p = success_fraction(curve.values, levels, kind=curve.kind)
        d, threshold = curve.dims[:, None], np.array([t.value for t in found])[None, :]
        above, below = d >= 2 * threshold, d <= threshold / 4
        right += np.sum(above & (p >= 1 - delta - SLACK)) + np.sum(below & (p <= delta + SLACK))
        total += np.sum(above) + np.sum(below)
    return right / total if total else np.nan


def _tracking(panel: Panel) -> Finding:
    panel.require(panel.burn_ins)
    curves = panel.affine()
    seeds = len(curves[0].seeds)

    def share(chosen: np.ndarray) -> float:
        return tracked_share({t: _take(c, chosen) for t, c in curves.items()}, panel.delta)

    estimate = bootstrap_estimate(share, seeds)
    return Finding(
        panel.label,
        side(estimate, at_least=criteria.TRACKED_SHARE),
        estimate.text("% of the points", 100, 1),
    )


# --- dimensions needed ----------------------------------------------------------------------------


def loss_levels(panel: Panel) -> np.ndarray:
    """List the training losses that criteria name, highest first.

    Args:
        panel: The panel.

    Returns:
        Parts of the mean training loss at w_0.
    """
    seeds = panel.curve("affine", 0, "train_loss").seeds
    return panel.start(0, seeds, "train_loss").mean() * np.array(criteria.LOSS_FACTORS)


def _grid_hits(curve: RunValues, level: float) -> np.ndarray:
    """log2 of d_hit on the grid: interpolation alone would set two levels apart."""
    return np.log2(hit_dimensions(curve.dims, curve.values, level, kind=curve.kind))


def _rise(panel: Panel) -> Finding:
    panel.require(panel.burn_ins)
    levels, contrasts, reached = loss_levels(panel), {}, {}
    for t, curve in panel.affine("train_loss").items():
        hits = np.stack([_grid_hits(curve, level) for level in levels])
        if not np.isfinite(hits[0]).any():
            raise CannotJudge(f"no run reaches {metric_level('train_loss', levels[0])}")
        lowest = np.flatnonzero(np.isfinite(hits).any(axis=1))[-1]
        lowest = max(lowest, 1)  # one quarter that nobody reaches: all count as d_max
        hits = capped(hits, curve)
        contrasts[t] = mean_estimate(hits[lowest] - hits[0])
        reached[t] = levels[lowest]
    t = min(contrasts, key=lambda t: contrasts[t].lower)
    return Finding(
        panel.label,
        worst(side(contrast, at_least=0) for contrast in contrasts.values()),
        f"log2 ratio of d_hit {contrasts[t].text('octaves')}",
        f"From {metric_level('train_loss', levels[0])} to {reached[t]:.3g}; t = {t}, the least of "
        f"{len(contrasts)}.",
    )


def high_level(panel: Panel, metric: str = ACCURACY) -> tuple[float, dict[int, np.ndarray]]:
    """Choose the level at which burn-in is judged, and find d_hit there.

    Args:
        panel: The panel.
        metric: An accuracy.

    Returns:
        The highest level that every seed reaches within the grid at every t and that none has at
        w_t for the largest t, and log2 d_hit by t.

    Raises:
        CannotJudge: If there is no such level.
    """
    curves = panel.affine(metric)
    start = panel.start(panel.burn_ins[-1], curves[0].seeds, metric).max()
    for level in _levels(panel, metric)[::-1]:
        hits = {t: crossings(curve, level) for t, curve in curves.items()}
        if level > start and all(np.isfinite(h).all() for h in hits.values()):
            return float(level), hits
    raise CannotJudge("no level above that of the longest burn-in is reached by every run")


def _burn_in(panel: Panel, metric: str = ACCURACY) -> Finding:
    panel.require(panel.burn_ins, baseline=True)
    level, hits = high_level(panel, metric)
    last = panel.burn_ins[-1]
    contrast = mean_estimate(hits[last] - hits[0])
    return Finding(
        panel.label,
        side(contrast, at_most=0),
        f"log2 ratio of d_hit, t = {last} to 0: {contrast.text('octaves')}",
        f"At {metric_level(metric, level)}.",
    )


def _order(panel: Panel) -> Finding:
    panel.require(panel.burn_ins, baseline=True)
    level, hits = high_level(panel)
    matrix = np.stack([hits[t] for t in panel.burn_ins])
    slopes = mean_estimate(_slopes(np.arange(len(matrix))[:, None], matrix))
    ordered = bool(np.all(np.diff(matrix.mean(axis=1)) < 0))
    outcome = side(slopes, at_most=0)
    means = ", ".join(f"{2**m:.0f}" for m in matrix.mean(axis=1))
    times = ", ".join(map(str, panel.burn_ins))
    return Finding(
        panel.label,
        "in part" if outcome == "holds" and not ordered else outcome,
        f"slope {slopes.text('octaves per step of t')}",
        f"Geometric mean of d_hit {means} for t = {times}, at {metric_level(ACCURACY, level)}.",
    )


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit a line through each column of y, (points, seeds); x broadcasts."""
    x = np.broadcast_to(x, y.shape)
    return np.array([linregress(a, b).slope for a, b in zip(x.T, y.T, strict=True)])


def _initial_loss(panel: Panel) -> Finding:
    panel.require(panel.burn_ins)
    curves = panel.affine("train_loss")
    seeds = curves[0].seeds
    starts = np.stack([panel.start(t, seeds, "train_loss") for t in panel.burn_ins])
    for level in loss_levels(panel)[::-1]:
        hits = np.stack([crossings(curves[t], level) for t in panel.burn_ins])
        if level < starts.min() and np.isfinite(hits).all():
            break
    else:
        raise CannotJudge("no loss below that of every start is reached by every run")
    slopes = mean_estimate(_slopes(np.log2(starts), hits))
    return Finding(
        panel.label,
        side(slopes, at_least=0),
        f"slope {slopes.text('octaves of d_hit per octave of initial loss')}",
        f"At {metric_level('train_loss', level)}; mean loss at the start "
        + ", ".join(f"{x:.2f}" for x in starts.mean(axis=1))
        + f" for t = {', '.join(map(str, panel.burn_ins))}.",
    )


def _other_architecture(panel: Panel) -> Finding:
    panel.require(panel.burn_ins, baseline=True)
    return _joined(panel, [_sharpness, _rise, _burn_in])


def _joined(panel: Panel, judges: list[Judge]) -> Finding:
    """Apply several judges to a panel; the figures stand beside one another."""
    parts, problems = [], []
    for judge in judges:
        try:
            parts.append(judge(panel))
        except CannotJudge as reason:
            problems.append(f"{reason}.")
    if not parts:
        raise CannotJudge(" ".join(problems).removesuffix("."))
    outcome = combine(part.outcome for part in parts)
    if problems and outcome == "holds":
        outcome = "in part"
    notes = [part.note for part in parts] + problems
    return Finding(
        panel.label, outcome, "; ".join(p.measured for p in parts), " ".join(filter(None, notes))
    )


def _test_rise(panel: Panel) -> Finding:
    curves, levels = panel.affine("test_accuracy"), _levels(panel, "test_accuracy")
    for level in levels[:0:-1]:
        if all(np.isfinite(crossings(curve, level)).all() for curve in curves.values()):
            break
    else:
        raise CannotJudge("no level above the lowest is reached by every run")
    low, high = (_grid_hits(curves[0], a) for a in (levels[0], level))
    rise = mean_estimate(high - low)
    return Finding(
        panel.label,
        side(rise, at_least=0),
        f"rise of log2 d_hit {rise.text('octaves')}",
        f"From {metric_level('test_accuracy', levels[0])} to {100 * level:.1f} %.",
    )


def _test_accuracy(panel: Panel) -> Finding:
    panel.require(panel.burn_ins, baseline=True)
    return _joined(panel, [_test_rise, lambda p: _burn_in(p, "test_accuracy")])


def _small_fraction(panel: Panel) -> Finding:
    panel.require((0,), baseline=True)
    curve, level = panel.curve("affine"), 0.9 * panel.baseline()
    hits, D = crossings(curve, level), float(panel.rows["D"].iloc[0])
    missed = int(np.isinf(hits).sum())
    if missed and curve.dims[-1] < criteria.SMALL_FRACTION * D:
        raise CannotJudge(
            f"{missed} of {len(hits)} runs do not reach {metric_level(ACCURACY, level)} up to "
            f"d = {curve.dims[-1]}, {100 * curve.dims[-1] / D:.1f} % of D"
        )
    part = Estimate(*(2.0**x / D for x in mean_estimate(capped(hits, curve))))
    note = f"At {metric_level(ACCURACY, level)}, D = {D:.0f}."
    if missed:  # those runs only bound the mean from below
        part = Estimate(part.value, part.lower, np.inf)
        note += f" {missed} of {len(hits)} runs never reach it and count as d = {curve.dims[-1]}."
    return Finding(
        panel.label,
        side(part, at_most=criteria.SMALL_FRACTION),
        f"d_hit / D {part.text('%', 100, 1)}",
        note,
    )


def _large_width(panel: Panel) -> Finding:
    from dofbook.geometry.tomography import width_lower_bound  # imports JAX

    panel.require((0,))
    curve, level = panel.curve("affine", 0, "train_loss"), loss_levels(panel)[0]
    D = int(panel.rows["D"].iloc[0])
    (threshold,) = threshold_dimensions(
        curve.dims, curve.values, level, kind="loss", delta=panel.delta
    )
    if np.isinf(threshold.value):
        raise CannotJudge(f"{metric_level('train_loss', level)} is not reached on the grid")
    counts, runs = success_counts(curve.values, [level], kind="loss")
    at = int(np.flatnonzero(curve.dims == threshold.value)[0])
    lower, _ = wilson_interval(counts[at, 0], runs[at])
    bound = float(width_lower_bound(int(threshold.value), D, float(lower))) ** 2 / D
    return Finding(
        panel.label,
        "holds" if bound >= criteria.LARGE_WIDTH else "fails",
        f"w² ≥ {100 * bound:.1f} % of D",
        f"At {metric_level('train_loss', level)}, d* = {threshold}, success probability at least "
        f"{float(lower):.2f} there.",
    )


def _parameter_count(panel: Panel) -> Finding:
    found = sorted(set(panel.rows["D"].astype(int)))
    printed = criteria.PRINTED_D[panel.dataset, panel.network]
    same = all(round(D / 1000, 1) == printed for D in found)
    listed = ", ".join(f"{D:,}" for D in found)
    return Finding(panel.label, "holds" if same else "fails", f"D = {listed}", f"{printed}k.")


# --- Fig. 12 --------------------------------------------------------------------------------------

EARLY = tuple(d for d in criteria.DIMS if d <= criteria.EARLY_DIMS)


def _early(panel: Panel) -> tuple[Estimate, Estimate, int]:
    """Compare the longest burn-in with none up to d = 128: lead, rise above w_t, and t."""
    last = panel.burn_ins[-1]
    panel.require((0, last), dims=EARLY)
    none, burnt = align(panel.curve("affine", 0), panel.curve("affine", last))
    early = none.dims <= criteria.EARLY_DIMS
    lead = mean_estimate((burnt.values - none.values)[early].mean(axis=0))
    at_end = burnt.values[burnt.dims == criteria.EARLY_DIMS][0].mean()
    return lead, Estimate(float(at_end - panel.start(last, burnt.seeds).mean())), last


def _early_dimensions(panel: Panel) -> Finding:
    lead, rise, last = _early(panel)
    outcome = worst([side(lead, at_least=0), side(_exact(rise), at_least=criteria.POINT)])
    return Finding(
        panel.label,
        outcome,
        f"lead of t = {last}: {lead.text('points', 100, 1)}",
        f"At d = {criteria.EARLY_DIMS} it is {100 * rise.value:.1f} points above its start.",
    )


def _exact(estimate: Estimate) -> Estimate:
    return Estimate(estimate.value, estimate.value, estimate.value)


def _no_gain(panel: Panel) -> Finding:
    lead, _, last = _early(panel)
    return Finding(
        panel.label,
        side(lead, at_most=criteria.POINT),
        f"lead of t = {last}: {lead.text('points', 100, 1)}",
    )


# --- learning rate --------------------------------------------------------------------------------


def learning_rate(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge the claim on the two learning rates, on every panel that has both.

    Args:
        evidence: The tables.

    Returns:
        One finding per panel; a single "not run" where there is none.
    """
    rows, findings = evidence.other_rates, []
    if len(rows):
        rows = rows[rows["burn_in_steps"] == 0]
        for (dataset, network), group in rows.groupby(["dataset", "network"]):
            rates = group["learning_rate"].astype(float)
            halves = [group[np.isclose(rates, rate)] for rate in (5e-2, 1e-2)]
            if any(half.empty for half in halves):
                continue
            panels = [Panel(dataset, network, half) for half in halves]
            try:
                high, low = align(*(panel.curve("affine") for panel in panels))
            except CannotJudge:
                continue
            gain = mean_estimate((high.values - low.values).mean(axis=0))
            findings.append(
                Finding(
                    panels[0].label,
                    side(gain, at_least=criteria.POINT),
                    f"gain {gain.text('points', 100, 1)}",
                    f"{len(high.seeds)} seeds, d = {', '.join(map(str, high.dims))}.",
                )
            )
    nothing = Finding("any network", "not run", note="No subspace runs at learning rate 1e-2.")
    return tuple(findings) or (nothing,)


def _on(panels: tuple, judge: Judge) -> Callable[[Evidence], tuple[Finding, ...]]:
    return lambda evidence: panel_findings(judge, panels, evidence)


_EXCEPTED = ("mnist", "conv3")
JUDGES = {
    "sharp-transition": _on(criteria.FIG2_PANELS, _sharpness),
    "threshold-tracks-boundary": _on(criteria.FIG2_PANELS, _tracking),
    "threshold-rises-as-loss-falls": _on(criteria.FIG2_PANELS, _rise),
    "burn-in-lowers-threshold": _on(criteria.FIG2_PANELS, _burn_in),
    "more-burn-in-lower-threshold": _on(criteria.FIG2_PANELS, _order),
    "threshold-falls-with-initial-loss": _on(criteria.FIG2_PANELS, _initial_loss),
    "other-architectures": _on(criteria.OTHER_PANELS, _other_architecture),
    "test-accuracy": _on(criteria.FIG3_PANELS, _test_accuracy),
    "small-fraction": _on(criteria.FIG3_PANELS, _small_fraction),
    "large-width": _on(criteria.FIG2_PANELS, _large_width),
    "parameter-counts": _on(criteria.FIG3_PANELS, _parameter_count),
    "burn-in-early-dimensions": _on(
        tuple(p for p in criteria.FIG3_PANELS if p != _EXCEPTED), _early_dimensions
    ),
    "conv3-mnist-exception": _on((_EXCEPTED,), _no_gain),
    "learning-rate": learning_rate,
}
"""The judge of each claim, by its id."""
