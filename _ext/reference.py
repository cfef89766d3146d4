"""The package's docstrings as pages: plain text made safe for Sphinx, equations linked to chapters.

Docstrings are written to be read as text: names in single or double backticks, mathematics such as
|g|^2 or lambda_i. Sphinx would take the bars for substitutions and the stars for emphasis; here
indices and exponents are set as such, and letters spelled out become Greek, as in the chapters.
"""

import re

from docutils import nodes
from sphinx.addnodes import desc_annotation
from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring

# Where the book treats what the paper numbers.
CHAPTERS = (
    (r"Eqs?\. 2\.\d|Definition 2\.1|Figs?\. (?:2|3|7|8|12)\b", "phase_transition"),
    (r"Theorems? 3\.[12]|Eqs?\. 3\.[1235]|Definition 3\.\d|Appendix B\.[13]", "gaussian_width"),
    (r"Eqs?\. 3\.4|Lemma 3\.3|Section 3\.2|Figs?\. 5\b", "quadratic_well"),
    (r"[Ss]ection 4|A\.2|Table 1|Figs?\. (?:1|4|6|10|11)\b", "lottery"),
    (r"A\.1|Figs?\. 9\b", "ntk_linearization"),
)
_NUMBERED = re.compile("|".join(f"({pattern})" for pattern, _ in CHAPTERS))
_OTHER_PAPER = re.compile(r"et al\. \((?!2022)")  # theirs have a Definition 2.1, too
_LITERAL = re.compile(r"(``[^`]+``|`[^`]+`)")
_GREEK = {
    "alpha": "α", "delta": "δ", "eps": "ε", "eta": "η", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "pi": "π", "sigma": "σ", "tau": "τ", "theta": "θ", "Phi": "Φ", "Pi": "Π",
}  # fmt: skip
_SYMBOL, _INDEX = r"(?<!\w)(?:\w|sup|min|max|decay)|\)", r"\w|\d+|hit|opt|local|{[^}]*}"
# Mathematics written as text, after the escapes of stars and bars, and how it is shown. What
# follows a quotation mark is text that the code prints.
_MATHEMATICS = (
    (rf"(?<!\w)({'|'.join(_GREEK)})(?![A-Za-z0-9])", lambda x: _GREEK[x[1]]),
    (r"\b([wxz])0_(\w)\b", r"\1_{0,\2}"),
    (r"\b([wxz])0\b", r"\1_0"),
    (r"\blog2\b", "log₂"),
    (r"\bsum_", "Σ_"),
    (r"\bsqrt\(", "√("),
    (r'(?<!")<=', "≤"),
    (">=", "≥"),
    ("->", "→"),
    (r"\+-(?=\d)", "±"),
    (r"-\+", "∓"),
    (rf"({_SYMBOL})_({_INDEX})(?![A-Za-z0-9_])", r"\1\ :sub:`\2`\ "),
    (r"(?:\^|(?<=\w)\\\*\\\*)(-?\w+|∞|\([^)]*\)|{[^}]*})", r"\ :sup:`\1`\ "),
    (r":(su[bp]):`[({]([^`]*)[)}]`", r":\1:`\2`"),
    (r"`\\ (?=\s|$)", "`"),  # an escape at the end of a line would join it to the next
)

# The repr of a default value, and the words of the code that make it.
_DEFAULTS = (
    (r"Objective\(name='(\w+)'\)", r"\1"),
    (r"OptimizerConfig\(name='momentum'[^)]*\)", "MOMENTUM"),
    (r"RandomAffine\([^)]*\)", "RandomAffine()"),
    ("<factory>", "..."),
)


def _link(match: re.Match) -> str:
    chapter = CHAPTERS[match.lastindex - 1][1]
    return f":doc:`{match[0]} </book/{chapter}>`"


def _plain(text: str, linked: bool) -> str:
    """Escape what is markup to Sphinx in words between literals."""
    pieces = []
    for piece in _LITERAL.split(text):
        if _LITERAL.fullmatch(piece):
            pieces.append(f"``{piece.strip('`')}``")
            continue
        escaped = re.sub(r"([*|\\])", r"\\\1", piece)
        for written, shown in _MATHEMATICS:
            escaped = re.sub(written, shown, escaped)
        escaped = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", escaped)
        pieces.append(_NUMBERED.sub(_link, escaped) if linked else escaped)
    return "".join(pieces)


def make_safe(app: Sphinx, what, name, obj, options, lines: list[str]) -> None:
    """Rewrites the lines of a docstring in place; examples stay as they are."""
    example = False
    for number, line in enumerate(lines):
        bare = line.strip()
        example = bare.startswith(">>>") or (example and bool(bare))
        if not example:
            lines[number] = _plain(line, linked=not _OTHER_PAPER.search(bare))


def tidy_signature(app: Sphinx, what, name, obj, options, signature, returns):
    """Leaves private arguments, those of every flax module and of protocols out of a signature."""
    if getattr(obj, "_is_protocol", False):
        return "", returns
    signature = re.sub(r", _\w+=(\(\)|[^,()]+)|, parent=<[^>]*>, name=None", "", signature or "")
    for written, shown in _DEFAULTS:
        signature = re.sub(written, shown, signature)
    return _name_objects(signature), returns


def _name_objects(text: str) -> str:
    return re.sub(r"<class '([\w.]+)'>|<function <?(\w+)[^>]*>+", r"\1\2", text)


def tidy_values(app: Sphinx, doctree: nodes.document) -> None:
    """Names classes and functions in values of constants, rounds numbers; no value is long."""
    for value in list(doctree.findall(desc_annotation)):
        if len(value.astext()) > 200:
            value.parent.remove(value)
            continue
        for text in list(value.findall(nodes.Text)):
            short = re.sub(r"\d\.\d{6,}(e-\d+)?", lambda x: f"{float(x[0]):.3g}", text)
            text.parent.replace(text, nodes.Text(_name_objects(short)))


def break_names(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Lets a browser break the title of a module after a dot, not inside a word."""
    for title in doctree.findall(nodes.title):
        if re.fullmatch(r"\w+(\.\w+)+", title.astext()):
            first, *rest = title.astext().split(".")
            title[:] = [nodes.Text(f"{first}.")]
            for number, word in enumerate(rest, start=2):
                dot = "." if number <= len(rest) else ""
                title += [nodes.raw("", "<wbr>", format="html"), nodes.Text(f"{word}{dot}")]


def skip_fields(app: Sphinx, what, name, obj, skip, options):
    """Leaves out the fields of a named tuple, which say no more than their number."""
    return True if (obj.__doc__ or "").startswith("Alias for field number") else None


def attribute_lines(docstring: GoogleDocstring) -> list[str]:
    """Reads the docstring of an attribute as text: what stands before a colon is no type."""
    return type(docstring)(docstring._consume_to_end(), docstring._config).lines()


def setup(app: Sphinx) -> dict:
    """Rewrites docstrings before napoleon gives their sections a form."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    GoogleDocstring._parse_attribute_docstring = attribute_lines
    app.connect("autodoc-process-signature", tidy_signature)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("doctree-read", tidy_values)
    app.connect("doctree-resolved", break_names)
    app.connect("autodoc-process-docstring", make_safe, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
