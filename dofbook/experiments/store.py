"""The store: a folder with one Parquet file per cell, whole or absent, verified when read.

A file is named by the hash of its cell's configuration, written beside that name, flushed and
renamed: a process killed at any moment leaves none or a whole one (the rest is removed an hour
later), and two sweeps on one store at worst compute a cell twice.

What is read is checked, or moved aside: a regular file of bounded size, the SHA-256 of every byte
but its own (before a Parquet reader sees any), and the rows against the cell (``contents``).
"""

import contextlib
import errno
import hashlib
import itertools
import json
import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from dofbook.errors import InputError, RunFailed
from dofbook.experiments.config import SCHEMA_VERSION, Cell, canonical_json, cell_from_json
from dofbook.experiments.contents import BYTES_PER_ROW, DamagedCell, check_rows

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_MARK = b"dofbook-digest:"
_DIGEST = re.compile(_MARK + rb"([0-9a-f]{64})")
_NAME = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(r"\.(probe-[0-9a-f]{8}|.*[.-]\d+-[0-9a-f]{8}\.tmp)")
_ABANDONED = 3600.0
"""Seconds after which a temporary file is taken for an orphan; writing one takes less than one."""
_LARGEST_FILE, _LARGEST_RECORD = 2**28, 2**22
"""Bytes of a cell's file, and of a failure's record or of what a cell has beside its rows."""


FOREIGN = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What reading JSON or rows raises where they are not those of a cell."""


class StoreError(RunFailed):
    """Say that the store could not be written: disk full, permission withdrawn."""


@dataclass(frozen=True)
class StoredCell:
    """Hold one verified result: cell, rows, and versions, device, commit, data and times.

    >>> from dofbook.training import TaskConfig
    >>> StoredCell(Cell(task=TaskConfig("mnist")), None, {}).config.seeds
    (0,)
    """

    config: Cell
    table: Any  # a pa.Table; None where it was left in its file
    provenance: dict


@dataclass(frozen=True)
class FailedCell:
    """Hold the record of a cell that raised.

    >>> Store(Path("nowhere")).failures()
    {}
    """

    config: Cell
    traceback: str


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and its folder; StoreError if the system refuses.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(file := Path(folder) / "new" / "file", b"whole")
    ...     file.read_bytes()
    b'whole'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
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


def remove_orphans(folder: Path, now: float, pattern: str = ".*") -> None:
    """Remove what killed processes left, by its age at ``now`` (seconds, by the folder's clock).

    >>> remove_orphans(Path("nowhere"), now=0.0)  # there are none
    """
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # another sweep was first, or it is not ours
            old = now - path.stat().st_mtime > _ABANDONED
            if old and _TEMPORARY.fullmatch(path.name):
                path.unlink()
                log.info("removed %s, left by a process that was killed.", path)


def read_regular(path: Path, largest: int) -> bytes:
    """Read a file; DamagedCell if it is larger or not a regular one (no device is read).

    >>> read_regular(Path(__file__), _LARGEST_FILE)[3:12]
    b'The store'
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as problem:
        if problem.errno != errno.ELOOP:
            raise
        regular = False
    if not regular:
        raise DamagedCell("it is not a regular file")
    # Not to wait for ever should a pipe have taken its place.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > largest:
            raise DamagedCell(f"it has {about.st_size} bytes, more than any such file")
        return file.read(largest + 1)


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
    """Write a table as Parquet, equal bytes for equal content, with ``metadata`` for its own.

    >>> parquet_bytes(pa.table({"d": [4]}), {})[:4]
    b'PAR1'
    """
    table = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    # store_schema would repeat the schema in base64, with whatever pandas version wrote it.
    with pq.ParquetWriter(sink, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata)
    return sink.getvalue().to_pybytes()


def read_parquet(content: bytes) -> "pd.DataFrame":
    """Read a table from the content of a Parquet file.

    Arrow's threads are used neither here nor elsewhere (it takes one to open a path, too): a
    process that ends soon after them aborts or hangs now and then (apache/arrow, 34314, 50482).

    >>> read_parquet(parquet_bytes(pa.table({"d": [4]}), {})).d.tolist()
    [4]
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    return file.read(use_threads=False).to_pandas(use_threads=False)


def seal(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """Write a table as Parquet in memory with a digest of the whole content in it.

    >>> len(_DIGEST.findall(seal(pa.table({"d": [4]}), {})))
    1
    """
    blank = _MARK + b"0" * 64
    data = parquet_bytes(table, metadata | {"dofbook.digest": blank.decode()})
    return data.replace(blank, _MARK + hashlib.sha256(data).hexdigest().encode(), 1)


def unseal(data: bytes) -> tuple[pq.ParquetFile, dict[str, str]]:
    """Verify what ``seal`` wrote and open it, with its metadata: its rows are not read yet.

    Raises DamagedCell if the content is cut, altered or foreign.

    >>> unseal(seal(pa.table({"d": [4]}), {"by": "us"}))[1]["by"]
    'us'
    """
    digests = _DIGEST.findall(data)
    if len(digests) != 1:
        raise DamagedCell("it is cut short or not a cell of dofbook's")
    blank = data.replace(_MARK + digests[0], _MARK + b"0" * 64)
    if hashlib.sha256(blank).hexdigest().encode() != digests[0]:
        raise DamagedCell("its content does not match its digest")
    with _as_parquet():
        file = pq.ParquetFile(pa.BufferReader(data))
        about = {k.decode(): v.decode() for k, v in (file.metadata.metadata or {}).items()}
    return file, about


@contextlib.contextmanager
def _as_parquet() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DamagedCell(f"it cannot be read as Parquet ({problem})") from None


def read_origin(text: str) -> dict:
    """Read what a cell says of its run; DamagedCell if it is not what ``compute`` writes.

    >>> read_origin('{"wall_seconds": 2.5}')
    {'wall_seconds': 2.5}
    """
    origin, sound = {}, False
    with contextlib.suppress(*FOREIGN):
        origin = json.loads(text)
        environment, seconds = origin.get("environment") or {}, origin.get("wall_seconds")
        devices, git = environment.get("devices") or [], environment.get("git") or {}
        said = [origin.get("started"), git.get("commit"), *(one.get("kind") for one in devices)]
        sound = isinstance(seconds, float | int | None)
        sound = sound and all(isinstance(words, str | None) for words in said)
    if not sound:
        raise DamagedCell("it does not say where it comes from")
    return origin


def encode(cell: Cell, rows: "pd.DataFrame", provenance: dict) -> bytes:
    """Write a result, and what it was computed with, as the content of a cell file.

    >>> import pandas as pd
    >>> from dofbook.training import TaskConfig
    >>> encode(Cell(task=TaskConfig()), pd.DataFrame({"seed": [0]}), {})[:4]
    b'PAR1'
    """
    metadata = {
        "dofbook.schema": str(SCHEMA_VERSION), "dofbook.config": canonical_json(cell),
        "dofbook.provenance": json.dumps(provenance, sort_keys=True),
    }  # fmt: skip
    return seal(pa.Table.from_pandas(rows, preserve_index=False), metadata)


def decode(name: str, data: bytes) -> StoredCell:
    """Verify and read the content of a cell file, and check it against the cell of that name.

    Raises DamagedCell, or InputError if it is intact but has another schema version.

    >>> decode("e22e50f2e2cca07a", b"PAR1")
    Traceback (most recent call last):
    dofbook.experiments.contents.DamagedCell: it is cut short or not a cell of dofbook's
    """
    try:
        return _decode(name, data)
    except InputError:
        raise
    except FOREIGN as problem:  # whoever wrote it may have sealed anything
        raise DamagedCell(f"its content is not a cell's ({problem})") from None


def _decode(name: str, data: bytes) -> StoredCell:
    file, metadata = unseal(data)
    config = metadata.get("dofbook.config", "")
    if hashlib.sha256(config.encode()).hexdigest()[:16] != name:
        raise DamagedCell("it holds another cell than its name says")
    cell = cell_from_json(config)
    # Rows are read once their number and size, unpacked, are known to be those of a cell.
    about, most = file.metadata, cell.most_rows()
    size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if about.num_rows > most or size > _LARGEST_RECORD + BYTES_PER_ROW * most:
        raise DamagedCell(f"it has {about.num_rows} rows of {size} bytes; the cell has {most}")
    with _as_parquet():
        table = file.read(use_threads=False).replace_schema_metadata(None)
    check_rows(cell, table)
    return StoredCell(cell, table, read_origin(metadata.get("dofbook.provenance", "")))


@dataclass(frozen=True)
class Store:
    """Read and write cells in one folder, which is not created before something is written.

    >>> Store(Path("nowhere")).names()
    []
    """

    root: Path

    def __post_init__(self):
        object.__setattr__(self, "root", Path(self.root))
        try:
            file = not stat.S_ISDIR(self.root.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            file = False
        except (OSError, ValueError) as problem:  # too long, or a name that none can have
            raise InputError(f"the store {str(self.root)!r:.80} cannot be: {problem}.") from None
        if file:
            raise InputError(f"the store {self.root} is a file; name a folder.")

    def prepare(self) -> None:
        """Create the folder, make sure that it can be written (else InputError), remove orphans."""
        try:
            write_atomically(probe := self.root / f".probe-{uuid.uuid4().hex[:8]}", b"")
            now = probe.stat().st_mtime  # by the clock that dates the other files
            probe.unlink()
        except (OSError, StoreError) as problem:
            raise InputError(f"the store {self.root} cannot be used: {problem}") from problem
        remove_orphans(self.root, now)

    def path(self, name: str) -> Path:
        """Give the file of a cell, whether it exists or not."""
        return self.root / f"{name}.parquet"

    def names(self) -> list[str]:
        """List the cells that have a file, verified or not, in alphabetical order."""
        return sorted(p.stem for p in self.root.glob("*.parquet") if _NAME.fullmatch(p.stem))

    def asides(self) -> dict[Path, str]:
        """Name the cells of damaged files that were moved aside, if not computed again."""
        named = {p: p.name.partition(".")[0] for p in sorted(self.root.glob("*.corrupt-*"))}
        return {path: name for path, name in named.items() if not self.path(name).exists()}

    def read(self, name: str) -> StoredCell:
        """Read and verify one cell as ``decode``; FileNotFoundError without one, or StoreError."""
        path = self.path(name)
        try:
            data = read_regular(path, _LARGEST_FILE)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except PermissionError:
            raise DamagedCell("it cannot be read: permission denied") from None
        except OSError as problem:
            raise StoreError(f"cannot read {path}: {problem.strerror}.") from problem
        return decode(name, data)

    def stamp(self, name: str) -> tuple[int, ...] | None:
        """Give what changes whenever a cell's file is replaced or written to; None without one."""
        try:
            about = self.path(name).stat()
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns

    def take(self, name: str) -> StoredCell | None:
        """Read and verify one cell as ``read``, or give None; move a damaged file aside.

        One of another version of dofbook is named and left alone.
        """
        try:
            return self.read(name)
        except FileNotFoundError:
            return None
        except InputError as problem:
            log.error("%s is left out: %s", self.path(name), problem)
            return None
        except DamagedCell as found:
            problem = found
        asides = (self.root / f"{name}.corrupt-{number}" for number in itertools.count(1))
        aside, path = next(aside for aside in asides if not aside.exists()), self.path(name)
        try:
            os.rename(path, aside)
            log.error("%s: %s; moved to %s.", path, problem, aside.name)
        except FileNotFoundError:  # another sweep on this store was first
            pass
        except OSError as refusal:
            raise StoreError(f"cannot move {path} aside: {refusal.strerror}.") from None
        return None

    def write(self, cell: Cell, rows: "pd.DataFrame", provenance: dict) -> None:
        """Store a result and forget the cell's earlier failure; StoreError if it cannot."""
        self.put(cell.name, encode(cell, rows, provenance))

    def put(self, name: str, content: bytes) -> None:
        """Store a result that ``encode`` wrote, as ``write``."""
        write_atomically(self.path(name), content)
        (self.root / f"{name}.failed.json").unlink(missing_ok=True)

    def write_failure(self, cell: Cell, traceback: str, provenance: dict) -> None:
        """Record that a cell raised; StoreError if it cannot."""
        record = {"config": canonical_json(cell), "traceback": traceback, "provenance": provenance}
        text = json.dumps(record, indent=1, sort_keys=True)
        write_atomically(self.root / f"{cell.name}.failed.json", text.encode())

    def failures(self) -> dict[str, FailedCell]:
        """Read the cells whose last attempt raised; what is no record is named and left alone."""
        found = {}
        for path in sorted(self.root.glob("*.failed.json")):
            try:
                record = json.loads(read_regular(path, _LARGEST_RECORD))
                failed = FailedCell(cell_from_json(record["config"]), str(record["traceback"]))
                found[failed.config.name] = failed
            except FileNotFoundError:  # it succeeded meanwhile
                continue
            except (OSError, DamagedCell, *FOREIGN):
                log.warning("%s is not the record of a failed cell; it is ignored.", path)
        return found
