"""Figures that a reader can turn: a box with its data, filled by a script beside the pages."""

import json
from collections.abc import Mapping
from typing import Any

from dofbook.errors import InputError

MOST_BYTES = 60_000  # of one figure's data: it travels inside the page


class Interactive:
    """A box that ``_static/explore/NAME.js`` fills; until then ``fallback`` stands in its place."""

    def __init__(self, name: str, data: str, fallback: str):
        self.name, self.data, self.fallback = name, data, fallback

    def _repr_html_(self) -> str:
        names = f'data-explore="{self.name}" data-fallback="{self.fallback}"'
        data = self.data.replace("</", "<\\/")  # nothing in it may end the script
        box = f'<script type="application/json">{data}</script>'
        script = '<script defer src="../_static/explore/{}.js"></script>'.format
        scripts = script("explore") + script(self.name)
        return f'<div class="explore" {names} hidden>{box}</div>{scripts}'


def interactive(name: str, data: Mapping[str, Any], fallback: str) -> Interactive:
    """Show a figure of the book's that can be turned, with its data.

    ``name`` is its script's; ``data``, ready for JSON, is at most 60 kB; ``fallback``, the id of
    the static figure it replaces on the screen.

    >>> box = interactive("threshold", {"level": 0.9}, "fig-2")
    >>> '{"level":0.9}' in box._repr_html_()
    True
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    if len(text.encode()) > MOST_BYTES:
        raise InputError(f"the data of {name} have {len(text)} bytes; allowed are {MOST_BYTES}.")
    return Interactive(name, text, fallback)
