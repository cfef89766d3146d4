"""Accuracy against compression, and spectra of trajectories: Figs. 6, 10 and 11 of the paper."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dofbook.errors import InputError
from dofbook.figures import style
from dofbook.methods import LotterySubspace
from dofbook.success.checks import require_columns
from dofbook.success.tables import CurveKey, RunValues, Value


@style.in_style
def figure_6(
    table: pd.DataFrame, metric: str = "test_accuracy", *,
    limits: tuple[float, float] | None = None, columns: int = 2, value: Value = "best",
) -> Figure:  # fmt: skip
    """Draw accuracy against compression ratio D/d for every method on one axis.

    One panel per data set and network: the mean over seeds, in a band from the worst to the best.
    For lottery subspaces give the table through ``success.nested_best`` first, as the paper does.
    Arguments as in `dofbook.figures`. Source: Larsen et al. (2022), Fig. 6.

    >>> len(figure_6(style.example_runs()).axes)
    1
    """
    blocks = style.block_runs(table, metric, value)
    require_columns(table, ["D"])
    sizes = table.groupby(["dataset", "network"])["D"].max()
    for block, members in blocks.items():
        for key, runs in members.items():
            members[key] = replace(runs, dims=sizes[block] / runs.dims)
    return style.level_panels(
        table, {metric: blocks}, _draw_range, _ratio_axis, "compression ratio D/d",
        value=value, columns=columns, limits=limits, extra=0.9,
    )  # fmt: skip


def _draw_range(ax: Axes, _, runs: RunValues, metric: str, look: dict) -> np.ndarray:
    """Draw the mean over seeds in a band from the worst to the best; return the band's ends."""
    values = np.where(runs.present & np.isfinite(runs.values), runs.values, np.nan)
    kept = ~np.isnan(values).all(axis=1)
    values, ratio, scale = values[kept], runs.dims[kept], style.percent_scale(metric)
    low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    ax.fill_between(ratio, scale * low, scale * high, color=look["color"], alpha=0.15, linewidth=0)
    style.draw_curve(ax, ratio, scale * np.nanmean(values, axis=1), look)
    return np.concatenate([low, high])


def _ratio_axis(ax: Axes, ratios: np.ndarray) -> None:
    """Set a log2 axis of D/d with at most six ticks at powers of two."""
    low, high = ratios.min(), ratios.max()
    ax.set_xscale("log", base=2)
    ax.set_xlim(low / 1.2, high * 1.2)
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high))
    step = max(1, math.ceil((last - first) / 5))
    style.whole_ticks(ax, [2.0**i for i in range(first, last + 1, step)])


@style.in_style
def figure_10(spectra: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Draw the singular values of full-training paths over the largest, one line per seed.

    A basis looks as its lottery subspaces do. The table has one row per data set, network, basis,
    seed and index (from 1), with singular_value. Source: Larsen et al. (2022), Figs. 10 and 11.

    >>> names = {"dataset": "mnist", "network": "conv2", "basis": "centred", "seed": 0}
    >>> rows = pd.DataFrame({**names, "index": [1, 2], "singular_value": [2.0, 1.0]})
    >>> len(figure_10(rows).axes)
    1
    """
    require_columns(spectra, ("dataset", "network", "basis", "seed", "index", "singular_value"))
    if spectra.empty:
        raise InputError("the table has no rows.")
    blocks = list(spectra.groupby(["dataset", "network"]))
    blocks.sort(key=lambda block: style.dataset_place(block[0][0]))
    bases = sorted(spectra["basis"].unique())
    paths = [LotterySubspace(basis=basis) for basis in bases]
    names = [(path.name, path.t, path.variant) for path in paths]
    styles = style.choose_styles({("", ""): [CurveKey("", "", *name) for name in names]})
    looks: dict[str, dict] = dict(zip(bases, (styles[name] for name in names), strict=True))
    figure, axes, _ = style.panel_grid(len(blocks), columns, 0.5)
    for ax, (block, part) in zip(axes, blocks, strict=True):
        for (basis, seed), line in part.sort_values("index").groupby(["basis", "seed"]):
            values = line["singular_value"] / line["singular_value"].max()
            look: dict = looks[basis] | {"marker": "", "linewidth": 1.1, "alpha": 0.8}
            first = seed == part["seed"].min() and ax is axes[0]
            ax.plot(line["index"], values, **look, label=basis if first else None)
        ax.grid()
        ax.set(xscale="log", yscale="log", title=style.block_label(block), xlabel="index")
        ax.set_ylabel("singular value / largest")
    figure.legend(loc="outside lower center", ncols=min(len(bases), 3))
    return figure
