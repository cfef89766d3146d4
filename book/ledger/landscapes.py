"""Judges of the claims on linearized networks (Fig. 9) and on the quadratic well (Fig. 5)."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from dofbook.success import RunValues
from ledger import criteria
from ledger.evidence import WELL_COLUMNS, Evidence
from ledger.panels import (
    JUDGES,
    CannotJudge,
    align,
    attempt,
    capped,
    crossings,
    panel_label,
)
from ledger.verdicts import (
    Finding,
    combine,
    decide,
    decide_means,
    mean_estimate,
    quantile_estimate,
    side,
    width_estimate,
)

NTK_FRACTIONS = criteria.FRACTIONS[:3]
SPECTRA = {"bimodal": "bimodal spectrum", "log-uniform": "log-uniform spectrum"}
DISTANCES = (1.0, 0.5, 0.25)
WELL_LEVELS = (1e-4, 1e-3, 1e-2, criteria.WELL_EPS, 0.1, 0.5)
WELL_RUNS = 200
DELTA = 0.1

# --- the linearized network -----------------------------------------------------------------------


def linearized(evidence: Evidence) -> tuple[Finding, ...]:
    """Judge whether the linearized network has about the same threshold, on both data sets."""
    table, findings = evidence.linearized, []
    for dataset in ("mnist", "fashion_mnist"):
        label = panel_label(dataset, "conv2")
        rows = table[(table["dataset"] == dataset) & (table["network"] == "conv2")]
        findings.append(attempt(label, partial(_compare_linearized, label, rows)))
    return tuple(findings)


def _curve(rows: pd.DataFrame, model: str) -> RunValues:
    rows = rows[rows["model"] == model]
    if rows.empty:
        raise CannotJudge(f"no runs of the {model.replace('network', 'full network')}")
    values = rows.groupby(["d", "seed"])["best_train_accuracy"].max().unstack("seed").sort_index()
    return RunValues(
        values.index.to_numpy(), values.columns.to_numpy(), values.to_numpy(float),
        values.notna().to_numpy(), "accuracy",
    ).complete()  # fmt: skip


def _compare_linearized(label: str, rows: pd.DataFrame) -> Finding:
    network, linear = align(_curve(rows, "network"), _curve(rows, "linearized"))
    if len(network.seeds) < criteria.FEWEST_RUNS:
        raise CannotJudge(f"{len(network.seeds)} of {criteria.FEWEST_RUNS} runs of both models")
    top = network.values.mean(axis=1).max()
    ratios = {}
    for level in (fraction * top for fraction in NTK_FRACTIONS):
        if max(c.values[0].max() for c in (network, linear)) < level:
            first, second = (capped(crossings(c, level), c) for c in (network, linear))
            ratios[level] = second - first
    if not ratios:
        raise CannotJudge("a run has every level at the smallest d")
    found = decide_means(ratios, low=-criteria.NTK_OCTAVES, high=criteria.NTK_OCTAVES)
    return Finding(
        label,
        found.outcome,
        f"log2 ratio of d_hit, linearized to network: {found.estimate.text('octaves')}",
        f"At a training accuracy of {100 * found.key:.1f} %, which decides, of {len(ratios)} "
        f"level{'s' * (len(ratios) > 1)} above the smallest d; {len(network.seeds)} runs.",
    )


# --- the quadratic well ---------------------------------------------------------------------------


def simulate_well(D: int = 500, runs: int = WELL_RUNS, seed: int = 0) -> pd.DataFrame:
    """Simulate Fig. 5: first hits of random subspaces in quadratic wells, exactly.

    Every run draws its start uniformly on the sphere and subspaces nested in d. The paper states
    neither its D nor its spectra, and has 10 runs. The table is that of `Evidence.well`.
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
            well = farthest.at_distance(distance)
            for j, level in enumerate(WELL_LEVELS):
                bound = D - float(quadratic.paper_angular_dimension(well, scale * level))
                columns = (name, distance, np.arange(runs), level, hits[:, j], bound, D)
                parts.append(pd.DataFrame(dict(zip(WELL_COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True)


class Well:
    """The first hits of one spectrum."""

    def __init__(self, table: pd.DataFrame):
        self.table, self.D = table, int(table["D"].iloc[0])

    def _rows(self, distance: float, level: float) -> pd.DataFrame:
        table = self.table
        at = np.isclose(table["distance"], distance) & np.isclose(table["level"], level)
        if not at.any():
            raise CannotJudge(f"no runs at distance {distance:g} and loss {level:g}")
        return table[at].sort_values("run")

    def hits(self, distance: float, level: float) -> np.ndarray:
        """Take d_hit by run."""
        return self._rows(distance, level)["d_hit"].to_numpy(float)

    def excess(self, level: float) -> np.ndarray:
        """Take d_hit less the bound of Eq. 3.4 by run, at the farthest start."""
        return self.hits(1.0, level) - float(self._rows(1.0, level)["bound"].iloc[0])


def _well_transition(name: str, well: Well) -> Finding:
    hits = [well.hits(distance, criteria.WELL_EPS) for distance in DISTANCES]
    n, shares = len(hits[0]), [h / well.D for h in hits]
    widths = {
        r: partial(width_estimate, x.var(ddof=1), n) for r, x in zip(DISTANCES, shares, strict=True)
    }
    width = decide(widths, high=criteria.WELL_SHARP)
    fall = decide_means({i: hits[i + 1] - hits[i] for i in range(len(hits) - 1)}, high=0)
    outcomes = {width.outcome, fall.outcome}
    return Finding(
        name,
        "fails" if "fails" in outcomes else combine(outcomes),
        f"width {width.estimate.text('% of D', 100, 1)}; d_hit at half the distance "
        f"{fall.estimate.text(digits=1)}",
        f"D = {well.D}, {n} runs; the widest of {len(hits)} and the least of {len(hits) - 1} "
        "changes of d_hit.",
    )


def _well_half(name: str, well: Well) -> Finding:
    shares, (low, high) = well.hits(1.0, criteria.WELL_EPS) / well.D, criteria.WELL_HALF
    ends = {q: partial(quantile_estimate, shares, q) for q in (DELTA, 1 - DELTA)}
    early, late = (end() for end in ends.values())
    return Finding(
        name,
        decide(ends, low, high).outcome,
        f"10 % success at d/D = {early.text(digits=3)}, 90 % at {late.text(digits=3)}",
        f"D = {well.D}, {len(shares)} runs.",
    )


def _well_bound(name: str, well: Well) -> Finding:
    excess = {level: well.excess(level) for level in WELL_LEVELS}
    found = decide(
        {level: partial(quantile_estimate, x, 1 - DELTA) for level, x in excess.items()}, high=0
    )
    centre = decide_means({level: x - 0.5 for level, x in excess.items()}, high=0)
    in_part = found.outcome == "fails" and centre.outcome == "holds"
    return Finding(
        name,
        "in part" if in_part else found.outcome,
        f"d* less the bound: {found.estimate.text('dimensions', digits=1)}",
        f"At {100 * found.key:g} % of the loss at the start. The centre less the bound, at "
        f"{100 * centre.key:g} %: {centre.estimate.text(digits=1)} ({centre.outcome}).",
    )


def _well_tight(name: str, well: Well) -> Finding:
    levels = WELL_LEVELS[0], WELL_LEVELS[-1]
    near, far = (np.sign(x.mean()) * x for x in map(well.excess, levels))
    change = mean_estimate(near - far)
    return Finding(
        name,
        side(change, high=0),
        f"distance to the bound, near 0 less far: {change.text('dimensions', digits=1)}",
        f"At {100 * levels[0]:g} % and {100 * levels[1]:g} % of the loss at the start.",
    )


def _on_wells(
    judge: Callable[[str, Well], Finding], names: tuple[str, ...] = tuple(SPECTRA)
) -> Callable[[Evidence], tuple[Finding, ...]]:
    def judge_one(name: str, rows: pd.DataFrame) -> Finding:
        if rows.empty:
            raise CannotJudge("no simulation")
        return judge(SPECTRA[name], Well(rows))

    def judge_all(evidence: Evidence) -> tuple[Finding, ...]:
        table = evidence.well
        return tuple(
            attempt(SPECTRA[name], partial(judge_one, name, table[table["spectrum"] == name]))
            for name in names
        )

    return judge_all


JUDGES |= {
    "ntk-threshold-close": linearized,
    "well-transition": _on_wells(_well_transition),
    "well-half": _on_wells(_well_half, ("bimodal",)),
    "well-bound": _on_wells(_well_bound),
    "well-bound-tight": _on_wells(_well_tight),
}
