"""The ledger: every claim with what the judge of its criterion found."""

from ledger import landscapes, lottery, random_subspaces  # noqa: F401  (they fill JUDGES)
from ledger.criteria import CRITERIA
from ledger.evidence import Evidence
from ledger.panels import JUDGES
from ledger.verdicts import Judgement


def judge_claims(evidence: Evidence) -> tuple[Judgement, ...]:
    """Judge every claim of the paper, in the order of `CRITERIA`."""
    return tuple(Judgement(criterion, JUDGES[criterion.id](evidence)) for criterion in CRITERIA)
