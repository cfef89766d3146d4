"""Success maps and thresholds: Figs. 2, 3, 7, 8 and 12 of the paper.

The curves are Definition 2.1 as `success.phase_boundary` gives it: markers at the grid's d show the
best level with d* <= d, joined by straight lines. Levels above a curve's right end have d* > d_max.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dofbook import checks
from dofbook.errors import InputError
from dofbook.figures import style
from dofbook.methods import label
from dofbook.success import CurveKey, RunValues, phase_boundary, success_fraction
from dofbook.success.probability import LEVEL_RTOL
from dofbook.success.tables import Value, metric_kind

_LEVELS = 120  # rows of a success map


@style.in_style
def figure_2(
    table: pd.DataFrame, metric: str = "train_accuracy", *, delta: float = 0.1,
    limits: tuple[float, float] | None = None, columns: int = 2, value: Value = "best",
) -> Figure:  # fmt: skip
    """Draw success maps by method, their thresholds, and all thresholds together.

    Each data set and network has one map of P_s(d, level) for every method and burn-in time, white
    for 0 and black for 1, with the curve of d*; its last panel superimposes the curves. Its panels
    wrap into `columns` (in the paper, number of methods + 1), the last one filling its row.
    Arguments as in `dofbook.figures`. Source: Larsen et al. (2022), Figs. 2, 7 and 8.

    >>> len(figure_2(style.example_runs()).axes) > 1
    True
    """
    blocks = style.block_runs(table, metric, value)
    baselines = style.block_baselines(table, metric, value, blocks)
    styles = style.choose_styles(blocks)
    most = max(len(block) for block in blocks.values()) + 1
    widest = min(checks.integer("columns", columns, 1), most)
    rows = [math.ceil((len(block) + 1) / widest) for block in blocks.values()]
    figure = style.new_figure(widest, sum(rows), 1.2)
    grid = figure.add_gridspec(sum(rows), widest)
    mesh: Any = None
    axes, top = [], 0
    for (block, members), height in zip(blocks.items(), rows, strict=True):
        panels = [grid[top + i // widest, i % widest] for i in range(len(members))]
        panels.append(grid[top + len(members) // widest, len(members) % widest :])
        top += height
        drawn = [figure.add_subplot(panel) for panel in panels]
        axes += drawn
        level = baselines.get(block)
        mesh = _draw_block(drawn, block, members, styles, delta, limits, level, metric)
    width, height = figure.get_size_inches()
    look = {"shrink": 2.5 / width, "aspect": 25, "pad": 0.15 / height, "location": "top"}
    figure.colorbar(mesh, ax=axes, ticks=[0, 0.5, 1], label="success probability", **look)
    style.draw_legend(figure, styles, widest, "--" if baselines else None)
    return figure


def _draw_block(
    axes: list[Axes], block: style.Block, members: dict[CurveKey, RunValues], styles: dict,
    delta: float, limits: tuple[float, float] | None, baseline: float | None, metric: str,
):  # fmt: skip
    """Draw the maps of one dataset and network and, last, their thresholds together."""
    numbers = np.concatenate([runs.values[runs.present] for runs in members.values()])
    shown = numbers if baseline is None else np.append(numbers, baseline)
    limits = limits or style.choose_limits(shown, metric)
    dims = np.concatenate([runs.dims for runs in members.values()])
    edges = np.concatenate([_cell_edges(runs.dims) for runs in members.values()])
    margin = max(dims.min() / edges.min(), edges.max() / dims.max())
    mesh, overlay = None, axes[-1]
    for ax, (key, runs) in zip(axes, members.items(), strict=False):
        levels = phase_boundary(runs.values, delta, kind=runs.kind, present=runs.present)
        mesh = _draw_map(ax, runs, limits, metric)
        for where in (ax, overlay):
            scaled = style.percent_scale(metric) * levels
            style.draw_curve(where, runs.dims, scaled, styles[key.name], halo=where is ax)
    for i, ax in enumerate(axes):
        style.dimension_axis(ax, dims, margin)
        style.level_axis(ax, limits, metric)
        style.draw_baseline(ax, baseline, metric, "--", halo=ax is not overlay)
        place: Any = ax.get_subplotspec()
        words = f"{style.block_label(block)}\n{style.metric_label(metric)}"
        ylabel = words if place.is_first_col() else None
        title = "all thresholds" if ax is overlay else label(*list(members)[i].name)
        ax.set(title=title, xlabel="training dimension d", ylabel=ylabel)
    return mesh


def _cell_edges(dims: np.ndarray) -> np.ndarray:
    """Place cell edges at the geometric means of neighbouring dimensions."""
    centres = dims.astype(float)
    inner = np.sqrt(centres[1:] * centres[:-1])
    if len(inner) == 0:
        return centres[0] * np.array([2**-0.5, 2**0.5])
    return np.concatenate([[centres[0] ** 2 / inner[0]], inner, [centres[-1] ** 2 / inner[-1]]])


def _draw_map(ax: Axes, runs: RunValues, limits: tuple[float, float], metric: str):
    """Draw P_s in the plane of d and level, white for 0 and black for 1."""
    spaced = np.geomspace if runs.kind == "loss" else np.linspace
    halves = spaced(*limits, 2 * _LEVELS + 1)  # edges of cells and, between them, their levels
    edges, levels = style.percent_scale(metric) * halves[::2], halves[1::2]
    shares = success_fraction(runs.values, levels, kind=runs.kind, present=runs.present)
    look: dict = {"cmap": "gray_r", "vmin": 0, "vmax": 1, "rasterized": True}
    return ax.pcolormesh(_cell_edges(runs.dims), edges, shares.T, **look)


@style.in_style
def figure_3(
    table: pd.DataFrame, metrics: Sequence[str] = ("train_accuracy", "test_accuracy"), *,
    delta: float = 0.1, limits: tuple[float, float] | None = None, columns: int = 2,
    value: Value = "best",
) -> Figure:  # fmt: skip
    """Draw threshold training dimensions by method, with intervals over initializations.

    A panel per data set, network and metric; from left to right `success.threshold_band` bounds d*.
    Arguments as in `dofbook.figures`. Source: Larsen et al. (2022), Fig. 3.

    >>> len(figure_3(style.example_runs()).axes) > 1
    True
    """
    data = {metric: style.block_runs(table, metric, value) for metric in metrics}
    return style.level_panels(
        table, data,
        lambda ax, _, runs, metric, look: style.draw_threshold(ax, runs, metric, look, delta),
        partial(style.dimension_axis, margin=1.2), "threshold training\ndimension d*",
        value=value, columns=columns, limits=limits,
    )  # fmt: skip


@style.in_style
def figure_12(
    table: pd.DataFrame, metric: str = "train_accuracy", *, max_d: int = 128,
    limits: tuple[float, float] | None = None, columns: int = 2, value: Value = "best",
) -> Figure:  # fmt: skip
    """Draw accuracy against d for small d, with the accuracy of the offset itself at d = 0.

    At d = 0 stands the value at theta = 0, that is at w_t, from the rows with step 0; pruned
    networks, whose offset differs from d to d, have none. The axis is linear from 0 to 1 and
    logarithmic from 1 on. Bands reach from the worst to the best run. Arguments as in
    `dofbook.figures`. Source: Larsen et al. (2022), Fig. 12 and Appendix A.3.

    >>> len(figure_12(style.example_runs()).axes)
    1
    """
    data = {metric: style.block_runs(table, metric, value, max_d)}
    if (start := table[table["step"] == 0]).empty:
        raise InputError("the table has no checkpoint at step 0, so none at theta = 0.")
    offsets = style.block_runs(start, metric, "final")

    def draw(ax: Axes, key: CurveKey, runs: RunValues, metric: str, look: dict) -> np.ndarray:
        if key not in (members := offsets.get(key[:2], {})):
            raise InputError(f"the table has no checkpoint at step 0 for {label(*key.name)}.")
        lines = _summary(members[key], runs)
        _draw_banded(ax, np.append(0, runs.dims), lines, metric, look)
        return lines.ravel()

    return style.level_panels(
        table, data, draw, partial(style.dimension_axis, margin=1.15, zero=True),
        "training dimension d", value=value, columns=columns, limits=limits,
    )  # fmt: skip


def _summary(offset: RunValues, runs: RunValues) -> np.ndarray:
    """Summarise the runs at d = 0 and at every d: mean, worst and best, (3, 1 + dims)."""
    by_seed = [v[mask] for v, mask in zip(offset.values.T, offset.present.T, strict=True)]
    common = all(np.allclose(column, column[0], rtol=1e-3) for column in by_seed)  # at every d
    samples = [np.array([column[0] if common else np.nan for column in by_seed])]
    samples += [row[mask] for row, mask in zip(runs.values, runs.present, strict=True)]
    return np.array([(x.mean(), x.min(), x.max()) for x in samples]).T


def _draw_banded(ax: Axes, dims: np.ndarray, lines: np.ndarray, metric: str, look: dict) -> None:
    """Draw a curve with the band between two others; lines are (curve, lower, upper)."""
    curve, lower, upper = style.percent_scale(metric) * lines
    # Diverged runs leave an end infinite: the band then leaves the panel.
    far = 1e4 * np.abs(curve[np.isfinite(curve)]).max(initial=100)
    beyond = (1e-12, 1e12) if metric_kind(metric) == "loss" else (-far, far)
    ends = np.clip(lower, *beyond), np.clip(upper, *beyond)
    ax.fill_between(dims, *ends, color=look["color"], alpha=0.25, linewidth=0, gid="band")
    style.draw_curve(ax, dims, curve, look)


def threshold_data(table: pd.DataFrame) -> dict[str, list[dict]]:
    """Arrange the accuracies of runs for the explorable figure of thresholds, ready for JSON.

    One panel for each data set and network, in the table's order, with one curve for each method,
    burn-in time and variant: `dims`, ascending, and in `train` and `test` the best accuracy of
    every run, shape (dims, seeds), in units of 1e-4, None where it diverged. Rounding down keeps a
    level of whole units reached exactly where `success.success_counts` says. Seeds that were not
    run at every d of a curve are left out; a curve without any other raises `InputError`.

    >>> (panel,) = threshold_data(style.example_runs())["panels"]
    >>> panel["curves"][0]
    {'name': 'random affine', 'dims': [8, 16], 'train': [[2500, 2812], [5000, 5312]],
     'test': [[2500, 2812], [5000, 5312]]}
    """
    splits = ("train", "test")
    blocks = {split: style.block_runs(table, f"{split}_accuracy", "best") for split in splits}
    panels, order = [], list(zip(table["dataset"], table["network"], strict=True))
    for block in sorted(blocks["train"], key=order.index):
        curves = []
        for key, runs in blocks["train"][block].items():
            best = {s: _ten_thousandths(blocks[s][block][key].complete().values) for s in blocks}
            curves.append({"name": label(*key.name), "dims": runs.dims.tolist(), **best})
        panels.append({"name": style.block_label(block), "curves": curves})
    return {"panels": panels}


def _ten_thousandths(values: np.ndarray) -> list[list[int | None]]:
    """Round accuracies down to whole units of 1e-4, but up where they lie on one."""
    units = np.floor(1e4 * values / (1 - LEVEL_RTOL))
    return [[None if math.isnan(u) else int(u) for u in row] for row in units]
