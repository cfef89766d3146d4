"""A researcher's own networks and data sets, named as "module:function" wherever a name is taken.

The name is all that is stored in a configuration, so a sweep of one's own is hashed, resumed,
shared out and verified like any other; whoever runs it needs the module on the Python path.
"""

import importlib
import re
from collections.abc import Callable

from dofbook.errors import InputError

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_reference(name: object) -> bool:
    """Tell whether a name has the form "module:function", importing nothing.

    Args:
        name: Such as "my_project.nets:wide".

    Returns:
        True if it has.
    """
    return isinstance(name, str) and _FORM.fullmatch(name) is not None


def resolve(reference: str) -> Callable:
    """Import the function that a reference names.

    Args:
        reference: "module:function".

    Returns:
        The function.

    Raises:
        InputError: If the module cannot be found, or has no such function.
    """
    module, _, name = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as problem:
        raise InputError(
            f"{reference} cannot be imported ({problem}); it must be module:function, with the "
            "module on the Python path."
        ) from None
    if not callable(found):
        raise InputError(f"{reference} is {found!r}; it must be a function.")
    return found
