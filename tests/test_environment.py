"""pyproject.toml, requirements.lock and environment.yml describe one environment."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import dofbook

ROOT = Path(__file__).parents[1]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = CONFIGURATION["project"]
CONTRACTS = CONFIGURATION["tool"]["importlinter"]["contracts"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKED_EXTRAS = ("book", "dev", "distributed")
PYTHONS = ("3.11", "3.12", "3.13")


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Reads the lock as (requirement, hashes) pairs."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    entries = []
    for line in text.replace("\\\n", " ").splitlines():
        requirement, *hashes = line.split(" --hash=")
        entries.append((Requirement(requirement), [digest.strip() for digest in hashes]))
    return entries


ENTRIES = lock_entries()


def environment(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def locked_versions(name: str, python: str) -> list[Version]:
    """Versions that the lock installs for a package on one Python."""
    return [
        Version(next(iter(entry.specifier)).version)
        for entry, _ in ENTRIES
        if canonicalize_name(entry.name) == canonicalize_name(name)
        and (entry.marker is None or entry.marker.evaluate(environment(python)))
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_locked_once_and_inside_its_range(python):
    wanted = PROJECT["dependencies"] + sum((EXTRAS[extra] for extra in LOCKED_EXTRAS), [])
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate(environment(python)):
            continue
        versions = locked_versions(requirement.name, python)
        assert len(versions) == 1, f"{requirement.name} is locked {len(versions)} times"
        assert versions[0] in requirement.specifier, f"{text} is locked as {versions[0]}"


def test_build_backend_is_locked():
    # `make venv` builds the editable install without network, from the locked packages.
    for requirement in map(Requirement, CONFIGURATION["build-system"]["requires"]):
        (version,) = locked_versions(requirement.name, "3.11")
        assert version in requirement.specifier


def test_lock_pins_exact_versions_with_hashes():
    assert len(ENTRIES) > 50
    for entry, hashes in ENTRIES:
        (specifier,) = entry.specifier
        assert specifier.operator == "=="
        assert hashes, f"{entry.name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)


def test_lock_names_no_host_and_no_path():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|file:|--index-url|--find-links|--extra-index-url| @ ", text)


def test_locked_packages_leave_out_what_the_book_must_not_have():
    # With ipywidgets present, tqdm.auto would write widgets that ask a CDN for scripts.
    names = {canonicalize_name(entry.name) for entry, _ in ENTRIES}
    assert not names & {"ipywidgets", "tensorflow", "tensorflow-cpu", "torch"}


def test_optional_extras_are_described():
    assert {"gpu", "distributed", "dev", "book"} <= set(EXTRAS)


def test_conda_environment_matches():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [entry for entry in conda["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict)]
    (python,) = [entry.split("=")[1] for entry in plain if entry.startswith("python=")]
    assert Version(python) in SpecifierSet(PROJECT["requires-python"])
    assert conda["name"] == PROJECT["name"]
    assert "pip" in plain
    (editable,) = pip
    match = re.fullmatch(r"-e \.\[([a-z,]+)\]", editable)
    assert match, editable
    assert set(match[1].split(",")) <= set(EXTRAS)
    assert "book" in match[1].split(",")


def test_supported_pythons_agree():
    classifiers = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert classifiers == list(PYTHONS)
    outside = SpecifierSet(PROJECT["requires-python"])
    assert "3.10" not in outside and "3.14" not in outside
    makefile = (ROOT / "Makefile").read_text()
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in makefile


def test_the_version_stands_in_one_place():
    # The build reads the package's line; whoever cites the book gets the same number.
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    assert CONFIGURATION["tool"]["hatch"]["version"]["path"] == "dofbook/__init__.py"
    (version,) = re.findall(
        r'^__version__ = "(.*)"$', (ROOT / "dofbook/__init__.py").read_text(), re.MULTILINE
    )
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version == dofbook.__version__
    assert str(Version(version)) == version


def test_every_module_has_its_place_in_the_layers():
    (layers,) = [c for c in CONTRACTS if c["type"] == "layers"]
    assert layers["exhaustive"]  # a module in no layer breaks the contract
    listed = [name for layer in layers["layers"] for name in re.split(" [:|] ", layer)]
    modules = {path.stem for path in (ROOT / "dofbook").glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in (ROOT / "dofbook").glob("*/__init__.py")}
    assert sorted(listed) == sorted(modules | folders)


@pytest.mark.parametrize("alone", ["geometry", "success"])
def test_what_stands_alone_may_use_only_errors_and_checks(alone):
    (contract,) = [c for c in CONTRACTS if c["id"] == alone]
    (layers,) = [c for c in CONTRACTS if c["type"] == "layers"]
    names = {name for layer in layers["layers"] for name in re.split(" [:|] ", layer)}
    allowed = {alone, "errors", "checks", "__main__"}
    assert contract["source_modules"] == [f"dofbook.{alone}"]
    assert set(contract["forbidden_modules"]) == {f"dofbook.{name}" for name in names - allowed}


def jobs() -> dict:
    return yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]


def test_actions_are_pinned_by_commit():
    # A tag can be moved to other code; a commit cannot. The version stands beside it for people.
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    used = re.findall(r"uses: (.*)", text)
    assert len(used) == len([s for job in jobs().values() for s in job["steps"] if "uses" in s])
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


def test_each_publishing_job_has_one_task_and_its_permissions_only():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    writing = {name: job["permissions"] for name, job in jobs().items() if "permissions" in job}
    assert writing == {
        "publish-pages": {"pages": "write", "id-token": "write"},
        "publish-notebooks": {"contents": "write"},
    }
    for name in writing:
        assert (
            jobs()[name]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
        )
        assert set(jobs()[name]["needs"]) == {"test", "book"}
        # code of the repository, and of what it installs, never sees the token that may write
        assert not [s for s in jobs()[name]["steps"] if "checkout" in s.get("uses", "")]
    for name in jobs().keys() - writing.keys():
        (checkout,) = [s for s in jobs()[name]["steps"] if "checkout" in s.get("uses", "")]
        assert checkout["with"]["persist-credentials"] is False
