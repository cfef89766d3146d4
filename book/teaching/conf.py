"""Sphinx configuration of the slides: the book's mathematics and cells, reveal.js as the builder.

nbconvert, Marp and Quarto fetch MathJax, fonts or a program of their own; sphinx-revealjs carries
reveal.js, and the slides share kernel, formulas and `glue` with the chapters.
"""

from pathlib import Path

import yaml

_BOOK = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text(encoding="utf-8"))

project = "How many degrees of freedom?"
author = _BOOK["author"]
root_doc = "slides"
include_patterns = ["slides.md"]
extensions = ["myst_nb", "sphinx_revealjs"]

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_block"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = _BOOK["execute"]["timeout"]
nb_output_stderr = "remove"
nb_mime_priority_overrides = [
    ("revealjs", kind, place)
    for place, kind in enumerate(("text/html", "image/svg+xml", "image/png", "text/plain"))
]

mathjax_path = "mathjax/tex-svg-full.js"
mathjax3_config = _BOOK["sphinx"]["config"]["mathjax3_config"]

revealjs_static_path = [str(Path(__file__).parents[2] / "_vendor"), "static"]
revealjs_style_theme = "white"
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.05,
    "center": False,
    "hash": True,
    "slideNumber": "c/t",
    "transition": "none",
    "pdfMaxPagesPerSlide": 1,
}
revealjs_script_plugins = [
    {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"},
]
