"""What the figures share: panels, axes, styles and the arrangement of a table by method.

Fonts and lines are those of ``book.mplstyle``. Two panels make a figure 5.2 inches wide, whose text
can still be read on a screen of 390 pixels. Methods look the same in every figure.
"""

import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style as looks
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dofbook.checks import integer, positive
from dofbook.errors import InputError
from dofbook.methods import RandomAffine, label, methods
from dofbook.success import CurveKey, RunValues, phase_boundary, threshold_band
from dofbook.success.tables import Value, baseline_accuracy, curve_runs, metric_kind

PANEL_WIDTH, PANEL_HEIGHT = 2.6, 2.5  # inches
LEGEND_LETTERS = 24  # of a label that still fits below one panel

DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10",
            "cifar100": "CIFAR-100", "svhn_cropped": "SVHN"}  # fmt: skip
NETWORKS = {"conv2": "Conv-2", "conv3": "Conv-3", "resnet20": "ResNet20", "mlp": "MLP",
            "lenet": "LeNet"}  # fmt: skip
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#E69F00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#D55E00", "linestyle": (0, (2, 1)), "marker": "D"},
    {"color": "#CC79A7", "linestyle": (0, (5, 1, 1, 1)), "marker": "v"},
    {"color": "#56B4E9", "linestyle": (0, (7, 2)), "marker": "P"},
    {"color": "#000000", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "marker": "X"},
    {"color": "#882255", "linestyle": "--", "marker": "<"},
    {"color": "#332288", "linestyle": "-.", "marker": ">"},
    {"color": "#999933", "linestyle": (0, (1, 1)), "marker": "p"},
    {"color": "#117733", "linestyle": (0, (5, 1, 1, 1)), "marker": "h"},
    {"color": "#661100", "linestyle": (0, (7, 2)), "marker": "*"},
)
Block = tuple[str, str]  # (dataset, network)
Blocks = dict[Block, dict[CurveKey, RunValues]]
Name = tuple[str, int, str]  # (method, t, variant)


in_style = looks.context("dofbook.figures.book")
"""Draws a function's figure in the book's style."""
use = partial(looks.use, "dofbook.figures.book")
"""Gives all later figures of a notebook the book's style."""


class NotebookFigure(Figure):
    """A matplotlib Figure that a notebook shows even if pyplot was never imported.

    >>> NotebookFigure().in_format("svg")[:5]
    b'<?xml'
    """

    def _repr_svg_(self) -> str:
        return self.in_format("svg").decode()

    @in_style
    def in_format(self, format: str) -> bytes:
        """Draw the figure as a file of a format, such as "svg"."""
        buffer = io.BytesIO()
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        self.savefig(buffer, format=format, metadata=undated.get(format))
        return _shortened(buffer.getvalue()) if format == "svg" else buffer.getvalue()


def _shortened(svg: bytes) -> bytes:
    """Cut coordinates to hundredths, which nobody sees, and blanks: a fifth of the weight."""
    for attributes, cut, kept in (
        (rb"d|x|y", rb"(\.\d\d)\d+", rb"\1"),
        (rb"d", rb" ?\n", b""),
        (rb"style", rb"([:;]) ", rb"\1"),
    ):
        places = re.compile(rb' (?:%s)="[^"]*"' % attributes)
        svg = places.sub(lambda found, cut=cut, kept=kept: re.sub(cut, kept, found[0]), svg)
    return re.sub(rb"\n +", b"\n", svg)


def page_figure(height: float, columns: int = 1, rows: int = 1, **options: Any) -> tuple:
    """Make a figure of a page's width, of so many inches; give it and its axes.

    Options are those of ``Figure.subplots``, and so is the form of the axes.

    >>> figure, (left, right) = page_figure(2.5, columns=2, sharey=True)
    >>> float(figure.get_figwidth())
    5.2
    """
    figure = NotebookFigure(figsize=(2 * PANEL_WIDTH, positive("height", height)))
    rows, columns = integer("rows", rows, 1), integer("columns", columns, 1)
    return figure, figure.subplots(rows, columns, **options)


def legend_below(figure: Figure, *axes: Axes, columns: int = 2) -> None:
    """Write one legend below a figure, with what axes label, each label once.

    >>> figure, axes = page_figure(2.5, columns=2)
    >>> lines = [ax.plot([0, 1], label="measured") for ax in axes]
    >>> legend_below(figure, *axes)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['measured']
    """
    found = [ax.get_legend_handles_labels() for ax in axes]
    if handles := {label: handle for both in found for handle, label in zip(*both, strict=True)}:
        place = "outside lower center"
        figure.legend(handles.values(), handles, loc=place, ncols=min(columns, len(handles)))


def block_runs(table: pd.DataFrame, metric: str, value: Value, max_d: float = math.inf) -> Blocks:
    """Arrange the runs, up to max_d, by dataset and network, then by method."""
    blocks: Blocks = {}
    for key, runs in curve_runs(table, metric, value):
        if not (kept := runs.dims <= max_d).any():
            raise InputError(f"max_d is {max_d}; the smallest d in the table is {runs.dims[0]}.")
        parts = {name: getattr(runs, name)[kept] for name in ("dims", "values", "present")}
        blocks.setdefault(key[:2], {})[key] = replace(runs, **parts)
    return {block: blocks[block] for block in sorted(blocks, key=lambda b: dataset_place(b[0]))}


def dataset_place(name: str) -> int:
    """Give a data set's place in figures: those of ``DATASETS`` come last, in their order."""
    return [*DATASETS].index(name) if name in DATASETS else -1


def block_baselines(
    table: pd.DataFrame, metric: str, value: Value, blocks: Iterable[Block]
) -> dict[Block, float]:
    """Find the level of full training for each of the blocks that has one."""
    levels = baseline_accuracy(table, metric, value).set_index(["dataset", "network"])["baseline"]
    return {block: levels[block] for block in blocks if block in levels.index}


def choose_styles(blocks: Mapping[Block, Iterable[CurveKey]]) -> dict[Name, dict]:
    """Give every method its style, the same whichever others are there where possible."""
    names = sorted({key.name for block in blocks.values() for key in block})
    places = [(kind.name, *place) for kind in methods().values() for place in kind.styles.items()]
    owned = {(name, t, ""): place for name, t, place in places}  # variants have none
    chosen = {name: owned[name] for name in names if name in owned}
    free = {*range(len(STYLES))} - {*chosen.values()} or {0}
    others = itertools.cycle(sorted(free, key=lambda i: (i in owned.values(), i)))
    return {name: STYLES[chosen[name] if name in chosen else next(others)] for name in names}


def choose_limits(numbers: Sequence[float] | np.ndarray, metric: str) -> tuple[float, float]:
    """Choose the range of levels: that of the finite values, with a margin."""
    values, kind = np.asarray(numbers, float), metric_kind(metric)
    finite = values[np.isfinite(values) & ((kind == "accuracy") | (values > 0))]
    if finite.size == 0:
        raise InputError("the table holds no finite value to draw.")
    low, high = finite.min(), finite.max()
    if kind == "loss":
        margin = max((high / low) ** 0.04, 1.02)
        return low / margin, high * margin
    fraction = is_fraction(metric)
    margin = max(0.04 * (high - low), 0.005 * (1 if fraction else abs(high) or 1))
    return max(low - margin, 0.0) if fraction else low - margin, high + margin


def example_runs() -> pd.DataFrame:
    """Make a small table with the columns of a sweep, for examples."""
    axes = {"burn_in_steps": (0, 4), "d": (8, 16), "seed": (0, 1), "step": (0, 9)}
    rows = pd.DataFrame(itertools.product(*axes.values()), columns=list(axes))
    names = {"dataset": "digits", "network": "mlp", "method": RandomAffine.name, "variant": ""}
    rows = rows.assign(**names, D=2410)
    accuracy = (rows.d + rows.seed + rows.burn_in_steps) / 32 * (1 + rows.step) / 10
    for split in ("train", "test"):
        for prefix in ("", "best_"):
            rows[f"{prefix}{split}_accuracy"] = accuracy
            rows[f"{prefix}{split}_loss"] = 1.1 - accuracy
    return rows


def is_fraction(metric: str) -> bool:
    """Tell whether a metric lies in [0, 1] by its name: "accuracy", or one that ends so."""
    return metric.endswith("accuracy")


def percent_scale(metric: str) -> float:
    """Give the factor from the table's unit to the axis's: fractions are drawn in per cent."""
    return 100.0 if is_fraction(metric) else 1.0


def metric_words(metric: str) -> str:
    """Name a metric in words."""
    split, _, name = metric.partition("_")
    return f"{'training' if split == 'train' else split} {name.replace('_', ' ')}"


def metric_label(metric: str) -> str:
    """Name a metric on an axis."""
    loss = metric.partition("_")[2] == "loss"
    return metric_words(metric) + (" (%)" if is_fraction(metric) else " ε" if loss else "")


def block_label(block: Block) -> str:
    """Name a data set and network, as in titles of panels: "Conv-2 on MNIST"."""
    return f"{NETWORKS.get(block[1], block[1])} on {DATASETS.get(block[0], block[0])}"


def panel_grid(count: int, columns: int, extra: float) -> tuple[Figure, list[Axes], int]:
    """Make a figure of so many panels; give it, them and the columns they wrap into."""
    if not count:
        raise InputError("metrics is empty; name at least one.")
    columns = min(integer("columns", columns, 1), count)
    rows = math.ceil(count / columns)
    figure = new_figure(columns, rows, extra)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)], columns


def new_figure(columns: int, rows: int, extra: float) -> Figure:
    """Make an empty figure, never narrower than two panels; extra inches for legend and bar."""
    return NotebookFigure(figsize=(PANEL_WIDTH * max(columns, 2), PANEL_HEIGHT * rows + extra))


def dimension_axis(ax: Axes, dims: np.ndarray, margin: float, zero: bool = False) -> None:
    """Set a log2 axis of d with ticks at powers of two; with zero, a linear piece from 0 to 1.

    The margin is the factor by which the axis reaches beyond the smallest and largest d.
    """
    low, high = 1 if zero else dims.min(), dims.max()
    if zero:
        ax.set_xscale("symlog", base=2, linthresh=1)
    else:
        ax.set_xscale("log", base=2)
    ax.set_xlim(-0.15 if zero else low / margin, high * margin)
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    step = 1 if last - first <= 4 else 2 if last - first <= 8 else 3
    ticks = [2.0**i for i in range(last, first - 1, -step)] or [low, high]
    whole_ticks(ax, [0.0, *ticks] if zero else ticks)


def whole_ticks(ax: Axes, ticks: Sequence[float]) -> None:
    """Set the ticks of the horizontal axis, written as whole numbers."""
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def level_axis(ax: Axes, limits: tuple[float, float], metric: str) -> None:
    """Set the axis of levels: per cent for fractions, logarithmic for loss."""
    if metric_kind(metric) == "loss":
        ax.set_yscale("log")
        if limits[1] / limits[0] < 30:  # less than a decade and a half has few powers of ten
            nice = [m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5)]
            ax.yaxis.set_major_locator(FixedLocator(nice))
            ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_ylim(*(percent_scale(metric) * np.array(limits)))


def draw_baseline(
    ax: Axes, level: float | None, metric: str, linestyle: str, halo: bool = False
) -> None:
    """Draw the level of full-space training, under the curves."""
    if level is None or not math.isfinite(level):
        return
    y = percent_scale(metric) * level
    if halo:
        ax.axhline(y, color="white", linewidth=3, zorder=1.8)
    ax.axhline(y, color="black", linewidth=1.3, linestyle=linestyle, zorder=1.9, gid="baseline")


def draw_curve(
    ax: Axes, dims: np.ndarray, levels: np.ndarray, style: dict, halo: bool = False
) -> None:
    """Draw levels against d; a white halo lets the line show on white and on black."""
    levels = np.where(np.isfinite(levels), levels, np.nan)
    if halo:
        ax.plot(dims, levels, color="white", linewidth=4)
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.8 if halo else 0.4}
    ax.plot(dims, levels, **style, **edge, gid="curve")


def draw_legend(figure: Figure, styles: dict, columns: int, baseline: str | None) -> None:
    """Put one legend for all panels below them."""
    looks = {label(*name): style for name, style in styles.items()}
    if baseline is not None:
        looks["full training"] = {"color": "black", "linewidth": 1.3, "linestyle": baseline}
    handles = [Line2D([], [], **look, label=words) for words, look in looks.items()]
    # A long label takes the width of two panels; more than two lines need height of their own.
    wide = max(map(len, looks)) > LEGEND_LETTERS
    ncols = min(len(handles), max(columns // 2, 1) if wide else max(columns, 2))
    lines = math.ceil(len(handles) / ncols)
    figure.set_figheight(figure.get_figheight() + 0.2 * max(0, lines - 2))
    figure.legend(handles=handles, loc="outside lower center", ncols=ncols)


def draw_threshold(ax: Axes, runs: RunValues, metric: str, style: dict, delta: float) -> np.ndarray:
    """Draw the curve of d* and, from left to right at each level, its interval; give the levels."""
    scale = percent_scale(metric)
    levels = phase_boundary(runs.values, delta, kind=runs.kind, present=runs.present)
    draw_curve(ax, runs.dims, scale * levels, style)
    whole = runs.values[:, runs.present.all(axis=0)]  # seeds that were run at every d
    ends = np.array([np.nanmin(whole, initial=np.inf), np.nanmax(whole, initial=-np.inf)])
    if whole.shape[1] > 1 and np.isfinite(ends).all():
        spaced = np.geomspace if runs.kind == "loss" and ends[0] > 0 else np.linspace
        grid = spaced(float(ends[0]), float(ends[1]), 80)
        low, high = threshold_band(runs.dims, whole, grid, kind=runs.kind, delta=delta)
        band = {"color": style["color"], "alpha": 0.2, "linewidth": 0, "gid": "band"}
        ax.fill_betweenx(scale * grid, low, np.minimum(high, 1e3 * runs.dims[-1]), **band)
    return levels


def level_panels(
    table: pd.DataFrame, data: Mapping[str, Blocks], draw: Callable[..., np.ndarray],
    axis: Callable[[Axes, np.ndarray], None], xlabel: str, *, value: Value, columns: int,
    limits: tuple[float, float] | None, extra: float = 0.6,
) -> Figure:  # fmt: skip
    """Draw a panel for each dataset, network and metric of ``data``, a curve for each method.

    ``draw(ax, key, runs, metric, style)`` gives the levels it shows; ``axis(ax, dims)`` sets x.
    """
    blocks = next(iter(data.values()), {})
    panels = [(block, metric) for block in blocks for metric in data]
    baselines = {m: block_baselines(table, m, value, blocks) for m in data}
    styles = choose_styles(blocks)
    figure, axes, columns = panel_grid(len(panels), columns, extra)
    for ax, (block, metric) in zip(axes, panels, strict=True):
        members, level = data[metric][block], baselines[metric].get(block)
        shown = [np.nan if level is None else level]
        for key, runs in members.items():
            shown += [*draw(ax, key, runs, metric, styles[key.name])]
        axis(ax, np.concatenate([runs.dims for runs in members.values()]))
        level_axis(ax, limits or choose_limits(shown, metric), metric)
        draw_baseline(ax, level, metric, ":")
        ax.grid()
        ax.set(title=block_label(block), xlabel=xlabel, ylabel=metric_label(metric))
    draw_legend(figure, styles, columns, ":" if any(baselines.values()) else None)
    return figure
