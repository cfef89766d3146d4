"""The store: a folder with one Parquet file per cell, whole or absent, verified when read.

A file is named by the hash of its cell's configuration. It is written beside its final name,
flushed to disk and renamed, so that a process killed at any moment leaves either no file or a
whole one, and two sweeps on one store at worst compute the same cell twice. No file is locked.

The digest covers every byte of the file: it is the SHA-256 of the file with 64 zeros in the
digest's own place. Damage is thus found before a Parquet reader sees it.

A process killed while it writes leaves a hidden temporary file, named by its host and number. The
next sweep removes it once that process is gone, or after a day if it ran on another host.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dofbook.errors import InputError, RunFailed
from dofbook.experiments.config import SCHEMA_VERSION, Cell, canonical_json, cell_from_json

log = logging.getLogger(__name__)

_MARK = b"dofbook-digest:"
_DIGEST = re.compile(_MARK + rb"([0-9a-f]{64})")
_NAME = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\..*\.(?:(?P<host>[^.]*)-)?(?P<process>\d+)-[0-9a-f]{8}\.tmp")
_SETTLED, _ABANDONED = 60.0, 86400.0
"""Seconds after which the temporary file of a dead process, or of any, is taken for an orphan."""


class DamagedCell(Exception):
    """Say why a cell's file cannot be trusted."""


class StoreError(RunFailed):
    """Say that the store could not be written: disk full, permission withdrawn."""


@dataclass(frozen=True)
class StoredCell:
    """Hold one verified result.

    Attributes:
        config: The cell.
        table: Its rows, one per run and checkpoint.
        provenance: Versions, device, commit, data source, times; see ``executors.compute``.
    """

    config: Cell
    table: pa.Table
    provenance: dict


@dataclass(frozen=True)
class FailedCell:
    """Hold the record of a cell that raised.

    Attributes:
        config: The cell.
        traceback: What it raised.
    """

    config: Cell
    traceback: str


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name never stands for a part of it.

    Args:
        path: Final name; its folder is created.
        data: The content.

    Raises:
        StoreError: If the system refuses (disk full, permissions); no partial file is left.
    """
    unique = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(f".{path.name}.{unique}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise StoreError(f"cannot write {path}: {problem.strerror or problem}.") from problem
    finally:
        with contextlib.suppress(OSError):  # nearly always: it has been renamed
            temporary.unlink()


def _host() -> str:
    return socket.gethostname().split(".")[0].replace("/", "_")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _is_orphan(name: str, age: float) -> bool:
    """Decide by a temporary file's name and age in seconds whether nobody will rename it."""
    match = _TEMPORARY.fullmatch(name)
    if match is None:
        return False
    gone = match["host"] == _host() and not _is_running(int(match["process"]))
    return age > (_SETTLED if gone else _ABANDONED)


def _sync_folder(folder: Path) -> None:
    """Flush the renaming itself, where the system can (Windows cannot open a folder)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def parquet_bytes(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """Write a table as Parquet in memory, equal bytes for equal content.

    Args:
        table: The rows; its own schema metadata (pandas') is left out.
        metadata: What the file's footer holds.

    Returns:
        The file's content.
    """
    table = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    # store_schema would repeat the schema in base64, with whatever pandas version wrote it.
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)
    return sink.getvalue().to_pybytes()


def seal(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """Write a table as Parquet in memory with a digest of the whole content in it.

    Args:
        table: The rows.
        metadata: What the file's footer holds.

    Returns:
        The content, with its digest in place.
    """
    blank = _MARK + b"0" * 64
    data = parquet_bytes(table, metadata | {"dofbook.digest": blank.decode()})
    return data.replace(blank, _MARK + hashlib.sha256(data).hexdigest().encode(), 1)


def unseal(data: bytes) -> tuple[pa.Table, dict[str, str]]:
    """Verify and read what ``seal`` wrote.

    Args:
        data: The content.

    Returns:
        The table and the footer's metadata.

    Raises:
        DamagedCell: If the content is cut, altered or foreign.
    """
    digests = _DIGEST.findall(data)
    if len(digests) != 1:
        raise DamagedCell("it is cut short or not a cell of dofbook's")
    blank = data.replace(_MARK + digests[0], _MARK + b"0" * 64)
    if hashlib.sha256(blank).hexdigest().encode() != digests[0]:
        raise DamagedCell("its content does not match its digest")
    file = pq.ParquetFile(pa.BufferReader(data))
    metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    return file.read().replace_schema_metadata(None), metadata


def encode(cell: Cell, rows: pd.DataFrame, provenance: dict) -> bytes:
    """Write a result as the content of a cell file.

    Args:
        cell: The cell.
        rows: Its tidy rows.
        provenance: What it was computed with; must fit in JSON.

    Returns:
        The content, with its digest in place.
    """
    metadata = {
        "dofbook.schema": str(SCHEMA_VERSION),
        "dofbook.config": canonical_json(cell),
        "dofbook.provenance": json.dumps(provenance, sort_keys=True),
    }
    return seal(pa.Table.from_pandas(rows, preserve_index=False), metadata)


def decode(name: str, data: bytes) -> StoredCell:
    """Verify and read the content of a cell file.

    Args:
        name: The hash that names the file.
        data: Its content.

    Returns:
        The result.

    Raises:
        DamagedCell: If the content is cut, altered, foreign or another cell's.
        InputError: If it is intact but has another schema version.
    """
    table, metadata = unseal(data)
    config = metadata["dofbook.config"]
    if hashlib.sha256(config.encode()).hexdigest()[:16] != name:
        raise DamagedCell("it holds another cell than its name says")
    return StoredCell(cell_from_json(config), table, json.loads(metadata["dofbook.provenance"]))


@dataclass(frozen=True)
class Store:
    """Read and write cells in one folder.

    Args:
        root: The folder; nothing is created until ``prepare`` or ``write`` is called.
    """

    root: Path

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root))
        if self.root.exists() and not self.root.is_dir():
            raise InputError(f"the store {self.root} is a file; name a folder.")

    def prepare(self) -> None:
        """Create the folder if needed, make sure that it can be written, and remove orphans.

        Raises:
            InputError: If it cannot.
        """
        try:
            write_atomically(probe := self.root / f".probe-{uuid.uuid4().hex[:8]}", b"")
            now = probe.stat().st_mtime  # by the clock that dates the other files
            probe.unlink()
        except (OSError, StoreError) as problem:
            raise InputError(f"the store {self.root} cannot be used: {problem}") from problem
        self._remove_orphans(now)

    def _remove_orphans(self, now: float) -> None:
        for path in self.root.glob(".*.tmp"):
            with contextlib.suppress(OSError):  # another sweep was first, or it is not ours
                if _is_orphan(path.name, now - path.stat().st_mtime):
                    path.unlink()
                    log.info("removed %s, left by a process that was killed.", path)

    def path(self, name: str) -> Path:
        """Give the file of a cell.

        Args:
            name: The cell's hash.

        Returns:
            Its path, whether the file exists or not.
        """
        return self.root / f"{name}.parquet"

    def names(self) -> list[str]:
        """List the cells that have a file, verified or not, in alphabetical order.

        Returns:
            Their hashes.
        """
        return sorted(
            path.stem for path in self.root.glob("*.parquet") if _NAME.fullmatch(path.stem)
        )

    def read(self, name: str) -> StoredCell:
        """Read and verify one cell, changing nothing.

        Args:
            name: The cell's hash.

        Returns:
            The result.

        Raises:
            FileNotFoundError: If there is no such file.
            DamagedCell: If its content cannot be trusted.
            InputError: If it has another schema version.
            StoreError: If the system refuses to read it.
        """
        try:
            data = self.path(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(self.path(name)) from None
        except OSError as problem:
            raise StoreError(f"cannot read {self.path(name)}: {problem.strerror}.") from problem
        return decode(name, data)

    def take(self, name: str) -> StoredCell | None:
        """Read and verify one cell; move a damaged file aside and say so.

        Args:
            name: The cell's hash.

        Returns:
            The result, or None if there is no trustworthy file.

        Raises:
            InputError: If it has another schema version.
        """
        try:
            return self.read(name)
        except FileNotFoundError:
            return None
        except DamagedCell as problem:
            self._move_aside(name, str(problem))
            return None

    def _move_aside(self, name: str, problem: str) -> None:
        number = 1
        while (aside := self.root / f"{name}.corrupt-{number}").exists():
            number += 1
        try:
            os.rename(self.path(name), aside)
        except FileNotFoundError:  # another sweep on this store was first
            return
        except OSError as refusal:
            raise StoreError(f"cannot move {self.path(name)} aside: {refusal.strerror}.") from None
        log.warning("%s: %s; moved to %s.", self.path(name), problem, aside.name)

    def write(self, cell: Cell, rows: pd.DataFrame, provenance: dict) -> None:
        """Store a result and forget the cell's earlier failure, if any.

        Args:
            cell: The cell.
            rows: Its tidy rows.
            provenance: What it was computed with.

        Raises:
            StoreError: If it cannot be written.
        """
        write_atomically(self.path(cell.name), encode(cell, rows, provenance))
        self._failure_path(cell.name).unlink(missing_ok=True)

    def _failure_path(self, name: str) -> Path:
        return self.root / f"{name}.failed.json"

    def write_failure(self, cell: Cell, traceback: str, provenance: dict) -> None:
        """Record that a cell raised.

        Args:
            cell: The cell.
            traceback: The traceback as text.
            provenance: What it was computed with.

        Raises:
            StoreError: If it cannot be written.
        """
        record = {"config": canonical_json(cell), "traceback": traceback, "provenance": provenance}
        text = json.dumps(record, indent=1, sort_keys=True)
        write_atomically(self._failure_path(cell.name), text.encode())

    def failures(self) -> dict[str, FailedCell]:
        """Read the cells whose last attempt raised.

        Returns:
            Hash to record; files that are no such record are reported and left alone.
        """
        found = {}
        for path in sorted(self.root.glob("*.failed.json")):
            try:
                record = json.loads(path.read_bytes())
                failed = FailedCell(cell_from_json(record["config"]), record["traceback"])
            except (OSError, ValueError, KeyError, TypeError):
                log.warning("%s is not the record of a failed cell; it is ignored.", path)
            else:
                found[failed.config.name] = failed
        return found
