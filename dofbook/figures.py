"""One function per figure of the paper: a tidy table in, a matplotlib Figure out.

Figures are built without pyplot, so no state outlives a call. Panels wrap into `columns`; the
default of two keeps a figure 5.2 inches wide, so that its 10-point text can still be read on a
screen of 390 pixels. Methods have the same colour, line and marker in every figure (Okabe and Ito's
colours, which colour-blind readers tell apart).

The curves are Definition 2.1 as `success.phase_boundary` gives it: markers at the grid's d show the
best level with d* <= d, and straight lines join them. A level above a curve's right end has
d* > d_max.
"""

import io
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.stats import t as student

from dofbook.errors import InputError
from dofbook.success import (
    CurveKey,
    RunValues,
    baseline_accuracy,
    bootstrap_boundary,
    curves,
    phase_boundary,
    run_values,
    success_probability,
)
from dofbook.success.tables import Value, check_table, metric_kind

PANEL_WIDTH, PANEL_HEIGHT = 2.6, 2.5  # inches
FONT_SIZE = 10  # points
LEVELS = 120  # rows of a success map

DATASETS = {
    "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100", "svhn_cropped": "SVHN",
}  # fmt: skip
NETWORKS = {"conv2": "Conv-2", "conv3": "Conv-3", "resnet20": "ResNet20", "mlp": "MLP",
            "lenet": "LeNet"}  # fmt: skip
STYLES = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#E69F00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#D55E00", "linestyle": (0, (2, 1)), "marker": "D"},
    {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1)), "marker": "v"},
    {"color": "#56B4E9", "linestyle": (0, (7, 2)), "marker": "P"},
    {"color": "#000000", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "marker": "X"},
)
FIXED_STYLES = {
    ("affine", 0): 0, ("affine", 4): 1, ("affine", 8): 2, ("affine", 16): 3,
    ("lottery_subspace", 0): 4,
}  # fmt: skip

Block = tuple[str, str]  # (dataset, network)


class NotebookFigure(Figure):
    """A matplotlib Figure that a notebook shows even if pyplot was never imported."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=200)
        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}


# --- data -----------------------------------------------------------------------------------------


def _blocks(
    table: pd.DataFrame, metric: str, value: Value
) -> dict[Block, dict[CurveKey, RunValues]]:
    """Arrange the runs by dataset and network, then by method."""
    check_table(table, metric, value)
    blocks: dict[Block, dict[CurveKey, RunValues]] = {}
    for key, rows in curves(table):
        blocks.setdefault(key[:2], {})[key] = run_values(rows, metric, value)
    if not blocks:
        raise InputError("the table holds no method but 'full'.")
    order = [*DATASETS]
    known = sorted(blocks, key=lambda b: order.index(b[0]) if b[0] in order else -1)
    return {block: blocks[block] for block in known}


def _baselines(
    table: pd.DataFrame, metric: str, value: Value, given: float | None, blocks: Iterable[Block]
) -> dict[Block, float]:
    """Take the given baseline for every block, or those of the table."""
    if given is not None:
        return dict.fromkeys(blocks, float(given))
    rows = baseline_accuracy(table, metric, value).itertuples()
    return {(row.dataset, row.network): row.baseline for row in rows}


def _styles(keys: Iterable[CurveKey]) -> dict[tuple[str, int], dict]:
    """Give every (method, t) its style, the same whichever others are there where possible."""
    methods = sorted({(key.method, key.burn_in_steps) for key in keys})
    chosen = {name: FIXED_STYLES[name] for name in methods if name in FIXED_STYLES}
    free = [i for i in range(len(STYLES)) if i not in chosen.values()] or [0]
    others = [name for name in methods if name not in chosen]
    chosen |= {name: free[i % len(free)] for i, name in enumerate(others)}
    return {name: STYLES[chosen[name]] for name in methods}


def _limits(numbers: np.ndarray, kind: str) -> tuple[float, float]:
    """Choose the range of levels: that of the finite values, with a margin."""
    finite = numbers[np.isfinite(numbers) & ((kind == "accuracy") | (numbers > 0))]
    if finite.size == 0:
        raise InputError("the table holds no finite value to draw.")
    low, high = finite.min(), finite.max()
    if kind == "loss":
        margin = max((high / low) ** 0.04, 1.02)
        return low / margin, high * margin
    margin = max(0.04 * (high - low), 0.005)
    return max(low - margin, 0.0), high + margin


def _edges(centres: np.ndarray) -> np.ndarray:
    """Place cell edges at the geometric means of neighbouring centres."""
    inner = np.sqrt(centres[1:] * centres[:-1])
    if len(inner) == 0:
        return centres[0] * np.array([2**-0.5, 2**0.5])
    return np.concatenate([[centres[0] ** 2 / inner[0]], inner, [centres[-1] ** 2 / inner[-1]]])


# --- drawing --------------------------------------------------------------------------------------


def _scale(kind: str) -> float:
    return 100.0 if kind == "accuracy" else 1.0


def _metric_label(metric: str) -> str:
    split, kind = metric.split("_")
    words = {"train": "training", "test": "test"}[split]
    return f"{words} accuracy (%)" if kind == "accuracy" else f"{words} loss ε"


def _block_label(block: Block) -> str:
    return f"{DATASETS.get(block[0], block[0])}, {NETWORKS.get(block[1], block[1])}"


def _check_columns(columns: int) -> None:
    if isinstance(columns, bool) or not isinstance(columns, int) or columns < 1:
        raise InputError(f"columns is {columns!r}; it must be a whole number of at least 1.")


def _figure(columns: int, rows: int, extra: float) -> Figure:
    """Make an empty figure, never narrower than two panels; extra inches for legend and bar."""
    width = PANEL_WIDTH * max(columns, 2)
    figure = NotebookFigure(figsize=(width, PANEL_HEIGHT * rows + extra), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
    return figure


def _dimension_axis(ax: Axes, dims: np.ndarray, margin: float, zero: bool = False) -> None:
    """Set a log2 axis of d with ticks at powers of two; with zero, a linear piece from 0 to 1.

    The margin is the factor by which the axis reaches beyond the smallest and largest d.
    """
    low, high = dims.min(), dims.max()
    if zero:
        ax.set_xscale("symlog", base=2, linthresh=1)
        low = 1
    else:
        ax.set_xscale("log", base=2)
    ax.set_xlim(-0.15 if zero else low / margin, high * margin)
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    step = 1 if last - first <= 4 else 2 if last - first <= 8 else 3
    ticks = [2.0**i for i in range(last, first - 1, -step)] or [low, high]
    ax.xaxis.set_major_locator(FixedLocator([0.0, *ticks] if zero else ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def _level_axis(ax: Axes, limits: tuple[float, float], kind: str) -> None:
    """Set the axis of levels: percent for accuracy, logarithmic for loss."""
    if kind == "loss":
        ax.set_yscale("log")
        if limits[1] / limits[0] < 30:  # less than a decade and a half has few powers of ten
            nice = [m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5)]
            ax.yaxis.set_major_locator(FixedLocator(nice))
            ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylim(*(_scale(kind) * np.array(limits)))


def _draw_baseline(
    ax: Axes, level: float | None, kind: str, linestyle: str, halo: bool = False
) -> None:
    """Draw the level of full-space training, under the curves."""
    if level is None or not math.isfinite(level):
        return
    y = _scale(kind) * level
    if halo:
        ax.axhline(y, color="white", linewidth=3, zorder=1.8)
    ax.axhline(y, color="black", linewidth=1.3, linestyle=linestyle, zorder=1.9, gid="baseline")


def _draw_curve(
    ax: Axes, dims: np.ndarray, levels: np.ndarray, style: dict, halo: bool = False
) -> None:
    """Draw levels against d; a white halo lets the line show on white and on black."""
    levels = np.where(np.isfinite(levels), levels, np.nan)
    if halo:
        ax.plot(dims, levels, color="white", linewidth=4)
    ax.plot(
        dims, levels, **style, linewidth=1.8, markersize=5,
        markeredgecolor="white", markeredgewidth=0.8 if halo else 0.4, gid="curve",
    )  # fmt: skip


def _draw_map(ax: Axes, runs: RunValues, limits: tuple[float, float]):
    """Draw P_s in the plane of d and level, white for 0 and black for 1."""
    if runs.kind == "loss":
        edges = np.geomspace(*limits, LEVELS + 1)
        levels = np.sqrt(edges[1:] * edges[:-1])
    else:
        edges = np.linspace(*limits, LEVELS + 1)
        levels = (edges[1:] + edges[:-1]) / 2
    probability = success_probability(runs.values, levels, kind=runs.kind, present=runs.present)
    return ax.pcolormesh(
        _edges(runs.dims.astype(float)), _scale(runs.kind) * edges, probability.T,
        cmap="gray_r", vmin=0, vmax=1, rasterized=True,
    )  # fmt: skip


def _legend(figure: Figure, styles: dict, columns: int, baseline: str | None) -> None:
    """Put one legend for all panels below them."""
    handles = [
        Line2D([], [], **style, linewidth=1.8, markersize=4.5,
               label=CurveKey("", "", *name).label)
        for name, style in styles.items()
    ]  # fmt: skip
    if baseline is not None:
        handles.append(
            Line2D([], [], color="black", linewidth=1.3, linestyle=baseline, label="full training")
        )
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), max(columns, 2)),
        fontsize=FONT_SIZE, handlelength=3.2, frameon=False,
    )  # fmt: skip


def _finish(ax: Axes, title: str, xlabel: str | None, ylabel: str | None) -> None:
    ax.set_title(title, fontsize=FONT_SIZE)
    ax.tick_params(labelsize=FONT_SIZE)
    if xlabel:
        ax.set_xlabel(xlabel, fontsize=FONT_SIZE)
    if ylabel:
        ax.set_ylabel(ylabel, fontsize=FONT_SIZE)


# --- the figures ----------------------------------------------------------------------------------


def figure_2(
    table: pd.DataFrame,
    metric: str = "train_accuracy",
    *,
    delta: float = 0.1,
    baseline: float | None = None,
    limits: tuple[float, float] | None = None,
    columns: int = 2,
    value: Value = "best",
) -> Figure:
    """Draw success maps by method, their thresholds, and all thresholds together.

    Each dataset and network has one map of P_s(d, level) for every method and burn-in time, white
    for 0 and black for 1, with the curve of d*; its last panel superimposes the curves. The panels
    of one dataset wrap into `columns`, the last one filling its row; the paper's layout is
    columns = number of methods + 1.

    Args:
        table: Tidy table, one row per run and checkpoint.
        metric: "train_accuracy", "test_accuracy", "train_loss" or "test_loss".
        delta: Failure probability allowed at the threshold, in (0, 1).
        baseline: Level of full-space training, in the metric's unit; None for the table's.
        limits: Range of levels, in the metric's unit; None for that of the data.
        columns: Panels side by side.
        value: "best" reached at any checkpoint (as in the paper), or "final".

    Returns:
        The figure.

    Raises:
        InputError: If the table or an argument is not fit for it.

    Source: Larsen et al. (2022), Figs. 2, 7 and 8.
    """
    _check_columns(columns)
    blocks = _blocks(table, metric, value)
    baselines = _baselines(table, metric, value, baseline, blocks)
    styles = _styles(key for block in blocks.values() for key in block)
    widest = min(columns, max(len(block) for block in blocks.values()) + 1)
    rows = [math.ceil((len(block) + 1) / widest) for block in blocks.values()]
    figure = _figure(widest, sum(rows), 1.2)
    grid = figure.add_gridspec(sum(rows), widest)
    axes, mesh, top = [], None, 0
    for (block, members), height in zip(blocks.items(), rows, strict=True):
        panels = [grid[top + i // widest, i % widest] for i in range(len(members))]
        panels.append(grid[top + len(members) // widest, len(members) % widest :])
        top += height
        drawn = [figure.add_subplot(panel) for panel in panels]
        axes += drawn
        mesh = _draw_block(
            drawn, members, styles, delta, limits, baselines.get(block), _block_label(block), metric
        )
    width, height = figure.get_size_inches()
    bar = figure.colorbar(
        mesh, ax=axes, location="top", shrink=2.5 / width, aspect=25, pad=0.15 / height,
        ticks=[0, 0.5, 1],
    )  # fmt: skip
    bar.set_label("success probability", fontsize=FONT_SIZE)
    bar.ax.tick_params(labelsize=FONT_SIZE)
    _legend(figure, styles, widest, "--" if baselines else None)
    return figure


def _draw_block(
    axes: list[Axes],
    members: dict[CurveKey, RunValues],
    styles: dict,
    delta: float,
    limits: tuple[float, float] | None,
    baseline: float | None,
    label: str,
    metric: str,
):
    """Draw the maps of one dataset and network and, last, their thresholds together."""
    kind = metric_kind(metric)
    numbers = np.concatenate([runs.values[runs.present] for runs in members.values()])
    limits = limits or _limits(np.append(numbers, np.nan if baseline is None else baseline), kind)
    dims = np.concatenate([runs.dims for runs in members.values()])
    edges = np.concatenate([_edges(runs.dims.astype(float)) for runs in members.values()])
    margin = max(dims.min() / edges.min(), edges.max() / dims.max())
    mesh, overlay = None, axes[-1]
    for ax, (key, runs) in zip(axes, members.items(), strict=False):
        boundary = _scale(kind) * phase_boundary(
            runs.values, delta, kind=kind, present=runs.present
        )
        mesh = _draw_map(ax, runs, limits)
        style = styles[key.method, key.burn_in_steps]
        _draw_curve(ax, runs.dims, boundary, style, halo=True)
        _draw_curve(overlay, runs.dims, boundary, style)
    for i, ax in enumerate(axes):
        _dimension_axis(ax, dims, margin)
        _level_axis(ax, limits, kind)
        _draw_baseline(ax, baseline, kind, "--", halo=ax is not overlay)
        first_column = ax.get_subplotspec().is_first_col()
        ylabel = f"{label}\n{_metric_label(metric)}" if first_column else None
        title = "all thresholds" if ax is overlay else list(members)[i].label
        _finish(ax, title, "training dimension d", ylabel)
    return mesh


def figure_3(
    table: pd.DataFrame,
    metrics: Sequence[str] = ("train_accuracy", "test_accuracy"),
    *,
    delta: float = 0.1,
    baseline: float | None = None,
    limits: tuple[float, float] | None = None,
    max_d: float | None = None,
    columns: int = 2,
    value: Value = "best",
    confidence: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> Figure:
    """Draw threshold training dimensions by method, with intervals over initializations.

    One panel per dataset, network and metric. Bands are percentile intervals of the bootstrap that
    resamples seeds; with 10 initializations or fewer they are too narrow (see
    `success.bootstrap_thresholds`).

    Args:
        table: Tidy table, one row per run and checkpoint.
        metrics: Metrics to draw, each in its own panel.
        delta: Failure probability allowed at the threshold, in (0, 1).
        baseline: Level of full-space training for every panel; None for the table's.
        limits: Range of levels, in the metric's unit; None for that of the curves.
        max_d: Largest d drawn; None for all.
        columns: Panels side by side.
        value: "best" reached at any checkpoint (as in the paper), or "final".
        confidence: Coverage the bands aim at.
        replicates: Number of bootstrap samples.
        seed: Seed of the bootstrap.

    Returns:
        The figure.

    Raises:
        InputError: If the table or an argument is not fit for it.

    Source: Larsen et al. (2022), Fig. 3.
    """
    _check_columns(columns)
    if not metrics:
        raise InputError("metrics is empty; name at least one.")
    data = {metric: _blocks(table, metric, value) for metric in metrics}
    panels = [(block, metric) for block in data[metrics[0]] for metric in metrics]
    styles = _styles(key for block in data[metrics[0]].values() for key in block)
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = _figure(columns, rows, 0.6)
    baselines = {}
    for i, (block, metric) in enumerate(panels):
        ax = figure.add_subplot(rows, columns, i + 1)
        level = _baselines(table, metric, value, baseline, [block]).get(block)
        baselines |= {} if level is None else {block: level}
        shown = [np.nan if level is None else level]
        for key, runs in data[metric][block].items():
            part = _up_to(runs, max_d)
            given = {"kind": part.kind, "present": part.present}
            drawn = {"rng": seed, "confidence": confidence, "replicates": replicates}
            lines = (
                phase_boundary(part.values, delta, **given),
                *bootstrap_boundary(part.values, delta, **given, **drawn),
            )
            shown += [*np.concatenate(lines)]
            _draw_banded(ax, part.dims, lines, part.kind, styles[key.method, key.burn_in_steps])
        reach = np.concatenate([_up_to(r, max_d).dims for r in data[metric][block].values()])
        _dimension_axis(ax, reach, 1.2)
        _finish_panel(ax, block, metric, level, limits, shown, "threshold training\ndimension d*")
    _legend(figure, styles, columns, ":" if baselines else None)
    return figure


def _finish_panel(
    ax: Axes,
    block: Block,
    metric: str,
    baseline: float | None,
    limits: tuple[float, float] | None,
    shown: list[float],
    xlabel: str,
) -> None:
    """Set the axis of levels to what is shown, draw the baseline, and write the labels."""
    kind = metric_kind(metric)
    _level_axis(ax, limits or _limits(np.array(shown, float), kind), kind)
    _draw_baseline(ax, baseline, kind, ":")
    ax.grid(color="0.9", linewidth=0.6)
    _finish(ax, _block_label(block), xlabel, _metric_label(metric))


def _up_to(runs: RunValues, max_d: float | None) -> RunValues:
    """Keep the dimensions up to max_d."""
    if max_d is None:
        return runs
    kept = runs.dims <= max_d
    if not kept.any():
        raise InputError(f"max_d is {max_d}; the smallest d in the table is {runs.dims[0]}.")
    return RunValues(runs.dims[kept], runs.seeds, runs.values[kept], runs.present[kept], runs.kind)


def _draw_banded(ax: Axes, dims: np.ndarray, lines: Sequence, kind: str, style: dict) -> None:
    """Draw a curve with the band between two others; lines are (curve, lower, upper)."""
    curve, lower, upper = (_scale(kind) * np.asarray(line) for line in lines)
    # Diverged runs leave an end infinite: the band then leaves the panel.
    beyond = (1e-12, 1e12) if kind == "loss" else (-1e6, 1e6)
    ax.fill_between(
        dims, np.clip(lower, *beyond), np.clip(upper, *beyond), color=style["color"], alpha=0.25,
        linewidth=0, gid="band",
    )  # fmt: skip
    _draw_curve(ax, dims, curve, style)


def figure_12(
    table: pd.DataFrame,
    metric: str = "train_accuracy",
    *,
    max_d: int = 128,
    band: str = "range",
    confidence: float = 0.95,
    baseline: float | None = None,
    limits: tuple[float, float] | None = None,
    columns: int = 2,
    value: Value = "best",
) -> Figure:
    """Draw accuracy against d for small d, with the accuracy of the offset itself at d = 0.

    At d = 0 stands the value at theta = 0, that is at w_t, from the rows with step 0. The axis is
    linear from 0 to 1 and logarithmic from 1 on.

    Args:
        table: Tidy table, one row per run and checkpoint, with checkpoints at step 0.
        metric: "train_accuracy", "test_accuracy", "train_loss" or "test_loss".
        max_d: Largest d drawn.
        band: "range", from the worst to the best run; "interval", Student's t on the mean.
        confidence: Coverage of the t-intervals.
        baseline: Level of full-space training, in the metric's unit; None for the table's.
        limits: Range of levels, in the metric's unit; None for that of the data.
        columns: Panels side by side, one per dataset and network.
        value: "best" reached at any checkpoint (as in the paper), or "final".

    Returns:
        The figure.

    Raises:
        InputError: If the table or an argument is not fit for it.

    Source: Larsen et al. (2022), Fig. 12 and Appendix A.3.
    """
    _check_columns(columns)
    if band not in ("range", "interval"):
        raise InputError(f"band is {band!r}; allowed: 'range', 'interval'.")
    blocks = _blocks(table, metric, value)
    start = table[table["step"] == 0]
    if start.empty:
        raise InputError("the table has no checkpoint at step 0, so none at theta = 0.")
    offsets = _blocks(start, metric, "final")
    baselines = _baselines(table, metric, value, baseline, blocks)
    styles = _styles(key for block in blocks.values() for key in block)
    columns = min(columns, len(blocks))
    rows = math.ceil(len(blocks) / columns)
    figure = _figure(columns, rows, 0.6)
    for i, (block, members) in enumerate(blocks.items()):
        ax = figure.add_subplot(rows, columns, i + 1)
        shown = [baselines.get(block, np.nan)]
        for key, runs in members.items():
            part = _up_to(runs, max_d)
            lines = _summary(offsets[block][key], part, band, confidence)
            shown += [*np.concatenate(lines)]
            style = styles[key.method, key.burn_in_steps]
            _draw_banded(ax, np.append(0, part.dims), lines, part.kind, style)
        reach = np.concatenate([_up_to(runs, max_d).dims for runs in members.values()])
        _dimension_axis(ax, reach, 1.15, zero=True)
        level = baselines.get(block)
        _finish_panel(ax, block, metric, level, limits, shown, "training dimension d")
    _legend(figure, styles, columns, ":" if baselines else None)
    return figure


def _summary(
    offset: RunValues, runs: RunValues, band: str, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Summarise the runs at d = 0 and at every d: mean, lower and upper, each (1 + dims,)."""
    by_seed = zip(offset.values.T, offset.present.T, strict=True)
    samples = [np.array([column[mask].mean() for column, mask in by_seed])]
    samples += [row[mask] for row, mask in zip(runs.values, runs.present, strict=True)]
    mean = np.array([sample.mean() for sample in samples])
    if band == "range":
        return mean, np.array([x.min() for x in samples]), np.array([x.max() for x in samples])
    half = np.array([_half_width(sample, confidence) for sample in samples])
    return mean, mean - half, mean + half


def _half_width(sample: np.ndarray, confidence: float) -> float:
    """Compute half the t-interval of a mean; 0 for a single run, which shows no spread."""
    if len(sample) < 2:
        return 0.0
    reach = student.ppf((1 + confidence) / 2, len(sample) - 1)
    return reach * sample.std(ddof=1) / math.sqrt(len(sample))
