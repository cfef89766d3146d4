"""The ledger of the paper's claims: criteria, judges, verdicts.

`criteria` states each claim and how it is judged, `evidence` reads the published tables, `panels`
arranges the runs, the judges in `random_subspaces`, `lottery` and `landscapes` apply the criteria,
`verdicts` makes outcomes of intervals, `pages` writes the page. A new table in the folder of
published ones is judged without a change here.
"""
