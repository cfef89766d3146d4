"""Judges of the questions of the chapter `beyond_geometry`, by their published tables.

Each reads one table, and takes what the experiment's own file makes of it. A table that is not
published, or has too few seeds, means "not run".
"""

import math

import numpy as np
from beyond import confined, early_path, pruning, randomness, width

from dofbook.experiments.published import read_published
from dofbook.geometry.gaussian_width import alpha
from dofbook.success import spread_limit
from ledger.panels import CannotJudge, Folder, answers, need, published
from ledger.verdicts import EACH, Estimate, Finding, all_of, mean_estimate, side, spread_estimate

PANEL = "Conv-2 on MNIST"
LEAST = {"randomness": (10, 6), "width": 20, "early-path": 3, "confined": 10, "pruning": 5}
"""Seeds, or draws, that each criterion names."""
EXCESS, GAIN, STALLS, RUNS_ON, POINTS, OCTAVE = 1.2, 0.9, 0.5, 0.9, 0.01, 1.0


@answers("whose-randomness", PANEL)
def whose_randomness(folder: Folder) -> Finding:
    """Compare the spread within initializations with what convex geometry allows."""
    runs = published("beyond_whose_randomness", folder)
    hits = randomness.first_hits(runs, randomness.asked().grid)
    sizes = hits.groupby("seed").size()
    initializations, chains = LEAST["randomness"]
    need(int((sizes >= chains).sum()), initializations, f"initializations have {chains} chains")
    parts = randomness.variances(hits)
    d_star = 2 ** hits["log2_hit"].mean()
    limit = float(spread_limit(d_star))
    found = spread_estimate(parts["within"], int(parts["degrees"]))
    return Finding(
        PANEL,
        side(found, high=limit),
        f"spread within an initialization {found.text('octaves', digits=3)}",
        f"Convex sets allow {limit:.3f} at the mean d_hit, {d_star:.0f}; between initializations "
        f"{math.sqrt(parts['between']):.3f}.",
    )


def width_ratio(rows, level: float, confidence: float) -> dict[str, Estimate]:
    """Estimate D - w^2 from above, d_hit, and their ratio with the intervals of both.

    w is E|g| times the mean cosine, as length and direction of a Gaussian vector are independent;
    the interval of the ratio is of the ends of both.
    """
    part = rows[rows["level"] == level]
    D = int(part["D"].iloc[0])
    cosine = mean_estimate(part["cosine"], confidence)
    room = Estimate(*(D - (float(alpha(D)) * c) ** 2 for c in (cosine[0], cosine[2], cosine[1])))
    hit = mean_estimate(part["d_hit"], confidence)
    ratio = Estimate(hit[0] / room[0], hit[1] / room[2], hit[2] / room[1])
    return {"room": room, "hit": hit, "ratio": ratio}


@answers("equality-for-a-network", "MLP on the digits")
def equality_for_a_network(folder: Folder) -> Finding:
    """Compare d_hit with D - w^2 at a low loss."""
    rows, level = published("beyond_width", folder), min(width.BRACKETS)
    part = rows[rows["level"] == level]
    need(part["draw"].nunique(), LEAST["width"], "directions and chains")
    below, above = width.BRACKETS[level]  # a search never asks for its ends
    if part["d_hit"].isin((below + 1, above)).any():
        raise CannotJudge("a chain first reaches the loss outside the dimensions searched")
    found = width_ratio(part, level, EACH)
    return Finding(
        "MLP on the digits",
        side(found["ratio"], low=EXCESS),
        f"d_hit/(D − w²) {found['ratio'].text()}",
        f"d_hit {found['hit'].text(digits=0)}, D − w² at most {found['room'].text(digits=0)}, at a "
        f"training loss of {level:g}.",
    )


@answers("early-path", PANEL)
def early(folder: Folder) -> Finding:
    """Compare the gain of a tenth of the path with that of all of it."""
    runs = published("beyond_early_path", folder)
    runs = runs[runs["step"] == runs["step"].max()]
    try:
        gain = early_path.gain(runs, 3 * 469)[early_path.BASES[0], early_path.SHARES[0]]
    except KeyError as missing:
        raise CannotJudge(f"the table lacks {missing}") from None
    need(len(gain := gain.dropna()), LEAST["early-path"], "seeds")
    found = mean_estimate(gain)
    return Finding(
        PANEL, side(found, low=GAIN), f"share of the gain {found.text('%', 100, 1)}", "d = 16."
    )


@answers("top-hessian-space", PANEL)
def top_hessian_space(folder: Folder) -> Finding:
    """Compare the fall of the loss in the top space, and off it, with that of descent."""
    shares = confined.falls(published("beyond_confined", folder))
    need(len(shares), LEAST["confined"], "seeds")
    top, rest = (mean_estimate(shares[arm], EACH) for arm in ("top", "rest"))
    said = f"fall in the top space {top.text('%', 100, 0)}, off it {rest.text('%', 100, 0)}"
    return Finding(PANEL, all_of(side(top, high=STALLS), side(rest, low=RUNS_ON)), said)


def pruning_limits(folder: Folder = None) -> dict[int, tuple[float, float]]:
    """Give the limit of each seed from its spectrum, and the measured number of weights."""
    curvature = published("beyond_pruning", folder)
    runs = read_published("mnist_conv2", folder)
    tickets = runs[(runs["method"] == "lottery_ticket") & (runs["burn_in_steps"] == 0)]
    tickets = tickets[(tickets["step"] == tickets["step"].max()) & (tickets["variant"] == "")]
    found = {}
    for seed, rows in curvature.groupby("seed"):
        measured, loss = pruning.measured_weights(tickets[tickets["seed"] == seed], POINTS)
        found[int(seed)] = pruning.least_weights(rows, loss), measured
    return found


@answers("pruning-limit", PANEL)
def pruning_limit(folder: Folder) -> Finding:
    """Compare the limit from the curvature with where tickets lose a point, in octaves."""
    found = pruning_limits(folder)
    need(len(found), LEAST["pruning"], "seeds")
    limits, measured = np.array(list(found.values())).T
    ratio = mean_estimate(np.log2(limits / measured))
    return Finding(
        PANEL,
        side(ratio, low=-OCTAVE, high=OCTAVE),
        f"limit over measured {ratio.text('octaves')}",
        f"Mean limit {limits.mean():.0f} weights, mean measured {measured.mean():.0f}.",
    )
