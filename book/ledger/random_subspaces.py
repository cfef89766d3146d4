"""Judges of the claims on random and burn-in affine subspaces (section 2.1, Figs. 2, 3, 7, 8, 12).

Each is a function of one panel; `criteria` says what it applies.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from dofbook.success import RunValues
from ledger import criteria
from ledger.evidence import Evidence
from ledger.panels import (
    ACCURACY,
    JUDGES,
    CannotJudge,
    Panel,
    align,
    attempt,
    capped,
    crossings,
    judges,
    level_text,
    settlings,
)
from ledger.verdicts import (
    Estimate,
    Finding,
    Outcome,
    combine,
    decide,
    decide_means,
    held_out_estimate,
    least_probability,
    mean_estimate,
    side,
    width_estimate,
)

EXCEPTED = ("mnist", "conv3")

# --- the transition -------------------------------------------------------------------------------


def crossing_variance(curve: RunValues, level: float) -> float | None:
    """Take the variance over seeds of where they reach the level and where they settle, in octaves.

    Of both kinds about their common mean; None where a seed does not have the level at the end.
    """
    both = np.stack([crossings(curve, level), settlings(curve, level)])
    if not np.isfinite(both).all():
        return None
    return float(((both - both.mean()) ** 2).sum() / (2 * (both.shape[1] - 1)))


def transition_width(
    curve: RunValues, levels: Iterable[float]
) -> Callable[[float], Estimate] | None:
    """Give the width of the transition from 10 to 90 % as a function of the confidence."""
    found = [crossing_variance(curve, level) for level in levels]
    settled = [variance for variance in found if variance is not None]
    return partial(width_estimate, np.mean(settled), len(curve.seeds)) if settled else None


@judges("sharp-transition", criteria.FIG2_PANELS)
def sharp_transition(panel: Panel) -> Finding:
    levels, widths, used = panel.levels(), {}, 0
    for t, curve in panel.affine().items():
        above = levels[levels > panel.start(t, curve.seeds).max()]
        width = transition_width(curve, above)
        if width is not None:
            widths[t] = width
            used += sum(crossing_variance(curve, level) is not None for level in above)
    if not widths:
        raise CannotJudge("no level lies above every start and below every end")
    found = decide(widths, high=criteria.SHARP_OCTAVES)
    return Finding(
        panel.label,
        found.outcome,
        f"width {found.estimate.text('octaves')}",
        f"At t = {found.key}, the widest of {len(widths)}; {used} pairs of t and level.",
    )


def tracked_shares(curves: Iterable[RunValues]) -> np.ndarray:
    """Measure how well d* of the others splits the grid for each seed, shape (seeds,).

    The share, over curves and levels, of the grid points an octave or more above d* at which the
    seed succeeds, and two octaves or more below it at which it fails; the grid is of octaves.
    """
    counts = sum(
        np.array([_tracked(curve.values, held) for held in range(len(curve.seeds))])
        for curve in curves
    )
    return counts[:, 0] / counts[:, 1]


def _tracked(values: np.ndarray, held: int) -> tuple[int, int]:
    boundary = np.maximum.accumulate(np.delete(values, held, axis=1).min(axis=1))
    levels = np.linspace(boundary[0], boundary[-1], criteria.LEVELS_TRACKED)
    threshold, point = np.searchsorted(boundary, levels), np.arange(len(boundary))[:, None]
    success = values[:, [held]] >= levels
    above, below = point >= threshold + 1, point <= threshold - 2
    return np.sum(success & above) + np.sum(~success & below), np.sum(above) + np.sum(below)


@judges("threshold-tracks-boundary", criteria.FIG2_PANELS)
def tracks_boundary(panel: Panel) -> Finding:
    curves = panel.affine(least=criteria.RUNS[panel.network])
    share = held_out_estimate(tracked_shares(curves.values()))
    return Finding(
        panel.label,
        side(share, low=criteria.TRACKED_SHARE),
        share.text("% of the points", 100, 1),
        f"{len(curves[0].seeds)} initializations, each against the others.",
    )


# --- dimensions needed ----------------------------------------------------------------------------


def rise(curve: RunValues, start: np.ndarray) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Measure how many octaves lie between two levels for each seed, shape (seeds,).

    From where it settles at the first, a third of the way from the start to the largest d, to where
    it reaches the second, two thirds of the way. Also gives the levels; None if a seed has the
    first at the start.
    """
    scale, back = (np.log, np.exp) if curve.kind == "loss" else (np.asarray, float)
    first, last = scale(start).mean(), scale(curve.values[-1]).mean()
    levels = tuple(float(back(first + part * (last - first))) for part in criteria.RISE_PARTS)
    if np.any(start <= levels[0] if curve.kind == "loss" else start >= levels[0]):
        return None
    left = capped(settlings(curve, levels[0]), curve)
    return capped(crossings(curve, levels[1]), curve) - left, levels


@judges("threshold-rises-as-loss-falls", criteria.FIG2_PANELS)
def rises_as_loss_falls(panel: Panel) -> Finding:
    return _rise(panel, "train_loss", panel.burn_ins)


def _rise(panel: Panel, metric: str, times: Iterable[int]) -> Finding:
    found = {
        t: rise(curve, panel.start(t, curve.seeds, metric))
        for t, curve in panel.affine(times, metric).items()
    }
    found = {t: both for t, both in found.items() if both is not None}
    if not found:
        raise CannotJudge("an initialization has the first level at the start, at every t")
    least = decide_means({t: gaps for t, (gaps, _) in found.items()}, low=criteria.RISE_OCTAVES)
    high, low = found[least.key][1]
    return Finding(
        panel.label,
        least.outcome,
        f"rise of d_hit {least.estimate.text('octaves')}",
        f"From {level_text(metric, high)} to {level_text(metric, low)}; t = {least.key}"
        + (f", the least of {len(found)}." if len(found) > 1 else "."),
    )


def high_level(
    panel: Panel, metric: str, times: Iterable[int]
) -> tuple[float, dict[int, np.ndarray]]:
    """Choose the level at which burn-in is judged, and find log2 d_hit there, by t.

    The highest that every seed reaches within the grid at every t given and that none has at w_t
    for the largest.
    """
    curves = panel.affine(times, metric)
    start = panel.start(max(curves), curves[0].seeds, metric).max()
    for level in panel.levels(metric)[::-1]:
        hits = {t: crossings(curve, level) for t, curve in curves.items()}
        if level > start and all(np.isfinite(h).all() for h in hits.values()):
            return float(level), hits
    raise CannotJudge("no level above that of the longest burn-in is reached by every run")


@judges("burn-in-lowers-threshold", criteria.FIG2_PANELS)
def burn_in_lowers(panel: Panel, metric: str = ACCURACY) -> Finding:
    last = panel.burn_ins[-1]
    level, hits = high_level(panel, metric, (0, last))
    contrast = mean_estimate(hits[last] - hits[0])
    return Finding(
        panel.label,
        side(contrast, high=0),
        f"log2 ratio of d_hit, t = {last} to 0: {contrast.text('octaves')}",
        f"At {level_text(metric, level)}.",
    )


@judges("more-burn-in-lower-threshold", criteria.FIG2_PANELS)
def more_burn_in(panel: Panel) -> Finding:
    level, hits = high_level(panel, ACCURACY, panel.burn_ins)
    matrix = np.stack(list(hits.values()))
    slope = mean_estimate(_slopes(np.arange(len(matrix))[:, None], matrix))
    steps = decide_means(dict(enumerate(np.diff(matrix, axis=0))), high=0)
    outcome = side(slope, high=0)
    means = ", ".join(f"{2**m:.0f}" for m in matrix.mean(axis=1))
    return Finding(
        panel.label,
        "in part" if outcome == "holds" and steps.outcome == "fails" else outcome,
        f"slope {slope.text('octaves per step of t')}",
        f"Geometric mean of d_hit {means} for t = {', '.join(map(str, hits))}, "
        f"at {level_text(ACCURACY, level)}.",
    )


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit a line through each column of y, (points, seeds); x broadcasts."""
    x, y = (z - z.mean(axis=0) for z in (np.broadcast_to(x, y.shape), y))
    return (x * y).sum(axis=0) / (x * x).sum(axis=0)


@judges("threshold-falls-with-initial-loss", criteria.FIG2_PANELS)
def falls_with_initial_loss(panel: Panel) -> Finding:
    curves = panel.affine(metric="train_loss")
    starts = np.stack([panel.start(t, c.seeds, "train_loss") for t, c in curves.items()])
    ends = max(curve.values[-1].max() for curve in curves.values())
    if not ends < starts.min():
        raise CannotJudge("no loss lies below every start and above every end")
    level = math.sqrt(ends * starts.min())
    hits = np.stack([crossings(curve, level) for curve in curves.values()])
    slope = mean_estimate(_slopes(np.log2(starts), hits))
    return Finding(
        panel.label,
        side(slope, low=0),
        f"slope {slope.text('octaves of d_hit per octave of initial loss')}",
        f"At {level_text('train_loss', level)}; mean loss at the start "
        + ", ".join(f"{x:.2f}" for x in starts.mean(axis=1))
        + f" for t = {', '.join(map(str, curves))}.",
    )


def _joined(panel: Panel, parts: Iterable[Callable[[Panel], Finding]]) -> Finding:
    """Apply several judges to a panel; the figures stand beside one another."""
    found = [attempt(panel.label, partial(part, panel)) for part in parts]
    run = [part for part in found if part.outcome != "not run"]
    notes = " ".join(part.note for part in found if part.note)
    if not run:
        raise CannotJudge(notes)
    # A part that cannot be judged leaves the panel open, as an undecided one does.
    outcome = combine("undecided" if f.outcome == "not run" else f.outcome for f in found)
    return Finding(panel.label, outcome, "; ".join(part.measured for part in run), notes)


@judges("other-architectures", criteria.OTHER_PANELS)
def other_architecture(panel: Panel) -> Finding:
    panel.affine()
    panel.baseline()
    return _joined(panel, [sharp_transition, rises_as_loss_falls, burn_in_lowers])


@judges("test-accuracy", criteria.FIG3_PANELS)
def test_accuracy(panel: Panel) -> Finding:
    panel.affine((0, panel.burn_ins[-1]))
    panel.baseline()
    return _joined(
        panel,
        [
            partial(_rise, metric="test_accuracy", times=(0,)),
            partial(burn_in_lowers, metric="test_accuracy"),
        ],
    )


@judges("small-fraction", criteria.FIG3_PANELS)
def small_fraction(panel: Panel) -> Finding:
    curve, level = panel.curve("affine"), 0.9 * panel.baseline()
    hits, D = crossings(curve, level), panel.D
    missed = int(np.isinf(hits).sum())
    if missed and curve.dims[-1] < criteria.SMALL_FRACTION * D:
        raise CannotJudge(
            f"{missed} of {len(hits)} runs do not reach {level_text(ACCURACY, level)} up to "
            f"d = {curve.dims[-1]}, {100 * curve.dims[-1] / D:.1f} % of D"
        )
    part = mean_estimate(capped(hits, curve)).through(lambda x: 2.0**x / D)
    note = f"At {level_text(ACCURACY, level)}, D = {D}."
    if missed:  # those runs only bound the mean from below
        part = part._replace(upper=math.inf)
        note += f" {missed} of {len(hits)} runs never reach it and count as d = {curve.dims[-1]}."
    return Finding(
        panel.label,
        side(part, high=criteria.SMALL_FRACTION),
        f"d_hit / D {part.text('%', 100, 1)}",
        note,
    )


@judges("large-width", criteria.FIG2_PANELS)
def large_width(panel: Panel) -> Finding:
    from dofbook.geometry.tomography import width_lower_bound  # imports JAX

    d = max(dim for dim in criteria.DIMS if dim <= criteria.WIDTH_DIMS * panel.D)
    curve = panel.curve("affine", 0, "train_loss", dims=(d,))
    level = criteria.LOW_LOSS * panel.start(0, curve.seeds, "train_loss").mean()
    successes, runs = int(np.sum(curve.values <= level)), len(curve.seeds)
    p = least_probability(successes, runs)
    bound = float(width_lower_bound(d, panel.D, p)) ** 2 / panel.D if p else 0.0
    outcome: Outcome = "holds" if bound >= criteria.LARGE_WIDTH else "undecided"
    return Finding(
        panel.label,
        outcome,
        f"w² ≥ {100 * bound:.1f} % of D" if p else "no bound",
        f"At {level_text('train_loss', level)} and d = {d}, {successes} of {runs} runs succeed: "
        f"the success probability is at least {p:.2f}.",
    )


@judges("parameter-counts", criteria.FIG3_PANELS)
def parameter_count(panel: Panel) -> Finding:
    found = sorted(set(panel.rows["D"].astype(int)))
    printed = criteria.PRINTED_D[panel.dataset, panel.network]
    same = all(round(D / 1000, 1) == printed for D in found)
    listed = ", ".join(f"{D:,}" for D in found)
    return Finding(panel.label, "holds" if same else "fails", f"D = {listed}", f"{printed}k.")


# --- Fig. 12 --------------------------------------------------------------------------------------

EARLY = tuple(d for d in criteria.DIMS if d <= criteria.EARLY_DIMS)


def _early(panel: Panel) -> tuple[int, np.ndarray, np.ndarray]:
    """Compare the longest burn-in t with none up to d = 128: t, lead and rise above w_t by seed."""
    last = panel.burn_ins[-1]
    none, burnt = align(*(panel.curve("affine", t, dims=EARLY) for t in (0, last)))
    lead = (burnt.values - none.values).mean(axis=0)
    return last, lead, burnt.values[-1] - panel.start(last, burnt.seeds)


@judges("burn-in-early-dimensions", (p for p in criteria.FIG3_PANELS if p != EXCEPTED))
def early_dimensions(panel: Panel) -> Finding:
    last, lead, rises = _early(panel)
    # One bound for both, so that they are judged as two conditions of one claim.
    both = decide_means({"lead": lead, "rise": rises - criteria.POINT}, low=0)
    return Finding(
        panel.label,
        both.outcome,
        f"lead of t = {last}: {mean_estimate(lead).text('points', 100, 1)}",
        f"At d = {criteria.EARLY_DIMS} it is {mean_estimate(rises).text('points', 100, 1)} above "
        "its start.",
    )


@judges("conv3-mnist-exception", (EXCEPTED,))
def no_gain(panel: Panel) -> Finding:
    last, lead, _ = _early(panel)
    gain = mean_estimate(lead)
    return Finding(
        panel.label,
        side(gain, high=criteria.POINT),
        f"lead of t = {last}: {gain.text('points', 100, 1)}",
    )


# --- learning rate --------------------------------------------------------------------------------


def learning_rate(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge the claim on the two learning rates, on every panel that has both."""
    rows = evidence.other_rates
    rows = rows[rows["burn_in_steps"] == 0]
    findings = []
    for (dataset, network), group in rows.groupby(["dataset", "network"]):
        rates = group["learning_rate"].astype(float)
        high, low = (
            Panel(dataset, network, group[np.isclose(rates, rate)]) for rate in (5e-2, 1e-2)
        )
        if len(high.rows) and len(low.rows):
            findings.append(attempt(high.label, partial(_compare_rates, high, low)))
    nothing = Finding("any network", "not run", note="No subspace runs at learning rate 1e-2.")
    return tuple(findings) or (nothing,)


def _compare_rates(high: Panel, low: Panel) -> Finding:
    shared = sorted(set(high.rows["d"]) & set(low.rows["d"]) & set(criteria.DIMS))
    if not shared:
        raise CannotJudge("the two rates share no dimension")
    fast, slow = align(
        *(p.curve("affine", dims=shared, least=criteria.FEWEST_RUNS) for p in (high, low))
    )
    gain = mean_estimate((fast.values - slow.values).mean(axis=0))
    return Finding(
        high.label,
        side(gain, low=criteria.POINT),
        f"gain {gain.text('points', 100, 1)}",
        f"{len(fast.seeds)} seeds, d = {', '.join(map(str, fast.dims))}.",
    )


JUDGES["learning-rate"] = learning_rate
