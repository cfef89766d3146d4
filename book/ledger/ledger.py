"""The ledger: every claim with what the judge of its criterion found."""

from ledger import (  # noqa: F401  (they fill JUDGES and ANSWERS)
    beyond_geometry,
    beyond_training,
    landscapes,
    lottery,
    random_subspaces,
)
from ledger.criteria import CRITERIA
from ledger.evidence import Evidence
from ledger.panels import ANSWERS, JUDGES, Folder
from ledger.questions import QUESTIONS
from ledger.verdicts import Finding, Judgement


def judge_claims(evidence: Evidence) -> tuple[Judgement, ...]:
    """Judge every claim of the paper, in the order of `CRITERIA`."""
    return tuple(Judgement(criterion, JUDGES[criterion.id](evidence)) for criterion in CRITERIA)


def judge_questions(folder: Folder = None) -> tuple[Judgement, ...]:
    """Judge the questions beyond the paper by a folder of published tables, None for ours."""
    none = (Finding("all", "not run", note="No judge is written."),)
    found = ((q, ANSWERS[q.id](folder) if q.id in ANSWERS else none) for q in QUESTIONS)
    return tuple(Judgement(question, findings) for question, findings in found)
