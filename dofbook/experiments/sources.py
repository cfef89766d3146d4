"""A digest of the reader's code behind a name, the same for every Python and every layout."""

import ast
import hashlib
import importlib
import inspect
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

_ALL = "*"
_Place = tuple[str, str]


def source_digest(module: str, name: str) -> str | None:
    """Hash a definition and all that it uses of its module and of modules beside that one.

    Comments, layout, docstrings, and definitions it does not use may change. What is installed, and
    dofbook, whose commit is recorded, are left out. None where the source cannot be had.

    >>> source_digest("builtins", "sum") is None
    True
    """
    pending, found = [(module, name)], {}
    try:
        while pending:
            here = module, name = pending.pop()
            if here in found:
                continue
            nodes = [n for key, n in _definitions(module) if name in (key, _ALL) or not key]
            found[here] = [_form(node) for node in nodes]
            parts = [part for node in nodes for part in ast.walk(node)]
            pending += [(module, part.id) for part in parts if isinstance(part, ast.Name)]
            pending += [place for part in parts for place in _imports(part, module)]
    except (ImportError, OSError, TypeError, SyntaxError):
        return None
    used = sorted((place, forms) for place, forms in found.items() if forms)
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _parsed(source: str) -> list[tuple[str, ast.stmt]]:
    """List a module's statements by the names they define; "" for those that define none."""
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one = ast.Import([alias])
                if isinstance(node, ast.ImportFrom):
                    one = ast.ImportFrom(node.module, [alias], node.level)
                found.append((alias.asname or alias.name.partition(".")[0], one))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append((node.name, node))
        elif not _is_docstring(node):
            stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not _loads(n)]
            found += [(name, node) for name in stored] or [("", node)]
    return found


def _definitions(module: str) -> list[tuple[str, ast.stmt]]:
    return _parsed(inspect.getsource(importlib.import_module(module)))


def _loads(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _is_docstring(node: ast.AST) -> bool:
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and isinstance(constant.value, str)


def _form(node: object) -> object:
    """Write a node as nested lists, without what is empty: later Pythons add empty fields."""
    if isinstance(node, ast.AST):
        fields = [(key, _form(value)) for key, value in ast.iter_fields(node)]
        return [type(node).__name__, *(pair for pair in fields if pair[1] not in (None, []))]
    if isinstance(node, list):
        return [_form(part) for part in node if not _is_docstring(part)]
    return node if node is None or isinstance(node, bool | int | str) else repr(node)


def _imports(node: ast.AST, module: str) -> Iterator[_Place]:
    """List what a statement imports of the modules beside this one."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, _ALL) for alias in node.names if _beside(alias.name, module))
    elif isinstance(node, ast.ImportFrom):
        package = importlib.import_module(module).__package__
        source = resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            if _beside(inner, module):
                yield inner, _ALL
            elif _beside(source, module):
                yield source, alias.name


def _beside(other: str, module: str) -> bool:
    """Tell whether there is such a module in the folder from which this one is imported."""
    if other.partition(".")[0] == "dofbook":
        return False
    try:
        spec, root = find_spec(other), find_spec(module.partition(".")[0])
    except ModuleNotFoundError:  # a name in a module, which has no modules within
        return False
    if not (spec and root and spec.has_location and spec.origin):
        return False
    inner = root.submodule_search_locations  # of a package
    folder = Path(next(iter(inner)) if inner else str(root.origin)).parent
    return Path(spec.origin).is_relative_to(folder) and "-packages" not in spec.origin
