"""Run a chapter as a notebook with other parameters: jupytext reads it, papermill executes it.

The cell tagged ``parameters`` is parsed, never executed, and names and types are checked against
it before anything runs: papermill alone only warns of an unknown name and enforces no type.
"""

import ast
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dofbook.errors import InputError, RunFailed


class ChapterFailed(RunFailed):
    """Say in one sentence which cell of a chapter failed, and how."""


class JupytextHandler:
    """Let papermill read chapters: ``papermill jupytext:book/x.md out.ipynb``.

    Registered in the entry-point group ``papermill.io`` under the scheme ``jupytext:``.
    """

    SCHEME = "jupytext:"

    @classmethod
    def read(cls, path: str) -> str:
        """Read a chapter as notebook JSON.

        Args:
            path: Path of a text notebook, with the scheme before it.

        Returns:
            The notebook as JSON text.
        """
        import jupytext

        return jupytext.writes(jupytext.read(cls.pretty_path(path)), fmt="ipynb")

    @classmethod
    def write(cls, buf: str, path: str) -> None:
        """Refuse to write: outputs belong in an ``.ipynb`` file.

        Args:
            buf: Ignored.
            path: Where papermill wants to write.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{path} has the scheme {cls.SCHEME}, which is only read; name a .ipynb.")

    @classmethod
    def listdir(cls, path: str) -> list[str]:
        """List a folder.

        Args:
            path: The folder, with the scheme before it.

        Returns:
            Paths with the scheme before them.
        """
        folder = Path(cls.pretty_path(path))
        return [f"{cls.SCHEME}{entry}" for entry in sorted(folder.iterdir())]

    @classmethod
    def pretty_path(cls, path: str) -> str:
        """Drop the scheme.

        Args:
            path: A path with the scheme before it.

        Returns:
            The path.
        """
        return path.removeprefix(cls.SCHEME)


def literal_assignments(source: str) -> dict[str, object]:
    """Read a parameters cell without executing it.

    Args:
        source: Python code of the cell.

    Returns:
        Name to value, in order, of the assignments whose right side is a literal.

    Raises:
        InputError: If the cell is not Python.
    """
    try:
        body = ast.parse(source).body
    except SyntaxError as problem:
        raise InputError(f"the parameters cell is not valid Python: {problem.msg}.") from None
    found = {}
    for statement in body:
        value: Any = getattr(statement, "value", None)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign) and value is not None:
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    found[target.id] = ast.literal_eval(value or "")
                except ValueError:
                    found.pop(target.id, None)
    return found


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _sequence(text: str, default: list | tuple) -> list | tuple:
    value = _literal(text if text.strip() else repr(default.__class__()))
    value = value if isinstance(value, list | tuple) else (value,)
    types = {type(entry) for entry in default}
    if types == {float}:
        value = [float(x) if type(x) is int else x for x in value]
    if len(types) == 1 and not {type(entry) for entry in value} <= types:
        raise ValueError
    return type(default)(value)


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


def _dictionary(text: str) -> dict:
    value = _literal(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:  # NaN or infinite
        raise ValueError
    return value


def typed(text: str, default: object) -> object:
    """Turn a value from the command line into the type of the parameter's default.

    Args:
        text: What was given.
        default: The default in the parameters cell: a bool, int, float, str, list, tuple, dict,
            or None, which takes any literal, or else the text itself.

    Returns:
        The value.

    Raises:
        ValueError: If the text has another type.
    """
    readers = {bool: _boolean, int: int, float: _finite, str: str, dict: _dictionary}
    if isinstance(default, list | tuple):
        return _sequence(text, default)
    try:
        return readers.get(type(default), _literal)(text)
    except KeyError:
        raise ValueError from None


def check_parameters(source: str, given: Mapping[str, str]) -> dict[str, object]:
    """Check and type parameters against a chapter's parameters cell.

    Args:
        source: Code of the parameters cell.
        given: Name to value, as text.

    Returns:
        Name to typed value, of the given parameters.

    Raises:
        InputError: If a name is not assigned a literal in the cell, or a value has another type
            than its default.
    """
    defaults = literal_assignments(source)
    allowed = ", ".join(f"{name}={value!r}" for name, value in defaults.items()) or "none"
    values = {}
    for name, text in given.items():
        if name not in defaults:
            raise InputError(
                f"the chapter has no parameter {name!r}; allowed, with defaults: {allowed}."
            )
        try:
            values[name] = typed(text, defaults[name])
        except ValueError:
            raise InputError(
                f"parameter {name} is {text!r}; its default is of type "
                f"{type(defaults[name]).__name__} (allowed, with defaults: {allowed})."
            ) from None
    return values


def read_chapter(path: Path):
    """Read a chapter and find its parameters cell.

    Args:
        path: A MyST, percent or ``.ipynb`` notebook.

    Returns:
        The notebook node and the index of the cell tagged ``parameters``, None if there is none.

    Raises:
        InputError: If there is no such file, it cannot be read as a notebook, or the packages
            that read it are not installed.
    """
    try:
        import jupytext
        import papermill  # noqa: F401  checked here, before anything is written
    except ImportError as problem:
        raise InputError(
            f"running a chapter needs {problem.name}; install it with: pip install 'dofbook[book]'."
        ) from None
    if not path.is_file():
        raise InputError(f"there is no chapter {path}.")
    try:
        notebook = jupytext.read(path)
    except Exception as problem:  # jupytext and nbformat raise whatever their parsers raise
        raise InputError(f"{path} cannot be read as a notebook: {problem}.") from None
    if "kernelspec" not in notebook.metadata:
        raise InputError(f"{path} names no kernel in its header; it is not an executable chapter.")
    notebook.metadata.kernelspec.setdefault("language", "python")
    tagged = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])
    ]
    if len(tagged) > 1:
        raise InputError(f"{path} has {len(tagged)} cells tagged parameters; one is allowed.")
    return notebook, tagged[0] if tagged else None


def prepare_chapter(path: Path, parameters: Mapping[str, str]):
    """Read a chapter and put the given parameters in place.

    The values are injected in a cell of their own below the defaults, as papermill does; its own
    translator would turn tuples into text. The effective values, defaults included, are recorded
    in the metadata under ``dofbook``.

    Args:
        path: The chapter.
        parameters: Name to value, as text.

    Returns:
        The notebook node, ready to execute.

    Raises:
        InputError: If the chapter cannot be read or a parameter is not allowed.
    """
    notebook, index = read_chapter(path)
    import nbformat  # with jupytext, which read_chapter has found

    source = notebook.cells[index].source if index is not None else ""
    values = check_parameters(source, parameters)
    if values:
        lines = [f"{name} = {value!r}" for name, value in values.items()]
        cell = nbformat.v4.new_code_cell("\n".join(["# Parameters", *lines]))
        cell.metadata["tags"] = ["injected-parameters"]
        notebook.cells.insert((index or 0) + 1, cell)
    effective = {**literal_assignments(source), **values}
    notebook.metadata["dofbook"] = {
        "parameters": {name: repr(value) for name, value in effective.items()}
    }
    return nbformat.v4.upgrade(notebook)


def _check_output(output: Path) -> None:
    if output.suffix != ".ipynb":
        raise InputError(f"the output is to be named {output}; its name must end in .ipynb.")
    if output.is_dir():
        raise InputError(f"the output is to be named {output}, which is a folder; name a file.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"the folder {output.parent} cannot be made: {problem.strerror}."
        ) from None


def _describe(problem: Any, chapter: Path) -> str:
    """Put papermill's and nbclient's failures into one sentence."""
    from papermill.exceptions import PapermillExecutionError

    if isinstance(problem, PapermillExecutionError):
        first = next((line for line in problem.source.splitlines() if line.strip()), "")
        return (
            f"{chapter}: code cell {problem.exec_count} ({first!r}) raised {problem.ename}: "
            f"{problem.evalue.rstrip('.')}."
        )
    return f"{chapter}: {type(problem).__name__}: {' '.join(str(problem).split())}."


def run_chapter(
    chapter: Path,
    output: Path,
    parameters: Mapping[str, str] | None = None,
    start_timeout: int = 120,
    cell_timeout: int | None = None,
    progress: bool = True,
) -> None:
    """Execute a chapter with papermill, in the chapter's own folder as the book's build does.

    Args:
        chapter: The chapter, a text notebook or ``.ipynb``.
        output: The executed notebook; its folder is created, and an older file is replaced only
            when the run succeeds.
        parameters: Name to value, as text, checked against the parameters cell.
        start_timeout: Seconds to wait for the kernel.
        cell_timeout: Seconds one cell may take; None for no limit.
        progress: Whether to show papermill's progress line (never shown outside a terminal).

    Raises:
        InputError: If the chapter, a parameter or the output is not allowed; nothing ran then.
        ChapterFailed: If a cell raised or took too long, or the kernel died or did not start; the
            partial notebook is then kept as ``<output>.failed.ipynb``.
    """
    notebook = prepare_chapter(chapter, parameters or {})
    output = output.absolute()
    _check_output(output)
    import papermill

    temporary = output.with_name(f".{output.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.ipynb")
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    try:
        papermill.execute_notebook(
            notebook,
            temporary,
            cwd=chapter.absolute().parent,
            start_timeout=start_timeout,
            execution_timeout=cell_timeout,
            progress_bar=progress and sys.stderr.isatty(),
        )
        os.replace(temporary, output)
        failed.unlink(missing_ok=True)
    except (papermill.PapermillExecutionError, TimeoutError, RuntimeError) as problem:
        if temporary.exists():
            os.replace(temporary, failed)
        raise ChapterFailed(f"{_describe(problem, chapter)} See {failed}.") from problem
    finally:
        temporary.unlink(missing_ok=True)
