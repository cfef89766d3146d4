"""Adds to the wheel what the chapters read beside the package: tables, examples and the ledger."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CARRIED = (
    "results/*.parquet", "results/*.json", "book/examples/*.py", "book/ledger/*.py",
    "book/beyond/*.py",
)  # fmt: skip


class CarryBook(BuildHookInterface):
    """Lay the files below ``dofbook/carried`` as they lie in the checkout; cells stay there."""

    def initialize(self, version: str, build_data: dict) -> None:
        if version != "editable":  # which reads the checkout itself
            root = Path(self.root)
            paths = [path for pattern in CARRIED for path in root.glob(pattern)]
            build_data["force_include"].update(
                {str(path): f"dofbook/carried/{path.relative_to(root)}" for path in paths}
            )
