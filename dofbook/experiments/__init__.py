"""Sweeps: cells described, run, stored, tabled and verified.

- `config`: cells and their hash; `options`: from options by name; `paper`: the paper's figures
- `cell`: runs of a method at one d; `linearized`, `spectra`, `cuts`: the other kinds
- `sweeping`: from a notebook; `executors`, `dask_executor`: where cells run; `adaptive`: bisection
- `store`, `tables`, `published`: one file a cell, one table a sweep
- `timing`, `estimates`: how fast it goes, what it takes; `index`: headers of stored cells
- `verification`: runs again
"""

from dofbook import lazily

__getattr__, __dir__ = lazily(
    __name__,
    {
        "config": ("CellConfig", "SweepConfig"),
        "options": ("fit_dims", "make_sweep", "octaves"),
        "paper": ("PAPER_FIGURES", "linearization_chapter", "lottery_chapter"),
        "published": ("read_published",),
        "store": ("Store",),
        "sweeping": ("run_cells", "sweep"),
        "tables": ("run_record",),
    },
)
