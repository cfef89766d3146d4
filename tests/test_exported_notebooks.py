"""Exported notebooks: what they hold, and that each runs where nothing of the book is at hand.

The environment they run in has what `dofbook[notebook]` requires and a kernel, and no more: links
to the distributions installed here, beside a wheel built from this checkout.
"""

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from dofbook.notebooks import run_chapter

ROOT = Path(__file__).parents[1]
EXPORTED = ROOT / "_build" / "notebooks" / "book"
SMALL = {
    "beyond_geometry": {"seeds": "2"},
    "gaussian_width": {"D": "60", "samples": "50"},
    "lottery": {"delta": "0.2"},
    "ntk_linearization": {
        "grid": "3", "lanczos_steps": "21", "small_images": "20", "gaussians": "2", "chains": "2",
    },
    "phase_transition": {"delta": "0.2"},
    "quadratic_well": {
        "D": "60", "runs": "20", "samples": "20", "burn_in_D": "40", "tomography_D": "2000",
        "replicates": "16",
    },
    "your_own_network": {"delta": "0.2"},
}  # fmt: skip
"""Other parameters than the book's, by chapter, where it has any that make it no slower.

Sweeps keep their size: their cells are read from the store that the book's build has filled.
"""


def requirements_of(found: PathDistribution, extras: set[str]) -> list[Requirement]:
    """List what a distribution needs here, with these extras."""
    needed = [Requirement(text) for text in found.requires or ()]
    choices = [{"extra": extra} for extra in {"", *extras}]
    return [r for r in needed if not r.marker or any(map(r.marker.evaluate, choices))]


def link_distributions(needed: list[Requirement], site: Path) -> None:
    """Link distributions installed here, and what they need, into a folder for packages."""
    seen = set()
    while needed:
        requirement = needed.pop()
        key = (requirement.name.lower().replace("_", "-"), *sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(requirement.name)
        needed += requirements_of(found, requirement.extras)
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Build the package as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_tables_examples_and_ledger_travel_with_the_package_and_cells_do_not(wheel):
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if name.startswith("dofbook/carried/")}
        tables = [*ROOT.glob("results/*.parquet"), *ROOT.glob("results/*.provenance.json")]
        for path in [*tables, ROOT / "book/examples/patches.py", ROOT / "book/ledger/evidence.py"]:
            name = f"dofbook/carried/{path.relative_to(ROOT).as_posix()}"
            assert archive.read(name) == path.read_bytes()
    assert not any("/cells/" in name for name in there)
    assert wheel.stat().st_size < 4_000_000  # what a notebook installs stays small


@pytest.fixture(scope="session")
def elsewhere(wheel, tmp_path_factory):
    """Make the environment, and have kernels start in it; the book's sweeps are not run again."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv")
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (own,) = site.glob("dofbook-*.dist-info")
    needed = requirements_of(PathDistribution(own), {"notebook"})
    link_distributions([*needed, Requirement("ipykernel")], site)
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    python = str(folder / "venv" / "bin" / "python")
    start = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "elsewhere", "env": {"PYTHONPATH": ""}}
    kernel.write_text(json.dumps(spec))
    store = ROOT / "_build" / "sweeps" / "store"
    if store.is_dir():
        shutil.copytree(store, folder / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield folder


@pytest.mark.notebooks
@pytest.mark.parametrize("name", sorted(path.stem for path in EXPORTED.glob("*.ipynb")))
def test_an_exported_notebook_runs_from_an_empty_folder(name, elsewhere, tmp_path):
    chapter = tmp_path / f"{name}.ipynb"
    chapter.write_bytes((EXPORTED / chapter.name).read_bytes())
    small = dict(SMALL.get(name, {}))
    if any('"store"' in cell.source for cell in nbformat.read(chapter, 4).cells):
        small["store"] = str(elsewhere / "store")
    run_chapter(chapter, tmp_path / "out.ipynb", small)
    first = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0]
    assert " computes on: " in first.outputs[0].text
    assert {path.name for path in tmp_path.iterdir()} <= {chapter.name, "out.ipynb", "store"}
