"""``dofbook figures`` with chapters: every figure that has a name, in the format asked for."""

import pytest

from dofbook import cli

CHAPTER = """---
kernelspec: {display_name: Python 3, language: python, name: python3}
---
# A chapter

```{code-cell} ipython3
import matplotlib.pyplot as plt
%config InlineBackend.figure_formats = ["png"]
```

```{code-cell} ipython3
:tags: [parameters]

slope = 2
```
"""
FIGURE = """
```{{code-cell}} ipython3
---
mystnb: {{figure: {{name: {name}, caption: "A line."}}}}
---
{code}
```
"""


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "chapter.md"
    own = (
        "from dofbook.figures import NotebookFigure\nfigure = NotebookFigure()\n"
        "figure.subplots().plot([1, slope])\nfigure"
    )
    cells = {"fig-first": "plt.plot([1, slope])\nplt.show()", "fig-second": own}
    cells["fig-none"] = "slope"
    path.write_text(CHAPTER + "".join(FIGURE.format(name=n, code=c) for n, c in cells.items()))
    return path


def test_named_figures_are_exported_whatever_format_the_chapter_shows(chapter, tmp_path, capsys):
    out = tmp_path / "out"
    wanted = ["--figure", "fig-first", "--figure", "fig-second", "--format", "svg"]
    assert cli.main(["figures", str(chapter), "-o", str(out), *wanted]) == 0
    paths = [out / "fig-first.svg", out / "fig-second.svg"]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    assert all("<svg" in path.read_text() for path in paths)
    assert sorted(out.iterdir()) == paths


def test_a_named_cell_without_a_figure_is_told(chapter, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["figures", str(chapter), "-o", str(out), "--format", "pdf"]) == 1
    assert "the cell of fig-none shows no figure" in capsys.readouterr().err
    assert not out.exists()


def test_a_chapter_without_figures_is_told(tmp_path, capsys):
    (tmp_path / "bare.md").write_text(CHAPTER)
    assert cli.main(["figures", str(tmp_path / "bare.md"), "-o", str(tmp_path / "out")]) == 2
    assert "bare.md: no figure there has a name." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--figure", "fig-9"], "there are fig-first, fig-second, fig-none"),
        (["--delta", "0.2"], "are for tables"),
        (["table.parquet"], "name one table, or chapters"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(chapter, tmp_path, capsys, more, said):
    assert cli.main(["figures", str(chapter), *more, "-o", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
