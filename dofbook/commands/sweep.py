"""``dofbook sweep``: run a sweep, or say what it would take."""

import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dofbook import experiments
from dofbook.cli import EXIT_FAILED, EXIT_INTERRUPTED
from dofbook.commands.describing import described, describes_sweep
from dofbook.commands.options import Place
from dofbook.commands.output import Output, cause, check_file
from dofbook.commands.running import Adaptive, Running
from dofbook.errors import InputError
from dofbook.experiments.config import Cell
from dofbook.experiments.index import other_commits, read_headers
from dofbook.experiments.options import make_sweep

if TYPE_CHECKING:
    from dofbook.experiments.adaptive import AdaptiveConfig, LevelResult
    from dofbook.experiments.executors import SweepReport
    from dofbook.experiments.store import Store

log = logging.getLogger(__name__)


@describes_sweep
def sweep_command(
    *,
    chosen: Any = None,
    store: Place = Path("store"),
    table: Place | None = None,
    dry_run: bool = False,
    measure: bool = False,
    out: Output = Output(),  # noqa: B008  (frozen)
    where: Running = Running(),  # noqa: B008
    levels: Adaptive = Adaptive(),  # noqa: B008
) -> int:
    """Run a sweep, or go on with one.

    Args:
        store: Folder of the cells.
        table: Write the tidy table to this .parquet file.
        dry_run: List the cells, with times that stored ones tell; compute nothing.
        measure: Let the dry run check the cells and say steps, memory and time on this machine,
            in seconds to a minute.
    """
    config, place = described(chosen) or make_sweep(), experiments.Store(store)
    search = levels.config(config, where.part)
    if table:
        experiments.published.check_table_path(table)
        check_file(table, place.root)
    cells = search.cells() if search else where.take_part(config.cells())
    if measure and not dry_run:
        raise InputError("--measure belongs to --dry-run; a sweep says what it takes as it runs.")
    if measure:  # said before JAX is loaded
        out.say(f"{len(cells)} cells wanted; looking at what they take on this machine.")
    where.check()
    if not cells:
        out.say("There is nothing to do: no cells.")
        return 0
    if dry_run:
        from dofbook.commands.status import print_plan

        print_plan(cells, place, where, out, "at most " if search else "", measure)
        return 0
    if out.for_people and sys.stderr.isatty():  # at once: JAX takes seconds to load
        there = sum(place.path(cell.name).exists() for cell in cells)
        sys.stderr.write(f"{len(cells)} cells, {there} of them in {place.root}\n")
    keywords = where.keywords(out)
    try:
        if search:
            _search(search, place, out, keywords)
            cells = [c for c in cells if place.path(c.name).exists()]
            lost = [c.name for c in cells if place.take(c.name) is None]
            report = experiments.executors.SweepReport(lost=lost)
        else:
            report = experiments.executors.run_sweep(cells, place, **keywords)
            out.say(
                f"{len(cells)} cells: {report.stored} were stored, {report.computed} computed, "
                f"{len(report.failures)} failed."
            )
    except KeyboardInterrupt:
        kept = f"{sum(place.path(cell.name).exists() for cell in cells)} of {len(cells)} cells"
        out.complain(f"interrupted with {kept} stored; the same command goes on from there.")
        return EXIT_INTERRUPTED
    return _finish(cells, report, place, table, out)


def _search(wanted: "AdaptiveConfig", store: "Store", out: Output, keywords: dict) -> None:
    """Search the thresholds of every burn-in time."""
    headers, _ = read_headers(store, [cell.name for cell in wanted.cells()])
    if sentence := other_commits(headers.values()):
        log.warning("%s", sentence)
    for method in wanted.sweep.methods:
        *_, known = experiments.adaptive.run_adaptive(wanted, method, store, **keywords)
        for found in known:
            _say(wanted, method.t, found, out)


def _say(wanted: "AdaptiveConfig", t: int, found: "LevelResult", out: Output) -> None:
    from dofbook.success.bisection import reach

    threshold, runs, wide = found.threshold, len(found.hits), reach(found.threshold)
    note = f"; wider than asked, {wide:.2f} octaves" if wide > wanted.half_width else ""
    if math.isinf(wide):
        note = "; not bounded on both sides by this grid"
    out.say(
        f"t = {t}, {wanted.metric} {found.level:g}: d* = {threshold.value_text()} "
        f"{threshold.interval_text()} at {wanted.confidence:.0%}, {runs} initializations, "
        f"{found.trainings} trainings (the full grid has {runs * len(wanted.grid)}){note}."
    )
    ends = {name: getattr(threshold, name) for name in ("value", "lower", "upper")}
    out.event({
        "event": "threshold", "burn_in_steps": t, "metric": wanted.metric, "level": found.level,
        "delta": wanted.delta, "confidence": wanted.confidence,
        **{name: end if math.isfinite(end) else None for name, end in ends.items()},
        "hits": [wanted.grid[h] if h < len(wanted.grid) else None for h in found.hits],
        "initializations": runs, "trainings": found.trainings,
    })  # fmt: skip


def _finish(
    cells: Sequence[Cell], report: "SweepReport", store: "Store", table: Path | None, out: Output
) -> int:
    """Name what failed or left the store meanwhile; write the table if nothing did."""
    lost, failures = report.lost, report.failures
    for name, text in failures.items():
        record = store.root / f"{name}.failed.json"
        out.complain(f"cell {name} failed: {cause(text)}; its traceback is in {record}.")
    if lost:
        out.complain(
            f"{len(lost)} cells left the store while the sweep ran, such as {lost[0]}; the same "
            "command computes them again."
        )
    if lost or failures:
        if table:
            out.complain(f"{table} is not written, since cells are missing.")
        return EXIT_FAILED
    if table:
        rows = experiments.tables.write_table(store, table, [cell.name for cell in cells])
        out.say(f"{table}: {rows} rows.")
        out.event({"event": "table", "path": str(table), "rows": rows})
    return 0
