"""Parameters of a chapter: names, types and ranges, from a cell that is parsed, never executed.

papermill alone warns of an unknown name and enforces no type. An annotation says what a value must
be, such as ``runs: "int >= 1" = None`` or ``network: "network" = "mlp"`` (a name of ours, or
"module:function"); without one it is the type of the default.
"""

import ast
import math
import operator
from collections.abc import Mapping
from typing import Any

from dofbook.datasets import DATASET_NAMES
from dofbook.errors import InputError
from dofbook.networks import NETWORK_NAMES
from dofbook.references import check_name


class Declared:
    """One parameter: its default, and the rule for its values if the cell annotates one."""

    def __init__(self, default: object, annotation: ast.expr | None = None):
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = _syntax(annotation.value, "eval").body
        self.default, self.rule = default, annotation if _is_rule(annotation) else None

    def __str__(self) -> str:
        rule = ast.unparse(self.rule) if self.rule else f"of type {type(self.default).__name__}"
        return f"{rule} (default {self.default!r})"

    def read(self, text: str) -> object:
        """Turn text into a value; raises ValueError where it is none that is allowed."""
        if self.rule is None:
            return typed(text, self.default)
        return None if self.default is None and text == "None" else _follow(self.rule, text)


_EXAMPLES: dict[str, object] = {
    "int": 0, "float": 0.0, "bool": False, "str": "", "dataset": "", "network": ""
}  # fmt: skip
_NAMED_KINDS = {"dataset": DATASET_NAMES, "network": NETWORK_NAMES}
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
    return isinstance(node, ast.Name) and node.id in _EXAMPLES


def _follow(rule: Any, text: str) -> object:
    if isinstance(rule, ast.Name):
        if rule.id in _NAMED_KINDS:
            check_name(rule.id, text, _NAMED_KINDS[rule.id])
        return typed(text, _EXAMPLES[rule.id])
    if isinstance(rule, ast.Subscript):
        value = _literal(text)
        entries = value if isinstance(value, list | tuple) else [value]
        if not entries:
            raise ValueError
        return [_follow(rule.slice, e if isinstance(e, str) else repr(e)) for e in entries]
    parts = [rule.left, *rule.comparators]
    (kind,) = (part for part in parts if isinstance(part, ast.Name))
    value = _follow(kind, text)
    sides = [value if part is kind else ast.literal_eval(part) for part in parts]
    tests = (_COMPARISONS[type(test)] for test in rule.ops)
    if not all(test(*pair) for test, *pair in zip(tests, sides, sides[1:], strict=False)):
        raise ValueError
    return value


def _syntax(source: str, mode: str = "exec") -> Any:
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
    for statement in _syntax(source).body:
        if not (isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value):
            continue
        several = isinstance(statement, ast.Assign)
        for target in statement.targets if several else [statement.target]:
            if isinstance(target, ast.Name):
                try:
                    default = ast.literal_eval(statement.value)
                except ValueError:
                    found.pop(target.id, None)
                else:
                    found[target.id] = Declared(default, getattr(statement, "annotation", None))
    return found


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _sequence(text: str, default: list | tuple) -> list | tuple:
    value = _literal(text) if text.strip() else ()
    value = value if isinstance(value, list | tuple) else (value,)
    types = {type(entry) for entry in default}
    if types == {float}:
        value = [float(x) if type(x) is int else x for x in value]
        if {math.inf, -math.inf} & set(value):
            raise ValueError
    if len(types) == 1 and not {type(entry) for entry in value} <= types:
        raise ValueError
    return type(default)(value)


def typed(text: str, default: object) -> object:
    """Turn text into the type of a default; raises ValueError if it is of another.

    A default is a bool, int, float, str, list, tuple, dict, or None: any literal, or else the text.

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
    declared, values = declared_parameters(source), {}
    listed = ", ".join(f"{name}={each.default!r}" for name, each in declared.items()) or "none"
    allowed = f"with defaults: {listed}."
    for name, text in given.items():
        if name not in declared:
            raise InputError(f"the chapter has no parameter {name!r}; allowed, {allowed}")
        try:
            values[name] = declared[name].read(text)
        except InputError:
            raise
        except (ValueError, TypeError, OverflowError):
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            fault = f"parameter {name} is {shown!r}; it must be {declared[name]}"
            raise InputError(f"{fault}; the chapter's parameters, {allowed}") from None
    return values
