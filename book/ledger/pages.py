"""The ledger as HTML that reads on a phone as well as on a screen: the verdicts, then the cards."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from IPython.display import HTML, Markdown

from ledger.criteria import FIG2_PANELS, FIG3_PANELS
from ledger.panels import panel_label
from ledger.questions import QUESTIONS
from ledger.verdicts import Finding, Judgement, Outcome, Verdict, count_verdicts

SIGNS: dict[Outcome | Verdict, str] = {
    "holds": "✓", "reproduced": "✓", "in part": "◐", "partly": "◐", "undecided": "?",
    "fails": "✗", "not reproduced": "✗", "not run": "·",
}  # fmt: skip
GROUPS = {
    network: [panel_label(*p) for p in dict.fromkeys((*FIG2_PANELS, *FIG3_PANELS)) if p[1] == name]
    for name, network in (("conv2", "Conv-2"), ("conv3", "Conv-3"), ("resnet20", "ResNet20"))
}
OTHERS = 3
"""Columns for what is no panel: data sets, spectra."""
SHORT = {"MNIST": "M", "Fashion-MNIST": "F", "CIFAR-10": "C", "SVHN": "S"}
COLOURS = {
    "✓": ("#009E73", "black"), "◐": ("#E69F00", "black"), "✗": ("#D55E00", "black"),
    "?": ("#d0d0d0", "black"), "·": ("transparent", "inherit"),
}  # fmt: skip
LEGEND = (
    "One cell per panel of the paper: ✓ holds, ◐ in part, ✗ fails, ? undecided, · not run. "
    "M: MNIST, F: Fashion-MNIST, C: CIFAR-10, S: SVHN; other: data sets or spectra."
)
STYLE = """<style>
.claim { border: 1px solid var(--pst-color-border); border-left: 0.4rem solid #8a8a8a;
  border-radius: 0.3rem; padding: 0.6rem 0.9rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.claim[data-colour="✓"] { border-left-color: #009E73; }
.claim[data-colour="◐"] { border-left-color: #E69F00; }
.claim[data-colour="✗"] { border-left-color: #D55E00; }
.claim .title { font-weight: 700; font-size: 1.05rem; margin: 0; }
.claim .verdict { font-weight: 700; margin: 0.1rem 0 0.5rem; }
.claim p { margin: 0 0 0.5rem; }
.claim summary { cursor: pointer; font-weight: 600; }
.claim ul { margin: 0.2rem 0 0.5rem; padding-left: 1.2rem; }
.claim dl { margin: 0.3rem 0 0.5rem; }
.claim dt { font-weight: 600; }
.claim dd { margin: 0 0 0.5rem 1rem; }
.claim small { color: var(--pst-color-text-base); font-size: 0.9em; display: block; }
.verdicts { overflow-x: auto; margin: 0; }
.verdicts table { border-collapse: separate; border-spacing: 1px; width: auto; margin: 0; }
.verdicts th, .verdicts td { padding: 0.15rem 0; line-height: 1.2; font-size: 0.85rem;
  border: none; }
.verdicts thead th { text-align: center; font-weight: 600; font-size: 0.7rem; }
.verdicts tbody th { text-align: left; font-weight: 400; min-width: 7.7rem;
  padding-right: 0.3rem; }
.verdicts tbody th small { display: block; }
.verdicts td { width: 1rem; min-width: 1rem; text-align: center; font-weight: 700; }
.verdicts figcaption { font-size: 0.9rem; }
.verdicts .gap { width: 0.15rem; min-width: 0.15rem; }
</style>"""


def verdict_text(judgement: Judgement) -> str:
    """Write the verdict with the panels it rests on, such as "reproduced on one panel".

    What is no claim of the paper cannot be reproduced: it has the outcome of its one finding.
    """
    total, decided, verdict = len(judgement.findings), judgement.decided, judgement.verdict
    if judgement.criterion in QUESTIONS:
        return judgement.findings[0].outcome
    verdict = "partly reproduced" if verdict == "partly" else verdict
    if verdict == "not run" or total == 1:
        return verdict
    open_ = judgement.count("undecided")
    where = {1: "one panel"}.get(decided, f"{decided} of {total} panels")
    text = verdict if decided in (0, total) else f"{verdict} on {where}"
    return f"{text}, undecided on {open_}" if decided and open_ else text


def colour(judgement: Judgement) -> str:
    """Give the sign whose colour a verdict has: none where it rests on less than half."""
    return "·" if judgement.narrow else SIGNS[judgement.verdict]


def summary_text(judgements: Iterable[Judgement]) -> str:
    """Count the verdicts, and those on at least half of the paper's panels, in a sentence."""
    judgements = list(judgements)
    wide = count_verdicts(judgement for judgement in judgements if not judgement.narrow)
    listed = ", ".join(
        f"{count} {verdict}" + (f" ({wide[verdict]})" if wide[verdict] else "")
        for verdict, count in count_verdicts(judgements).items()
        if count
    )
    return (
        f"{len(judgements)} claims: {listed}; in brackets, those judged on at least half of the "
        "paper's panels."
    )


def typeset(text: str) -> str:
    """Write d_hit, w_16 or w16, w^2, sqrt, log2, -1, a - b, 5 % and 5e-2 as in print.

    >>> typeset("w0, d_hit, -1 to 5e-2, D - d, Conv-2")
    '<i>w</i><sub>0</sub>, <i>d</i><sub>hit</sub>, −1 to 5·10<sup>−2</sup>, D − d, Conv-2'
    """
    text = re.sub(r"\bw\^2", "w²", text).replace(" - ", " − ").replace("sqrt(", "√(")
    text = re.sub(
        r"&lt;(\w, \w)&gt;", r"⟨\1⟩", re.sub(r"(?<=[\d\]]) %", "\N{NO-BREAK SPACE}%", text)
    )
    text = re.sub(r"(?<![\w.)])-(?=\d)", "−", text)
    text = re.sub(r"\blog(2|10)\b", r"log<sub>\1</sub>", text)
    text = re.sub(r"\b(\d)e-(\d)\b", r"\1·10<sup>−\2</sup>", text)
    text = re.sub(r"\bw(\d+)\b", r"w_\1", text)
    return re.sub(r"\b([dwP])_(hit|int|t|s|\d+)\b", r"<i>\1</i><sub>\2</sub>", text)


# --- the figure -----------------------------------------------------------------------------------


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "<td></td>"
    sign = SIGNS[finding.outcome]
    back, fore = COLOURS[sign]
    words = f"{escape(finding.subject)}: {finding.outcome}"
    return (
        f'<td title="{words}" style="background:{back};color:{fore}">'
        f'<span role="img" aria-label="{words}">{sign}</span></td>'
    )


def _row(judgement: Judgement) -> str:
    found = {finding.subject: finding for finding in judgement.findings}
    groups = [[found.pop(label, None) for label in labels] for labels in GROUPS.values()]
    rest = list(found.values())[:OTHERS]
    groups.append([*rest, *[None] * (OTHERS - len(rest))])
    cells = '<td class="gap"></td>'.join("".join(map(_cell, group)) for group in groups)
    title = f'<a href="#{judgement.criterion.id}">{escape(judgement.criterion.title)}</a>'
    return f"<tr><th scope='row'>{title}<small>{verdict_text(judgement)}</small></th>{cells}</tr>"


def verdicts_html(judgements: Sequence[Judgement]) -> str:
    """Draw the verdicts: one row per claim, one cell per panel of the paper."""
    gap = '<th class="gap"></th>'
    names = {network: [SHORT[label.split(" on ")[1]] for label in labels]
             for network, labels in GROUPS.items()}  # fmt: skip
    names["other"] = [""] * OTHERS
    above = gap.join(f'<th colspan="{len(x)}">{network}</th>' for network, x in names.items())
    below = gap.join("".join(f"<th>{name}</th>" for name in x) for x in names.values())
    rows = "".join(map(_row, judgements))
    return (
        f'{STYLE}<figure class="verdicts"><table><thead><tr><th></th>{above}</tr>'
        f"<tr><th></th>{below}</tr></thead><tbody>{rows}</tbody></table>"
        f"<figcaption>{summary_text(judgements)} {LEGEND}</figcaption></figure>"
    )


# --- the cards ------------------------------------------------------------------------------------


def figure_link(judgement: Judgement, book: Path) -> tuple[str, str] | None:
    """Find where the figure of a claim is, if its page is written: address and title."""
    criterion = judgement.criterion
    source = Path(book) / f"{criterion.page}.md"
    if not source.is_file():
        return None
    text = source.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    labelled = criterion.figure and f"name: {criterion.figure}\n" in text
    anchor = f"#{criterion.figure}" if labelled else ""
    return f"{criterion.page}.html{anchor}", title.group(1) if title else criterion.page


def card(number: int, judgement: Judgement, book: Path) -> str:
    """Write one claim, with the link to its figure."""
    c, sign = judgement.criterion, SIGNS[judgement.verdict]
    link = figure_link(judgement, book)
    shown = f'<p>Figure: <a href="{link[0]}">{escape(link[1])}</a></p>' if link else ""
    amended = f"<p><em>Amended.</em></p>{_clauses(c.amended)}" if c.amended else ""
    done = [f for f in judgement.findings if f.outcome != "not run"]
    rest = [f for f in judgement.findings if f.outcome == "not run"]
    return (
        f'<article class="claim" id="{c.id}" data-verdict="{judgement.verdict}" '
        f'data-colour="{colour(judgement)}">'
        f'<p class="title">{number}. {escape(c.title)}</p>'
        f'<p class="verdict"><span aria-hidden="true">{sign}</span> '
        f"{escape(verdict_text(judgement))}</p>"
        f"<p>{escape(c.claim)} <em>({escape(c.place)})</em></p>"
        f"{_findings(done)}"
        f"<details><summary>Criterion</summary>{_clauses(c.criterion)}{amended}</details>"
        f"{_missing(rest)}{shown}</article>"
    )


def _clauses(text: str) -> str:
    """Set a criterion clause by clause, its words untouched: the long ones read better so.

    >>> _clauses("Ten seeds: the mean is above 0; t-interval.")
    '<ul><li>Ten seeds:</li><li>the mean is above 0;</li><li>t-interval.</li></ul>'
    """
    first, *more = (escape(clause) for clause in re.split(r"(?<=[:;]) ", text))
    lines = "".join(f"<li>{clause}</li>" for clause in (first, *more))
    return f"<ul>{lines}</ul>" if more else f"<p>{first}</p>"


def verdict_card(number: int, judgement: Judgement) -> HTML:
    """Show one card on another page than the ledger's, which runs in the folder of the sources."""
    return HTML(typeset(STYLE + card(number, judgement, Path())))


def verdict_sentence(judgement: Judgement) -> Markdown:
    """Show the outcome of the one finding, with what was measured."""
    (finding,) = judgement.findings
    said = " ".join(filter(None, (finding.measured and finding.measured + ".", finding.note)))
    verdict = f"**Verdict on {finding.subject}: {finding.outcome}.**"
    return Markdown(typeset(f"{verdict} Measured: {said}"))


def _findings(findings: list[Finding]) -> str:
    rows = (
        f"<dt>{escape(f.subject)}: {f.outcome}</dt>"
        f"<dd>{escape(f.measured)}<small>{escape(f.note)}</small></dd>"
        for f in findings
    )
    return f"<dl>{''.join(rows)}</dl>" if findings else ""


def _missing(findings: list[Finding]) -> str:
    if not findings:
        return ""
    rows = "".join(f"<dt>{escape(f.subject)}</dt><dd>{escape(f.note)}</dd>" for f in findings)
    return f"<details><summary>Not run: {len(findings)}</summary><dl>{rows}</dl></details>"


def ledger_html(judgements: Iterable[Judgement], book: Path) -> str:
    """Write all cards, with their style; `book` is the folder of the pages' sources."""
    cards = (card(number, judgement, book) for number, judgement in enumerate(judgements, 1))
    return STYLE + "".join(cards)
