"""One function per figure of the paper: a tidy table in, a matplotlib Figure out.

Figures are built without pyplot, so no state outlives a call.
"""

from dofbook.figures.compression import figure_6, figure_10
from dofbook.figures.landscape import figure_1
from dofbook.figures.phase import figure_2, figure_3, figure_12
from dofbook.figures.style import DATASETS, NETWORKS, NotebookFigure
from dofbook.figures.success import plot_success

__all__ = [
    "DATASETS",
    "NETWORKS",
    "NotebookFigure",
    "figure_1",
    "figure_2",
    "figure_3",
    "figure_6",
    "figure_10",
    "figure_12",
    "plot_success",
]
