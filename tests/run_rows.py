"""Rows as a cell of runs must have them, for tests that say only what they are about."""

import pandas as pd

METRICS = [
    part + name
    for part in ("train_", "test_", "best_train_", "best_test_")
    for name in ("loss", "accuracy")
]


def complete(cell, rows) -> pd.DataFrame:
    """Add the columns that are missing: what the cell says, and a metric of 0.5."""
    task, optimizer, method = cell.task, cell.task.optimizer, cell.method
    usual = dict.fromkeys(METRICS, 0.5) | {
        "cell": cell.name, "dataset": task.dataset, "network": task.network,
        "pooling": task.pooling, "method": method.name, "burn_in_steps": method.t,
        "variant": method.variant, "nested": method.is_nested, "d": cell.d or 1000, "D": 1000,
        "optimizer": optimizer.name, "bias_correction": optimizer.bias_correction,
        "learning_rate": optimizer.learning_rate, "epochs": task.epochs,
        "batch_size": task.batch_size,
    }  # fmt: skip
    found = pd.DataFrame(rows)
    return found.assign(**{name: usual[name] for name in usual if name not in found})
