"""Fig. 9 of the paper: cuts through w0 and two optima, and thresholds of network and linearization.

The cuts take rows of ``CutCell``; the thresholds those of ``experiments.linearization_chapter``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dofbook.figures import style
from dofbook.figures.landscape import cut_grid
from dofbook.figures.style import DATASETS, PANEL_HEIGHT, STYLES
from dofbook.success.tables import check_table, run_values

MODELS = {"network": 0, "linearized": 1, "linearized, exact minimum": 5}
"""Curve of the figure to its place in ``STYLES``."""
CUT_TITLES = {"network": "network", "linearized": "linearized around 1"}
CUT_MARKS = {"w0": "$w_0$", "optimum 1": "1", "optimum 2": "2"}


@style.in_style
def cuts(table: pd.DataFrame) -> Figure:
    """Draw cuts of the test loss through w0 and two optima, one row of panels per data set.

    The panels of a row share one scale of colours. The table has the rows of ``CutCell``.
    Source: Larsen et al. (2022), Fig. 9, left and middle.

    >>> base = {"dataset": "mnist", "place": "grid", "x": [0.0, 1.0] * 2, "y": [0.0, 0.0, 1.0, 1.0]}
    >>> parts = [pd.DataFrame({**base, "model": m, "test_loss": [1.0, 2.0, 3.0, 4.0]})
    ...          for m in ("network", "linearized")]
    >>> marks = pd.DataFrame({"dataset": "mnist", "model": "network", "place": list(CUT_MARKS),
    ...                       "x": [0.0, 1.0, 0.5], "y": [0.0, 0.0, 1.0], "test_loss": 1.0})
    >>> len(cuts(pd.concat([*parts, marks])).axes)
    3
    """
    groups = sorted(table.groupby("dataset"), key=lambda group: style.dataset_place(group[0]))
    size = {"height": (PANEL_HEIGHT + 0.9) * len(groups), "columns": 2, "rows": len(groups)}
    figure, axes = style.page_figure(**size, sharey="row", squeeze=False)
    for row, (dataset, rows) in zip(axes, groups, strict=True):
        found = [cut_grid(rows[rows["model"] == model], "each model") for model in CUT_TITLES]
        numbers = [np.log10(grid.clip(lower=1e-4)) for grid in found]
        ends = np.concatenate([number.to_numpy() for number in numbers], axis=None)
        levels = np.linspace(ends.min(), ends.max(), 22)
        name = f"{DATASETS.get(dataset, dataset)}\n" if len(groups) > 1 else ""
        filled: Any = None
        for ax, number, title in zip(row, numbers, CUT_TITLES.values(), strict=True):
            cut = number.columns, number.index, number
            filled = ax.contourf(*cut, levels=levels, cmap="viridis")
            filled.set_rasterized(True)
            ax.contour(*cut, levels=levels[::3], colors="white", linestyles="solid", linewidths=0.4)
            _mark_places(ax, rows)
            ax.set_title(name + title)
        bar = figure.colorbar(filled, ax=list(row), location="bottom", shrink=0.8, aspect=30)
        bar.set_label(r"$\log_{10}$ of the test loss")
        ticks = np.arange(np.ceil(levels[0]), levels[-1] + 1e-9)
        bar.set_ticks(list(ticks if len(ticks) > 1 else levels[[0, -1]].round(1)))
    return figure


def _mark_places(ax: Axes, rows: pd.DataFrame) -> None:
    """Mark w0 and the two optima, and label the axes of their plane."""
    points = rows.drop_duplicates("place").set_index("place")
    for (place, label), marker in zip(CUT_MARKS.items(), "os^", strict=True):
        a, b = points.loc[place, ["x", "y"]]
        ax.plot(a, b, marker, color="white", markeredgecolor="black", markersize=6)
        ax.annotate(
            label, (a, b), xytext=(5, 4), textcoords="offset points", color="white",
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )  # fmt: skip
    ax.set(aspect="equal", xlabel="towards optimum 1")


@style.in_style
def thresholds(
    table: pd.DataFrame, metrics: Sequence[str] = ("train_loss", "test_accuracy"), *,
    delta: float = 0.1, limits: dict[str, tuple[float, float]] | None = None,
    extra: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> Figure:  # fmt: skip
    """Draw the threshold of each model by Definition 2.1, with intervals over seeds.

    Bands bound d* at each level, from left to right, by `success.threshold_band`; a single seed has
    none. The latest linearization is drawn. ``limits`` are by metric; ``extra`` are predictions for
    the first panel, label to (d, level). Source: Larsen et al. (2022), Fig. 9, right.

    >>> rows = style.example_runs().query("burn_in_steps == 0")
    >>> len(thresholds(rows, ["train_loss"]).axes)
    1
    """
    model = model_of(table["variant"])
    rows = table[model.isin(MODELS)]
    figure, axes, _ = style.panel_grid(len(metrics), len(metrics), 1.0)
    for ax, metric in zip(axes, metrics, strict=True):
        check_table(rows, metric)
        shown = []
        for name, place in MODELS.items():
            if (model == name).any():
                runs = run_values(table[model == name], metric)
                shown.append(style.draw_threshold(ax, runs, metric, STYLES[place], delta))
                ax.lines[-1].set_label(name)
        lines = (extra or {}) if ax is axes[0] else {}
        for (name, (d, level)), look in zip(lines.items(), STYLES[2:], strict=False):
            ax.plot(d, level, label=name, gid="prediction", **dict(look, marker=""))
        style.dimension_axis(ax, rows["d"].to_numpy(float), 1.2)
        given = (limits or {}).get(metric)
        style.level_axis(ax, given or style.choose_limits(np.concatenate(shown), metric), metric)
        ax.grid()
        ax.set(xlabel="threshold training\ndimension d*", ylabel=style.metric_label(metric))
    style.legend_below(figure, axes[0])
    return figure


def model_of(variant: pd.Series) -> pd.Series:
    """Tell network, linearization at the latest step and its exact minima apart, by variant.

    >>> model_of(pd.Series(["", "linearized at step 9", "linearized at step 4"])).tolist()
    ['network', 'linearized', 'linearized at step 4']
    """
    words = variant.fillna("").astype(str)
    steps = words.str.extract(r"linearized at step (\d+)")[0].astype(float)
    if steps.isna().all():
        return words.where(words != "", "network")
    latest = f"linearized at step {steps.max():.0f}"
    names = {"": "network", latest: "linearized", f"{latest}, exact": "linearized, exact minimum"}
    return words.map(lambda word: names.get(word, word))
