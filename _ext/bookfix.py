"""Mends of eight faults in the tools that build the book.

* sphinx-thebe puts scripts on every page that throw when no live-code button is present.
* The theme's Colab and Binder buttons open the chapter's ``.md`` source, which Colab cannot read
  and Binder shows in a text editor; notebooks that run are published on the branch ``notebooks``.
* sphinx-exercise registers handlers for ``singlehtml``, which hides the ``html`` handlers that
  every other extension relies on there.
* Sphinx wraps a formula of several lines in ``split``, which allows no ``\\tag``.
* sphinx-exercise puts a title in parentheses, also one that begins with the kind of the exercise in
  parentheses of its own, and the space before a link into the link.
* pandas writes a hyphen for a minus in its tables, and a minus before zero.
* Browsers break a line between a formula and the comma after it, the bracket before it, or the
  quoted number that it equals.
* They also break it inside "Conv-2", "d = 64" and "99 %", and in narrow heads of tables inside
  "D − Q".
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_exercise.nodes import exercise_enumerable_node, solution_node

NOTEBOOKS_BRANCH = "notebooks"


def describe(script) -> str:
    """Name and inline body of a page's script, whether a plain string or a Sphinx asset."""
    return f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}"


def drop_thebe_scripts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Removes the scripts of sphinx-thebe from the page."""
    scripts = context.get("script_files", [])
    context["script_files"] = [script for script in scripts if "thebe" not in describe(script)]


def mend_launch_buttons(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Points the Colab and Binder buttons at the exported notebook instead of the source."""
    branch = app.config.html_theme_options.get("repository_branch", "main")
    moved = {
        "Colab": (f"/blob/{branch}/", f"/blob/{NOTEBOOKS_BRANCH}/"),
        "Binder": (f"/{branch}?urlpath=", f"/{NOTEBOOKS_BRANCH}?urlpath="),
    }
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") in moved:
                url = button["url"].replace(*moved[button["text"]])
                button["url"] = url.removesuffix(".md") + ".ipynb"


def share_html_handlers(app: Sphinx) -> None:
    """Gives the single-page builder every node handler of the HTML builder."""
    handlers = app.registry.translation_handlers
    handlers["singlehtml"] = {**handlers.get("html", {}), **handlers.get("singlehtml", {})}


def leave_tagged_formulas_whole(app: Sphinx, doctree: nodes.document) -> None:
    r"""Puts a formula with both ``\\`` and ``\tag`` in ``equation*``, which Sphinx leaves alone."""
    for node in doctree.findall(nodes.math_block):
        text = node.astext().strip()
        if r"\tag" in text and r"\\" in text and not node.get("nowrap"):
            node["nowrap"] = True
            node[:] = [nodes.Text(f"\\begin{{equation*}}\n{text}\n\\end{{equation*}}")]


def name_exercises(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Writes "Exercise 1.2 (read): Two runs", not "Exercise 1.2 ((read) Two runs)"."""
    kinds = (exercise_enumerable_node, solution_node)
    for exercise in doctree.findall(lambda node: isinstance(node, kinds)):
        for link in exercise[0].findall(nodes.reference):
            if link[0].startswith(" "):
                link.parent.insert(link.parent.index(link), nodes.Text(" "))
                link[0] = nodes.Text(link[0].lstrip())
        for holder in (exercise[0], *exercise[0].findall(nodes.reference)):
            for place, part in enumerate(holder.children[:-1]):
                kind, closed, title = holder[place + 1].astext().partition(") ")
                if part == " (" and kind.startswith("(") and closed:
                    holder[place:] = [nodes.Text(f" {kind}): {title}"), *holder[place + 2 : -1]]
                    break


def hold_formulas(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Keeps a formula in one line with the bracket before it and the punctuation after it.

    So it does with the number after a formula that ends in a sign of relation.
    """
    for formula in list(doctree.findall(nodes.math)):
        holder = formula.parent
        place = last = holder.index(formula)
        around = [*holder.children, *[nodes.Text("")] * 3]
        if re.search(r"(=|\\leq?|\\geq?|\\approx)$", formula.astext().strip()):
            number = around[place + 2]
            if around[place + 1] == " " and "pasted-text" in getattr(number, "attributes", {}).get(
                "classes", ()
            ):
                last += 2
                last += isinstance(around[last + 1], nodes.math)  # a brace that is closed
        before, after = (
            part if isinstance(part, nodes.Text) else ""
            for part in (around[place - 1] if place else "", around[last + 1])
        )
        start = re.search(r'[(\["]*$', before)[0]
        end = re.match(r"[^\s\u2013\u2014]{0,9}(?=[\s\u2013\u2014]|$)", after)
        end = end[0] if end else ""
        if not start + end and place == last:
            continue
        if start:
            holder[place - 1] = nodes.Text(before.removesuffix(start))
        if end:
            holder[last + 1] = nodes.Text(after.removeprefix(end))
        whole = nodes.inline(classes=["whole"])
        whole.extend([nodes.Text(start), *holder[place : last + 1], nodes.Text(end)])
        holder[place : last + 1] = [whole]


NAME = re.compile(r"\b(Conv-[23]|CIFAR-100?)\b")
NO_TEXT = (nodes.literal, nodes.math, nodes.FixedTextElement)


def without_breaks(text: str) -> str:
    """Puts spaces that hold in a short equation and before a percent sign."""
    text = re.sub(r"\b([dDtR]) ([=≤≥]) (?=[−\d])", "\\1\u00a0\\2\u00a0", text)
    return re.sub(r"(?<=[\d\])]) %", "\u00a0%", text)


def hold_names(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Keeps short names with a hyphen, and what `without_breaks` holds, in one line of text."""
    for text in list(doctree.findall(nodes.Text)):
        if isinstance(text.parent, NO_TEXT):
            continue
        pieces = NAME.split(without_breaks(text))
        if pieces != [text]:
            parts = [
                nodes.inline("", piece, classes=["whole"]) if at % 2 else nodes.Text(piece)
                for at, piece in enumerate(pieces)
            ]
            text.parent.replace(text, parts)


def write_minus(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Writes a minus for the hyphen before a number in tables, and none before zero."""
    for table in doctree.findall(nodes.raw):
        if table.get("format") == "html" and "</table>" in table.astext():
            text = re.sub(r"(>\s*|[ (])-(0\.?0*)(?![\d.])", r"\1\2", table.astext())
            table[:] = [nodes.Text(re.sub(r"(>\s*|[ (])-(?=\d)", r"\1−", text))]


def hold_outputs(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Does what `hold_names` does in the HTML that code shows, and holds equations in heads."""

    def in_text(found: re.Match) -> str:
        return NAME.sub(r'<span class="whole">\1</span>', without_breaks(found[0]))

    def in_head(found: re.Match) -> str:
        return re.sub(r" ([=≤≥−/]) |(?<=±) ", lambda x: x[0].replace(" ", "\u00a0"), found[0])

    for output in doctree.findall(nodes.raw):
        text = output.astext()
        if output.get("format") == "html" and "<script" not in text:
            text = re.sub(r"(?s)<th\b.*?</th>", in_head, text)
            output[:] = [nodes.Text(re.sub(r"(?<=>)[^<>]+(?=<)", in_text, text))]


def setup(app: Sphinx) -> dict:
    """Connects the mends, after the theme and sphinx-thebe have done their part."""
    app.connect("html-page-context", drop_thebe_scripts, priority=900)
    app.connect("html-page-context", mend_launch_buttons, priority=900)
    app.connect("doctree-resolved", name_exercises)
    app.connect("doctree-resolved", hold_formulas)
    app.connect("doctree-resolved", hold_names)
    app.connect("doctree-resolved", write_minus)
    app.connect("doctree-resolved", hold_outputs)
    app.connect("doctree-read", leave_tagged_formulas_whole)
    app.connect("builder-inited", share_html_handlers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
