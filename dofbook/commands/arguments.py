"""What the arguments about where and how a sweep runs mean."""

import argparse
from dataclasses import dataclass
from functools import partial

from dofbook.commands.output import Output
from dofbook.errors import InputError
from dofbook.experiments.cell import run_cell
from dofbook.experiments.config import Cell
from dofbook.experiments.executors import Executor, InProcessExecutor, RunCell
from dofbook.experiments.store import Store
from dofbook.training.batched import Batching


@dataclass(frozen=True)
class Setting:
    """Hold what every way of sweeping needs.

    Args:
        store: Where results are and go.
        out: How to speak.
        executor: Where cells run.
        batching: How the seeds of a cell go together.
        data_dir: Folder of official data files.
    """

    store: Store
    out: Output
    executor: Executor
    batching: Batching
    data_dir: str | None

    @property
    def run_cell(self) -> RunCell:
        """What computes the rows of a cell."""
        usual = self.batching == Batching()
        return run_cell if usual else partial(run_cell, batching=self.batching)

    def say_interrupted(self, wanted: list[Cell]) -> None:
        """Tell how far a sweep came."""
        kept = sum(self.store.path(cell.name).exists() for cell in wanted)
        self.out.complain(
            f"interrupted with {kept} of {len(wanted)} cells stored; "
            "the same command goes on from there."
        )

    def write_table(self, path, names: list[str]) -> None:
        """Join cells into one table."""
        from dofbook.experiments.tables import write_table

        rows = write_table(self.store, path, names)
        self.out.say(f"{path}: {rows} rows.")
        self.out.event({"event": "table", "path": str(path), "rows": rows})


def make_setting(args: argparse.Namespace) -> Setting:
    """Read off where and how a sweep runs.

    Args:
        args: The parsed arguments.

    Returns:
        The setting.

    Raises:
        InputError: If a value is not allowed.
    """
    if args.retries < 0:
        raise InputError(f"retries is {args.retries}; it must be at least 0.")
    store, executor = Store(args.store), _executor(args)
    return Setting(store, Output(args.json), executor, make_batching(args), args.data_dir)


def make_batching(args: argparse.Namespace) -> Batching:
    """Read off how the seeds of a cell go together.

    Args:
        args: The parsed arguments.

    Returns:
        The choice.

    Raises:
        InputError: If a value is not allowed.
    """
    return Batching(args.batching, args.chunk, args.precision)


def _executor(args: argparse.Namespace) -> Executor:
    given = args.scheduler or args.scheduler_file or args.workers is not None
    name = args.executor or ("dask" if given else "local")
    if name not in ("local", "dask"):
        raise InputError(f"executor is {name!r}; allowed: local, dask.")
    if name == "dask":
        from dofbook.experiments.dask_executor import DaskExecutor

        return DaskExecutor(args.scheduler, args.scheduler_file, args.workers)
    if given:
        raise InputError(
            "scheduler, scheduler_file and workers belong to the executor dask, not to local."
        )
    return InProcessExecutor()


def take_part(wanted: list[Cell], text: str | None) -> list[Cell]:
    """Take every N-th cell, beginning with the I-th: 1/4, 2/4, 3/4 and 4/4 share a sweep.

    Args:
        wanted: All cells.
        text: "I/N"; None for all.

    Returns:
        The part.

    Raises:
        InputError: If the text is something else.
    """
    if text is None:
        return wanted
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"part is {text!r}; it must be I/N with 1 <= I <= N, such as 2/8.")
    return wanted[int(number) - 1 :: int(count)]
