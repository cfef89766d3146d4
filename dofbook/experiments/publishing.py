"""Publish a table: a Parquet file, and beside it where its numbers come from."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa

from dofbook.errors import InputError
from dofbook.experiments.store import parquet_bytes, remove_orphans, write_atomically


def check_table_path(path: Path) -> None:
    """Refuse the path of a table that cannot work, before anything is computed.

    >>> check_table_path(Path("runs.parquet"))
    """
    if path.suffix != ".parquet":
        raise InputError(f"the table is to be named {path}; its name must end in .parquet.")
    if path.is_dir():
        raise InputError(f"the table is to be named {path}, which is a folder; name a file.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise InputError(f"the table is to be named {path}, but {parent} is a file.")


def publish(
    path: Path, table: pa.Table, origin: dict, metadata: dict[str, str] | None = None
) -> int:
    """Write a table, with ``metadata`` in its footer, and count its rows.

    Its ``origin`` goes beside it, and first, as ``<name>.provenance.json``, with the SHA-256 of the
    Parquet file as ``table_sha256``. Raises InputError if the path cannot be a table's, StoreError
    if it cannot be written.
    """
    check_table_path(path)
    content = parquet_bytes(table, metadata or {})
    record = origin | {"table_sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    for file, written in ((path.with_suffix(".provenance.json"), text.encode()), (path, content)):
        write_atomically(file, written)
        remove_orphans(path.parent, path.parent.stat().st_mtime, f".{file.name}.*")
    return table.num_rows
