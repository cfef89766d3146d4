"""``dofbook sweep --dry-run``: cells, steps, memory and time, before anything runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dofbook.commands.output import Output, columns, duration, memory
from dofbook.commands.running import Batched
from dofbook.commands.status import PLACE, count_states, place, states_of
from dofbook.experiments import timing
from dofbook.experiments.config import Cell
from dofbook.experiments.index import Header, read_headers
from dofbook.experiments.store import Store

if TYPE_CHECKING:
    from dofbook.experiments.estimates import Need


def print_plan(
    cells: Sequence[Cell], store: Store, where: Batched, out: Output, bound: str = ""
) -> None:
    """Print what is missing and what it takes, numbers after ``bound``, such as "at most "."""
    headers, damaged = read_headers(store, [cell.name for cell in cells])
    states = states_of(cells, headers, damaged, store.failures())
    left = [cell for cell, state in zip(cells, states, strict=True) if state != "done"]
    plans = _plans(left, list(headers.values()), where) if left else {}
    rows = []
    for cell, state in zip(cells, states, strict=True):
        row, known = [*place(cell), state, len(cell.seeds)], plans.get(cell.name)
        need, size, seconds = known or (None, 0.0, 0.0)
        shown = ["-"] * 3 if need is None else [need.steps, memory(size), duration(seconds)]
        rows.append([*row, *shown])
        out.event({
            "event": "plan", **cell.described(), "state": state,
            "steps": need and need.steps, "runs_together": need and need.together,
            "bytes": size, "seconds": seconds,
        })  # fmt: skip
    out.say(columns([*PLACE, "state", "runs", "steps", "memory", "time"], rows))
    end = "Nothing is left."
    if plans:
        needs, sizes, times = zip(*plans.values(), strict=True)
        end = (
            f"Left: {bound}{len(left)} cells, {sum(need.steps for need in needs):,} steps, "
            f"{bound}{duration(sum(times))} one after the other on this machine; "
            f"up to {memory(max(sizes))} at once."
        )
    out.say(f"{len(cells)} cells in {store.root}: {count_states(states)}. {end}")


def _plans(
    left: Sequence[Cell], stored: list[Header], where: Batched
) -> "dict[str, tuple[Need, float, float]]":
    """Say what each cell takes, its bytes and its seconds; only what is left needs JAX for it.

    Rates are those of stored cells of the same kind and device; what is not known is measured.
    """
    from dofbook.experiments import estimates
    from dofbook.experiments.executors import check_cells
    from dofbook.provenance import devices

    how = (where.data_dir, where.make_batching())
    check_cells(left, [], where.data_dir)
    here = devices()[0]
    rates = timing.fit_rates(cell for cell in stored if timing.device_of(cell) == here)
    for task in dict.fromkeys(cell.task for cell in left):
        of_task = [cell for cell in left if cell.task == task]
        if timing.predict(rates, of_task) is None:
            sample = max(of_task, key=lambda cell: cell.work().d)
            measured = estimates.measure_rates(sample, sample.work().d or 1, *how)
            rates |= {cell.work().kind: measured for cell in of_task}
    found = {}
    for cell in left:
        need, seconds = estimates.cell_need(cell, *how), timing.predict(rates, [cell])
        size = need.bytes + estimates.data_bytes(cell, where.data_dir)
        found[cell.name] = (need, size, seconds)
    return found
