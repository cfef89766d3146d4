"""``dofbook info``, ``list`` and ``completion``: what is here."""

import json
import sys
from importlib.util import find_spec
from typing import Annotated, Literal

from cyclopts import Parameter

from dofbook.commands.output import check_devices


def info(
    *, data_dir: str | None = None, as_json: Annotated[bool, Parameter(name="--json")] = False
) -> int:
    """Show versions, devices and data sets.

    Args:
        data_dir: Folder of official data files; default: $DOFBOOK_DATA_DIR.
        as_json: For machines.
    """
    facts = _facts(data_dir)
    text = json.dumps(facts, indent=1) if as_json else "\n".join(_fact_lines(facts))
    sys.stdout.write(text + "\n")
    return 0


def _facts(data_dir: str | None) -> dict:
    from dofbook import provenance
    from dofbook.datasets import DATASET_NAMES, locate, prepared

    data = {name: locate(name, data_dir) for name in DATASET_NAMES}
    check_devices()
    absent = [package for module, package in prepared.NEEDED.items() if find_spec(module) is None]
    found = {"machine": provenance.machine(), "data": data, "download_needs": absent}
    return provenance.environment() | found


def _fact_lines(facts: dict):
    for name, version in facts["versions"].items():
        yield f"{name:<12}{version or 'not installed'}"
    for device in facts["devices"]:
        yield f"{'device':<12}{device['platform']}, {device['kind']}"
    for name, value in facts["machine"].items():
        yield f"{name:<12}{value}"
    git = facts["git"]
    dirty = ", with uncommitted changes" if git and git["dirty"] else ""
    yield f"{'commit':<12}{git['commit'] + dirty if git else 'not a checkout'}"
    missing = "would be downloaded"
    if facts["download_needs"]:
        packages = " and ".join(facts["download_needs"])
        missing = f"not here; a sweep needs the official files, or {packages} to download them"
    for name, where in facts["data"].items():
        yield f"{name:<14}{where or missing}"


def show_list(what: Literal["datasets", "networks", "objectives", "methods", "figures"], /) -> int:
    """Name what options take, each with a few words where there are any.

    Args:
        what: Names of what.
    """
    for name, words in _listed(what).items():
        sys.stdout.write(f"{name:<26}{words}".rstrip() + "\n")
    return 0


def _listed(what: str) -> dict[str, str]:
    if what == "methods":
        from dofbook.methods import methods

        return {k: (v.__doc__ or "").partition("\n")[0] for k, v in sorted(methods().items())}
    if what == "figures":
        from dofbook.experiments.paper import PAPER_FIGURES

        return {name: entry["title"] for name, entry in PAPER_FIGURES.items()}
    from dofbook.datasets import DATASET_NAMES
    from dofbook.networks import NETWORK_NAMES
    from dofbook.training.config import OBJECTIVES

    ours = {"datasets": DATASET_NAMES, "networks": NETWORK_NAMES, "objectives": OBJECTIVES}
    return dict.fromkeys(ours[what], "")


def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> int:
    """Print a shell's completion script.

    Args:
        shell: For which.
    """
    from dofbook.commands.app import build_app

    sys.stdout.write(build_app().generate_completion(shell=shell))
    return 0
