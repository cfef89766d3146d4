"""Judges of the claims on linearized networks (Fig. 9) and on the quadratic well (Fig. 5)."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from dofbook.figures import DATASETS, NETWORKS
from dofbook.success.tables import RunValues
from ledger import criteria
from ledger.evidence import WELL_COLUMNS, Evidence
from ledger.panels import CannotJudge, align, capped, crossings
from ledger.verdicts import (
    Estimate,
    Finding,
    bootstrap_estimate,
    mean_estimate,
    side,
    worst,
)

NTK_FRACTIONS = criteria.FRACTIONS[:3]
SPECTRA = {"bimodal": "bimodal spectrum", "log-uniform": "log-uniform spectrum"}
DISTANCES = (1.0, 0.5, 0.25)
WELL_LEVELS = (1e-4, 1e-3, 1e-2, criteria.WELL_EPS, 0.1, 0.5)
LOWEST_LEVEL, HIGHEST_LEVEL = WELL_LEVELS[0], WELL_LEVELS[-1]
DELTA = 0.1


def linearized(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge whether the linearized network has about the same threshold.

    Args:
        evidence: The tables; `Evidence.linearized` is used.

    Returns:
        One finding for each of the paper's two data sets.
    """
    findings = []
    for dataset in ("mnist", "fashion_mnist"):
        label = f"{NETWORKS['conv2']} on {DATASETS[dataset]}"
        table = evidence.linearized
        rows = table[(table["dataset"] == dataset) & (table["network"] == "conv2")]
        try:
            findings.append(_compare_linearized(label, rows))
        except CannotJudge as reason:
            findings.append(Finding(label, "not run", note=f"{reason}."))
    return tuple(findings)


def _curve(rows: pd.DataFrame, model: str) -> RunValues:
    rows = rows[rows["model"] == model]
    if rows.empty:
        raise CannotJudge(f"no runs of the {model.replace('network', 'full network')}")
    values = rows.groupby(["d", "seed"])["best_train_accuracy"].max().unstack("seed").sort_index()
    matrix, dims, seeds = values.to_numpy(float), values.index, values.columns
    curve = RunValues(
        dims.to_numpy(), seeds.to_numpy(), matrix, values.notna().to_numpy(), "accuracy"
    )
    return curve.complete()


def _compare_linearized(label: str, rows: pd.DataFrame) -> Finding:
    network, linear = align(_curve(rows, "network"), _curve(rows, "linearized"))
    if len(network.seeds) < criteria.NTK_RUNS:
        raise CannotJudge(f"{len(network.seeds)} of {criteria.NTK_RUNS} runs of both models")
    top = network.values.mean(axis=1).max()
    ratios = {}
    for fraction in NTK_FRACTIONS:
        first, second = (capped(crossings(c, fraction * top), c) for c in (network, linear))
        ratios[fraction * top] = mean_estimate(second - first)
    level = max(ratios, key=lambda a: max(abs(ratios[a].lower), abs(ratios[a].upper)))
    bound = criteria.NTK_OCTAVES
    if all(abs(r.value) <= bound for r in ratios.values()):
        whole = all(max(-r.lower, r.upper) <= bound for r in ratios.values())
        outcome = "holds" if whole else "in part"
    else:
        outcome = "fails"
    return Finding(
        label,
        outcome,
        f"log2 ratio of d_hit, linearized to network: {ratios[level].text('octaves')}",
        f"At a training accuracy of {100 * level:.1f} %, the farthest of {len(ratios)} levels; "
        f"{len(network.seeds)} runs.",
    )


# --- the quadratic well ---------------------------------------------------------------------------


def simulate_well(D: int = 500, runs: int = 40, seed: int = 0) -> pd.DataFrame:
    """Simulate Fig. 5: first hits of random subspaces in quadratic wells, exactly.

    Every run draws its start uniformly on the sphere and subspaces nested in d.

    Args:
        D: Number of parameters (the paper does not state its own).
        runs: Runs per spectrum; the paper has 10.
        seed: Seed.

    Returns:
        The table that `Evidence.well` describes.
    """
    import jax

    from dofbook.geometry import quadratic

    spectra = {
        "bimodal": quadratic.bimodal_spectrum(D),
        "log-uniform": quadratic.log_uniform_spectrum(D),
    }
    key, parts = jax.random.key(seed), []
    for i, (name, eigenvalues) in enumerate(spectra.items()):
        direction = quadratic.isotropic_direction(jax.random.fold_in(key, 2 * i), D)
        farthest = quadratic.QuadraticWell(eigenvalues, direction)
        scale = eigenvalues.mean() / 2  # mean loss at distance 1
        losses = quadratic.minimum_losses(
            farthest, jax.random.fold_in(key, 2 * i + 1), runs, random_direction=True
        )
        for distance in DISTANCES:
            # Losses scale with the square of the distance.
            hits = quadratic.hitting_dimensions(distance**2 * losses, scale * np.array(WELL_LEVELS))
            well = quadratic.QuadraticWell(eigenvalues, distance * direction)
            for j, level in enumerate(WELL_LEVELS):
                bound = D - float(quadratic.paper_angular_dimension(well, scale * level))
                columns = (name, distance, np.arange(runs), level, hits[:, j], bound, D)
                parts.append(pd.DataFrame(dict(zip(WELL_COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)


def _hits(table: pd.DataFrame, distance: float, level: float) -> np.ndarray:
    at = np.isclose(table["distance"], distance) & np.isclose(table["level"], level)
    rows = table[at].sort_values("run")
    if rows.empty:
        raise CannotJudge(f"no runs at distance {distance:g} and loss {level:g}")
    return rows["d_hit"].to_numpy(float)


def _quantile(hits: np.ndarray, share: float) -> float:
    """The least d at which the share of the runs has hit: Definition 2.1 on nested subspaces."""
    return float(np.sort(hits)[int(np.ceil(share * len(hits) - 1e-9)) - 1])


def _boot(hits: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Estimate:
    """Bootstrap a statistic of hits, whose last axis is the run."""
    return bootstrap_estimate(lambda chosen: statistic(hits[..., chosen]), hits.shape[-1])


def _well_transition(name: str, table: pd.DataFrame) -> Finding:
    D = float(table["D"].iloc[0])
    hits = np.stack([_hits(table, r, criteria.WELL_EPS) for r in DISTANCES])
    width = max(
        (
            _boot(h, lambda x: (_quantile(x, 1 - DELTA) - _quantile(x, DELTA)) / D)
            for h in hits
        ),
        key=lambda e: e.upper,
    )  # fmt: skip
    falls = [
        _boot(hits[i : i + 2], lambda x: _quantile(x[1], 1 - DELTA) - _quantile(x[0], 1 - DELTA))
        for i in range(len(DISTANCES) - 1)
    ]
    least = max(falls, key=lambda e: e.upper)
    outcomes = [side(width, at_most=criteria.WELL_SHARP), *(side(f, at_most=0) for f in falls)]
    return Finding(
        name,
        worst(outcomes),
        f"width {width.text('% of D', 100, 1)}; d* at half the distance {least.text('', 1, 0)}",
        f"D = {D:.0f}, {hits.shape[1]} runs; the widest of {len(DISTANCES)} and the least of "
        f"{len(falls)} changes of d*.",
    )


def _well_half(name: str, table: pd.DataFrame) -> Finding:
    D = float(table["D"].iloc[0])
    hits = _hits(table, 1.0, criteria.WELL_EPS)
    early = _boot(hits, lambda x: _quantile(x, DELTA) / D)
    late = _boot(hits, lambda x: _quantile(x, 1 - DELTA) / D)
    low, high = criteria.WELL_HALF
    outcomes = [side(early, at_least=low), side(late, at_most=high)]
    return Finding(
        name,
        worst(outcomes),
        f"10 % success at d/D = {early.text(digits=3)}, 90 % at {late.text(digits=3)}",
        f"D = {D:.0f}, {len(hits)} runs.",
    )


def _gap(table: pd.DataFrame, level: float) -> tuple[np.ndarray, float]:
    rows = table[np.isclose(table["level"], level) & np.isclose(table["distance"], 1.0)]
    return _hits(table, 1.0, level), float(rows["bound"].iloc[0])


def _well_bound(name: str, table: pd.DataFrame) -> Finding:
    excess = {}
    for level in WELL_LEVELS:
        hits, bound = _gap(table, level)
        excess[level] = _boot(hits, lambda x, b=bound: _quantile(x, 1 - DELTA) - b)
    level = max(excess, key=lambda a: excess[a].value)
    if excess[level].value > 0:
        outcome = "fails"
    else:
        outcome = "holds" if all(e.upper <= 0 for e in excess.values()) else "in part"
    violated = sum(e.value > 0 for e in excess.values())
    return Finding(
        name,
        outcome,
        f"d* less the bound: {excess[level].text('dimensions', digits=1)}",
        f"At {100 * level:g} % of the loss at the start, the largest; above 0 at {violated} of "
        f"{len(excess)} losses.",
    )


def _well_tight(name: str, table: pd.DataFrame) -> Finding:
    pairs = [_gap(table, level) for level in (LOWEST_LEVEL, HIGHEST_LEVEL)]
    hits, bounds = np.stack([h for h, _ in pairs]), [b for _, b in pairs]

    def difference(x: np.ndarray) -> float:
        near, far = (
            abs(b - _quantile(h, 1 - DELTA)) for h, b in zip(x, bounds, strict=True)
        )  # fmt: skip
        return near - far

    change = _boot(hits, difference)
    return Finding(
        name,
        side(change, at_most=0),
        f"distance to the bound, near 0 less far: {change.text('dimensions', digits=1)}",
        f"At {100 * LOWEST_LEVEL:g} % and {100 * HIGHEST_LEVEL:g} % of the loss at the start.",
    )


def _on_wells(
    judge: Callable[[str, pd.DataFrame], Finding], names: tuple[str, ...] = tuple(SPECTRA)
) -> Callable[[Evidence], tuple[Finding, ...]]:
    def judge_all(evidence: Evidence) -> tuple[Finding, ...]:
        findings = []
        for name in names:
            rows = evidence.well[evidence.well["spectrum"] == name]
            try:
                if rows.empty:
                    raise CannotJudge("no simulation")
                findings.append(judge(SPECTRA[name], rows))
            except CannotJudge as reason:
                findings.append(Finding(SPECTRA[name], "not run", note=f"{reason}."))
        return tuple(findings)

    return judge_all


JUDGES = {
    "ntk-threshold-close": linearized,
    "well-transition": _on_wells(_well_transition),
    "well-half": _on_wells(_well_half, ("bimodal",)),
    "well-bound": _on_wells(_well_bound),
    "well-bound-tight": _on_wells(_well_tight),
}
"""The judge of each claim, by its id."""
