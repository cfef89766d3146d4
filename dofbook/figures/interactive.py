"""Figures that a reader can turn: a box with its data, filled by a script beside the pages."""

import json
from collections.abc import Mapping
from typing import Any

from dofbook.errors import InputError

MOST_BYTES = 60_000  # of one figure's data: it travels inside the page


class interactive:  # called as a function
    """Show a figure of the book's that can be turned, with its data.

    ``name`` is that of the script ``_static/explore/NAME.js``, which fills the box; ``data``, ready
    for JSON, is at most 60 kB; ``fallback``, the id of the static figure it replaces on the screen.

    >>> box = interactive("threshold", {"level": 0.9}, "fig-2")
    >>> '{"level":0.9}' in box._repr_html_()
    True
    """

    def __init__(self, name: str, data: Mapping[str, Any], fallback: str):
        self.name, self.fallback = name, fallback
        self.data = json.dumps(data, separators=(",", ":"), allow_nan=False)
        if (size := len(self.data.encode())) > MOST_BYTES:
            raise InputError(f"the data of {name} have {size} bytes; allowed are {MOST_BYTES}.")

    def _repr_html_(self) -> str:
        names = f'data-explore="{self.name}" data-fallback="{self.fallback}"'
        data = self.data.replace("</", "<\\/")  # nothing in it may end the script
        box = f'<script type="application/json">{data}</script>'
        script = '<script defer src="../_static/explore/{}.js"></script>'.format
        scripts = script("explore") + script(self.name)
        return f'<div class="explore" {names} hidden>{box}</div>{scripts}'
