"""``dofbook sweep --dry-run``: cells, steps, memory and time, before anything runs."""

from collections.abc import Sequence
from typing import Any

from dofbook.commands.output import Output, columns, duration, memory
from dofbook.commands.running import Batched
from dofbook.commands.status import PLACE, count_states, place, states_of
from dofbook.experiments import estimates, events, timing
from dofbook.experiments.config import Cell
from dofbook.experiments.executors import check_cells
from dofbook.experiments.index import Header, read_headers
from dofbook.experiments.store import Store
from dofbook.provenance import devices


def print_plan(
    cells: Sequence[Cell], store: Store, where: Batched, out: Output, bound: str = ""
) -> None:
    """Print what is missing and what it takes, numbers after ``bound``, such as "at most "."""
    how = (where.data_dir, where.make_batching())
    check_cells(cells, [], where.data_dir)
    headers, damaged = read_headers(store, [cell.name for cell in cells])
    states = states_of(cells, headers, damaged, store.failures())
    rates = _rates(cells, list(headers.values()), *how)
    rows = []
    for cell, state in zip(cells, states, strict=True):
        need = estimates.cell_need(cell, *how)
        size = need.bytes + estimates.data_bytes(cell, where.data_dir)
        seconds = 0.0 if state == "done" else timing.predict(rates, [cell])
        rows.append([*place(cell), state, len(cell.seeds), need.steps, size, seconds])
        out.event({
            "event": "plan", **events.describe(cell), "state": state, "steps": need.steps,
            "runs_together": need.together, "bytes": size, "seconds": seconds,
        })  # fmt: skip
    shown = [[*row, memory(size), duration(seconds)] for *row, size, seconds in rows]
    out.say(columns([*PLACE, "state", "runs", "steps", "memory", "time"], shown))
    left = [row for row, state in zip(rows, states, strict=True) if state != "done"]
    *_, sizes, times = zip(*rows, strict=True)
    out.say(
        f"{len(cells)} cells in {store.root}: {count_states(states)}. "
        f"Left: {bound}{len(left)} cells, {sum(row[-3] for row in left):,} steps, "
        f"{bound}{duration(sum(times))} one after the other on this machine; "
        f"up to {memory(max(sizes))} at once."
    )


def _rates(cells: Sequence[Cell], stored: list[Header], *how: Any) -> dict:
    """Take rates from cells of the same kind stored by such a device; measure what is not known."""
    here = devices()[0]
    rates = timing.fit_rates(cell for cell in stored if timing.device_of(cell) == here)
    for task in dict.fromkeys(cell.task for cell in cells):
        of_task = [cell for cell in cells if cell.task == task]
        if timing.predict(rates, of_task) is None:
            sample = max(of_task, key=lambda cell: cell.work().d)
            measured = estimates.measure_rates(sample, sample.work().d or 1, *how)
            rates |= {cell.work().kind: measured for cell in of_task}
    return rates
