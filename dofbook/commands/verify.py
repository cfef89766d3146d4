"""``dofbook verify``: run a sample of stored runs again and compare."""

import math
from pathlib import Path
from typing import Any

from dofbook import experiments
from dofbook.cli import EXIT_FAILED
from dofbook.commands.describing import described, describes_sweep
from dofbook.commands.options import Place, Whole
from dofbook.commands.output import Output, duration
from dofbook.commands.running import Batched
from dofbook.commands.status import existing_store, place
from dofbook.errors import InputError

_TOLD = (
    "seed", "state", "bits_expected", "passed", "loss_difference", "accuracy_difference", "seconds"
)  # fmt: skip


@describes_sweep
def verify_command(
    *,
    chosen: Any = None,
    store: Place = Path("store"),
    sample: Whole = 3,
    seed: Whole = 0,
    out: Output = Output(),  # noqa: B008  (frozen)
    batched: Batched = Batched(),  # noqa: B008
) -> int:
    """Run a sample of runs again; the exit code is 1 if one differs more than machines explain.

    Args:
        store: Folder of the cells.
        sample: Cells.
        seed: Of the sample.
    """
    config, found = described(chosen), existing_store(store)
    wanted = {cell.name for cell in config.cells()} if config else None
    names = [name for name in found.names() if wanted is None or name in wanted]
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be at least 0.")
    verification, failed = experiments.verification, 0
    drawn = verification.draw_sample(names, sample, seed)
    for check in verification.verify(found, drawn, seed, batched.data_dir, batched.make_batching()):
        failed += not check.passed
        verdict = check.state if check.passed or check.state == "different" else "not identical"
        *_, t, d = place(check.cell)
        out.say(
            f"{check.cell.name} (t = {t}, d = {d}, seed {check.seed}): {verdict}; losses differ by "
            f"{check.loss_difference:.1e}, accuracies by {check.accuracy_difference:.1e}, "
            f"{duration(check.seconds)}."
        )
        values = {name: getattr(check, name) for name in _TOLD}
        finite = {name: None if x == math.inf else x for name, x in values.items()}  # for JSON
        out.event({"event": "verify", **check.cell.labels(), **finite})
    out.say(f"{len(drawn)} of {len(names)} cells were checked, {failed} failed.")
    return EXIT_FAILED if failed else 0
