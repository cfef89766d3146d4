"""``dofbook verify``: run a sample of stored runs again and compare."""

import argparse
import math

from dofbook.commands.arguments import make_batching
from dofbook.commands.output import Output, duration
from dofbook.commands.status import existing_store, place
from dofbook.errors import InputError
from dofbook.experiments import events, verification
from dofbook.experiments.config import SweepConfig

EXIT_FAILED = 1


def verify(args: argparse.Namespace, config: SweepConfig | None) -> int:
    """Run a sample of stored runs again and compare.

    Args:
        args: The parsed arguments.
        config: The sweep; None for everything in the store.

    Returns:
        The exit code: 1 if a run differs by more than this machine explains.
    """
    store, out = existing_store(args), Output(args.json)
    names = store.names()
    if config:
        wanted = {cell.name for cell in config.cells()}
        names = [name for name in names if name in wanted]
    if args.seed < 0:
        raise InputError(f"seed is {args.seed}; it must be at least 0.")
    sample = verification.draw_sample(names, args.sample, args.seed)
    failed = 0
    for check in verification.verify(store, sample, args.seed, args.data_dir, make_batching(args)):
        failed += not check.passed
        verdict = check.state if check.passed or check.state == "different" else "not identical"
        out.say(
            f"{check.cell.name} (t = {place(check.cell)[3]}, d = {place(check.cell)[4]}, seed "
            f"{check.seed}): {verdict}; losses differ by {check.loss_difference:.1e}, "
            f"accuracies by {check.accuracy_difference:.1e}, {duration(check.seconds)}."
        )
        out.event(_check_event(check))
    out.say(f"{len(sample)} of {len(names)} cells were checked, {failed} failed.")
    return EXIT_FAILED if failed else 0


def _check_event(check) -> dict:
    return {
        "event": "verify",
        **events.describe(check.cell),
        "seed": check.seed,
        "state": check.state,
        "bits_expected": check.bits_expected,
        "passed": check.passed,
        "loss_difference": _finite(check.loss_difference),
        "accuracy_difference": _finite(check.accuracy_difference),
        "seconds": check.seconds,
    }


def _finite(number: float) -> float | None:
    """Replace infinity, which JSON does not know."""
    return number if math.isfinite(number) else None
