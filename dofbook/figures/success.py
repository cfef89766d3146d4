"""The figure of a first experiment: how often runs succeed, and how well they do, against d."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dofbook.figures import style
from dofbook.success import phase_boundary, success_counts, wilson_interval
from dofbook.success.checks import check_level


@style.in_style
def plot_success(
    runs: pd.DataFrame, metric: str = "train_accuracy", delta: float = 0.1, *,
    level: float | None = None,
) -> Figure:  # fmt: skip
    """Draw every run against d with the boundary of success, and P_s(d) at one level.

    Left, a dot for the best value of each run; the line joins the best level with d* <= d. Right,
    the share of runs that reach the level (by default half way between the worst and the best
    boundary), with Wilson's 95 % intervals, and 1 - delta dotted. One row of panels for each data
    set and network. Arguments as in `dofbook.figures`.

    >>> len(plot_success(style.example_runs()).axes)
    2
    """
    if level is not None:
        check_level(level, metric)
    blocks, scale = style.block_runs(runs, metric, "best"), style.percent_scale(metric)
    styles, words = style.choose_styles(blocks), style.metric_label(metric)
    height, count = style.PANEL_HEIGHT * len(blocks) + 0.7, len(blocks)
    figure, axes = style.page_figure(height, 2, count, squeeze=False)
    for (left, right), (block, members) in zip(axes, blocks.items(), strict=True):
        boundaries = {
            key: phase_boundary(m.values, delta, kind=m.kind, present=m.present)
            for key, m in members.items()
        }
        finite = [x for levels in boundaries.values() for x in levels[np.isfinite(levels)]]
        middle = (min(finite) + max(finite)) / 2 if finite else 0.5
        chosen = middle if level is None else level
        for key, member in members.items():
            look, d = styles[key.name], np.repeat(member.dims, len(member.seeds))
            dots = look | {"linestyle": "", "markersize": 3, "alpha": 0.5}
            left.plot(d, scale * member.values.ravel(), **dots)
            style.draw_curve(left, member.dims, scale * boundaries[key], look | {"marker": ""})
            k, n = success_counts(member.values, [chosen], kind=member.kind, present=member.present)
            low, high = (end[:, 0] for end in wilson_interval(k, n))
            right.fill_between(member.dims, low, high, color=look["color"], alpha=0.2, linewidth=0)
            right.plot(member.dims, k[:, 0] / n, **look, gid="curve")
        left.axhline(scale * chosen, color="0.5", linewidth=0.8, linestyle=":")
        right.axhline(1 - delta, color="0.5", linewidth=0.8, linestyle=":")
        dims = np.concatenate([member.dims for member in members.values()])
        for ax in (left, right):
            style.dimension_axis(ax, dims, 1.2)
            ax.grid()
            ax.set_xlabel("training dimension d")
        right.set_ylim(-0.03, 1.03)
        left.set(title=style.block_label(block), ylabel=words)
        sign = "≤" if style.metric_kind(metric) == "loss" else "≥"
        unit = "%" if style.is_fraction(metric) else ""
        title = f"{style.metric_words(metric)} {sign} {scale * chosen:.3g}{unit}"
        right.set(title=title, ylabel="success probability")
    style.draw_legend(figure, styles, 2, None)
    return figure
