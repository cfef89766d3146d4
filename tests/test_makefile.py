"""The first thing a new reader meets: `make venv` and `make help`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess:
    command = ["make", "--directory", str(ROOT), "--no-print-directory", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def fake_python(folder: Path, version: str) -> Path:
    """A stand-in that answers the version check as a Python of that version would."""
    major, minor, _ = version.split(".")
    supported = (3, 11) <= (int(major), int(minor)) <= (3, 13)
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\ncase "$1" in -V) echo Python {version};; -c) exit {int(not supported)};; '
        "*) echo no ensurepip >&2; exit 1;; esac\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["3.10.9", "3.14.0", "2.7.18"])
def test_unsupported_python_gets_one_sentence(tmp_path, version):
    python = fake_python(tmp_path, version)
    result = make("venv", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode != 0
    assert len(errors) == 1
    assert "needs Python 3.11 to 3.13" in errors[0]
    assert f"Python {version}" in errors[0]
    assert not (tmp_path / "venv").exists()


def test_absent_python_gets_one_sentence(tmp_path):
    result = make("venv", "PYTHON=python-that-is-not-there", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert "error: there is no 'python-that-is-not-there' here" in result.stderr


def test_a_shim_without_its_python_gets_one_sentence(tmp_path):
    shim = tmp_path / "python3"
    shim.write_text('#!/bin/sh\necho "pyenv: python3: command not found" >&2\nexit 127\n')
    shim.chmod(0o755)
    result = make("venv", f"PYTHON={shim}", f"VENV={tmp_path}/venv")
    assert result.returncode != 0 and "pyenv: python3" not in result.stderr
    assert f"error: '{shim}' is here but does not run" in result.stderr


def test_python_that_cannot_make_environments_gets_one_sentence(tmp_path):
    python = fake_python(tmp_path, "3.12.3")
    result = make("venv", f"PYTHON={python}", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert "python3-venv" in result.stderr


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    listed = [line.split()[0] for line in make("help").stdout.splitlines()]
    assert sorted(listed) == sorted(targets)


def test_a_commit_is_checked_by_what_lint_runs():
    parts = re.search(r"^lint: (.*) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == [f"make {part}" for part in parts]
    assert {hook["language"] for hook in local["hooks"]} == {"system"}  # nothing is downloaded


def test_continuous_integration_runs_every_check():
    run = (ROOT / ".ci/run").read_text()
    steps = re.findall(r"^step \w+ make (.+)$", run, re.MULTILINE)
    given = [
        "venv",
        "style",
        "types",
        "test ARGS=--durations=20",
        "book",
        "rerun",
        "teaching",
        "browser",
    ]
    assert steps == given


def test_continuous_integration_says_where_the_seconds_went_also_when_it_fails(tmp_path):
    script = (ROOT / ".ci/run").read_text()
    head, steps = script.split("step chromium", 1)
    assert steps.rstrip().endswith('summary "all passed"')
    (tmp_path / ".ci").mkdir()
    path = tmp_path / ".ci" / "run"
    path.write_text(head + 'step one true\nstep two false\nstep three true\nsummary "all passed"\n')
    result = subprocess.run(["bash", path], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    closing = result.stdout.split("=== two failed ===\n")[1]
    pattern = r"one +\d+ s  passed\ntwo +\d+ s  failed\ntotal +\d+ s\n"
    assert re.fullmatch(pattern, closing), closing
