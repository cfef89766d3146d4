"""What chapters need as notebooks: numbers that text quotes, and runs with other parameters.

jupytext reads a chapter, papermill executes it. Values for the cell tagged ``parameters`` are
checked by `dofbook.parameters` before a kernel starts, also where papermill's own command runs it.
"""

import os
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dofbook import checks
from dofbook.errors import InputError, RunFailed
from dofbook.parameters import check_parameters, declared_parameters

_QUIET = ["--log-level=ERROR"]  # a kernel's: no remark on unencrypted TCP
INJECTED, BOOK_RUN = "injected-parameters", "book-run"  # papermill's tag, and ours
_PLACES = {"store", "data_dir"}  # parameters that change nothing but where things lie


def quote(numbers: Mapping[str, object]) -> None:
    """Let text quote numbers by name, as ``{glue:text}`NAME```; a hyphen before one is a minus."""
    from myst_nb import glue

    for name, number in numbers.items():
        glue(name, re.sub(r"(?<!\w)-(?=\d)", "−", str(number)), display=False)


class JupytextHandler:
    """Let papermill read ``jupytext:book/x.md``, by the entry-point group ``papermill.io``."""

    SCHEME = "jupytext:"

    @classmethod
    def read(cls, path: str) -> str:
        """Read a text notebook as JSON that runs in its own folder, with checked parameters."""
        chapter = Path(cls.pretty_path(path)).absolute()
        notebook, index = read_chapter(chapter)
        import nbformat  # with jupytext, which read_chapter has found

        if index is not None:
            notebook.cells[index].metadata["dofbook"] = "checked"
        _prepare_papermill()
        place = f"import os\n\nos.chdir({str(chapter.parent)!r})  # as the book's build does"
        notebook.cells.insert(0, nbformat.v4.new_code_cell(place))
        return nbformat.writes(nbformat.v4.upgrade(notebook))

    @classmethod
    def write(cls, buf: str, path: str) -> None:
        """Refuse to write: outputs belong in an ``.ipynb`` file."""
        raise InputError(f"{path} has the scheme {cls.SCHEME}, which is only read; name a .ipynb.")

    @classmethod
    def listdir(cls, path: str) -> list[str]:
        """List a folder, with the scheme before every path."""
        return [f"{cls.SCHEME}{entry}" for entry in sorted(Path(cls.pretty_path(path)).iterdir())]

    @classmethod
    def pretty_path(cls, path: str) -> str:
        """Drop the scheme."""
        return path.removeprefix(cls.SCHEME)


def _prepare_papermill() -> None:
    """Have papermill check and type what it injects into chapters, and start quiet kernels."""
    from click import ClickException
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.models import Parameter
    from papermill.translators import PythonTranslator, papermill_translators

    class Checked(PythonTranslator):
        source: str | None = None  # of the parameters cell of the chapter in work

        @classmethod
        def inspect(cls, parameters_cell: Any) -> list:
            cls.source = parameters_cell.source if "dofbook" in parameters_cell.metadata else None
            if cls.source is None:
                return super().inspect(parameters_cell)
            found = declared_parameters(cls.source).items()
            return [Parameter(name, "", repr(each.default), str(each)) for name, each in found]

        @classmethod
        def codify(cls, parameters: dict, comment: str = "Parameters") -> str:
            source, cls.source = cls.source, None
            if source is None:
                return super().codify(parameters, comment)
            given = {k: v if isinstance(v, str) else repr(v) for k, v in parameters.items()}
            try:
                return _injected(check_parameters(source, given))
            except InputError as problem:
                raise ClickException(str(problem)) from problem

    class Quiet(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, *arguments: Any, **options: Any) -> Any:
            options = {"extra_arguments": _QUIET, **options}
            return super().execute_managed_notebook(*arguments, **options)

    papermill_translators.register("python", Checked)
    papermill_engines.register(None, Quiet)


def _injected(values: Mapping[str, object]) -> str:
    return "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in values.items())])


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def read_chapter(path: Path) -> tuple[Any, int | None]:
    """Read a MyST, percent or ``.ipynb`` notebook, and find the index of its parameters cell.

    The index is None if no cell is tagged ``parameters``; cells that an earlier run injected are
    left out. Raises InputError where the packages that read chapters are not installed, too.
    """
    try:
        import jupytext
        import papermill  # noqa: F401  checked here, before anything is written
    except ImportError as problem:
        install = "install it with: pip install 'dofbook[book]'"
        raise InputError(f"running a chapter needs {problem.name}; {install}.") from None
    if not path.is_file():
        raise InputError(f"there is no chapter {path}.")
    try:
        notebook = jupytext.read(path)
    except Exception as problem:  # jupytext and nbformat raise whatever their parsers raise
        raise InputError(f"{path} cannot be read as a notebook: {problem}.") from None
    if "kernelspec" not in notebook.metadata:
        raise InputError(f"{path} names no kernel in its header; it is not an executable chapter.")
    notebook.metadata.kernelspec.setdefault("language", "python")
    notebook.cells = [cell for cell in notebook.cells if INJECTED not in _tags(cell)]
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    tagged = [i for i in code if "parameters" in _tags(notebook.cells[i])]
    if len(tagged) > 1:
        raise InputError(f"{path} has {len(tagged)} cells tagged parameters; one is allowed.")
    return notebook, tagged[0] if tagged else None


def prepare_chapter(path: Path, parameters: Mapping[str, str]) -> Any:
    """Read a chapter and put parameters, name to text, in place: a notebook ready to execute.

    They are injected in a cell of their own below the defaults, as papermill does; its own
    translator would turn tuples into text. The effective values are recorded in the metadata under
    ``dofbook``. Text cells tagged ``book-run`` are left out where a value is not the default.
    """
    notebook, index = read_chapter(path)
    import nbformat  # with jupytext, which read_chapter has found

    source = notebook.cells[index].source if index is not None else ""
    if values := check_parameters(source, parameters):
        cell = nbformat.v4.new_code_cell(_injected(values))
        cell.metadata["tags"] = [INJECTED]
        notebook.cells.insert((index or 0) + 1, cell)
    defaults = {name: each.default for name, each in declared_parameters(source).items()}
    if any(value != defaults[name] for name, value in values.items() if name not in _PLACES):
        notebook.cells = [cell for cell in notebook.cells if BOOK_RUN not in _tags(cell)]
    effective = {name: repr(value) for name, value in {**defaults, **values}.items()}
    notebook.metadata["dofbook"] = {"parameters": effective}
    return nbformat.v4.upgrade(notebook)


def _check_output(output: Path) -> None:
    if output.suffix != ".ipynb":
        raise InputError(f"the output is to be named {output}; its name must end in .ipynb.")
    checks.output_file(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        fault = f"cannot be made: {problem.strerror}"
        raise InputError(f"the folder {output.parent} {fault}.") from None


def _describe(problem: Any) -> str:
    """Put papermill's and nbclient's failures into words."""
    if hasattr(problem, "exec_count"):  # a cell raised
        first = next((line for line in problem.source.splitlines() if line.strip()), "")
        cell = f"code cell {problem.exec_count} ({first!r})"
        return f"{cell} raised {problem.ename}: {problem.evalue.rstrip('.')}"
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def run_chapter(
    chapter: Path, output: Path, parameters: Mapping[str, str] | None = None,
    start_timeout: int = 120, cell_timeout: int | None = None, progress: bool = True,
) -> None:  # fmt: skip
    """Execute a chapter with papermill, in the chapter's own folder as the book's build does.

    `output` is an ``.ipynb`` whose folder is created; an older file is replaced only when the run
    succeeds. `parameters` are name to text, limits in seconds; InputError comes before anything
    runs. Raises RunFailed if a cell raised or took too long, or the kernel died or did not start;
    the partial notebook is then kept as ``<output>.failed.ipynb``.
    """
    notebook = prepare_chapter(chapter, parameters or {})
    output = output.absolute()
    _check_output(output)
    import papermill

    temporary = output.with_name(f".{output.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.ipynb")
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    try:
        papermill.execute_notebook(
            notebook, temporary, cwd=chapter.absolute().parent, start_timeout=start_timeout,
            execution_timeout=cell_timeout, progress_bar=progress and sys.stderr.isatty(),
            extra_arguments=_QUIET,
        )  # fmt: skip
        os.replace(temporary, output)
        failed.unlink(missing_ok=True)
    except (papermill.PapermillExecutionError, TimeoutError, RuntimeError) as problem:
        if temporary.exists():
            os.replace(temporary, failed)
        raise RunFailed(f"{chapter}: {_describe(problem)}. See {failed}.") from problem
    finally:
        temporary.unlink(missing_ok=True)
