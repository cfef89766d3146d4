"""Builds the book so that nothing broken or stale can pass for a finished one.

    python scripts/build_book.py book                     # the whole book, every warning an error
    python scripts/build_book.py sweeps                   # the sweep notebooks, reduced profile
    python scripts/build_book.py preview book/x.md        # one page while writing it

Jupyter Book alone exits with 0 for a failing cell, for a second build after a failed one, and for
a page that never reached the output; the checks here close those doors.
"""
# ruff: noqa: T201  (a command-line program: its output is its purpose)

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import yaml
from compiling import halve_compilation
from jupyter_cache import get_cache
from sphinx_external_toc.parsing import parse_toc_yaml

from dofbook.errors import InputError
from dofbook.experiments import read_published

SWEEP_TIMEOUT_SECONDS = 3600
BOOK_TIMEOUT_SECONDS = 3600
PAGE_SUFFIXES = (".md", ".ipynb", ".rst")
NOT_CHAPTERS = ("sweeps", "teaching")  # folders of notebooks that the book does not show
HEADING = re.compile(r"^# \S", re.MULTILINE)

# Parts of the package that draw, explain or start sweeps, and that no sweep's number depends on.
NOT_IN_SWEEPS = (
    "__main__.py", "cli.py", "commands", "figures", "geometry", "landscape/hessian.py",
    "notebooks.py", "parameters.py",
)  # fmt: skip


class BuildError(Exception):
    """A build that must not be published; the message is one sentence for the author."""


def toc_pages(source: Path) -> list[str]:
    """Lists the document names of ``_toc.yml``, the first page first."""
    return [str(page) for page in parse_toc_yaml(source / "_toc.yml")]


def page_source(source: Path, page: str) -> Path | None:
    """Finds the source file of a page, or None where there is none."""
    candidates = (source / f"{page}{suffix}" for suffix in PAGE_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def is_notebook(path: Path) -> bool:
    """Tells whether a source file has cells to execute (a notebook, or a header with a kernel)."""
    if path.suffix == ".ipynb":
        return True
    header = path.read_text(encoding="utf-8").split("---", 2)
    if len(header) < 3 or header[0].strip():
        return False
    return "kernelspec" in (yaml.safe_load(header[1]) or {})


def clean(build: Path) -> None:
    """Removes every output of an earlier build: a second build after a failed one returns 0."""
    for name in ("html", "html-failed", ".doctrees", ".jupyter_cache", "jupyter_execute"):
        shutil.rmtree(build / name, ignore_errors=True)


def run_side_by_side(
    jobs: dict[str, list[str]], timeout: float, cwd: Path | None = None, at_once: int | None = None
) -> None:
    """Runs commands, each in its own process group, and kills the groups of all when one fails.

    Args:
        jobs: the noun for error messages, to program and arguments; started in this order.
        timeout: limit of each in seconds.
        cwd: working directory.
        at_once: how many run at the same time, by default one to a core; each has its share of
            the cores to itself.

    Raises:
        BuildError: a command failed, or did not end in time.
    """
    waiting, running = list(jobs.items()), {}
    free = core_shares(at_once or min(len(jobs), usable_cores()))
    try:
        while waiting or running:
            while waiting and free:
                what, command = waiting.pop(0)
                share = free.pop(0)
                running[what] = (start_on(share, command, cwd), share, time.monotonic() + timeout)
            for what, (process, _, end) in list(running.items()):
                code = process.poll()
                if code is None and time.monotonic() > end:
                    raise BuildError(f"{what} did not end within {timeout:.0f} s and was stopped.")
                if code:
                    message = f"{what} failed with exit status {code}; its messages are above."
                    raise BuildError(message)
                if code == 0:
                    free.append(running.pop(what)[1])
            time.sleep(0.1)
    finally:  # one failed, time is up, or Ctrl-C: kernels go with it
        for process, *_ in running.values():
            stop(process)


def usable_cores() -> int:
    """Counts the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def core_shares(number: int) -> list[set[int] | None]:
    """Divides the cores of this machine; None, all of them, where processes cannot be pinned."""
    if number == 1 or not hasattr(os, "sched_setaffinity"):
        return [None] * number
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[i::number]) or set(cores) for i in range(number)]


def start_on(share: set[int] | None, command: list[str], cwd: Path | None) -> subprocess.Popen:
    """Starts a command in a process group of its own, on some of the cores."""
    if share is None:
        return subprocess.Popen(command, cwd=cwd, start_new_session=True)
    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, share)  # inherited by the child; this process takes its own back
    try:
        return subprocess.Popen(command, cwd=cwd, start_new_session=True)
    finally:
        os.sched_setaffinity(0, whole)


def stop(process: subprocess.Popen) -> None:
    """Ends a process group, by force if it does not end within a second."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(1)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def program(name: str) -> str:
    """Finds a command line of this environment."""
    path = shutil.which(name, path=str(Path(sys.executable).parent))
    if path is None:
        raise BuildError(f"{name} is not installed here; run `make venv` first.")
    return path


def execute_pages(source: Path) -> None:
    """Executes the pages side by side into the cache that jupyter-book takes their outputs from.

    A page that fails is left out of the cache: jupyter-book executes it again and reports it.
    """
    cache = source / "_build" / ".jupyter_cache"
    cache.mkdir(parents=True)
    jcache = [program("jcache"), "notebook", "-p", str(cache)]
    pages = [page_source(source, page) for page in toc_pages(source)]
    paths = [str(path) for path in pages if path is not None and is_notebook(path)]
    # The one with a sweep of its own takes longest: last, it would keep one core waiting.
    paths.sort(key=lambda path: Path(path).stem != "your_own_network")
    if not paths:
        return
    timeout = yaml.safe_load((source / "_config.yml").read_text())["execute"]["timeout"]
    add = [*jcache, "add", "--reader", "myst_nb_md", *paths]
    run_side_by_side({"jcache": add}, BOOK_TIMEOUT_SECONDS)
    jobs = {path: [*jcache, "execute", "--timeout", str(timeout), path] for path in paths}
    run_side_by_side(jobs, BOOK_TIMEOUT_SECONDS)


def keep_outputs(build: Path) -> None:
    """Copies outputs from the cache to the notebooks in ``jupyter_execute``; myst-nb does not."""
    cache = get_cache(build / ".jupyter_cache")
    for path in (build / "jupyter_execute").rglob("*.ipynb"):
        notebook = nbformat.read(path, nbformat.NO_CONVERT)
        with contextlib.suppress(KeyError):  # not in the cache: not executed, which verify names
            nbformat.write(cache.merge_match_into_notebook(notebook)[1], path)


def jupyter_book(source: Path, *options: str) -> None:
    """Runs ``jupyter-book build`` of this environment on a source folder."""
    command = [program("jupyter-book"), "build", "-n", "--keep-going", *options, str(source)]
    run_side_by_side({"jupyter-book": command}, BOOK_TIMEOUT_SECONDS)


def failed_cells(notebook: Path) -> list[str]:
    """Describes the cells of an executed notebook that failed or were never executed."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError):
        return ["its executed notebook is cut or damaged"]
    faults = []
    for number, cell in enumerate(cells, 1):
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        errors = [out["ename"] for out in cell["outputs"] if out["output_type"] == "error"]
        if errors and "raises-exception" not in tags:
            faults.append(f"cell {number} raised {errors[0]}")
        elif cell.get("execution_count") is None and "skip-execution" not in tags:
            faults.append(f"cell {number} was not executed")
    return faults


def source_faults(source: Path) -> list[str]:
    """Describes what is wrong before anything is built: pages, published tables."""
    faults, pages = [], set(toc_pages(source))
    for path in sorted((source / "book").rglob("*")):
        name = path.relative_to(source).with_suffix("").as_posix()
        chapter = path.suffix in PAGE_SUFFIXES and path.parent.name not in NOT_CHAPTERS
        if chapter and name not in pages:
            faults.append(f"{path.relative_to(source)} is not in _toc.yml")
    for page in sorted(pages):
        path = page_source(source, page)
        if path is None:
            faults.append(f"{page} has no source file")
        elif path.suffix == ".md" and not HEADING.search(path.read_text(encoding="utf-8")):
            faults.append(f"{page} is empty: it has no heading")
    for path in sorted((source / "results").glob("*.parquet")):
        try:
            read_published(path.stem, path.parent)
        except InputError as error:
            faults.append(str(error).rstrip("."))
    return faults


def refuse(faults: list[str]) -> None:
    if faults:
        raise BuildError(f"The build is not complete: {'; '.join(faults)}.")


def verify(source: Path, build: Path) -> Path:
    """Checks a finished build against ``_toc.yml`` and returns the path of its first page.

    Args:
        source: folder with ``_toc.yml``.
        build: the ``_build`` folder.

    Returns:
        Path of the HTML file of the first page.

    Raises:
        BuildError: a page is missing from the output, or a cell failed or was not executed.
    """
    pages, faults = toc_pages(source), []
    for page in pages:
        path = page_source(source, page)
        if path is None:
            faults.append(f"{page} has no source file")
        elif not (build / "html" / f"{page}.html").is_file():
            faults.append(f"{page} is in _toc.yml but not in the output")
        elif is_notebook(path):
            executed = build / "jupyter_execute" / f"{page}.ipynb"
            if executed.is_file():
                faults += [f"{page}: {fault}" for fault in failed_cells(executed)]
            else:
                faults.append(f"{page} has cells but was not executed")
    faults += [f"failure report {path.name}" for path in build.glob("html/reports/**/*.err.log")]
    refuse(faults)
    return build / "html" / f"{pages[0]}.html"


def build_book(source: Path) -> Path:
    """Builds the whole book from nothing, warnings as errors, and verifies the result.

    A build that fails leaves its pages in ``_build/html-failed``, never in ``_build/html``.
    """
    build = source / "_build"
    clean(build)
    refuse(source_faults(source))
    if (build / "sweeps").exists():
        drop_stale_sweeps(source)
    try:
        execute_pages(source)
        jupyter_book(source, "-W")
        keep_outputs(build)
        return verify(source, build)
    except (BuildError, KeyboardInterrupt):
        if (build / "html").exists():
            (build / "html").rename(build / "html-failed")
        raise


def package_digest(source: Path) -> str:
    """Digest of all that a sweep's numbers depend on: package, sweep notebooks, locked versions."""
    package = source / "dofbook"
    notebooks = (source / "book" / "sweeps").glob("*.md")
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    modules = (
        path
        for path in files
        if not any(path.is_relative_to(package / name) for name in NOT_IN_SWEEPS)
    )
    digest = hashlib.sha256()
    for path in [*sorted([*modules, *notebooks]), source / "requirements.lock"]:
        digest.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def drop_stale_sweeps(source: Path) -> Path:
    """Removes sweep results of another version of the package and returns their folder.

    Those of this version are kept, so that an interrupted sweep goes on where it was.
    """
    folder = source / "_build" / "sweeps"
    stamp, digest = folder / "package.sha256", package_digest(source)
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        stamp.write_text(digest)
    return folder


def run_sweeps(source: Path) -> None:
    """Executes each sweep notebook in a process of its own, on the reduced profile.

    A step on the digits is too small for two cores, so each has one; where cores are fewer, the
    shortest has a share of all, and none is idle while another ends.
    """
    folder = drop_stale_sweeps(source)
    notebooks = sorted((source / "book" / "sweeps").glob("*.md"))
    if not notebooks:
        raise BuildError("There is no sweep notebook in book/sweeps.")
    # The shortest comes last; beside each other the two others compute no cell twice, since lottery
    # subspaces come to the cells that they share with the phase transition when those are stored.
    notebooks.sort(key=lambda path: path.stem == "ntk_linearization")
    jobs = {}
    for path in notebooks:
        out = folder / f"{path.stem}.ipynb"
        command = [program("dofbook"), "run", str(path), "-p", "profile=reduced", "-o", str(out)]
        jobs[f"The sweep {path.name}"] = command
    run_side_by_side(jobs, SWEEP_TIMEOUT_SECONDS, cwd=source, at_once=len(jobs))


def preview(source: Path, page: Path, output: Path) -> Path:
    """Builds one page with the glossary and the references; warnings are shown, not fatal."""
    if not page.is_file():
        raise BuildError(f"There is no page {page}.")
    name = page.resolve().relative_to(source.resolve()).with_suffix("").as_posix()
    others = [extra for extra in ("book/glossary", "book/references") if extra != name]
    toc = {"format": "jb-book", "root": name, "chapters": [{"file": extra} for extra in others]}
    clean(output / "_build")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "_toc.yml"
        path.write_text(yaml.safe_dump(toc))
        jupyter_book(source, "--toc", str(path), "--path-output", str(output))
    return output / "_build" / "html" / f"{name}.html"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["book", "sweeps", "preview"])
    parser.add_argument("page", nargs="?", type=Path, help="preview: the page's source file")
    parser.add_argument("--source", type=Path, default=Path.cwd(), help="folder of _toc.yml")
    parser.add_argument("--output", type=Path, default=Path("_build/preview"), help="preview only")
    options = parser.parse_args(arguments)
    source = options.source.resolve()
    halve_compilation()
    try:
        if options.task == "sweeps":
            run_sweeps(source)
        elif options.task == "book":
            print(f"The book's first page: {build_book(source)}")
        elif options.page is None:
            parser.error("preview needs the path of a page")
        else:
            print(f"The page: {preview(source, options.page, options.output.resolve())}")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
