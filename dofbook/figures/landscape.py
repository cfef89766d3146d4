"""Three kinds of subspace in a slice of a real landscape: Fig. 1 of the paper, computed."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from dofbook.errors import InputError
from dofbook.figures.style import FONT_SIZE, STYLES, NotebookFigure, finish_panel

_COLOURS = {"random affine": 0, "burn-in affine": 3, "lottery subspace": 4}


def figure_1(
    x: np.ndarray, y: np.ndarray, loss: np.ndarray, eps: float, path: np.ndarray,
    lines: Mapping[str, tuple[tuple[float, float], tuple[float, float]]],
) -> Figure:  # fmt: skip
    """Draw a slice of the loss with its sublevel set, a training path and lines of subspaces.

    The grid is (nx,) and (ny,), ``loss`` (ny, nx); the set below ``eps`` is shaded. ``path`` is
    projected on the slice, (steps, 2), from w0 on; ``lines`` map the name of a subspace to (point,
    direction) in the slice.
    Source: Larsen et al. (2022), Fig. 1, there a drawing.

    >>> x = np.linspace(-1, 1, 5)
    >>> lines = {"random affine": ((1.0, 0.0), (0.0, 1.0))}
    >>> len(figure_1(x, x, x**2 + x[:, None] ** 2 + 0.1, 0.5, np.eye(2), lines).axes)
    1
    """
    if loss.shape != (len(y), len(x)):
        raise InputError(f"loss has shape {loss.shape}; the grid asks for {(len(y), len(x))}.")
    figure = NotebookFigure(figsize=(5.2, 4.4), layout="constrained")
    ax = figure.add_subplot()
    levels = np.geomspace(max(loss.min(), 1e-4), loss.max(), 14)
    ax.contour(x, y, loss, levels=levels, colors="0.7", linewidths=0.6)
    ax.contourf(x, y, loss, levels=[-1, eps], colors=["#B7DDB0"])
    ax.contour(x, y, loss, levels=[eps], colors="#2B6B2B", linewidths=1.2)
    reach = np.hypot(x[-1] - x[0], y[-1] - y[0])
    for name, (point, direction) in lines.items():
        step = reach * np.asarray(direction) / np.linalg.norm(direction)
        ends = np.stack([np.asarray(point) - step, np.asarray(point) + step])
        style = STYLES[_COLOURS.get(name, 1)]
        colour, marker = style["color"], style["marker"]
        ax.plot(*ends.T, color=colour, linestyle=style["linestyle"], linewidth=1.8, label=name)
        ax.plot(*point, marker=marker, color=colour, markersize=7, markeredgecolor="white")
    ax.plot(*path.T, color="black", linewidth=1, marker=".", markersize=3, label="full training")
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_aspect("equal")
    finish_panel(ax, "", "distance along e1", "distance along e2")
    figure.legend(loc="outside lower center", ncols=2, fontsize=FONT_SIZE, frameon=False)
    return figure
