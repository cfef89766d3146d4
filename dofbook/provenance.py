"""What a result was computed with: versions, device, commit. Never part of a result itself."""

import os
import platform
import subprocess
from functools import lru_cache
from importlib import metadata
from pathlib import Path

SEED_POLICY_VERSION = 1
"""Version of ``dofbook.keys``: it rises when the same seed starts to mean other random draws."""

PACKAGES = ("dofbook", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas", "pyarrow")


def versions() -> dict[str, str | None]:
    """List the versions of Python and of the packages that compute and store results.

    Returns:
        Name to version; None where a package has no metadata (a bare checkout on the path).
    """
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    if found["dofbook"] is None:
        from dofbook import __version__

        found["dofbook"] = __version__
    return found


def devices() -> list[dict[str, str]]:
    """List the devices JAX computes on.

    Returns:
        Platform and kind of each device.
    """
    import jax

    return [{"platform": device.platform, "kind": device.device_kind} for device in jax.devices()]


def commit() -> dict[str, object] | None:
    """Identify the git commit of the checkout this package lies in.

    Returns:
        ``{"commit": hash, "dirty": whether tracked files differ}``; None outside a checkout or
        without git.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # else git would find a repository the package is not part of
        return None
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    try:
        head, changes = (
            subprocess.run(
                [*git, *arguments], capture_output=True, text=True, check=True, timeout=10
            ).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": head.strip(), "dirty": bool(changes.strip())}


@lru_cache(maxsize=1)
def environment() -> dict[str, object]:
    """Collect what results depend on beside their configuration, once per process.

    Returns:
        Versions, devices, git commit and seed policy, ready for JSON.
    """
    return {
        "versions": versions(),
        "devices": devices(),
        "git": commit(),
        "seed_policy": SEED_POLICY_VERSION,
    }


def cores() -> int:
    """Count the CPU cores that this process may use.

    Returns:
        Those it is pinned to, or all of the machine where processes cannot be pinned.
    """
    pinned = getattr(os, "sched_getaffinity", None)
    return len(pinned(0)) if pinned else os.cpu_count() or 1


def machine() -> dict[str, object]:
    """Describe the machine for ``dofbook info``.

    Returns:
        System, processor cores this process may use, and memory in GiB (None where unknown).
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):  # not offered on every system
        memory = None
    return {
        "system": platform.platform(),
        "cores": cores(),
        "memory_gib": None if memory is None else round(memory, 1),
    }
