"""``dofbook figures``: draw the paper's figures from a tidy table."""

import io
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from dofbook.commands.options import OutFile, Real
from dofbook.commands.output import Output, check_folder
from dofbook.commands.table import read_table
from dofbook.errors import InputError
from dofbook.experiments.store import write_atomically

Name = Literal["figure_2", "figure_3", "figure_12"]
FIGURES: dict[Name, tuple[str, ...]] = {
    "figure_2": ("metric", "delta"),
    "figure_3": ("metrics", "delta"),  # a panel for each of several metrics
    "figure_12": ("metric",),
}
"""The options each figure takes."""


def figures(
    table: Path,
    /,
    *,
    output: OutFile,
    figure: Annotated[list[Name] | None, Parameter(allow_repeating=True)] = None,
    metric: str | None = None,
    delta: Real | None = None,
    format: Literal["png", "svg", "pdf"] = "png",
    quiet: bool = False,
) -> int:
    """Draw the paper's figures from a tidy table.

    Args:
        table: A table of dofbook sweep or dofbook table.
        output: Folder of the figures.
        figure: Default: all.
        metric: Such as test_accuracy.
        delta: Failure probability that d* allows (Figs. 2 and 3).
        format: Of the files.
        quiet: Print nothing but errors.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"the figures are to go to {output}, which is a file; name a folder.")
    rows = read_table(table)
    check_folder(output)
    from dofbook import figures as drawing

    given = {"metric": metric, "metrics": metric and (metric,), "delta": delta}
    drawn = {}
    for name in figure or FIGURES:
        options = {key: given[key] for key in FIGURES[name] if given[key] is not None}
        buffer = io.BytesIO()
        getattr(drawing, name)(rows, **options).savefig(buffer, format=format)
        drawn[output / f"{name}.{format}"] = buffer.getvalue()
    for path, content in drawn.items():
        write_atomically(path, content)
        Output(quiet=quiet).say(str(path))
    return 0
