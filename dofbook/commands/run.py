"""``dofbook run``: execute a chapter with other parameters."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dofbook.commands.options import OutFile, Whole
from dofbook.commands.output import Output, check_folder
from dofbook.errors import InputError
from dofbook.notebooks import run_chapter


def run(
    chapter: Path,
    /,
    *,
    output: OutFile,
    parameter: Annotated[
        list[str] | None,
        Parameter(alias="-p", metavar="NAME=VALUE", allow_repeating=True),
    ] = None,
    start_timeout: Whole = 120,
    cell_timeout: Whole | None = None,
    quiet: bool = False,
) -> int:
    """Execute a chapter with other parameters.

    Args:
        chapter: A chapter such as book/phase_transition.md.
        output: The executed notebook, OUT.ipynb.
        parameter: A value for a name in the parameters cell; paths start at the chapter's folder.
        start_timeout: Seconds for the kernel.
        cell_timeout: Seconds for a cell; default: no limit.
        quiet: Print nothing but errors.
    """
    parameters: dict[str, str] = {}
    for entry in parameter or ():
        name, equals, value = entry.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"parameter {entry!r} is not of the form name=value.")
        if name in parameters:
            raise InputError(f"parameter {name} is given twice.")
        parameters[name] = value
    for name, seconds in (("start_timeout", start_timeout), ("cell_timeout", cell_timeout)):
        if seconds is not None and seconds < 1:
            raise InputError(f"{name} is {seconds}; it must be at least 1 second.")
    if output.resolve() == chapter.resolve():
        raise InputError(f"the output is the chapter {chapter} itself; name another file.")
    check_folder(output.absolute().parent, output)
    run_chapter(chapter, output, parameters, start_timeout, cell_timeout, not quiet)
    Output(quiet=quiet).say(str(output))
    return 0
