"""Chapters run with other parameters: checked before anything runs, kept whole or marked failed."""

import ast
import os
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, strategies as st

from dofbook import cli
from dofbook.errors import InputError
from dofbook.notebooks import JupytextHandler, prepare_chapter, quote, read_chapter
from dofbook.parameters import check_parameters, declared_parameters, typed

CHAPTER = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst, format_version: 0.13}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A chapter

```{code-cell} ipython3
:tags: [parameters]

runs = 3           # seeds
rate = 5e-2
dataset = "digits"
nested = False
dims = (1, 2, 4)
rates = [0.1]
options = {"a": 1}
train_size = None
derived = runs * 2
```

```{code-cell} ipython3
from pathlib import Path

found = [runs, rate, dataset, nested, dims, rates, options, train_size, derived]
if dataset == "fail":
    raise LookupError("as asked")
if dataset == "sleep":
    import time

    time.sleep(60)
if dataset == "die":
    import os

    os._exit(1)
print(found)
print(Path("beside.txt").read_text())
```
"""


@pytest.fixture
def chapter(tmp_path) -> Path:
    path = tmp_path / "book" / "chapter.md"
    path.parent.mkdir()
    path.write_text(CHAPTER)
    (path.parent / "beside.txt").write_text("read from the chapter's folder")
    return path


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dofbook", "run", *map(str, arguments)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120
    )


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """Give a function that runs the command in this process; the kernel is always another."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        with warnings.catch_warnings(action="ignore"):
            code = cli.main(["run", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def printed(path: Path) -> list[str]:
    cells = nbformat.read(path, as_version=4).cells
    text = "".join(o.text for c in cells for o in c.get("outputs", []) if o.get("name") == "stdout")
    return text.splitlines()


def test_parameters_reach_the_chapter_with_their_types(chapter, tmp_path):
    given = {
        "runs": "5", "rate": "1", "dataset": 'it\'s "x"', "nested": "true", "dims": "8,16",
        "rates": "[1, 2.5]", "options": "{'b': (1, 2)}", "train_size": "200",
    }  # fmt: skip
    flags = [part for name, value in given.items() for part in ("-p", f"{name}={value}")]
    done = run("book/chapter.md", *flags, "-o", "new/folder/out.ipynb", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "new/folder/out.ipynb\n"
    assert "IPKernelApp" not in done.stderr
    out = tmp_path / "new" / "folder" / "out.ipynb"
    values, beside = printed(out)
    # What the parameters cell computes from a default is computed before the values come in.
    assert ast.literal_eval(values) == [
        5, 1.0, 'it\'s "x"', True, (8, 16), [1.0, 2.5], {"b": (1, 2)}, 200, 6
    ]  # fmt: skip
    assert beside == "read from the chapter's folder"
    recorded = nbformat.read(out, as_version=4).metadata["dofbook"]["parameters"]
    assert recorded["runs"] == "5"
    assert recorded["dims"] == "(8, 16)"
    assert [path.name for path in out.parent.iterdir()] == ["out.ipynb"]


def test_a_failing_cell_is_named_and_the_old_output_survives(chapter, tmp_path, run_here):
    (tmp_path / "out.ipynb").write_text("from before")
    code, out, err = run_here(chapter, "-p", "dataset=fail", "-o", "out.ipynb")
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert "code cell 3 ('from pathlib import Path') raised LookupError: as asked" in last
    assert "out.failed.ipynb" in last
    assert (tmp_path / "out.ipynb").read_text() == "from before"
    partial = nbformat.read(tmp_path / "out.failed.ipynb", as_version=4)
    assert any(o.get("ename") == "LookupError" for c in partial.cells for o in c.get("outputs", []))
    assert {path.name for path in tmp_path.iterdir()} == {"book", "out.ipynb", "out.failed.ipynb"}


@pytest.mark.parametrize(
    ("dataset", "named"), [("sleep", "CellTimeoutError"), ("die", "DeadKernelError")]
)
def test_a_cell_that_hangs_or_kills_its_kernel(chapter, tmp_path, run_here, dataset, named):
    arguments = ["-p", f"dataset={dataset}", "--cell-timeout", 2, "-o", "out.ipynb"]
    code, out, err = run_here(chapter, *arguments)
    assert (code, out) == (1, "")
    assert named in err.splitlines()[-1]
    assert {path.name for path in tmp_path.iterdir()} == {"book", "out.failed.ipynb"}


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ("run=3", "the chapter has no parameter 'run'"),
        ("derived=3", "the chapter has no parameter 'derived'"),
        ("runs=many", "parameter runs is 'many'; it must be of type int"),
        ("runs=2.5", "it must be of type int"),
        ("runs=", "it must be of type int"),
        ("rate=nan", "it must be of type float"),
        ("rate=fast", "it must be of type float"),
        ("nested=3", "it must be of type bool"),
        ("dims=a,b", "it must be of type tuple"),
        ("dims=1.5", "it must be of type tuple"),
        ("rates={}", "it must be of type list"),
        ("options=[1]", "it must be of type dict"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(
    chapter, tmp_path, capsys, parameter, sentence
):
    code = cli.main(["run", str(chapter), "-p", parameter, "-o", str(tmp_path / "new" / "x.ipynb")])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert sentence in captured.err
    assert "runs=3, rate=0.05, dataset='digits'" in captured.err  # what is allowed
    assert captured.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"book"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (CHAPTER.replace("runs = 3", "runs = ="), "not valid Python"),
        (CHAPTER.replace("kernelspec", "kernel"), "names no kernel"),
        (CHAPTER + "\n```{code-cell} ipython3\n:tags: [parameters]\nx = 1\n```\n", "2 cells"),
        (CHAPTER.replace(":tags: [parameters]", ""), "allowed, with defaults: none"),
    ],
)
def test_a_chapter_that_cannot_be_parameterized(chapter, text, sentence):
    chapter.write_text(text)
    with pytest.raises(InputError, match=sentence):
        prepare_chapter(chapter, {"runs": "4"})


def defaults(source: str) -> dict:
    return {name: each.default for name, each in declared_parameters(source).items()}


def test_the_parameters_cell_is_never_executed(tmp_path):
    witness = tmp_path / "witness"
    source = f"open({str(witness)!r}, 'w')\nx = open({str(witness)!r}, 'w')\ny = -1\nz: int = 2"
    assert defaults(source) == {"y": -1, "z": 2}
    assert not witness.exists()


def test_a_name_that_is_recomputed_is_no_parameter():
    assert defaults("a = 1\na = a + 1\nb = c = 2") == {"b": 2, "c": 2}


RULES = """
runs: "int >= 1" = None
epochs: int = 3
level: "0 < float <= 1" = 0.9
dims: "list[int >= 1]" = None
names: list[str] = ["a"]
profile: "str in ('reduced', 'paper')" = "reduced"
strange: "Path | 3 < complex" = None
unequal: "int != 3" = None
"""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("runs", "5", 5), ("runs", "None", None), ("level", "1", 1.0), ("level", "1e-3", 1e-3),
        ("dims", "[1, 8]", [1, 8]), ("dims", "8", [8]), ("dims", "1,2", [1, 2]),
        ("names", "['3', 'b']", ["3", "b"]), ("profile", "paper", "paper"), ("strange", "x", "x"),
        ("unequal", "3", 3),
    ],
)  # fmt: skip
def test_values_that_a_rule_allows(name, text, value):
    assert check_parameters(RULES, {name: text}) == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("runs", "abc", "int >= 1"), ("runs", "0", "int >= 1"), ("runs", "2.5", "int >= 1"),
        ("runs", "True", "int >= 1"), ("epochs", "1.5", "int"), ("epochs", "None", "int"),
        ("level", "90", "0 < float <= 1"), ("level", "0", "0 < float <= 1"),
        ("level", "nan", "0 < float <= 1"), ("dims", "[8, 0]", "list[int >= 1]"),
        ("dims", "[]", "list[int >= 1]"), ("dims", "[[1]]", "list[int >= 1]"),
        ("dims", "-" * 100_000, "list[int >= 1]"), ("runs", "9" * 5000, "int >= 1"),
        ("dims", "[" * 100_000, "list[int >= 1]"), ("profile", "papers", "str in ('reduced', "),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_in_one_short_sentence(name, text, rule):
    with pytest.raises(InputError) as caught:
        check_parameters(RULES, {name: text})
    message = str(caught.value)
    assert f"it must be {rule}" in message and len(message) < 500


def test_every_parameter_of_the_book_says_what_it_must_be():
    """No value of another type or out of range starts a kernel, whatever the default is."""
    for path in Path(__file__).parents[1].glob("book/**/*.md"):
        if path.read_text().count("\nkernelspec:"):
            notebook, index = read_chapter(path)
            source = notebook.cells[index].source if index is not None else ""
            for name, each in declared_parameters(source).items():
                assert each.rule is not None, f"{path.name}: {name}"
                if each.default is not None:
                    assert check_parameters(source, {name: repr(each.default).strip("'")})


def test_text_on_the_book_s_own_run_is_left_out_of_another(chapter):
    text = CHAPTER + '\n+++ {"tags": ["book-run"]}\n\nThree seeds were enough.\n\n+++\n\nThe end.\n'
    chapter.write_text(text)
    for values, there in (({}, True), ({"runs": "3"}, True), ({"runs": "4"}, False)):
        cells = prepare_chapter(chapter, values).cells
        assert any("Three seeds" in cell.source for cell in cells) == there
        assert any("The end." in cell.source for cell in cells)


def test_a_second_run_replaces_what_the_first_one_injected(chapter, tmp_path, run_here):
    """And the record says what ran."""
    assert run_here(chapter, "-p", "runs=5", "-p", "rate=1", "-o", "a.ipynb")[0] == 0
    (tmp_path / "beside.txt").write_text("read from the chapter's folder")
    code, _, err = run_here("a.ipynb", "-p", "runs=9", "-o", "b.ipynb")
    assert code == 0, err
    values = ast.literal_eval(printed(tmp_path / "b.ipynb")[0])
    notebook = nbformat.read(tmp_path / "b.ipynb", as_version=4)
    recorded = notebook.metadata["dofbook"]["parameters"]
    assert values[:2] == [9, 0.05] and (recorded["runs"], recorded["rate"]) == ("9", "0.05")
    assert sum("# Parameters" in cell.source for cell in notebook.cells) == 1


literals = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers()),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1).map(tuple),
    st.dictionaries(st.text(), st.integers()),
)


@given(literals)
def test_a_default_written_out_reads_back_as_itself(default):
    value = typed(repr(default), default)
    assert (value, type(value)) == (default, type(default))
    assert check_parameters(f"x = {default!r}", {"x": repr(default)}) == {"x": default}


@given(st.text())
def test_text_parameters_take_any_text(text):
    assert typed(text, "default") == text


def test_none_takes_any_literal_or_text():
    assert [typed(text, None) for text in ("3", "[1]", "None", "digits")] == [
        3,
        [1],
        None,
        "digits",
    ]


def papermill(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "ignore", "-m", "papermill", "--no-progress-bar", *arguments]
    unset = {**os.environ, "IPYTHONDIR": str(cwd)}  # no configuration that silences kernels
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=unset, timeout=120)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("dataset", "nope", "dataset is 'nope'; allowed: digits, "),
        ("network", "conv9", "network is 'conv9'; allowed: conv2, "),
        ("rates", "[1e999]", "parameter rates is '\\[1e999\\]'"),
        ("rates", f"[{'9' * 400}]", "parameter rates is "),
    ],
)
def test_names_and_numbers_that_none_can_have_are_refused(name, text, said):
    source = 'dataset: "dataset" = None\nnetwork: "network" = "mlp"\nrates = [0.5, 0.9]'
    with pytest.raises(InputError, match=said):
        check_parameters(source, {name: text})
    fitting = {"dataset": "mnist", "network": "nets:wide", "rates": "[0.1, 1]"}
    read = check_parameters(source, fitting)
    assert read == {"dataset": "mnist", "network": "nets:wide", "rates": [0.1, 1.0]}


def test_quoted_numbers_have_a_minus_and_words_keep_their_hyphens(monkeypatch):
    said = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, text, display: said.update({name: text}))
    quote({"gain": "-0.2 (-1 to 3)", "network": "Conv-2", "D": 20490})
    assert said == {"gain": "−0.2 (−1 to 3)", "network": "Conv-2", "D": "20490"}


def test_papermill_itself_runs_chapters_from_any_folder_with_lists(chapter, tmp_path):
    """The entry point makes ``papermill jupytext:x.md`` work for people who know papermill."""
    lists = ("-p", "dims", "(8, 16)", "-y", "{rates: [1, 2.5], runs: 7}")
    done = papermill("jupytext:book/chapter.md", "out.ipynb", *lists, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unknown parameter" not in done.stderr
    assert "TCP" not in done.stderr  # the kernel's remark, where no configuration silences it
    values, beside = printed(tmp_path / "out.ipynb")
    assert ast.literal_eval(values)[:6] == [7, 0.05, "digits", False, (8, 16), [1.0, 2.5]]
    assert beside == "read from the chapter's folder"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("-p", "level", "90"), "parameter level is '90'; it must be 0 < float <= 1"),
        (("-p", "runs", "abc"), "parameter runs is 'abc'; it must be int >= 1"),
        (("-y", "{dims: [8, 0]}"), "parameter dims is '[8, 0]'; it must be list[int >= 1]"),
        (("-p", "run", "3"), "the chapter has no parameter 'run'"),
    ],
)
def test_papermill_itself_starts_no_kernel_for_wrong_parameters(tmp_path, given, sentence):
    text = CHAPTER.replace("runs = 3           # seeds", RULES)
    (tmp_path / "chapter.md").write_text(text.replace("dims = (1, 2, 4)", ""))
    done = papermill("jupytext:chapter.md", "out.ipynb", *given, cwd=tmp_path)
    assert done.returncode == 1 and sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and not (tmp_path / "out.ipynb").exists()


@pytest.mark.filterwarnings("ignore:The specified file:UserWarning")  # it is no .ipynb
def test_what_papermill_checks_for_a_chapter_it_leaves_alone_elsewhere(chapter, tmp_path):
    from papermill.execute import execute_notebook

    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("runs = 1")])
    plain.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "x"}
    plain.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(plain, tmp_path / "plain.ipynb")
    for path in (f"jupytext:{chapter}", tmp_path / "plain.ipynb"):
        done = execute_notebook(path, None, {"runs": 9}, prepare_only=True)
        assert any("runs = 9" in cell.source for cell in done.cells)
    done = execute_notebook(tmp_path / "plain.ipynb", None, {"other": "2"}, prepare_only=True)
    assert any('other = "2"' in cell.source for cell in done.cells)


def test_the_handler_reads_lists_and_refuses_to_write(chapter):
    notebook = nbformat.reads(JupytextHandler.read(f"jupytext:{chapter}"), as_version=4)
    assert [cell.cell_type for cell in notebook.cells] == ["code", "markdown", "code", "code"]
    assert f"jupytext:{chapter}" in JupytextHandler.listdir(f"jupytext:{chapter.parent}")
    with pytest.raises(InputError, match="only read"):
        JupytextHandler.write("{}", f"jupytext:{chapter}")
