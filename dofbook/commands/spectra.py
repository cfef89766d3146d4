"""``dofbook spectra``: singular values of full training, in every basis of lottery subspaces."""

import argparse

from dofbook.commands.output import Output
from dofbook.experiments.config import SweepConfig
from dofbook.experiments.publishing import check_table_path
from dofbook.experiments.spectra import write_spectra


def spectra(args: argparse.Namespace, config: SweepConfig) -> int:
    """Train, decompose and write the spectra of a task.

    Args:
        args: The parsed arguments.
        config: Task, seeds and trajectory.

    Returns:
        The exit code.
    """
    check_table_path(args.output)
    rows = write_spectra(args.output, config, args.data_dir)
    Output(json=False).say(f"{args.output}: {rows} rows.")
    return 0
