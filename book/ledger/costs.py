"""What published runs took, and what those of a figure are to take."""

import math
from collections.abc import Iterable, Mapping

from dofbook.experiments.config import Cell, CellConfig
from ledger.evidence import TRAIN_IMAGES


def runs_of(cells: Iterable[Cell]) -> set[tuple[str, int]]:
    """List runs by seed and the hash of all else, whatever cells hold them."""
    families = ((cell.with_seed(0).name, cell.seeds) for cell in cells)
    return {(family, seed) for family, seeds in families for seed in seeds}


def steps_of(cells: Iterable[Cell]) -> int:
    """Count steps of training, over all seeds; burn-in, evaluation and other experiments do not."""
    total = 0
    for cell in cells:
        if isinstance(cell, CellConfig) and cell.task.dataset in TRAIN_IMAGES:
            images = cell.task.train_size or TRAIN_IMAGES[cell.task.dataset]
            epochs = math.ceil(images / cell.task.batch_size) * (cell.task.epochs or 0)
            total += len(cell.seeds) * epochs
    return total


def device(record: Mapping) -> str:
    """Name the devices of a table's provenance.

    >>> device({"environments": [{"devices": [{"kind": "cpu"}]}]})
    'CPU'
    """
    kinds = {d["kind"].replace("cpu", "CPU") for e in record["environments"] for d in e["devices"]}
    return ", ".join(sorted(kinds)) or "unknown"


def hours(seconds: float) -> str:
    """Write a time: in hours from an hour and a half on, in minutes below.

    >>> hours(5400), hours(5000)
    ('1.5 h', '83 min')
    """
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def seconds_per_step(records: Iterable[Mapping]) -> dict[tuple[str, str], float]:
    """Average, by network and device, over tables of one network on one device.

    A record is a table's provenance with its `cells`.
    """
    sums: dict[tuple[str, str], tuple[float, int]] = {}
    for record in records:
        steps, networks = steps_of(record["cells"]), {c.task.network for c in record["cells"]}
        if steps and len(networks) == 1 and "," not in device(record):
            key = (*networks, device(record))
            seconds, before = sums.get(key, (0.0, 0))
            sums[key] = seconds + record["wall_seconds"], before + steps
    return {key: seconds / steps for key, (seconds, steps) in sums.items()}
