"""One function per figure of the paper: a tidy table in, a matplotlib Figure out.

Figures are built without pyplot, so no state outlives a call. Most take the same arguments:

- ``table``: the tidy table of a sweep, one row per run and checkpoint
- ``metric``: such as "train_accuracy" or "test_loss"; one whose name ends in "accuracy" is a
  fraction, drawn in per cent; ``value``: "best" at any checkpoint (as in the paper), or "final"
- ``delta``: failure probability allowed at the threshold, in (0, 1)
- ``limits``: range of levels, in the metric's unit; None for that of the data
- ``max_d``: largest d drawn; ``columns``: panels side by side

All raise ``InputError`` if the table or an argument is not fit for the figure.
"""

from dofbook.figures.compression import figure_6, figure_10
from dofbook.figures.interactive import interactive
from dofbook.figures.landscape import figure_1
from dofbook.figures.phase import figure_2, figure_3, figure_12
from dofbook.figures.style import DATASETS, NETWORKS, NotebookFigure, legend_below, page_figure
from dofbook.figures.success import plot_success

__all__ = [
    "DATASETS", "NETWORKS", "NotebookFigure", "figure_1", "figure_2", "figure_3", "figure_6",
    "figure_10", "figure_12", "interactive", "legend_below", "page_figure", "plot_success",
]  # fmt: skip
