"""What a store's cells say of themselves, kept beside them so that it need not be read again.

The index is never the truth. An entry counts while its file has the stamp (inode, size, times) it
was verified under; what is in doubt is read and verified anew, and so is all without an index.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from dofbook.errors import InputError
from dofbook.experiments.config import canonical_json, cell_from_json
from dofbook.experiments.contents import DamagedCell
from dofbook.experiments.store import (
    FOREIGN,
    Store,
    StoredCell,
    StoreError,
    read_origin,
    read_regular,
    seal,
    unseal,
    write_atomically,
)
from dofbook.provenance import commit

FILE = ".index.parquet"
_WORTH_KEEPING = 50
"""Cells read for it: fewer are read again as quickly."""
_LARGEST = 2**28
_ENTRY = ["name", "stamp", "config", "provenance"]


def read_headers(
    store: Store, names: Iterable[str] | None = None
) -> tuple[dict[str, StoredCell], dict[str, str]]:
    """Read cells by name without rows, all by default, and why other files cannot be read.

    >>> from pathlib import Path
    >>> read_headers(Store(Path("nowhere")))
    ({}, {})
    """
    entries, found, damaged, fresh = _read_index(store), {}, {}, 0
    for name in store.names() if names is None else names:
        stamp, entry = store.stamp(name), entries.get(name)
        if stamp is None:
            continue
        with contextlib.suppress(DamagedCell, *FOREIGN):  # a foreign index: the file is the truth
            if entry and entry["stamp"] == list(stamp):
                cell, origin = cell_from_json(entry["config"]), read_origin(entry["provenance"])
                found[name] = StoredCell(cell, None, origin)
                continue
        try:
            stored = store.read(name)
        except FileNotFoundError:  # moved aside or deleted meanwhile
            continue
        except (DamagedCell, InputError) as problem:
            damaged[name] = str(problem).removesuffix(".")
            continue
        found[name], fresh = replace(stored, table=None), fresh + 1
        texts = canonical_json(stored.config), json.dumps(stored.provenance)
        entries[name] = dict(zip(_ENTRY, (name, list(stamp), *texts), strict=True))
    if fresh >= _WORTH_KEEPING:
        there = [entries[name] for name in store.names() if name in entries]
        with contextlib.suppress(StoreError):  # who may only read goes on without
            write_atomically(store.root / FILE, seal(pa.Table.from_pylist(there), {}))
    return found, damaged


def _read_index(store: Store) -> dict[str, dict[str, Any]]:
    try:
        table = unseal(read_regular(store.root / FILE, _LARGEST))[0].read(use_threads=False)
        return {entry["name"]: entry for entry in table.select(_ENTRY).to_pylist()}
    except (OSError, DamagedCell, pa.ArrowException, *FOREIGN):
        return {}


def other_commits(stored: Iterable[StoredCell]) -> str | None:
    """Say in a sentence how many cells were computed at other commits or edits of dofbook."""
    found = [(cell.provenance.get("environment") or {}).get("git") or {} for cell in stored]
    here, known = commit(), [origin for origin in found if origin.get("commit")]
    if here is None:
        return None
    code = here["commit"], here.get("edits")
    others = [origin for origin in known if (origin["commit"], origin.get("edits")) != code]
    if not others:
        return None
    there, now = (git["commit"][:10] + ", edited" * ("edits" in git) for git in (others[0], here))
    return (
        f"{len(others)} of {len(found)} stored cells were computed by dofbook at other commits, "
        f"such as {there}; this is {now}."
    )
