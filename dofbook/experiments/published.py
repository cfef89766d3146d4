"""Read published tables: a Parquet file is believed only with its provenance beside it."""

import hashlib
import io
import json
from pathlib import Path

import pandas as pd

from dofbook.errors import InputError

_CARRIED = Path(__file__).parents[1] / "carried"
HOME = _CARRIED if _CARRIED.is_dir() else Path(__file__).parents[2]
"""Where `results` and `book` lie: what an installed package carries of them, or the checkout."""
RESULTS = HOME / "results"
_REMEDY = "the tables come with the repository, in its folder results/"


def published_names(folder: str | Path | None = None) -> tuple[str, ...]:
    """List the tables of a folder; None is ``results`` of the checkout or the package.

    >>> published_names("/nowhere")
    Traceback (most recent call last):
    dofbook.errors.InputError: /nowhere holds no published table; the tables come with the \
repository, in its folder results/.
    """
    names = tuple(sorted(path.stem for path in _folder(folder).glob("*.parquet")))
    if not names:
        raise InputError(f"{_folder(folder)} holds no published table; {_REMEDY}.")
    return names


def _folder(folder: str | Path | None) -> Path:
    return RESULTS if folder is None else Path(folder)


def read_provenance(name: str, folder: str | Path | None = None) -> dict:
    """Read where a published table comes from: cells, seeds, versions, devices, SHA-256."""
    path = _folder(folder) / f"{name}.provenance.json"
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

    ``name`` is the file's without suffix, ``folder`` as for ``published_names``.

    >>> read_published("mnist_conv2", "/nowhere")
    Traceback (most recent call last):
    dofbook.errors.InputError: there is no table /nowhere/mnist_conv2.parquet; the tables come \
with the repository, in its folder results/.
    """
    path = _folder(folder) / f"{name}.parquet"
    if not path.is_file():
        raise InputError(f"there is no table {path}; {_REMEDY}.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != read_provenance(name, folder)["table_sha256"]:
        raise InputError(
            f"{path} is not the table that its provenance describes (another SHA-256); restore "
            "both files from the repository, or publish the table again."
        )
    return pd.read_parquet(io.BytesIO(content))
