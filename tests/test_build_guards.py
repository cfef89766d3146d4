"""The ways a broken or stale book could pass for a finished one, each tried on a small book.

The small book has our own ``_config.yml``, extension and vendored files, and pages of its own.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "build_book.py"
HEADER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst, format_version: 0.13}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
TAGGED = r"""
$$
\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{3.4}
$$
"""


def cell(code: str) -> str:
    return f"```{{code-cell}} ipython3\n{code}\n```\n"


CHAPTER = (
    HEADER
    + "# One\n\n"
    + cell(':tags: [parameters]\n\nruns: int = 2\nstore: str = "../_build/sweeps/store"')
    + "\n(there)=\n## Two runs\n\n"
    + cell("from dofbook.notebooks import quote\nquote({'runs': runs})\nprint('done')")
    + r"""
There are {glue:text}`runs` runs on $\R$; see {prf:ref}`sure`, {ref}`there` and {doc}`two`.

```{prf:theorem} Sure
:label: sure

$$
\begin{aligned} a &= b \\ c &= d \end{aligned} \tag{3.4}
$$
```

```{exercise} (warm-up) Count $n$
:label: count

How many?
```

````{solution-start} count
:class: dropdown
````

Two, as checked:

"""
    + cell("assert 1 + 1 == 2")
    + """
````{solution-end}
````

The end
: is a term.
"""
)


def load(path: Path):
    """Imports a script that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build_book():
    return load(SCRIPT)


def lay_out(folder: Path, **pages: str) -> Path:
    """Writes a book with our configuration: pages and the _toc.yml."""
    for name in ("_config.yml", "_ext", "_vendor"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "book").mkdir()
    for path in [*(ROOT / "book").glob("*.bib"), ROOT / "book" / "_static"]:
        (folder / "book" / path.name).symlink_to(path)
    for name, text in pages.items():
        (folder / "book" / f"{name}.md").write_text(text)
    first, *others = pages
    toc = [f"format: jb-book\nroot: book/{first}\n"]
    toc += ["chapters:\n"] * bool(others) + [f"  - file: book/{name}\n" for name in others]
    (folder / "_toc.yml").write_text("".join(toc))
    return folder


@pytest.fixture
def book(tmp_path):
    return partial(lay_out, tmp_path)


@pytest.fixture
def build(build_book, capfd, monkeypatch):
    """Gives a function that builds a book; it returns the exit status, what is printed, errors."""
    monkeypatch.setattr(build_book, "halve_compilation", lambda: None)  # conftest has done it

    def run(source: Path) -> tuple[int, str, str]:
        return build_book.main(["book", "--source", str(source)]), *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A good book, built by the script as `make book` calls it; and what that printed."""
    # One page reads a value from outside the notebook, as chapters read the package.
    reading = cell("from pathlib import Path\nprint(Path('value').read_text())")
    two = f"# Two\n\n$\\E x \\in \\R$, see [](one.md).\n\n{TAGGED}"
    source = lay_out(tmp_path_factory.mktemp("built"), one=f"{CHAPTER}\n{reading}", two=two)
    (source / "book" / "value").write_text("before the edit")
    command = [sys.executable, str(SCRIPT), "book", "--source", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return source, done.stdout


def test_good_book_builds_prints_its_first_page_and_shows_no_stale_output(built, build):
    source, out = built
    first = source / "_build" / "html" / "book" / "one.html"
    assert out.split("The book's first page: ")[1].strip() == str(first)
    assert "<span></span>before the edit" in first.read_text()
    (source / "book" / "value").write_text("after the edit")
    code, out, err = build(source)
    assert code == 0, out + err
    assert out.split("The book's first page: ")[1].strip() == str(first)
    page = first.read_text()
    assert "<span></span>after the edit" in page
    assert "thebe.js" not in page
    assert "/blob/notebooks/book/one.ipynb" in page
    assert "/dofbook/notebooks?urlpath=lab/tree/book/one.ipynb" in page
    for service in ("colab.research.google.com", "mybinder.org"):
        assert "/main" not in page.split(service)[1][:200].split('"')[0]
    assert (first.parent / "../mathjax/tex-svg-full.js").is_file()
    two = (first.parent / "two.html").read_text()
    assert r"\begin{equation*}" in two
    assert r"\begin{split}" not in two


def test_failing_cell_fails_the_build_twice(book, build):
    source = book(one=HEADER + "# One\n\n" + cell("raise ValueError('no such luck')"))
    # After a failed build, jupyter-book alone reports success on the second try.
    for _ in range(2):
        code, out, err = build(source)
        assert code == 1
        assert "no such luck" in out + err
        assert not (source / "_build" / "html").exists()
        assert err.splitlines()[-1].startswith("error: ")


def test_unresolved_reference_fails_the_build(book, build):
    code, _, err = build(book(one="# One\n\nSee {ref}`nowhere` and {cite}`nobody1900`.\n"))
    assert code == 1
    assert "nowhere" in err
    assert "nobody1900" in err


def test_page_without_source_fails_the_build(book, build):
    source = book(one="# One\n", two="# Two\n")
    (source / "book" / "two.md").unlink()
    code, _, err = build(source)
    assert code == 1
    assert "book/two" in err


def test_page_that_the_configuration_excludes_fails_the_build(book, build):
    source = book(one="# One\n", two="# Two\n")
    (source / "tests").mkdir()
    (source / "book" / "two.md").rename(source / "tests" / "two.md")
    toc = source / "_toc.yml"
    toc.write_text(toc.read_text().replace("book/two", "tests/two"))
    code, _, err = build(source)
    assert code == 1
    assert "tests/two" in err


def finished(source: Path, *cells: dict) -> Path:
    """Lays out by hand what a build of one notebook page leaves behind."""
    html = source / "_build" / "html" / "book" / "one.html"
    executed = source / "_build" / "jupyter_execute" / "book" / "one.ipynb"
    for path, text in ((html, "<html>"), (executed, json.dumps({"cells": cells}))):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return html


def code(count=1, outputs=(), tags=(), source="x = 1") -> dict:
    return {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": list(outputs),
        "metadata": {"tags": list(tags)},
    }


ERROR = {"output_type": "error", "ename": "ValueError"}


def test_verify_accepts_a_complete_build(build_book, book):
    source = book(one=HEADER + "# One\n")
    cells = [code(), code(count=None, source=" "), code(outputs=[ERROR], tags=["raises-exception"])]
    html = finished(source, *cells)
    assert build_book.verify(source, source / "_build") == html


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([code(), code(outputs=[ERROR])], "cell 2 raised ValueError"),
        ([code(count=None)], "cell 1 was not executed"),
    ],
)
def test_verify_names_the_bad_cell(build_book, book, cells, fault):
    source = book(one=HEADER + "# One\n")
    finished(source, *cells)
    with pytest.raises(build_book.BuildError, match=f"book/one: {fault}"):
        build_book.verify(source, source / "_build")


def test_verify_names_a_page_missing_from_the_output(build_book, book):
    source = book(one=HEADER + "# One\n")
    finished(source).unlink()
    with pytest.raises(build_book.BuildError, match="book/one is in _toc.yml but not in the out"):
        build_book.verify(source, source / "_build")


def test_verify_names_a_page_that_was_not_executed(build_book, book):
    source = book(one=HEADER + "# One\n")
    finished(source)
    shutil.rmtree(source / "_build" / "jupyter_execute")
    with pytest.raises(build_book.BuildError, match="book/one has cells but was not executed"):
        build_book.verify(source, source / "_build")


@pytest.mark.parametrize("text", ["", '{"cells": [{"cell_type": "co', "[]"])
def test_verify_names_a_cut_notebook(build_book, book, text):
    source = book(one=HEADER + "# One\n")
    finished(source)
    (source / "_build" / "jupyter_execute" / "book" / "one.ipynb").write_text(text)
    with pytest.raises(build_book.BuildError, match="one: its executed notebook is cut or damaged"):
        build_book.verify(source, source / "_build")


def test_a_page_dropped_from_the_contents_and_an_empty_one_are_named(build_book, book):
    source = book(one="# One\n", two="", three="\n\nno heading\n")
    (source / "book" / "forgotten.md").write_text("# Forgotten\n")
    for folder in ("sweeps", "teaching"):
        (source / "book" / folder).mkdir()
        (source / "book" / folder / "s.md").write_text("# No page\n")
    with pytest.raises(build_book.BuildError) as caught:
        build_book.build_book(source)
    for fault in ("book/forgotten.md is not in _toc.yml", "book/two is empty", "book/three is em"):
        assert fault in str(caught.value)
    assert "book/one" not in str(caught.value) and "s.md" not in str(caught.value)


def test_a_published_table_without_its_provenance_or_changed_is_named(build_book, book):
    source = book(one="# One\n")
    (source / "results").mkdir()
    for end in ("parquet", "provenance.json"):
        shutil.copy(ROOT / "results" / f"spectra_mnist_conv2.{end}", source / "results")
    assert build_book.source_faults(source) == []
    table = source / "results" / "spectra_mnist_conv2.parquet"
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    assert "spectra_mnist_conv2" in build_book.source_faults(source)[0]
    shutil.copy(ROOT / "results" / table.name, table)
    (source / "results" / "spectra_mnist_conv2.provenance.json").unlink()
    with pytest.raises(build_book.BuildError, match="spectra_mnist_conv2.provenance.json cannot"):
        build_book.build_book(source)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_that_hangs_is_stopped(build_book):
    with pytest.raises(build_book.BuildError, match="The sweep did not end within 0 s"):
        build_book.run_side_by_side({"The sweep": python("import time; time.sleep(60)")}, 0.3)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be pinned here")
def test_commands_side_by_side_share_the_cores_and_leave_ours_alone(build_book, tmp_path):
    cores = os.sched_getaffinity(0)
    # Each waits until the other has written too: one after the other, they would never end.
    code = (
        "import os, sys, time, pathlib; here = pathlib.Path(sys.argv[1])\n"
        "text = ' '.join(map(str, os.sched_getaffinity(0)))\n"
        "here.write_text(text)\n"
        "while len(list(here.parent.glob('*.txt'))) < 2: time.sleep(0.01)"
    )
    jobs = {name: [*python(code), str(tmp_path / f"{name}.txt")] for name in "ab"}
    build_book.run_side_by_side(jobs, 60, at_once=2)
    first, second = ({*map(int, path.read_text().split())} for path in tmp_path.glob("*.txt"))
    assert first | second == cores
    assert not first & second or len(cores) == 1
    assert os.sched_getaffinity(0) == cores


def test_a_failing_command_stops_those_beside_it_and_those_after_it(build_book, tmp_path):
    beside = tmp_path / "beside"
    jobs = {
        "The slow one": python(f"import time; time.sleep(60); open({str(beside)!r}, 'w')"),
        "The bad one": python("raise SystemExit(3)"),
        "The next one": python(f"open({str(tmp_path / 'after')!r}, 'w')"),
    }
    start = time.monotonic()
    with pytest.raises(build_book.BuildError, match="The bad one failed with exit status 3"):
        build_book.run_side_by_side(jobs, 50, at_once=2)
    assert time.monotonic() - start < 50  # the slow one was not waited for
    assert not list(tmp_path.iterdir())


def test_sweep_results_of_another_package_version_are_dropped(build_book, tmp_path):
    for name in ("dofbook/figures", "book/sweeps"):
        (tmp_path / name).mkdir(parents=True)
    names = ("requirements.lock", "book/sweeps/s.md", "dofbook/a.py", "dofbook/sizes.json",
             "dofbook/figures/style.py")  # fmt: skip
    lock, notebook, module, table, drawing = (tmp_path / name for name in names)
    for path in (lock, notebook, module, table, drawing):
        path.write_text("x = 1")
    folder = build_book.drop_stale_sweeps(tmp_path)
    result = folder / "store" / "result"
    for edited, kept in (
        (None, True),
        (drawing, True),
        (lock, False),
        (notebook, False),
        (module, False),
        (table, False),
    ):
        result.parent.mkdir(exist_ok=True)
        result.touch()
        if edited:
            edited.write_text("x = 2")
        assert build_book.drop_stale_sweeps(tmp_path) == folder
        assert result.exists() == kept, edited


def test_what_sweeps_do_not_depend_on_is_never_imported_by_what_they_do(build_book):
    package = ROOT / "dofbook"
    outside = [name.removesuffix(".py").replace("/", ".") for name in build_book.NOT_IN_SWEEPS]
    assert all((package / name).exists() for name in build_book.NOT_IN_SWEEPS)
    named = "|".join(map(re.escape, outside))
    pattern = re.compile(rf"^\s*(from|import) dofbook(\.| import )({named})\b", re.MULTILINE)
    for path in package.rglob("*.py"):
        parts = [package / name for name in build_book.NOT_IN_SWEEPS]
        face = path == package / "__init__.py"  # loads its names when they are used
        if not face and not any(path.is_relative_to(part) for part in parts):
            assert not pattern.search(path.read_text()), path


def test_absent_sweep_notebooks_are_an_error(build_book, tmp_path):
    (tmp_path / "requirements.lock").touch()
    with pytest.raises(build_book.BuildError, match="no sweep notebook"):
        build_book.run_sweeps(tmp_path)


def test_a_page_becomes_a_notebook_that_needs_nothing_of_the_book(built, tmp_path):
    source, _ = built
    script = str(SCRIPT.with_name("export_notebooks.py"))
    command = [sys.executable, script, str(tmp_path / "out"), "--source", str(source)]
    subprocess.run(command, check=True, timeout=120)
    assert [path.name for path in (tmp_path / "out").rglob("*.ipynb")] == ["one.ipynb"]
    cells = nbformat.read(tmp_path / "out" / "book" / "one.ipynb", as_version=4).cells
    code = [each for each in cells if each.cell_type == "code"]
    install = (tmp_path / "out" / "requirements.txt").read_text().splitlines()[0]
    assert install.startswith("dofbook[notebook] @ git+https://") and install in code[0].source
    assert code[1].source == 'runs: int = 2\nstore: str = "store"' and code[1].metadata.tags == [
        "parameters"
    ]
    assert [output.text for output in code[2].outputs] == ["done\n"]
    text = [each.source for each in cells if each.cell_type == "markdown"]
    web = "https://dofbook.github.io/dofbook/book"
    assert r"\newcommand{\R}{\mathbb{R}}" in text[0] and f"<{web}/one.html>" in text[0]
    assert r"There are 2 runs on $\R$; see [Theorem 1]" in text[2]
    assert f"[Two runs]({web}/one.html#there) and [Two]({web}/two.html)." in text[2]
    assert "**Theorem 1 (Sure)**" in text[2] and "$$\n\\begin{aligned} a &= b" in text[2]
    assert "**Exercise 1 (warm-up): Count $n$**" in text[2]
    title = "<details>\n<summary>Solution to Exercise 1 (warm-up): Count $n$</summary>"
    assert f"{title}\n\nTwo, as checked:\n\n</details>" in text[2]
    assert text[3] == "The end\n\nis a term."
    assert not any(mark in "".join(text) for mark in ("{glue", "{prf", "```{", "\0"))
