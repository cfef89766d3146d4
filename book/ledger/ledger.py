"""The ledger: every claim with the judge that applies its criterion."""

from ledger import landscapes, lottery, random_subspaces
from ledger.criteria import CRITERIA
from ledger.evidence import Evidence
from ledger.verdicts import Judgement

JUDGES = {**random_subspaces.JUDGES, **lottery.JUDGES, **landscapes.JUDGES}


def judge_claims(evidence: Evidence) -> tuple[Judgement, ...]:
    """Judge every claim of the paper, in the order of `CRITERIA`.

    Args:
        evidence: The tables.

    Returns:
        One judgement per claim; "not run" where the rows it needs are not there.
    """
    return tuple(Judgement(criterion, JUDGES[criterion.id](evidence)) for criterion in CRITERIA)
