"""Reruns of the book's chapters: text on the book's own run goes, everything else stays."""

import re
from pathlib import Path

import pytest

from dofbook.errors import InputError
from dofbook.experiments import lottery_chapter
from dofbook.notebooks import BOOK_RUN, INJECTED, prepare_chapter, read_chapter
from dofbook.parameters import Declared, check_parameters, declared_parameters

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = {
    path.stem: path for path in sorted(BOOK.glob("*.md")) if "\nkernelspec:" in path.read_text()
}
PLACES = {"store": "elsewhere", "data_dir": "elsewhere"}
CANDIDATES = ("2", "7", "70", "3000", "0.3", "paper", "mlp", "mnist", "conv3")


def has(cell, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def sources(cells, kind: str) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == kind and not has(cell, INJECTED)]


def declared(path: Path) -> tuple[str, dict[str, Declared]]:
    notebook, index = read_chapter(path)
    source = "" if index is None else notebook.cells[index].source
    return source, declared_parameters(source)


def other_value(source: str, name: str, default: object) -> str:
    for text in CANDIDATES:
        try:
            if check_parameters(source, {name: text})[name] != default:
                return text
        except InputError:
            continue
    raise AssertionError(f"none of {CANDIDATES} is another value of {name}")


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_rerun_keeps_all_code_and_all_text_but_that_on_the_book_s_run(name):
    whole = read_chapter(CHAPTERS[name])[0].cells
    rest = [cell for cell in whole if not has(cell, BOOK_RUN)]
    source, parameters = declared(CHAPTERS[name])
    changed = {
        parameter: other_value(source, parameter, each.default)
        for parameter, each in parameters.items()
        if parameter not in PLACES
    }
    for parameter, text in changed.items():
        cells = prepare_chapter(CHAPTERS[name], {parameter: text}).cells
        assert not any(has(cell, BOOK_RUN) for cell in cells), parameter
        assert sources(cells, "markdown") == sources(rest, "markdown")
        assert sources(cells, "code") == sources(whole, "code")
        (injected,) = (cell.source for cell in cells if has(cell, INJECTED))
        assert f"{parameter} = " in injected


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_defaults_and_other_places_keep_the_whole_chapter(name):
    whole = read_chapter(CHAPTERS[name])[0].cells
    parameters = declared(CHAPTERS[name])[1]
    given = {
        parameter: PLACES.get(parameter, str(each.default))
        for parameter, each in parameters.items()
        if parameter in PLACES or each.default is not None
    }
    for values in ({}, given):
        cells = prepare_chapter(CHAPTERS[name], values).cells
        for kind in ("markdown", "code"):
            assert sources(cells, kind) == sources(whole, kind)


@pytest.mark.parametrize("name", CHAPTERS)
def test_what_the_rest_may_refer_to_is_never_left_out(name):
    for cell in read_chapter(CHAPTERS[name])[0].cells:
        if has(cell, BOOK_RUN):
            assert cell.cell_type == "markdown"
            assert not re.search(r"^(#|\(.+\)=$|:label:|:name:)", cell.source, re.MULTILINE)


NOT_PROSE = re.compile(
    r"^```[a-z]+$.*?^```$|^\|.*?$|\{[a-z:-]+\}`[^`]*`|`[^`]*`|\$[^$]*\$",
    re.MULTILINE | re.DOTALL,
)
OWN = re.compile(r"\b(here|on this page|this run|our run)\b", re.IGNORECASE)
NUMBER = re.compile(r"\d\.\d|\d ?(%|per ?cent\b)")
THIS_BUILD = re.compile(r"\brun of this build\b|\bthis build's run\b")


def sentences_on_this_run(text: str) -> list[str]:
    """Find sentences that speak of the run of this build, or write out a number of this page."""
    found = []
    for paragraph in re.split(r"\n\s*\n|\n- ", NOT_PROSE.sub("*", text)):
        for sentence in re.split(r"(?<=[.!?:]) ", " ".join(paragraph.split())):
            if THIS_BUILD.search(sentence) or OWN.search(sentence) and NUMBER.search(sentence):
                found.append(sentence)
    return found


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Here the network reaches 93% of the images.", 1),
        ("It is fast. The loss on\nthis page is 0.31. It falls.", 1),
        ("What the run of this build shows: a threshold.", 1),
        ("Here the network reaches {glue:text}`x`%, with $\\delta = 0.1$ and `rate=0.05`.", 0),
        ("In the book's run the network reaches 93% of the images. Here is how.", 0),
        ("| rate | here |\n| 0.1 | here |", 0),
    ],
)
def test_the_rule_on_numbers_finds_what_it_should(text, count):
    assert len(sentences_on_this_run(text)) == count


@pytest.mark.parametrize("name", CHAPTERS)
def test_numbers_of_this_run_are_computed_or_tagged(name):
    for cell in read_chapter(CHAPTERS[name])[0].cells:
        if cell.cell_type == "markdown" and not has(cell, BOOK_RUN):
            assert sentences_on_this_run(cell.source) == []


def test_tickets_of_other_data_are_pruned_after_the_paper_s_two_epochs():
    """Half of the digits' epochs would be most of a rerun on 60,000 images."""
    for dataset, epochs in (("digits", 10), ("mnist", 2)):
        sweeps = lottery_chapter("reduced", dataset=dataset)
        tickets = [*sweeps["lottery_ticket"].methods, *sweeps["iterative"].methods]
        assert {ticket.pruning_epochs for ticket in tickets} == {epochs}
