"""``dofbook figures``: draw figures from a tidy table, or export those of chapters by name."""

import base64
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from dofbook.commands.options import OutFile, Real
from dofbook.commands.output import Output, check_folder
from dofbook.commands.table import read_table
from dofbook.errors import InputError, RunFailed
from dofbook.experiments.store import write_atomically
from dofbook.notebooks import prepare_chapter

FIGURES: dict[str, tuple[str, ...]] = {
    "figure_2": ("metric", "delta"),
    "figure_3": ("metrics", "delta"),  # a panel for each of several metrics
    "figure_12": ("metric",),
}
"""The options each figure of a table takes."""
MIME = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


def figures(
    *source: Path,
    output: OutFile,
    figure: Annotated[list[str] | None, Parameter(allow_repeating=True)] = None,
    metric: str | None = None,
    delta: Real | None = None,
    format: Literal["png", "svg", "pdf"] = "png",
    quiet: bool = False,
) -> int:
    """Draw figures 2, 3 and 12 from a tidy table, or run chapters and export their figures.

    Args:
        source: A table of dofbook sweep or dofbook table, or chapters such as book/lottery.md.
        output: Folder of the figures.
        figure: figure_2, or of chapters the name in its link, such as fig-6; default: all.
        metric: Such as test_accuracy (of a table).
        delta: Failure probability that d* allows (of a table, Figs. 2 and 3).
        format: Of the files.
        quiet: Print nothing but errors.
    """
    if output.exists() and not output.is_dir():
        raise InputError(f"the figures are to go to {output}, which is a file; name a folder.")
    if not source:
        raise InputError("name a table, or chapters such as book/lottery.md.")
    if all(path.suffix in (".md", ".ipynb") for path in source):
        if metric or delta is not None:
            raise InputError("metric and delta are for tables; chapters have their own.")
        drawn = _of_chapters(source, figure, format)
    elif len(source) == 1:
        given = {"metric": metric, "metrics": metric and (metric,), "delta": delta}
        drawn = _of_table(source[0], figure, given, format)
    else:
        raise InputError("name one table, or chapters ending in .md or .ipynb.")
    check_folder(output)
    for name, content in drawn.items():
        path = output / f"{name}.{format}"
        write_atomically(path, content)
        Output(quiet=quiet).say(str(path))
    return 0


def _chosen(wanted: list[str] | None, there: Any) -> list[str]:
    for name in wanted or ():
        if name not in there:
            raise InputError(f"there is no figure {name!r}; there are {', '.join(there)}.")
    return wanted or [*there]


def _of_table(path: Path, wanted: list[str] | None, given: dict, format: str) -> dict[str, bytes]:
    rows, drawn = read_table(path), {}
    for name in _chosen(wanted, FIGURES):
        draw = getattr(import_module("dofbook.figures"), name)
        options = {key: given[key] for key in FIGURES[name] if given[key] is not None}
        drawn[name] = draw(rows, **options).in_format(format)
    return drawn


def _of_chapters(paths: tuple[Path, ...], wanted: list[str] | None, format: str):
    """Run the chapters that hold the wanted figures, and take these from their cells' outputs."""
    notebooks = {path: prepare_chapter(path, {}) for path in paths}
    cells = {path: _named_cells(notebook) for path, notebook in notebooks.items()}
    chosen = _chosen(wanted, [name for named in cells.values() for name in named])
    if not chosen:
        raise InputError(f"{', '.join(map(str, paths))}: no figure there has a name.")
    drawn = {}
    for path, named in cells.items():
        if here := [name for name in named if name in chosen]:
            _execute(path, notebooks[path], named, format)
            drawn |= {name: _content(named[name], name, format) for name in here}
    return drawn


def _named_cells(notebook: Any) -> dict[str, Any]:
    """Find the cells whose output is a figure with a name."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    names = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in code]
    return {name: cell for name, cell in zip(names, code, strict=True) if name}


def _execute(path: Path, notebook: Any, named: dict[str, Any], format: str) -> None:
    from nbclient import NotebookClient  # with papermill, which prepare_chapter has found
    from nbclient.exceptions import CellExecutionError

    for cell in named.values():  # in each, as a chapter may choose a format of its own
        cell.source = (
            "from matplotlib_inline.backend_inline import set_matplotlib_formats\n"
            f"set_matplotlib_formats({format!r}, dpi=200)\n{cell.source}"
        )
    try:
        NotebookClient(
            notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=ERROR"],
        ).execute()  # fmt: skip
    except CellExecutionError as problem:
        raise RunFailed(f"{path}: a cell raised {problem.ename}: {problem.evalue}.") from problem


def _content(cell: Any, name: str, format: str) -> bytes:
    for output in cell.outputs:
        if (content := output.get("data", {}).get(MIME[format])) is not None:
            return content.encode() if format == "svg" else base64.b64decode(content)
    raise RunFailed(f"the cell of {name} shows no figure.")
