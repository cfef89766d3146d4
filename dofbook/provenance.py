"""What a result was computed with: versions, device, commit. Never part of a result itself."""

import hashlib
import os
import platform
import subprocess
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

SEED_POLICY_VERSION = 1
"""Version of ``dofbook.keys``: it rises when the same seed starts to mean other random draws."""

PACKAGES = ("dofbook", "jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas", "pyarrow")


def versions() -> dict[str, str | None]:
    """List the versions of Python and of the packages that compute and store results.

    A package without metadata (a bare checkout on the path) has None.

    >>> sorted(versions())[:3]
    ['dofbook', 'flax', 'jax']
    """
    from dofbook import __version__

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = __version__ if package == "dofbook" else None
    return found


def devices() -> list[dict[str, str]]:
    """List the devices JAX computes on.

    >>> sorted(devices()[0])
    ['kind', 'platform']
    """
    import jax

    return [{"platform": device.platform, "kind": device.device_kind} for device in jax.devices()]


def commit() -> dict[str, Any] | None:
    """Identify the git commit of the checkout this package lies in.

    "dirty" says whether tracked files differ from it; where the package's do, "edits" digests how.
    None outside a checkout or without git.
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # else git would find a repository the package is not part of
        return None
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    read = partial(subprocess.check_output, text=True, timeout=10, stderr=subprocess.DEVNULL)
    try:
        head = read([*git, "rev-parse", "HEAD"])
        changes = read([*git, "status", "--porcelain", "-uno"])
        edits = changes and read([*git, "diff", "HEAD", "--", "dofbook"])
    except (OSError, subprocess.SubprocessError):
        return None
    found = {"commit": head.strip(), "dirty": bool(changes.strip())}
    return found | ({"edits": hashlib.sha256(edits.encode()).hexdigest()[:16]} if edits else {})


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Collect what results depend on beside their configuration, once per process, as JSON.

    >>> sorted(environment())
    ['devices', 'git', 'seed_policy', 'versions']
    """
    found = {"versions": versions(), "devices": devices(), "git": commit()}
    return found | {"seed_policy": SEED_POLICY_VERSION}


def cores() -> int:
    """Count the CPU cores this process may use: all where processes cannot be pinned."""
    pinned = getattr(os, "sched_getaffinity", None)
    return len(pinned(0)) if pinned else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Describe the machine: system, cores of this process, memory in GiB (None where unknown).

    >>> sorted(machine())
    ['cores', 'memory_gib', 'system']
    """
    try:
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):  # not offered on every system
        memory = None
    return {"system": platform.platform(), "cores": cores(), "memory_gib": memory}
