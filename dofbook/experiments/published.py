"""Published tables: a Parquet file, believed only with where its numbers come from beside it."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa

from dofbook.errors import InputError
from dofbook.experiments import store
from dofbook.references import HOME

RESULTS = HOME / "results"
_REMEDY = "the tables come with the repository, in its folder results/"


def check_table_path(path: Path) -> None:
    """Refuse the path of a table that cannot work, before anything is computed.

    >>> check_table_path(Path("runs.csv"))
    Traceback (most recent call last):
    dofbook.errors.InputError: the table is to be named runs.csv; its name must end in .parquet.
    """
    named = f"the table is to be named {path}"
    if path.suffix != ".parquet":
        raise InputError(f"{named}; its name must end in .parquet.")
    if path.is_dir():
        raise InputError(f"{named}, which is a folder; name a file.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise InputError(f"{named}, but {parent} is a file.")


def publish(
    path: Path, table: pa.Table, origin: dict, metadata: dict[str, str] | None = None
) -> int:
    """Write a table, with ``metadata`` in its footer, and count its rows.

    Its ``origin`` goes beside it, and first, as ``<name>.provenance.json``, with the SHA-256 of the
    Parquet file as ``table_sha256``. Raises InputError if the path cannot be a table's, StoreError
    if it cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     publish(Path(folder) / "runs.parquet", pa.table({"d": [4, 8]}), {})
    2
    """
    check_table_path(path)
    content = store.parquet_bytes(table, metadata or {})
    record = origin | {"table_sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    for file, written in ((path.with_suffix(".provenance.json"), text.encode()), (path, content)):
        store.write_atomically(file, written)
        store.remove_orphans(path.parent, path.parent.stat().st_mtime, f".{file.name}.*")
    return table.num_rows


def published_names(folder: str | Path | None = None) -> tuple[str, ...]:
    """List the tables of a folder; None is ``results`` of the checkout or the package.

    >>> "mnist_conv2" in published_names()
    True
    """
    place = Path(folder or RESULTS)
    names = tuple(sorted(path.stem for path in place.glob("*.parquet")))
    if not names:
        raise InputError(f"{place} holds no published table; {_REMEDY}.")
    return names


def read_provenance(name: str, folder: str | Path | None = None) -> dict:
    """Read where a published table comes from: cells, seeds, versions, devices, SHA-256.

    >>> read_provenance("ntk_cuts")["seeds"]
    [0]
    """
    path = Path(folder or RESULTS) / f"{name}.provenance.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(
            f"{path} cannot be read ({type(problem).__name__}), so where the table {name} comes "
            f"from is not known; {_REMEDY}, each with its provenance."
        ) from problem
    if not isinstance(record, dict) or "table_sha256" not in record:
        raise InputError(f"{path} has no entry table_sha256; it is not a table's provenance.")
    return record


def read_published(name: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Read a published table whose bytes are those that its provenance was written for.

    ``name`` is the file's without suffix, ``folder`` as for ``published_names``; InputError if
    there is no such table, or another than its provenance describes.

    >>> read_published("ntk_cuts")["network"].unique().tolist()
    ['conv2']
    """
    path = Path(folder or RESULTS) / f"{name}.parquet"
    if not path.is_file():
        raise InputError(f"there is no table {path}; {_REMEDY}.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != read_provenance(name, folder)["table_sha256"]:
        raise InputError(
            f"{path} is not the table that its provenance describes (another SHA-256); restore "
            "both files from the repository, or publish the table again."
        )
    return store.read_parquet(content)
