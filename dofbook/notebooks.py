"""Run a chapter as a notebook with other parameters: jupytext reads it, papermill executes it.

The cell tagged ``parameters`` is parsed, never executed. Names, types and ranges are checked
against it before anything runs: papermill alone warns of an unknown name and enforces no type. An
annotation says what a value must be, such as ``runs: "int >= 1" = None``; without one it is the
type of the default.
"""

import ast
import math
import operator
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dofbook.errors import InputError, RunFailed

INJECTED, BOOK_RUN = "injected-parameters", "book-run"  # papermill's tag, and ours
_PLACES = {"store", "data_dir"}  # parameters that change nothing but where things lie


class ChapterFailed(RunFailed):
    """Say in one sentence which cell of a chapter failed, and how."""


class JupytextHandler:
    """Let papermill read chapters: ``papermill jupytext:book/x.md out.ipynb``.

    Registered in the entry-point group ``papermill.io`` under the scheme ``jupytext:``, which
    stands before every path.
    """

    SCHEME = "jupytext:"

    @classmethod
    def read(cls, path: str) -> str:
        """Read a text notebook as the JSON of an ``.ipynb``."""
        import jupytext

        return jupytext.writes(jupytext.read(cls.pretty_path(path)), fmt="ipynb")

    @classmethod
    def write(cls, buf: str, path: str) -> None:
        """Refuse to write: outputs belong in an ``.ipynb`` file."""
        raise InputError(f"{path} has the scheme {cls.SCHEME}, which is only read; name a .ipynb.")

    @classmethod
    def listdir(cls, path: str) -> list[str]:
        """List a folder, with the scheme before every path."""
        folder = Path(cls.pretty_path(path))
        return [f"{cls.SCHEME}{entry}" for entry in sorted(folder.iterdir())]

    @classmethod
    def pretty_path(cls, path: str) -> str:
        """Drop the scheme."""
        return path.removeprefix(cls.SCHEME)


class Declared:
    """One parameter: its default, and the rule for its values if the cell annotates one."""

    def __init__(self, default: object, annotation: ast.expr | None = None):
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = _parsed(annotation.value, "eval").body
        self.default, self.rule = default, annotation if _is_rule(annotation) else None

    def __str__(self) -> str:
        rule = ast.unparse(self.rule) if self.rule else f"of type {type(self.default).__name__}"
        return f"{rule} (default {self.default!r})"

    def read(self, text: str) -> object:
        """Turn text into a value; raises ValueError where it is none that is allowed."""
        if self.rule is None:
            return typed(text, self.default)
        return None if self.default is None and text == "None" else _follow(self.rule, text)


_TYPES: dict[str, object] = {"int": 0, "float": 0.0, "bool": False, "str": ""}
_COMPARISONS: dict[type, Any] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda value, allowed: value in allowed,
}  # fmt: skip


def _is_rule(node: ast.expr | None) -> bool:
    """Tell whether an annotation is a type, list[rule], or compares a type with constants."""
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value) == "list" and _is_rule(node.slice)
    if isinstance(node, ast.Compare):
        types = [part for part in (node.left, *node.comparators) if isinstance(part, ast.Name)]
        known = all(type(test) in _COMPARISONS for test in node.ops)
        return known and len(types) == 1 and _is_rule(types[0])
    return isinstance(node, ast.Name) and node.id in _TYPES


def _follow(rule: Any, text: str) -> object:
    if isinstance(rule, ast.Subscript):
        value = _literal(text)
        entries = value if isinstance(value, list | tuple) else [value]
        if not entries:
            raise ValueError
        texts = [entry if isinstance(entry, str) else repr(entry) for entry in entries]
        return [_follow(rule.slice, each) for each in texts]
    if isinstance(rule, ast.Name):
        return typed(text, _TYPES[rule.id])
    parts = [rule.left, *rule.comparators]
    (kind,) = (part for part in parts if isinstance(part, ast.Name))
    value = _follow(kind, text)
    sides = [value if part is kind else ast.literal_eval(part) for part in parts]
    tests = (_COMPARISONS[type(test)] for test in rule.ops)
    if not all(test(*pair) for test, *pair in zip(tests, sides, sides[1:], strict=False)):
        raise ValueError
    return value


def _parsed(source: str, mode: str = "exec") -> Any:
    try:
        return ast.parse(source, mode=mode)
    except SyntaxError as problem:
        raise InputError(f"the parameters cell is not valid Python: {problem.msg}.") from None


def declared_parameters(source: str) -> dict[str, Declared]:
    """Read a parameters cell without executing it: assignments whose right side is a literal.

    >>> found = declared_parameters('runs: "int >= 1" = None\\nlevel = 0.9\\nbest = min(1, 2)')
    >>> {name: str(parameter) for name, parameter in found.items()}
    {'runs': 'int >= 1 (default None)', 'level': 'of type float (default 0.9)'}
    """
    found: dict[str, Declared] = {}
    for statement in _parsed(source).body:
        value: Any = getattr(statement, "value", None)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign) and value is not None:
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    default = ast.literal_eval(value or "")
                except ValueError:
                    found.pop(target.id, None)
                else:
                    annotation = getattr(statement, "annotation", None)
                    found[target.id] = Declared(default, annotation)
    return found


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
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


def typed(text: str, default: object) -> object:
    """Turn text into the type of a default; raises ValueError if it is of another.

    The default is a bool, int, float, str, list, tuple, dict, or None, which takes any literal, or
    else the text itself.

    >>> typed("8,16", (1, 2)), typed("3", 0.5)
    ((8, 16), 3.0)
    """
    if isinstance(default, list | tuple):
        return _sequence(text, default)
    kind = type(default)
    if kind is bool:
        value = {"true": True, "false": False}.get(text.strip().lower())
    else:
        value = kind(text) if kind in (int, float, str) else _literal(text)
    wrong = kind in (bool, dict) and not isinstance(value, kind)
    if wrong or (kind is float and not math.isfinite(float(text))):
        raise ValueError(text)
    return value


def check_parameters(source: str, given: Mapping[str, str]) -> dict[str, object]:
    """Check and type parameters, name to text, against the code of a parameters cell.

    >>> check_parameters("runs = 3", {"runs": "5"})
    {'runs': 5}
    """
    declared = declared_parameters(source)
    defaults = ", ".join(f"{name}={each.default!r}" for name, each in declared.items()) or "none"
    values = {}
    for name, text in given.items():
        if name not in declared:
            raise InputError(
                f"the chapter has no parameter {name!r}; allowed, with defaults: {defaults}."
            )
        try:
            values[name] = declared[name].read(text)
        except (ValueError, TypeError):
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise InputError(
                f"parameter {name} is {shown!r}; it must be {declared[name]}; "
                f"the chapter's parameters, with defaults: {defaults}."
            ) from None
    return values


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
    notebook.cells = [cell for cell in notebook.cells if INJECTED not in _tags(cell)]
    tagged = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and "parameters" in _tags(cell)
    ]
    if len(tagged) > 1:
        raise InputError(f"{path} has {len(tagged)} cells tagged parameters; one is allowed.")
    return notebook, tagged[0] if tagged else None


def prepare_chapter(path: Path, parameters: Mapping[str, str]) -> Any:
    """Read a chapter and put parameters, name to text, in place: a notebook ready to execute.

    They are injected in a cell of their own below the defaults, as papermill does; its own
    translator would turn tuples into text. The effective values, defaults included, are recorded
    in the metadata under ``dofbook``. Text cells tagged ``book-run`` speak of the run with the
    defaults and are left out where a value differs.
    """
    notebook, index = read_chapter(path)
    import nbformat  # with jupytext, which read_chapter has found

    source = notebook.cells[index].source if index is not None else ""
    values = check_parameters(source, parameters)
    if values:
        lines = [f"{name} = {value!r}" for name, value in values.items()]
        cell = nbformat.v4.new_code_cell("\n".join(["# Parameters", *lines]))
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
    chapter: Path, output: Path, parameters: Mapping[str, str] | None = None,
    start_timeout: int = 120, cell_timeout: int | None = None, progress: bool = True,
) -> None:  # fmt: skip
    """Execute a chapter with papermill, in the chapter's own folder as the book's build does.

    `output` is an ``.ipynb`` whose folder is created; an older file is replaced only when the run
    succeeds. `parameters` (name to text) are checked against the parameters cell, and InputError
    comes before anything runs. Limits are in seconds, None for none. Raises ChapterFailed if a cell
    raised or took too long, or the kernel died or did not start; the partial notebook is then kept
    as ``<output>.failed.ipynb``.
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
            extra_arguments=["--log-level=ERROR"],  # no remark on unencrypted TCP
        )
        os.replace(temporary, output)
        failed.unlink(missing_ok=True)
    except (papermill.PapermillExecutionError, TimeoutError, RuntimeError) as problem:
        if temporary.exists():
            os.replace(temporary, failed)
        raise ChapterFailed(f"{_describe(problem, chapter)} See {failed}.") from problem
    finally:
        temporary.unlink(missing_ok=True)
