"""Success maps and thresholds: Figs. 2, 3, 7, 8 and 12 of the paper.

The curves are Definition 2.1 as `success.phase_boundary` gives it: markers at the grid's d show the
best level with d* <= d, and straight lines join them. A level above a curve's right end has
d* > d_max.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t as student

from dofbook.errors import InputError
from dofbook.figures.style import (
    FONT_SIZE,
    block_baselines,
    block_label,
    block_runs,
    cell_edges,
    check_columns,
    choose_limits,
    choose_styles,
    dimension_axis,
    draw_banded,
    draw_baseline,
    draw_curve,
    draw_legend,
    draw_map,
    finish_level_panel,
    finish_panel,
    level_axis,
    metric_label,
    new_figure,
    percent_scale,
    runs_up_to,
)
from dofbook.methods import label
from dofbook.success import CurveKey, RunValues, bootstrap_boundary, phase_boundary
from dofbook.success.tables import Value, metric_kind


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
    columns = number of methods + 1. Arguments as in `dofbook.figures`.

    Source: Larsen et al. (2022), Figs. 2, 7 and 8.

    >>> from dofbook.figures.style import example_runs
    >>> len(figure_2(example_runs()).axes) > 1
    True
    """
    check_columns(columns)
    blocks = block_runs(table, metric, value)
    baselines = block_baselines(table, metric, value, baseline, blocks)
    styles = choose_styles(key for block in blocks.values() for key in block)
    widest = min(columns, max(len(block) for block in blocks.values()) + 1)
    rows = [math.ceil((len(block) + 1) / widest) for block in blocks.values()]
    figure = new_figure(widest, sum(rows), 1.2)
    grid = figure.add_gridspec(sum(rows), widest)
    mesh: Any = None
    axes, top = [], 0
    for (block, members), height in zip(blocks.items(), rows, strict=True):
        panels = [grid[top + i // widest, i % widest] for i in range(len(members))]
        panels.append(grid[top + len(members) // widest, len(members) % widest :])
        top += height
        drawn = [figure.add_subplot(panel) for panel in panels]
        axes += drawn
        mesh = _draw_block(
            drawn, members, styles, delta, limits, baselines.get(block), block_label(block), metric
        )
    width, height = figure.get_size_inches()
    bar = figure.colorbar(
        mesh, ax=axes, location="top", shrink=2.5 / width, aspect=25, pad=0.15 / height,
        ticks=[0, 0.5, 1],
    )  # fmt: skip
    bar.set_label("success probability", fontsize=FONT_SIZE)
    bar.ax.tick_params(labelsize=FONT_SIZE)
    draw_legend(figure, styles, widest, "--" if baselines else None)
    return figure


def _draw_block(
    axes: list[Axes],
    members: dict[CurveKey, RunValues],
    styles: dict,
    delta: float,
    limits: tuple[float, float] | None,
    baseline: float | None,
    row_label: str,
    metric: str,
):
    """Draw the maps of one dataset and network and, last, their thresholds together."""
    kind = metric_kind(metric)
    numbers = np.concatenate([runs.values[runs.present] for runs in members.values()])
    limits = limits or choose_limits(
        np.append(numbers, np.nan if baseline is None else baseline), kind
    )
    dims = np.concatenate([runs.dims for runs in members.values()])
    edges = np.concatenate([cell_edges(runs.dims.astype(float)) for runs in members.values()])
    margin = max(dims.min() / edges.min(), edges.max() / dims.max())
    mesh, overlay = None, axes[-1]
    for ax, (key, runs) in zip(axes, members.items(), strict=False):
        boundary = percent_scale(kind) * phase_boundary(
            runs.values, delta, kind=kind, present=runs.present
        )
        mesh = draw_map(ax, runs, limits)
        style = styles[key.name]
        draw_curve(ax, runs.dims, boundary, style, halo=True)
        draw_curve(overlay, runs.dims, boundary, style)
    for i, ax in enumerate(axes):
        dimension_axis(ax, dims, margin)
        level_axis(ax, limits, kind)
        draw_baseline(ax, baseline, kind, "--", halo=ax is not overlay)
        place: Any = ax.get_subplotspec()
        first_column = place.is_first_col()
        ylabel = f"{row_label}\n{metric_label(metric)}" if first_column else None
        title = "all thresholds" if ax is overlay else label(*list(members)[i].name)
        finish_panel(ax, title, "training dimension d", ylabel)
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
    `success.bootstrap_thresholds`). Arguments as in `dofbook.figures`.

    Args:
        metrics: Metrics to draw, each in its own panel.
        replicates: Number of bootstrap samples, drawn with ``seed``.

    Source: Larsen et al. (2022), Fig. 3.

    >>> from dofbook.figures.style import example_runs
    >>> len(figure_3(example_runs(), replicates=10).axes) > 1
    True
    """
    check_columns(columns)
    if not metrics:
        raise InputError("metrics is empty; name at least one.")
    data = {metric: block_runs(table, metric, value) for metric in metrics}
    panels = [(block, metric) for block in data[metrics[0]] for metric in metrics]
    styles = choose_styles(key for block in data[metrics[0]].values() for key in block)
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(columns, rows, 0.6)
    baselines = {}
    for i, (block, metric) in enumerate(panels):
        ax = figure.add_subplot(rows, columns, i + 1)
        level = block_baselines(table, metric, value, baseline, [block]).get(block)
        baselines |= {} if level is None else {block: level}
        shown = [np.nan if level is None else level]
        for key, runs in data[metric][block].items():
            part = runs_up_to(runs, max_d)
            given = {"kind": part.kind, "present": part.present}
            drawn = {"rng": seed, "confidence": confidence, "replicates": replicates}
            lines = (
                phase_boundary(part.values, delta, **given),
                *bootstrap_boundary(part.values, delta, **given, **drawn),
            )
            shown += [*np.concatenate(lines)]
            draw_banded(ax, part.dims, lines, part.kind, styles[key.name])
        reach = np.concatenate([runs_up_to(r, max_d).dims for r in data[metric][block].values()])
        dimension_axis(ax, reach, 1.2)
        finish_level_panel(
            ax, block, metric, level, limits, shown, "threshold training\ndimension d*"
        )
    draw_legend(figure, styles, columns, ":" if baselines else None)
    return figure


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

    At d = 0 stands the value at theta = 0, that is at w_t, from the rows with step 0; pruned
    networks, whose offset differs from d to d, have none. The axis is linear from 0 to 1 and
    logarithmic from 1 on. Arguments as in `dofbook.figures`.

    Args:
        band: "range", from the worst to the best run; "interval", Student's t on the mean.

    Source: Larsen et al. (2022), Fig. 12 and Appendix A.3.

    >>> from dofbook.figures.style import example_runs
    >>> len(figure_12(example_runs()).axes)
    1
    """
    check_columns(columns)
    if band not in ("range", "interval"):
        raise InputError(f"band is {band!r}; allowed: 'range', 'interval'.")
    blocks = block_runs(table, metric, value)
    start = table[table["step"] == 0]
    if start.empty:
        raise InputError("the table has no checkpoint at step 0, so none at theta = 0.")
    offsets = block_runs(start, metric, "final")
    baselines = block_baselines(table, metric, value, baseline, blocks)
    styles = choose_styles(key for block in blocks.values() for key in block)
    columns = min(columns, len(blocks))
    rows = math.ceil(len(blocks) / columns)
    figure = new_figure(columns, rows, 0.6)
    for i, (block, members) in enumerate(blocks.items()):
        ax = figure.add_subplot(rows, columns, i + 1)
        shown = [baselines.get(block, np.nan)]
        for key, runs in members.items():
            part = runs_up_to(runs, max_d)
            if key not in offsets.get(block, {}):
                raise InputError(f"the table has no checkpoint at step 0 for {label(*key.name)}.")
            lines = _summary(offsets[block][key], part, band, confidence)
            shown += [*np.concatenate(lines)]
            style = styles[key.name]
            draw_banded(ax, np.append(0, part.dims), lines, part.kind, style)
        reach = np.concatenate([runs_up_to(runs, max_d).dims for runs in members.values()])
        dimension_axis(ax, reach, 1.15, zero=True)
        level = baselines.get(block)
        finish_level_panel(ax, block, metric, level, limits, shown, "training dimension d")
    draw_legend(figure, styles, columns, ":" if baselines else None)
    return figure


def _summary(
    offset: RunValues, runs: RunValues, band: str, confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Summarise the runs at d = 0 and at every d: mean, lower and upper, each (1 + dims,)."""
    by_seed = [v[mask] for v, mask in zip(offset.values.T, offset.present.T, strict=True)]
    common = all(np.allclose(column, column[0], rtol=1e-3) for column in by_seed)  # at every d
    samples = [np.array([column[0] if common else np.nan for column in by_seed])]
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
