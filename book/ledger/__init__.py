"""The ledger of the paper's claims: criteria, judges, verdicts.

`criteria` states each claim and how it is judged, `evidence` reads the published tables, the
judges in `random_subspaces`, `lottery` and `landscapes` apply the criteria, `ledger` joins them.
"""
