"""``dofbook sweep --adaptive``: search the thresholds instead of running a grid."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclopts import Group, Parameter

from dofbook import experiments
from dofbook.commands.options import Real, Reals
from dofbook.commands.output import Output
from dofbook.errors import InputError
from dofbook.experiments.config import SweepConfig
from dofbook.experiments.index import other_commits, read_headers

if TYPE_CHECKING:
    from dofbook.experiments.adaptive import AdaptiveConfig, LevelResult
    from dofbook.experiments.store import Store

FLAT = Parameter(name="*", group=Group("Adaptive sweeps", sort_key=101))


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
            raise InputError(
                "a figure's cells are fixed; --adaptive and --level do not go with it."
            )
        if not (self.adaptive and self.level):
            raise InputError("an adaptive sweep needs both --adaptive and --level.")
        if part:
            raise InputError("part shares a grid of cells; an adaptive sweep has no grid to share.")
        return experiments.adaptive.AdaptiveConfig(
            sweep, self.level, self.metric, self.half_width, self.delta, self.confidence
        )


def run_adaptively(wanted: "AdaptiveConfig", store: "Store", out: Output, keywords: dict) -> None:
    """Search the thresholds of every burn-in time."""
    cells = wanted.cells()
    experiments.executors.check_cells(cells, [], keywords["data_dir"])
    headers, _ = read_headers(store, [cell.name for cell in cells])
    if sentence := other_commits(headers.values()):
        out.complain(sentence)
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
