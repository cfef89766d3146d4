"""The ledger as HTML: one card per claim, which reads on a phone as well as on a screen."""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path

from ledger.verdicts import Finding, Judgement, Verdict

SIGNS: dict[Verdict, str] = {
    "reproduced": "✓", "partly": "◐", "not reproduced": "✗", "not run": "–",
}  # fmt: skip
STYLE = """<style>
.claim { border: 1px solid var(--pst-color-border); border-left: 0.4rem solid;
  border-radius: 0.3rem; padding: 0.6rem 0.9rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.claim[data-verdict="reproduced"] { border-left-color: #009E73; }
.claim[data-verdict="partly"] { border-left-color: #E69F00; }
.claim[data-verdict="not reproduced"] { border-left-color: #D55E00; }
.claim[data-verdict="not run"] { border-left-color: #8a8a8a; }
.claim .title { font-weight: 700; font-size: 1.05rem; margin: 0; }
.claim .verdict { font-weight: 700; margin: 0.1rem 0 0.5rem; }
.claim p { margin: 0 0 0.5rem; }
.claim summary { cursor: pointer; font-weight: 600; }
.claim dl { margin: 0.3rem 0 0.5rem; }
.claim dt { font-weight: 600; }
.claim dd { margin: 0 0 0.5rem 1rem; }
.claim small { color: var(--pst-color-text-base); font-size: 0.9em; display: block; }
</style>"""


def coverage(judgement: Judgement) -> str:
    """Say on how much of its claim a verdict rests.

    Args:
        judgement: The claim with its findings.

    Returns:
        Such as "3 of 9 panels run"; empty where a claim has one panel and it was run.
    """
    run, total = judgement.panels_run, len(judgement.findings)
    return "" if run == total == 1 else f"{run} of {total} run"


def verdict_text(judgement: Judgement) -> str:
    """Write the verdict with its coverage.

    Args:
        judgement: The claim with its findings.

    Returns:
        Such as "partly (3 of 9 run)".
    """
    part = coverage(judgement)
    if judgement.verdict == "not run" or not part:
        return judgement.verdict
    return f"{judgement.verdict} ({part})"


def figure_link(judgement: Judgement, book: Path) -> tuple[str, str] | None:
    """Find where the figure of a claim is, if its page is written.

    Args:
        judgement: The claim.
        book: Folder of the pages' sources.

    Returns:
        Address relative to the ledger's page, and the page's title; None without the page.
    """
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
    """Write one claim.

    Args:
        number: Its number in the ledger.
        judgement: The claim with its findings.
        book: Folder of the pages' sources, for the link to the figure.

    Returns:
        HTML.
    """
    c, sign = judgement.criterion, SIGNS[judgement.verdict]
    link = figure_link(judgement, book)
    shown = f'<p>Figure: <a href="{link[0]}">{escape(link[1])}</a></p>' if link else ""
    done = [f for f in judgement.findings if f.outcome != "not run"]
    rest = [f for f in judgement.findings if f.outcome == "not run"]
    return (
        f'<article class="claim" id="{c.id}" data-verdict="{judgement.verdict}">'
        f'<p class="title">{number}. {escape(c.title)}</p>'
        f'<p class="verdict"><span aria-hidden="true">{sign}</span> '
        f"{escape(verdict_text(judgement))}</p>"
        f"<p>{escape(c.claim)} <em>({escape(c.place)})</em></p>"
        f"{_findings(done)}"
        f"<details><summary>Criterion</summary><p>{escape(c.criterion)}</p></details>"
        f"{_missing(rest)}{shown}</article>"
    )


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
    """Write all cards.

    Args:
        judgements: The ledger.
        book: Folder of the pages' sources.

    Returns:
        HTML with its style.
    """
    cards = (card(number, judgement, book) for number, judgement in enumerate(judgements, 1))
    return STYLE + "".join(cards)
