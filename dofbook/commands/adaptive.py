"""``dofbook sweep --adaptive``: search the thresholds instead of running a grid."""

import argparse
import math

from dofbook.commands.arguments import Setting
from dofbook.commands.output import Output
from dofbook.commands.plan import print_plan
from dofbook.errors import InputError
from dofbook.experiments.adaptive import AdaptiveConfig, Found, probe_cell, run_adaptive
from dofbook.success.bisection import reach
from dofbook.experiments.config import Cell, SweepConfig
from dofbook.experiments.executors import check_cells

EXIT_INTERRUPTED = 130


def sweep_adaptively(args: argparse.Namespace, config: SweepConfig, setting: Setting) -> int:
    """Search the thresholds of every burn-in time, or say what it takes at most.

    Args:
        args: The parsed arguments.
        config: The sweep they describe.
        setting: Where and how it runs.

    Returns:
        The exit code.
    """
    if not (args.adaptive and args.level):
        raise InputError("an adaptive sweep needs both --adaptive and --level.")
    if args.part:
        raise InputError("part shares a grid of cells; an adaptive sweep has no grid to share.")
    wanted = AdaptiveConfig(
        config, args.level, args.metric, args.half_width, args.delta, args.confidence
    )
    grid = _grid_cells(wanted)
    if args.dry_run:
        print_plan(grid, setting, bound="at most ")
        return 0
    check_cells(grid, [], args.data_dir)
    try:
        for method in config.methods:
            *_, known = run_adaptive(
                wanted, method, setting.store, setting.executor, args.data_dir, not args.json,
                setting.run_cell, setting.out.event, args.retries,
            )  # fmt: skip
            for found in known:
                _say(wanted, method.t, found, setting.out)
    except KeyboardInterrupt:
        setting.say_interrupted(grid)
        return EXIT_INTERRUPTED
    if args.table:
        names = [cell.name for cell in grid if setting.store.path(cell.name).exists()]
        setting.write_table(args.table, names)
    return 0


def _grid_cells(wanted: AdaptiveConfig) -> list[Cell]:
    first = wanted.sweep.first_seed
    return [
        probe_cell(wanted, method, (seed, point))
        for method in wanted.sweep.methods
        for seed in range(first, first + wanted.sweep.runs)
        for point in range(len(wanted.grid))
    ]


def _say(wanted: AdaptiveConfig, t: int, found: Found, out: Output) -> None:
    threshold, runs, wide = found.threshold, len(found.hits), reach(found.threshold)
    note = ""
    if math.isinf(wide):
        note = "; not bounded on both sides by this grid"
    elif wide > wanted.half_width:
        note = f"; wider than asked, {wide:.2f} octaves"
    out.say(
        f"t = {t}, {wanted.metric} {found.level:g}: d* = {threshold} "
        f"{threshold.interval_text()} at {wanted.confidence:.0%}, {runs} initializations, "
        f"{found.trainings} trainings (the full grid has {runs * len(wanted.grid)}){note}."
    )
    out.event(_event(wanted, t, found))


def _event(wanted: AdaptiveConfig, t: int, found: Found) -> dict:
    ends = {name: getattr(found.threshold, name) for name in ("value", "lower", "upper")}
    return {
        "event": "threshold",
        "burn_in_steps": t,
        "metric": wanted.metric,
        "level": found.level,
        "delta": wanted.delta,
        "confidence": wanted.confidence,
        **{name: end if math.isfinite(end) else None for name, end in ends.items()},
        "hits": [wanted.grid[h] if h < len(wanted.grid) else None for h in found.hits],
        "initializations": len(found.hits),
        "trainings": found.trainings,
    }
