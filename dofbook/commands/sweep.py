"""``dofbook sweep``: run a sweep, or say what it would take."""

import argparse

from dofbook.commands.adaptive import sweep_adaptively
from dofbook.commands.arguments import Setting, make_setting, take_part
from dofbook.commands.plan import print_plan
from dofbook.experiments.config import SweepConfig
from dofbook.experiments.executors import SweepReport, run_sweep
from dofbook.experiments.publishing import check_table_path

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def sweep(args: argparse.Namespace, config: SweepConfig) -> int:
    """Run a sweep, or say what it would take.

    Args:
        args: The parsed arguments.
        config: The sweep they describe.

    Returns:
        The exit code.
    """
    setting = make_setting(args)
    if args.table:
        check_table_path(args.table)
    if args.adaptive or args.level:
        return sweep_adaptively(args, config, setting)
    cells = take_part(config.cells(), args.part)
    if not cells:
        setting.out.say("There is nothing to do: no cells.")
        return 0
    if args.dry_run:
        print_plan(cells, setting)
        return 0
    try:
        report = run_sweep(
            cells, setting.store, setting.executor, args.data_dir, progress=not args.json,
            run_cell=setting.run_cell, retries=args.retries, notify=setting.out.event,
        )  # fmt: skip
    except KeyboardInterrupt:
        setting.say_interrupted(cells)
        return EXIT_INTERRUPTED
    setting.out.say(
        f"{len(cells)} cells: {report.stored} were stored, {report.computed} computed, "
        f"{len(report.failures)} failed."
    )
    if report.failures:
        return _complain(report, args, setting)
    if args.table:
        setting.write_table(args.table, [cell.name for cell in cells])
    return 0


def _complain(report: SweepReport, args: argparse.Namespace, setting: Setting) -> int:
    for name, text in report.failures.items():
        setting.out.complain(f"cell {name} failed:\n{text}")
    if args.table:
        setting.out.complain(f"{args.table} is not written, since cells are missing.")
    return EXIT_FAILED
