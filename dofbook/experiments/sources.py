"""A digest of the reader's code behind a name, the same for every Python and every layout."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, resolve_name

from dofbook.references import is_installed

_ALL = "*"
_BRANCHES = ("body", "orelse", "finalbody")
_Place = tuple[str, str]


def source_digest(module: str, name: str) -> str | None:
    """Hash a definition and all that it uses of its module and of others that are not installed.

    Comments, layout, docstrings, and definitions it does not use may change. Of what is imported it
    is the code that runs, though the file was edited since it was first asked for. dofbook, whose
    commit is recorded, is left out; so is what only a string names, as in a table of functions.
    None where the source cannot be had, as in a notebook.

    >>> source_digest("builtins", "sum") is None
    True
    """
    try:
        spec = _spec_of(module)
        if spec is None or _text(spec) is None:
            return None
        used = _used(module, name)
    except (Exception, SystemExit):  # finding a module imports the packages it is in
        return None
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()[:16] if used else None


def _used(module: str, name: str) -> list:
    """List the definitions that a name of a module uses, with where they stand."""
    pending, found = [(module, name)], {}
    while pending:
        here = module, name = pending.pop()
        if here in found or (spec := _spec_of(module)) is None:
            continue
        text = _text(spec) or ""
        if (parsed := _parsed(text)) is None:  # an optional module that cannot be imported
            found[here] = [text]
            continue
        statements, unmentioned = parsed
        nodes = [node for key, node in statements if name in (key, _ALL) or not key]
        found[here] = [_form(node) for node in nodes]
        parts = [part for node in nodes for part in ast.walk(node)]
        pending += [(module, part.id) for part in parts if isinstance(part, ast.Name)]
        pending += [place for part in parts for place in _imports(part, spec)]
        effects = [place for node in unmentioned for place in _imports(node, spec)]
        pending += [place for place in effects if place[1] == _ALL]
    return sorted((place, forms) for place, forms in found.items() if forms)


def _spec_of(module: str) -> ModuleSpec | None:
    return _main() if module == "__main__" else find_spec(module)


@lru_cache(maxsize=1)
def _main() -> ModuleSpec | None:
    """Find the script that runs; a notebook is none."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    loader = file and SourceFileLoader("__main__", file)
    return ModuleSpec("__main__", loader, origin=file) if loader else None


def _text(spec: ModuleSpec) -> str | None:
    """Read a module's source; what is imported stays as it was first read, whatever is edited."""
    held = vars(spec) if spec.name in sys.modules else {}  # each import has a spec of its own
    if "dofbook_source" not in held:
        loader = spec.loader
        if not hasattr(loader, "get_source") and (spec.origin or "").endswith(".py"):  # pytest's
            loader = SourceFileLoader(spec.name, str(spec.origin))
        read = getattr(loader, "get_source", None)
        held["dofbook_source"] = read(spec.name) if read else None
    return held["dofbook_source"]


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[list[tuple[str, ast.stmt]], list[ast.stmt]] | None:
    """List a module's statements by the names they define; None if Python cannot read it.

    What has no one name counts for all. Beside them stand imports of what the module does not
    mention: they may be there for their effects.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return None
    named, kinds = _statements(tree.body), ast.Import | ast.ImportFrom
    used = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
    return named, [n for name, n in named if isinstance(n, kinds) and name not in used]


def _statements(nodes: list[ast.stmt]) -> list[tuple[str, ast.stmt]]:
    found: list[tuple[str, ast.stmt]] = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                one: ast.stmt = ast.Import([alias])
                if isinstance(node, ast.ImportFrom):
                    one = ast.ImportFrom(node.module, [alias], node.level)
                name = alias.asname or alias.name.partition(".")[0]
                found.append(("" if name == _ALL else name, one))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(("" if node.name == "__getattr__" else node.name, node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            parts = [part for target in targets for part in ast.walk(target)]
            inside = any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts)
            names = [] if inside else [part.id for part in parts if isinstance(part, ast.Name)]
            found += [(name, node) for name in names] or [("", node)]
        elif isinstance(node, ast.If) and "__name__" in (test := ast.dump(node.test)):
            found += _statements(
                node.body if "NotEq()" in test else node.orelse
            )  # no script's part
        elif isinstance(node, ast.If | ast.Try):  # a matter of the names that its branches define
            branches = [*getattr(node, "handlers", ()), node]
            fields = [getattr(one, name, []) for one in branches for name in _BRANCHES]
            names = {name for nodes in fields for name, _ in _statements(nodes)}
            found += [(name, node) for name in ([""] if "" in names else sorted(names))]
        elif not (_is_docstring(node) or isinstance(node, ast.Pass)):
            found.append(("", node))
    return found


def _is_docstring(node: object) -> bool:
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and isinstance(constant.value, str)


def _form(node: object) -> object:
    """Write a node as nested lists, without what is empty: later Pythons add empty parts."""
    if isinstance(node, ast.AST):
        fields = [(key, _form(value)) for key, value in ast.iter_fields(node)]
        return [type(node).__name__, *(pair for pair in fields if pair[1] not in (None, []))]
    if isinstance(node, list):
        in_string = any(isinstance(part, ast.FormattedValue) for part in node)
        empty = [part for part in node if in_string and getattr(part, "value", None) == ""]
        return [_form(part) for part in node if not (part in empty or _is_docstring(part))]
    if node is None or isinstance(node, bool | int | str):
        return node
    return [type(node).__name__, repr(node)]


def _imports(node: ast.AST, spec: ModuleSpec) -> Iterator[_Place]:
    """List what a statement imports of the modules beside the one it stands in."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, _ALL) for alias in node.names if _beside(alias.name, spec))
    elif isinstance(node, ast.ImportFrom):
        source = resolve_name("." * node.level + (node.module or ""), spec.parent)
        if (package := _beside(source, spec)) is None:
            return
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            is_module = package.submodule_search_locations and find_spec(inner)
            yield (inner, _ALL) if is_module else (source, alias.name)


def _beside(other: str, spec: ModuleSpec) -> ModuleSpec | None:
    """Find a module of the reader's: of the same package, or of another that is not installed."""
    top, root = other.partition(".")[0], spec.name.partition(".")[0]
    if top == "dofbook" or (first := find_spec(top)) is None:
        return None
    place = next(iter(first.submodule_search_locations or ()), first.origin or "")
    if top != root and is_installed(place):
        return None
    try:
        return find_spec(other)
    except Exception:  # optional, as in a try; finding it imports the packages it is in
        return None
