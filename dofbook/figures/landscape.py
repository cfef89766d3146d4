"""Lines in a slice of a real landscape: Fig. 1 of the paper, computed, and one to be turned."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dofbook.errors import InputError
from dofbook.figures.style import STYLES, in_style, page_figure
from dofbook.landscape.slices import line_hits
from dofbook.methods import methods


@in_style
def figure_1(
    x: np.ndarray, y: np.ndarray, loss: np.ndarray, eps: float, path: np.ndarray,
    lines: Mapping[str, tuple[tuple[float, float], tuple[float, float]]],
) -> Figure:  # fmt: skip
    """Draw a slice of the loss with its sublevel set, a training path and lines of subspaces.

    The grid is (nx,) and (ny,), ``loss`` (ny, nx); the set below ``eps`` is shaded. ``path`` is
    projected on the slice, (steps, 2), from w0 on; ``lines`` map the name of a subspace to (point,
    direction) in the slice. Source: Larsen et al. (2022), Fig. 1, there a drawing.

    >>> x = np.linspace(-1, 1, 5)
    >>> lines = {"random affine": ((1.0, 0.0), (0.0, 1.0))}
    >>> len(figure_1(x, x, x**2 + x[:, None] ** 2 + 0.1, 0.5, np.eye(2), lines).axes)
    1
    """
    if loss.shape != (len(y), len(x)):
        raise InputError(f"loss has shape {loss.shape}; the grid asks for {(len(y), len(x))}.")
    figure, ax = page_figure(4.4)
    levels = np.geomspace(max(loss.min(), 1e-4), loss.max(), 14)
    ax.contour(x, y, loss, levels=levels, colors="0.7", linewidths=0.6)
    ax.contourf(x, y, loss, levels=[-1, eps], colors=["#B7DDB0"])
    ax.contour(x, y, loss, levels=[eps], colors="#2B6B2B", linewidths=1.2)
    places = {kind.words(t): i for kind in methods().values() for t, i in kind.styles.items()}
    for name, (point, direction) in lines.items():
        look = STYLES[places.get(name, 1)]
        dot = {"color": look["color"], "marker": look["marker"], "markeredgecolor": "white"}
        _draw_line(ax, x, y, point, direction, **look | {"marker": ""}, linewidth=1.8, label=name)
        ax.plot(*point, **dot, markersize=7)
    ax.plot(*path.T, color="black", linewidth=1, marker=".", markersize=3, label="full training")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), aspect="equal")
    ax.set(xlabel="distance along e1", ylabel="distance along e2")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _draw_line(ax: Axes, x, y, point, direction, **look: Any) -> None:
    """Draw the line through a point of a slice, as far as the slice may reach."""
    step = np.hypot(x[-1] - x[0], y[-1] - y[0]) * np.asarray(direction) / np.linalg.norm(direction)
    ax.plot(*np.stack([point - step, point + step]).T, **look)


def cut_grid(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """Arrange the test loss of a whole cut, ``rows`` of ``CutCell``: x in columns, y in rows.

    >>> rows = pd.DataFrame({"place": "grid", "x": [0.0, 1.0], "y": 0.0, "test_loss": [2.0, 3.0]})
    >>> cut_grid(rows, "mnist").to_numpy()
    array([[2., 3.]])
    """
    grid = rows[rows["place"] == "grid"].pivot(index="y", columns="x", values="test_loss")
    if grid.empty or grid.isna().to_numpy().any():
        raise InputError(f"the table holds no complete cut of {what}.")
    return grid


def sheet_data(table: pd.DataFrame, dataset: str) -> dict[str, Any]:
    """Arrange a cut of a network's test loss for the explorable figure "sheet".

    ``table`` has the rows of ``CutCell``, ``dataset`` is one of its data sets. Gives, ready for
    JSON, the grid ``x`` (nx,) and ``y`` (ny,), the decimal logarithm ``loss`` (ny, nx), three
    decimals each, and the points ``start`` (w0), ``end`` (optimum 1) and ``other`` (optimum 2). The
    plane is mirrored, so that optimum 1 lies above w0. InputError if the cut is not complete.

    >>> grid = {"place": "grid", "x": [0.0, 1.0] * 2, "y": [0.0, 0.0, 2.0, 2.0]}
    >>> marks = {"place": ["w0", "optimum 1", "optimum 2"], "x": [0.0, 1.0, 0.0], "y": [0.0] * 3}
    >>> names = {"dataset": "mnist", "model": "network", "test_loss": 10.0}
    >>> table = pd.concat([pd.DataFrame(grid), pd.DataFrame(marks)]).assign(**names)
    >>> data = sheet_data(table, "mnist")
    >>> data["x"], data["loss"], data["end"]
    ([0.0, 2.0], [[1.0, 1.0], [1.0, 1.0]], [0.0, 1.0])
    """
    rows = table[(table["dataset"] == dataset) & (table["model"] == "network")]
    grid = cut_grid(rows, repr(dataset)).T  # mirrored
    points = rows.drop_duplicates("place").set_index("place")[["y", "x"]]
    places = {"start": "w0", "end": "optimum 1", "other": "optimum 2"}
    if not {*places.values()} <= {*points.index}:
        raise InputError(f"the table holds no complete cut of {dataset!r}.")
    arrays = {"x": grid.columns, "y": grid.index, "loss": np.log10(grid)}
    arrays |= {name: points.loc[place] for name, place in places.items()}
    return {name: (np.round(a, 3) + 0.0).to_numpy().tolist() for name, a in arrays.items()}


@in_style
def figure_sheet(data: Mapping[str, Any], eps: float, angles: Sequence[float]) -> Figure:
    """Draw what the explorable figure "sheet" shows: the target {loss <= eps} and lines through w0.

    ``data`` are those of ``sheet_data``, ``angles`` in degrees. Lines that meet the target are
    green, and the title gives their share among all directions.

    >>> data = {"x": [0.0, 2.0], "y": [0.0, 2.0], "loss": [[1.0, 1.0], [-2.0, -2.0]],
    ...         "start": [1.0, 0.5], "end": [1.0, 2.0], "other": [2.0, 2.0]}
    >>> [line.get_color() for line in figure_sheet(data, 0.1, [0, 90]).axes[0].lines[:2]]
    ['0.45', '#009E73']
    """
    x, y, loss, start = (np.array(data[name]) for name in ("x", "y", "loss", "start"))
    hits = partial(line_hits, x, y, loss, np.log10(eps), tuple(start))
    figure, ax = page_figure(4.6)
    grey: dict = {"colors": "0.8", "linewidths": 0.7, "linestyles": "solid"}
    ax.contour(x, y, loss, levels=[-1, -0.5, 0, 0.5, 1], **grey)
    ax.contourf(x, y, loss, levels=[-9, np.log10(eps)], colors=[STYLES[0]["color"]], alpha=0.35)
    turns = np.deg2rad(angles)
    for angle, hit in zip(turns, hits(turns), strict=True):
        look = {"color": "0.45", "linestyle": "--", "label": "misses"}
        if hit:
            look = {"color": STYLES[2]["color"], "linestyle": "-", "label": "hits"}
        _draw_line(ax, x, y, start, (np.cos(angle), np.sin(angle)), **look, linewidth=2)
    for name, words in (("start", "start $w_0$"), ("end", "trained"), ("other", "another run")):
        ax.plot(*data[name], "o", color="black", markersize=5)
        ax.annotate(
            words, data[name], textcoords="offset points", xytext=(0, 7), ha="center",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip
    share = 100 * hits(np.deg2rad(np.arange(0, 180, 0.5))).mean()
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xticks=[], yticks=[], aspect="equal")
    ax.set_title(f"target: loss at most {eps:g}; {share:.0f} % of all directions hit it")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
