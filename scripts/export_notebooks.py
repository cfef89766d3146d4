"""Writes the built book's chapters as notebooks that run anywhere, for Colab, Binder and download.

    python scripts/export_notebooks.py _build/notebooks     # after `make book`

Text is what the book shows, in Markdown: numbers, references and citations resolved, solutions
folded. The first cell installs the package where it is missing and names the hardware.
"""

import argparse
import mimetypes
import re
from base64 import b64encode
from html import escape
from pathlib import Path

import nbformat
import yaml
from docutils import nodes
from jupyter_book.config import get_final_config
from nbformat.v4 import new_code_cell, new_markdown_cell
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from sphinx_exercise.nodes import solution_node
from sphinx_markdown_builder import setup as add_markdown
from sphinx_markdown_builder.translator import MarkdownTranslator
from sphinx_proof.nodes import proof_node

import dofbook
from dofbook import provenance

ROOT = Path(__file__).parents[1]
CELL = re.compile("\x00(\\d+)\x00")
# No cell can be part of a folded solution: it ends before the cell and goes on after it.
FOLDED = re.compile("<details>.*?</details>", re.DOTALL)
AFTER = "<details>\n<summary>The rest</summary>"
AROUND, NOTHING_LEFT = rf"</details>\n\n\g<0>\n\n{AFTER}", rf"{AFTER}\s*</details>"
ENVIRONMENT = re.compile(r"\\begin\{(align|alignat|equation|gather)\*?\}")
INSTALL = """\
# Installs the book's package where it is missing (as on Colab), and says what computes.
import importlib.util
import sys

if None in map(importlib.util.find_spec, ("dofbook", "myst_nb", "jinja2")):
    %pip install --quiet "{requirement}"

import dofbook
from dofbook import provenance
from dofbook.references import HOME

if dofbook.__version__ != "{version}":
    print(f"This notebook was written for dofbook {version}; here is {{dofbook.__version__}}.")
sys.path += [str(HOME / "book"), str(HOME / "book" / "examples")]
found = ", ".join(device["kind"] for device in provenance.devices())
print(f"dofbook {{dofbook.__version__}} computes on: {{found}}; {{provenance.cores()}} cores")"""
NOTICE = """\
*The text quotes the book's own run; with other parameters, go by the outputs of the cells. The page
on the web, with the figures that can be turned: <{address}>*"""


class NotebookTranslator(MarkdownTranslator):
    """Write a resolved page as Markdown, with the number of each code cell where it stands."""

    def dispatch_visit(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Admonition) and not isinstance(node, proof_node):
            self._open(node)
        elif isinstance(node, nodes.container) and node.get("nb_element") == "cell_code":
            self._mark(node)
        else:
            super().dispatch_visit(node)

    def dispatch_departure(self, node: nodes.Node) -> None:
        if not isinstance(node, nodes.Admonition):
            super().dispatch_departure(node)
        elif not isinstance(node, proof_node):
            self.add("</details>" if _folds(node) else "</div>", prefix_eol=2, suffix_eol=2)

    def _open(self, node: nodes.Element) -> None:
        """Begin a box or a folded one: HTML around Markdown, which Jupyter renders."""
        titles = [child for child in node if isinstance(child, nodes.title)]
        own = "Proof" if "proof" in node["classes"] else node.tagname.title()
        words = "".join(map(_text, titles[0].findall(nodes.Text))) if titles else own
        words = " ".join(f"{self._number(node)} {words}".split())
        for title in titles:
            node.remove(title)
        if _folds(node):
            self.add(f"<details>\n<summary>{words}</summary>", prefix_eol=2, suffix_eol=2)
            return
        self.add('<div class="alert alert-info">', prefix_eol=2, suffix_eol=2)
        if words != "Proof":  # the text says so itself
            self.add(f"**{words}**", suffix_eol=2)

    def _number(self, node: nodes.Element) -> str:
        """Name what the book numbers: 'Theorem 3.1', 'Exercise 2.4', 'Fig. 5.1'."""
        kind = self.builder.env.get_domain("std").get_enumerable_node_type(node)
        known = self.builder.env.toc_fignumbers.get(self.builder.current_doc_name, {})
        for identifier in node["ids"]:
            if number := known.get(kind, {}).get(identifier):
                label = node["realtype"].title() + " %s" if "realtype" in node else None
                return (label or self.config.numfig_format[kind]) % ".".join(map(str, number))
        return ""

    def _mark(self, node: nodes.Element) -> None:
        """Put the cell's number in its place, and the captions of its figures below it."""
        self.add(f"\x00{node['cell_index']}\x00", prefix_eol=2, suffix_eol=2)
        for figure in node.findall(nodes.figure):
            for caption in figure.findall(nodes.caption):
                caption.walkabout(self)
        raise nodes.SkipNode

    def visit_caption(self, node: nodes.caption) -> None:
        """Begin with the figure's number."""
        self.add(f"**{self._number(node.parent)}** ", prefix_eol=2)

    def depart_caption(self, node: nodes.caption) -> None:
        """End the paragraph."""
        self.ensure_eol(2)

    def visit_image(self, node: nodes.image) -> None:
        """Put a drawing into the text: a notebook has no files beside it."""
        kind, _ = mimetypes.guess_type(node["uri"])
        data = b64encode((Path(self.builder.srcdir) / node["uri"]).read_bytes()).decode()
        image = f'<img alt="{escape(node["alt"])}" src="data:{kind};base64,{data}">'
        self.add(image, prefix_eol=2, suffix_eol=2)
        raise nodes.SkipNode

    def visit_proof_node(self, node: proof_node) -> None:
        """Leave it to the box inside."""

    def visit_meta(self, node: nodes.meta) -> None:
        """Leave out what only search engines read."""

    def unknown_visit(self, node: nodes.Node) -> None:
        """Refuse what would be left out."""
        raise NotImplementedError(f"a {node.tagname} node has no Markdown yet: {node.astext()}")

    def visit_definition(self, node: nodes.definition) -> None:
        """Write it as a paragraph below its term: Jupyter knows no lists of definitions."""
        self.ensure_eol(2)

    def visit_math_block(self, node: nodes.math_block) -> None:
        """Write a formula as TeX; a whole environment needs no dollars."""
        text = node.astext().strip()
        text = text.removeprefix(r"\begin{equation*}").removesuffix(r"\end{equation*}").strip()
        self.add(text if ENVIRONMENT.match(text) else f"$$\n{text}\n$$", prefix_eol=2, suffix_eol=2)
        raise nodes.SkipNode

    def visit_target(self, node: nodes.target) -> None:
        """Links lead to the book's page: notebooks have no places to jump to in common."""

    def _fetch_ref_uri(self, node: nodes.reference) -> str:
        if "refid" in node:
            page = self.builder.get_target_uri(self.builder.current_doc_name)
            return f"{self.config.markdown_http_base}/{page}#{node['refid']}"
        return super()._fetch_ref_uri(node)


def _folds(node: nodes.Element) -> bool:
    return isinstance(node, solution_node) or "dropdown" in node["classes"]


def _text(node: nodes.Text) -> str:
    return f"${node}$" if isinstance(node.parent, nodes.math) else str(node)


def read_book(source: Path) -> Sphinx:
    """Opens the finished build of a book: its pages as Sphinx resolved them."""
    build = source / "_build"
    config, _ = get_final_config(
        user_yaml=source / "_config.yml", sourcedir=source,
        cli_config={"latex_individualpages": False},
    )  # fmt: skip
    with docutils_namespace():
        app = Sphinx(
            source,
            None,
            build / "html",
            build / ".doctrees",
            "html",
            config,
            status=None,
            warning=None,
        )
    add_markdown(app)
    app.config.markdown_http_base = app.config.html_baseurl.rstrip("/")
    return app


def markdown(app: Sphinx, page: str) -> str:
    """Writes a page of a finished build as Markdown; cells are numbers between NUL characters."""
    doctree = app.env.get_and_resolve_doctree(page, app.builder)
    app.builder.current_doc_name = page
    translator = NotebookTranslator(doctree, app.builder)
    doctree.walkabout(translator)
    return translator.astext()


def assemble(text: str, executed: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Lays the text of a page round the code cells of its executed notebook, all of them."""
    text = FOLDED.sub(lambda found: CELL.sub(AROUND, found[0]), text)
    first, *rest = CELL.split(re.sub(NOTHING_LEFT, "", text))
    cells, done = [new_markdown_cell(first.strip())], 0
    for index, prose in zip(map(int, rest[::2]), rest[1::2], strict=True):
        cells += [*map(_code, executed.cells[done : index + 1]), new_markdown_cell(prose.strip())]
        done = index + 1
    return [cell for cell in [*cells, *map(_code, executed.cells[done:])] if cell and cell.source]


def _code(cell: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """Copy a code cell: sweeps are stored beside the notebook, what the page hides is folded."""
    if cell.cell_type != "code":
        return None
    tags = cell.metadata.get("tags", [])
    hidden = {"hide-input", "remove-input"} & set(tags)
    shown = [each for each in cell.outputs if "scrapbook" not in each.get("metadata", {})]
    metadata = {"tags": tags} if tags else {}
    metadata |= {"jupyter": {"source_hidden": True}} if hidden else {}
    source = cell.source.replace('"../_build/sweeps/store"', '"store"')
    count = cell.execution_count
    return new_code_cell(source, metadata=metadata, outputs=shown, execution_count=count)


def macros(app: Sphinx) -> str:
    """Writes the book's TeX macros as definitions that Jupyter reads in the first text."""
    lines = []
    for name, value in app.config.mathjax3_config["tex"]["macros"].items():
        body, count = (value, 0) if isinstance(value, str) else value
        lines.append(rf"\newcommand{{\{name}}}{f'[{count}]' * bool(count)}{{{body}}}")
    return "$" + "".join(lines) + "$"


def export(source: Path, output: Path, requirement: str) -> list[Path]:
    """Writes every executed page of a finished build as a notebook, for its download button too.

    Args:
        source: folder of ``_config.yml`` and ``_build``.
        output: folder to write to; the paths below it are those of the pages.
        requirement: what the first cell installs, for pip.

    Returns:
        Paths of the notebooks written.
    """
    written, folder = [], source / "_build" / "jupyter_execute"
    install = INSTALL.format(requirement=requirement, version=dofbook.__version__)
    with docutils_namespace():
        app = read_book(source)
        for path in sorted(folder.rglob("*.ipynb")):
            page = path.relative_to(folder).with_suffix("").as_posix()
            executed = nbformat.read(path, as_version=4)
            address = f"{app.config.markdown_http_base}/{app.builder.get_target_uri(page)}"
            above = [macros(app), NOTICE.format(address=address)]
            cells = assemble(markdown(app, page), executed)
            cells[0].source = "\n\n".join([*above, cells[0].source])
            cells = [new_code_cell(install), *cells]
            for number, cell in enumerate(cells):
                cell["id"] = f"cell-{number}"
            notebook = nbformat.v4.new_notebook(cells=cells, metadata=executed.metadata)
            nbformat.validate(notebook)
            target = output / f"{page}.ipynb"
            for place in (target, Path(app.outdir, "_sources", f"{page}.ipynb")):
                place.parent.mkdir(parents=True, exist_ok=True)
                nbformat.write(notebook, place)
            written.append(target)
    (output / "requirements.txt").write_text(f"{requirement}\njupyterlab\n")  # for Binder
    (output / "runtime.txt").write_text("python-3.12\n")
    return written


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--source", type=Path, default=ROOT, help="folder of _config.yml")
    options = parser.parse_args()
    if not (options.source / "_build" / "jupyter_execute").is_dir():
        parser.exit(1, "error: there is no executed notebook; run `make book` first\n")
    config = yaml.safe_load((options.source / "_config.yml").read_text(encoding="utf-8"))
    commit = (provenance.commit() or {"commit": f"v{dofbook.__version__}"})["commit"]
    requirement = f"dofbook[notebook] @ git+{config['repository']['url']}@{commit}"
    export(options.source.resolve(), options.output, requirement)


if __name__ == "__main__":
    main()
