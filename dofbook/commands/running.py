"""Options of how cells run: where, together or not, as a grid or as a search."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Group, Parameter

from dofbook import experiments
from dofbook.commands.options import Real, Reals, Whole
from dofbook.commands.output import Output, check_devices
from dofbook.errors import InputError
from dofbook.experiments.config import SweepConfig
from dofbook.training.config import Batching

if TYPE_CHECKING:
    from dofbook.experiments.adaptive import AdaptiveConfig
    from dofbook.experiments.executors import Executor


@Parameter(name="*", group=Group("Where it runs", sort_key=100))
@dataclass(frozen=True, kw_only=True)
class Batched:
    """Say how the seeds of a cell go together.

    Args:
        data_dir: Folder of official data files; default: $DOFBOOK_DATA_DIR.
        batching: Seeds of a cell together; auto: except on a CPU.
        chunk: Seeds at once; default: what fits.
        precision: Of products on a GPU.
    """

    data_dir: str | None = None
    batching: Literal["auto", "batched", "sequential"] = "auto"
    chunk: Whole | None = None
    precision: Literal["float32", "tf32"] = "float32"

    def make_batching(self) -> Batching:
        """Check the choice, and that there is a device."""
        chosen = self.choice()
        check_devices()
        return chosen

    def choice(self) -> Batching:
        """Check the choice, without JAX."""
        return Batching(self.batching, self.chunk, self.precision)


@dataclass(frozen=True, kw_only=True)
class Running(Batched):
    """Say where the cells of a sweep run.

    Args:
        executor: Where; default: local, which is this process.
        scheduler: Join a running dask scheduler at this address.
        scheduler_file: The same, by the file it wrote.
        workers: Processes of a local dask cluster.
        part: I/N: every N-th cell from the I-th, shares of a job array.
        retries: Attempts at a cell that raised.
    """

    executor: Literal["local", "dask"] | None = None
    scheduler: str | None = None
    scheduler_file: str | None = None
    workers: Whole | None = None
    part: str | None = None
    retries: Whole = 1

    def check(self) -> None:
        """Refuse choices that are not allowed, without JAX."""
        if self.retries < 0:
            raise InputError(f"retries is {self.retries}; it must be at least 0.")
        self.make_executor()
        self.choice()

    def keywords(self, out: Output) -> dict[str, Any]:
        """Give what ``run_sweep`` and ``run_adaptive`` take beside cells and store."""
        from dofbook.experiments.cell import run_cell

        executor, batching = self.make_executor(), self.make_batching()
        run = run_cell if batching == Batching() else partial(run_cell, batching=batching)
        return {
            "executor": executor, "data_dir": self.data_dir, "run_cell": run,
            "retries": self.retries, "notify": out.event, "progress": out.for_people,
        }  # fmt: skip

    def make_executor(self) -> "Executor | None":
        """Make the executor, None for this process, unless the choices contradict each other."""
        given = self.scheduler or self.scheduler_file or self.workers is not None
        if self.executor == "dask" or (given and self.executor is None):
            from dofbook.experiments.dask_executor import DaskExecutor

            return DaskExecutor(self.scheduler, self.scheduler_file, self.workers)
        if given:
            options = "scheduler, scheduler_file and workers"
            raise InputError(f"{options} belong to the executor dask, not to local.")
        return None

    def take_part(self, cells: Sequence[Any]) -> list:
        """Take every N-th cell, beginning with the I-th: 1/4, 2/4, 3/4 and 4/4 share a sweep.

        >>> Running(part="2/3").take_part(range(7))
        [1, 4]
        """
        fit = re.fullmatch(r"(\d+)/(\d+)", "1/1" if self.part is None else self.part)
        number, count = map(int, fit.groups()) if fit else (0, 0)
        if not 1 <= number <= count:
            wanted = "it must be I/N with 1 <= I <= N, such as 2/8"
            raise InputError(f"part is {self.part!r}; {wanted}.")
        return list(cells[number - 1 :: count])


@Parameter(name="*", group=Group("Adaptive sweeps", sort_key=101))
@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Say which thresholds are wanted and how narrow.

    Args:
        adaptive: Search each level's threshold by bisection instead of running a full grid.
        level: Accuracies or losses to reach, such as 0.8,0.9.
        metric: Whose best value counts.
        half_width: Stop when d* is known to so many octaves either way.
        delta: Failure probability that d* allows.
        confidence: Coverage of the interval.
    """

    adaptive: bool = False
    level: Reals = ()
    metric: str = "test_accuracy"
    half_width: Real = 0.25
    delta: Real = 0.1
    confidence: Real = 0.95

    def config(self, sweep: Any, part: str | None = None) -> "AdaptiveConfig | None":
        """Check the options, if there are any; InputError if one is not allowed."""
        if not (self.adaptive or self.level):
            return None
        if not isinstance(sweep, SweepConfig):
            fixed = "a figure's cells are fixed"
            raise InputError(f"{fixed}; --adaptive and --level do not go with it.")
        if not (self.adaptive and self.level):
            raise InputError("an adaptive sweep needs both --adaptive and --level.")
        if part:
            raise InputError("part shares a grid of cells; an adaptive sweep has no grid to share.")
        return experiments.adaptive.AdaptiveConfig(
            sweep, self.level, self.metric, self.half_width, self.delta, self.confidence
        )
