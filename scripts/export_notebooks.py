"""Copies the executed chapters to a folder, ready for the branch that the Colab button opens.

    python scripts/export_notebooks.py notebooks

Each notebook gets a first cell that installs the package, which a fresh Colab machine lacks.
"""

import argparse
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).parents[1]


def export(build: Path, output: Path, repository: str) -> list[Path]:
    """Writes every executed notebook below ``build`` to ``output``, with an installing cell first.

    Args:
        build: the ``_build/jupyter_execute`` folder of a finished build.
        output: folder to write to; the paths below it are those below ``build``.
        repository: address of the git repository.

    Returns:
        Paths of the notebooks written.
    """
    install = f"%pip install --quiet git+{repository}"
    written = []
    for path in sorted(build.rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(install, id="install"))
        nbformat.validate(notebook)
        target = output / path.relative_to(build)
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
        written.append(target)
    return written


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    if not export(ROOT / "_build" / "jupyter_execute", output, config["repository"]["url"]):
        parser.exit(1, "error: there is no executed notebook; run `make book` first\n")


if __name__ == "__main__":
    main()
