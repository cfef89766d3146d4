"""Judges of the questions of the chapter `beyond_training`, by their published tables."""

from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from dofbook.figures import DATASETS
from dofbook.success import baseline_accuracy, hit_dimensions, run_values
from ledger.panels import ANSWERS, CannotJudge, Folder, answers, attempt, need, published
from ledger.verdicts import CONFIDENCE, EACH, Estimate, Finding, all_of, mean_estimate, side

GAIN = 0.10
"""Points of accuracy that redrawn directions must gain, and that a first task must lose."""
GUESS = 0.45
"""Half of the error of guessing among ten classes."""
OCTAVES = 2.0
RANDOM_OCTAVES = 3.0
SLOPE = 0.1
NETWORKS = 12
SHARE = 0.8
BITS_DIMS = 6


def by_seed(rows: pd.DataFrame, values: str = "train_accuracy") -> pd.Series:
    """Take one value of each seed."""
    return rows.set_index("seed")[values].sort_index()


# --- fixed or redrawn -----------------------------------------------------------------------------


@answers("redrawn-directions", "Conv-2 on MNIST")
def redrawn(folder: Folder) -> Finding:
    """Judge what new directions at every step gain at d = 64."""
    rows = published("beyond_redrawn", folder)
    rows = rows[(rows.directions == "redrawn") & (rows.d == 64)]
    always, never = (by_seed(rows[rows.every == every]) for every in (1, 0))
    need(len(pairs := (always - never).dropna()), 3)
    gain = mean_estimate(pairs)
    return Finding(
        "Conv-2 on MNIST",
        side(gain, low=GAIN),
        f"gain of new directions at every step, d = 64: {gain.text('points', 100, 1)}",
        f"From {100 * never.mean():.1f} to {100 * always.mean():.1f} % in {rows.steps.max()} "
        f"steps; {len(never)} seeds, Hadamard directions.",
    )


# --- several subspaces ----------------------------------------------------------------------------


@answers("two-solutions", "Conv-2 on MNIST")
def two_solutions(folder: Folder) -> Finding:
    """Judge the barrier between two solutions and the gain of both together."""
    rows = published("beyond_two_solutions", folder)
    ends = rows[rows.share.isin([0, 1])].groupby("seed")
    barrier = rows.groupby("seed").train_loss.max() - ends.train_loss.max()
    better = ends.ensemble_accuracy.first() - ends.test_accuracy.max()
    need(len(barrier), 10)
    found = [mean_estimate(x, EACH) for x in (barrier, better)]
    return Finding(
        "Conv-2 on MNIST",
        all_of(*(side(estimate, low=0) for estimate in found)),
        f"barrier {found[0].text()}; both together over the better one "
        f"{found[1].text('points', 100)}",
        f"{len(barrier)} seeds, d = {rows.d.max()}; intervals of 97.5 %. Cosine of the "
        f"displacements {rows.cosine.mean():.3f}, same prediction on "
        f"{100 * rows.agreement.mean():.1f} % of the test images.",
    )


@answers("tasks-in-blocks", "Conv-2 on permuted MNIST")
def blocks(folder: Folder) -> Finding:
    """Judge what the first of four tasks loses."""
    rows = published("beyond_blocks", folder)
    first = rows[(rows.on == 1) & rows.after.isin([1, 4])]
    tables = {
        protected: part.pivot(index="seed", columns="after", values="test_accuracy")
        for protected, part in first.groupby("protected")
    }
    if 0 not in tables or 4 not in tables[0]:
        raise CannotJudge("no four tasks in unprotected blocks")
    losses = {protected: (table[1] - table[4]).dropna() for protected, table in tables.items()}
    need(len(losses[0]), 3)
    loss = mean_estimate(losses.pop(0))
    others = [
        f"With blocks orthogonal to the gradients of {images} images of each earlier task: "
        f"{mean_estimate(values).text('points', 100, 1)}."
        for images, values in losses.items()
        if len(values) > 1
    ]
    return Finding(
        "Conv-2 on permuted MNIST",
        side(loss, low=GAIN),
        f"fall of the first task's test accuracy: {loss.text('points', 100, 1)}",
        " ".join([f"{len(tables[0])} seeds, blocks of d = {rows.d.max()}.", *others]),
    )


# --- bits and labels ------------------------------------------------------------------------------


def least_bounds(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep for every d and seed the number of levels with the least bound."""
    return rows.loc[rows.groupby(["dataset", "d", "seed"]).bound.idxmin()]


def affine_runs(name: str, folder: Folder) -> pd.DataFrame:
    """Take full training and random affine subspaces at w0 from a table of Fig. 2."""
    rows = published(name, folder)
    rows = rows[rows.method.isin(["affine", "full"]) & (rows.burn_in_steps == 0)]
    return rows[rows.variant == ""] if "variant" in rows.columns else rows


def _bits(dataset: str, folder: Folder) -> Finding:
    rows = least_bounds(published("beyond_bits", folder))
    rows = rows[rows.dataset == dataset]
    if rows.empty:
        raise CannotJudge("no runs")
    bounds = rows.pivot(index="seed", columns="d", values="bound").dropna()
    need(len(bounds), 3)
    need(len(bounds.columns), BITS_DIMS, "dimensions")
    d = int(bounds.mean().idxmin())
    least = mean_estimate(bounds[d])
    runs = affine_runs(f"{dataset}_conv2", folder)
    level = 0.9 * float(baseline_accuracy(runs, "train_accuracy")["baseline"].iloc[0])
    curve = run_values(runs[runs.method == "affine"], "train_accuracy").complete()
    hits = hit_dimensions(curve.dims, curve.values, level, kind=curve.kind, interpolate=True)
    away = mean_estimate(np.log2(d) - np.log2(hits))
    name = f"Conv-2 on {DATASETS[dataset]}"
    return Finding(
        name,
        all_of(side(least, high=GUESS), side(away, low=-OCTAVES, high=OCTAVES)),
        f"least mean bound {least.text('%', 100, 1)}, at d = {d}, "
        f"{away.text('octaves', digits=1)} from d_hit",
        f"{len(bounds)} seeds; test error there "
        f"{100 * rows[rows.d == d].test_error.mean():.1f} %; d_hit of {100 * level:.1f} % by "
        f"the published {dataset}_conv2.",
    )


def bits(folder: Folder) -> tuple[Finding, ...]:
    """Judge the bound on both data sets."""
    return tuple(
        attempt(f"Conv-2 on {DATASETS[name]}", partial(_bits, name, folder))
        for name in ("mnist", "fashion_mnist")
    )


ANSWERS["bits-bound-the-error"] = bits


def search_hit(rows: pd.DataFrame, value: str) -> float:
    """Read a search: d_hit between the d that reached the level and the one before, or D.

    >>> tried = {"d": [16, 64, 32], "level": 0.5, "D": 99, "acc": [0.1, 0.9, 0.5]}
    >>> search_hit(pd.DataFrame(tried), "acc")
    32.0
    """
    rows = rows.sort_values("d")
    level = float(rows.level.iloc[0])
    found = hit_dimensions(
        rows.d.to_numpy(), rows[[value]].to_numpy(float), level, kind="accuracy", interpolate=True
    )[0]
    return float(min(found, rows.D.iloc[0]))


@answers("random-labels-cost-more", "Conv-2, 5,000 images of MNIST")
def labels(folder: Folder) -> Finding:
    """Judge by how many octaves random labels are later."""
    rows = published("beyond_labels", folder)
    rows = rows.groupby(["labels", "seed", "d", "D", "level"]).best_train_accuracy.max()
    rows = rows.reset_index()  # the better of the trainings tried there
    hits = pd.Series({
        (kind, seed): search_hit(part, "best_train_accuracy")
        for (kind, seed), part in rows.groupby(["labels", "seed"])
    })  # fmt: skip
    both = hits.unstack(0).dropna()
    need(both.shape[1] * len(both), 6, "pairs of a seed and a kind of labels")
    later = mean_estimate(np.log2(both["random"]) - np.log2(both["true"]))
    return Finding(
        "Conv-2, 5,000 images of MNIST",
        side(later, low=RANDOM_OCTAVES),
        f"random labels later by {later.text('octaves', digits=1)}",
        f"{len(both)} seeds; d_hit {both['true'].mean():.0f} with the true labels, "
        f"{both['random'].mean():.0f} with random ones; D = {rows.D.max()}.",
    )


# --- sizes and text -------------------------------------------------------------------------------


@answers("size-of-the-model", "Fully connected on MNIST")
def sizes(folder: Folder) -> Finding:
    """Judge the slope of log d_hit on log D."""
    rows = published("beyond_sizes", folder)
    networks = rows.groupby(["seed", "width", "depth"])
    hits = networks.apply(lambda part: search_hit(part, "train_accuracy")).rename("hit")
    logs = np.log(pd.concat([hits, networks.D.first()], axis=1))
    slopes = {
        seed: np.polyfit(part.D, part.hit, 1)[0]
        for seed, part in logs.groupby("seed")
        if len(part) == NETWORKS
    }
    need(len(slopes), 5, f"seeds have all {NETWORKS} networks")
    slope = mean_estimate(np.array([*slopes.values()]))
    return Finding(
        "Fully connected on MNIST",
        side(slope, high=SLOPE),
        f"slope of log d_hit on log D {slope.text(digits=3)}",
        f"{len(slopes)} seeds; d_hit from {hits.min():.0f} to {hits.max():.0f}, D from "
        f"{rows.D.min()} to {rows.D.max()}.",
    )


def loss_level(start: float, end: float, share: float = SHARE) -> float:
    """Find the loss at which so much of the fall from start to end is made.

    >>> loss_level(2.0, 1.0)
    1.2
    """
    return start - share * (start - end)


def text_hits(rows: pd.DataFrame) -> tuple[np.ndarray, float]:
    """Give d_hit of each seed on text, inf where it is not reached, and the level of the loss."""
    D = int(rows.D.iloc[0])
    full = rows[rows.rate > 0].groupby("rate").train_loss.mean().min()
    level = loss_level(rows[rows.d == 0].train_loss.mean(), full)
    inside = rows[(rows.rate == 0) & (rows.d > 0) & (rows.d < D)]
    table = inside.pivot(index="d", columns="seed", values="train_loss").dropna(axis=1)
    hits = hit_dimensions(table.index, table.to_numpy(), level, kind="loss", interpolate=True)
    return hits, level


def image_hits(rows: pd.DataFrame) -> np.ndarray:
    """Give d_hit of each seed of a table of Fig. 2 at the same relative loss."""
    inside = rows[rows.method == "affine"]
    full = rows[rows.method == "full"].groupby("learning_rate")
    end = min(part.groupby("seed").best_train_loss.min().mean() for _, part in full)
    level = loss_level(inside[inside.step == 0].train_loss.mean(), end)
    curve = run_values(inside, "train_loss").complete()
    return hit_dimensions(curve.dims, curve.values, level, kind="loss", interpolate=True)


def welch(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Estimate the difference of two means, with Welch's t-interval.

    >>> welch(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])).value
    0.0
    """
    ends = ttest_ind(first, second, equal_var=False).confidence_interval(CONFIDENCE)
    return Estimate(float(first.mean() - second.mean()), float(ends.low), float(ends.high))


@answers("text", "Transformer on Shakespeare")
def text(folder: Folder) -> Finding:
    """Judge the compression at the threshold against that of Conv-2 on MNIST."""
    rows = published("beyond_text", folder)
    images = affine_runs("mnist_conv2", folder)
    (hits, level), others = text_hits(rows), image_hits(images)
    need(int(np.isfinite(hits).sum()), max(3, len(hits)), "seeds reach the loss")
    ratios = [np.log2(int(table.D.iloc[0]) / d) for table, d in ((rows, hits), (images, others))]
    more = welch(*ratios)
    return Finding(
        "Transformer on Shakespeare",
        side(more, low=0),
        f"log2 D/d_hit less that of Conv-2 on MNIST: {more.text('octaves')}",
        f"{len(hits)} seeds against {len(others)}; D/d_hit {2 ** ratios[0].mean():.0f} against "
        f"{2 ** ratios[1].mean():.0f}, at a training loss of {level:.2f} on text.",
    )
