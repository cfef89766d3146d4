"""``dofbook table``: join a store, or one sweep of it, into one table."""

import argparse

from dofbook.commands.output import Output
from dofbook.commands.status import existing_store
from dofbook.experiments.config import SweepConfig
from dofbook.experiments.tables import write_table


def table(args: argparse.Namespace, config: SweepConfig | None) -> int:
    """Join a store, or one sweep of it, into one table.

    Args:
        args: The parsed arguments.
        config: The sweep; None for everything in the store.

    Returns:
        The exit code.
    """
    store, out = existing_store(args), Output(json=False)
    names = [cell.name for cell in config.cells()] if config else None
    rows = write_table(store, args.output, names)
    missing = sum(not store.path(name).exists() for name in names or ())
    note = f"; {missing} of {len(names)} cells are missing" if missing else ""
    out.say(f"{args.output}: {rows} rows{note}.")
    return 0
