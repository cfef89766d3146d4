"""The figure of a first experiment: how often runs succeed, and how well they do, against d."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dofbook.figures.style import (
    PANEL_HEIGHT,
    PANEL_WIDTH,
    NotebookFigure,
    block_label,
    block_runs,
    choose_styles,
    dimension_axis,
    draw_legend,
    finish_panel,
    metric_label,
    percent_scale,
)
from dofbook.success import phase_boundary, success_counts, wilson_interval
from dofbook.success.tables import metric_kind


def plot_success(
    runs: pd.DataFrame,
    metric: str = "train_accuracy",
    level: float | None = None,
    *,
    delta: float = 0.1,
) -> Figure:
    """Draw every run against d with the boundary of success, and P_s(d) at one level.

    Left, a dot for the best value of each run; the line joins the best level with d* <= d. Right,
    the share of runs that reach the level, with Wilson's 95 % intervals, and 1 - delta dotted.

    Args:
        runs: The tidy table of a sweep; one row of panels for each data set and network.
        level: Level of success; half way between the worst and the best boundary by default.
        delta: Failure probability allowed at the threshold, in (0, 1).

    Raises:
        InputError: If the table or an argument is not fit for it.

    >>> rows = [("digits", "mlp", "affine", 0, d, s, 1, d / 64) for d in (16, 32) for s in (0, 1)]
    >>> names = ["dataset", "network", "method", "burn_in_steps", "d", "seed", "step"]
    >>> table = pd.DataFrame(rows, columns=[*names, "best_train_accuracy"])
    >>> len(plot_success(table).axes)
    2
    """
    blocks = block_runs(runs, metric, "best")
    styles = choose_styles(key for block in blocks.values() for key in block)
    size = (2 * PANEL_WIDTH, PANEL_HEIGHT * len(blocks) + 0.7)
    figure = NotebookFigure(figsize=size, layout="constrained")
    axes = figure.subplots(len(blocks), 2, squeeze=False)
    for (left, right), (block, members) in zip(axes, blocks.items(), strict=True):
        boundaries = {
            key: phase_boundary(m.values, delta, kind=m.kind, present=m.present)
            for key, m in members.items()
        }
        chosen = _middle(np.concatenate([*boundaries.values()])) if level is None else level
        for key, member in members.items():
            style = styles[key.name]
            _draw_runs(left, member, boundaries[key], style)
            _draw_probability(right, member, chosen, style)
        scale = percent_scale(metric_kind(metric))
        left.axhline(scale * chosen, color="0.5", linewidth=0.8, linestyle=":")
        right.axhline(1 - delta, color="0.5", linewidth=0.8, linestyle=":")
        dims = np.concatenate([member.dims for member in members.values()])
        for ax in (left, right):
            dimension_axis(ax, dims, 1.2)
            ax.grid(color="0.9", linewidth=0.6)
        right.set_ylim(-0.03, 1.03)
        name = block_label(block)
        finish_panel(left, name, "training dimension d", metric_label(metric))
        title = f"P of {metric_label(metric).removesuffix(' (%)')} {scale * chosen:.3g}"
        finish_panel(right, title, "training dimension d", "success probability")
    draw_legend(figure, styles, 2, None)
    return figure


def _middle(levels: np.ndarray) -> float:
    finite = levels[np.isfinite(levels)]
    return float((finite.min() + finite.max()) / 2) if finite.size else 0.5


def _draw_runs(ax: Axes, member, boundary: np.ndarray, style: dict) -> None:
    scale = percent_scale(member.kind)
    d = np.repeat(member.dims, member.values.shape[1])
    plain = {"color": style["color"], "marker": style["marker"]}
    ax.plot(d, scale * member.values.ravel(), **plain, linestyle="", markersize=3, alpha=0.5)
    shown = np.where(np.isfinite(boundary), scale * boundary, np.nan)
    ax.plot(
        member.dims, shown, color=style["color"], linestyle=style["linestyle"], linewidth=1.8,
        gid="curve",
    )  # fmt: skip


def _draw_probability(ax: Axes, member, level: float, style: dict) -> None:
    given = {"kind": member.kind, "present": member.present}
    k, n = success_counts(member.values, [level], **given)
    low, high = (end[:, 0] for end in wilson_interval(k, n))
    ax.fill_between(member.dims, low, high, color=style["color"], alpha=0.2, linewidth=0)
    ax.plot(member.dims, k[:, 0] / n, **style, linewidth=1.8, markersize=4.5, gid="curve")
