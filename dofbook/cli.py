"""The command line: sweep, status, table, run, figures, info.

JAX and everything that imports it are imported by the commands that need them, so that ``--help``
and ``--version`` answer at once. Values are checked by the configuration classes, not here.
"""

import argparse
import json
import sys
from pathlib import Path

from dofbook import __version__
from dofbook.errors import InputError, RunFailed

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Report wrong usage as every other wrong input: one sentence, exit code 2."""

    def error(self, message):
        raise InputError(f"{message}; see {self.prog} --help.")


def parse_dims(text: str) -> tuple[int, ...]:
    """Read training dimensions: "1,2,4", "1:4096:x2" or "octaves:4096".

    Args:
        text: The dimensions as given on the command line.

    Returns:
        The dimensions.

    Raises:
        InputError: If the text has none of the three forms.
    """
    from dofbook.sweeps.profiles import octaves

    try:
        if text.startswith("octaves:"):
            return octaves(int(text.removeprefix("octaves:")))
        if ":" in text:
            first, last, factor = text.split(":")
            if not factor.startswith("x"):
                raise ValueError
            return octaves(int(last), int(first), float(factor[1:]))
        return tuple(int(entry) for entry in text.split(","))
    except InputError:
        raise
    except ValueError:
        raise InputError(f"dims is {text!r}; write 1,2,4 or 1:4096:x2 or octaves:4096.") from None


def parse_integers(text: str) -> tuple[int, ...]:
    """Read comma-separated integers.

    Args:
        text: Such as "0,4,8,16".

    Returns:
        The integers.

    Raises:
        InputError: If the text is something else.
    """
    try:
        return tuple(int(entry) for entry in text.split(","))
    except ValueError:
        raise InputError(f"{text!r} is not a list of integers such as 0,4,8,16.") from None


# Option, type and help; the names are those of the configuration's fields.
SWEEP_OPTIONS = (
    ("profile", str, "start from a named sweep: reduced (digits) or paper (MNIST row of Fig. 2)"),
    ("dataset", str, "digits, mnist, fashion_mnist, cifar10, cifar100 or svhn_cropped"),
    ("network", str, "conv2, conv3, resnet20, mlp or lenet"),
    ("pooling", str, "max (the paper's text) or average (its released code)"),
    ("dims", str, "training dimensions: 1,2,4 or 1:4096:x2 or octaves:4096"),
    ("burn_in_steps", str, "burn-in times t, such as 0,4,8,16; 0 is random affine"),
    ("runs", int, "seeds per cell"),
    ("first_seed", int, "the first seed"),
    ("epochs", int, "passes over the training set; the paper's Table 2 by default"),
    ("batch_size", int, "images per step"),
    ("learning_rate", float, "learning rate inside the subspaces"),
    ("train_size", int, "images of a stratified training subset; all by default"),
    ("test_size", int, "the same for the test set"),
    ("checkpoints_per_epoch", int, "evaluations per epoch"),
    ("convention", str, "paper or released_code: how the paper's text and code differ"),
)
# Not argparse types: argparse would replace their message by its own.
PARSERS = {"dims": parse_dims, "burn_in_steps": parse_integers}


def _add_sweep_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the sweep")
    for name, kind, text in SWEEP_OPTIONS:
        flag = "--" + name.replace("_", "-")
        metavar = {int: "N", float: "X", str: "VALUE"}[kind]
        group.add_argument(flag, type=kind, help=text, metavar=metavar, default=argparse.SUPPRESS)
    group.add_argument(
        "--nested",
        action="store_true",
        default=argparse.SUPPRESS,
        help="nest the subspaces of one seed in d",
    )
    group.add_argument(
        "--no-baseline",
        dest="baseline",
        action="store_false",
        default=argparse.SUPPRESS,
        help="leave out the full-space baseline",
    )


def _sweep_options(args: argparse.Namespace) -> dict:
    names = {name for name, _, _ in SWEEP_OPTIONS} | {"nested", "baseline"}
    given = {name: value for name, value in vars(args).items() if name in names}
    return {name: PARSERS.get(name, lambda value: value)(value) for name, value in given.items()}


def _cells(args: argparse.Namespace) -> list:
    from dofbook.sweeps.profiles import make_sweep

    return make_sweep(**_sweep_options(args)).cells()


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def _complain(text: object) -> None:
    sys.stderr.write(f"dofbook: {text}\n")


def _state(store, name: str, failures) -> str:
    """Tell the state of a cell, changing nothing on disk."""
    from dofbook.sweeps.store import DamagedCell

    try:
        store.read(name)
    except DamagedCell:
        return "damaged"
    except FileNotFoundError:
        return "failed" if name in failures else "missing"
    return "done"


def _print_states(store, cells) -> None:
    """Count done, failed, missing and damaged cells per method, burn-in time and d."""
    import pandas as pd

    failures = store.failures()
    keys = ["dataset", "network", "method", "t", "d"]
    rows = [
        (c.task.dataset, c.task.network, c.method, c.burn_in_steps, c.d or "full")
        + (_state(store, c.name, failures),)
        for c in cells
    ]
    table = pd.DataFrame(rows, columns=[*keys, "state"])
    counts = table.groupby(keys, sort=False)["state"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=["done", "failed", "missing", "damaged"], fill_value=0)
    _say(counts.reset_index().to_string(index=False))
    for cell in cells:
        if cell.name in failures and not store.path(cell.name).exists():
            last = failures[cell.name].traceback.strip().splitlines()[-1]
            _say(f"failed: {cell.name} (t = {cell.burn_in_steps}, d = {cell.d}): {last}")
    total = ", ".join(f"{number} {state}" for state, number in counts.sum().items() if number)
    _say(f"{len(cells)} cells in {store.root}: {total}.")


def _sweep(args: argparse.Namespace) -> int:
    from dofbook.sweeps.executors import check_cells, run_sweep
    from dofbook.sweeps.store import Store
    from dofbook.sweeps.tables import check_table_path, write_table

    cells, store = _cells(args), Store(args.store)
    if args.table:
        check_table_path(args.table)
    if args.dry_run:
        check_cells(cells, [], args.data_dir)
        _print_states(store, cells)
        return 0
    try:
        report = run_sweep(cells, store, data_dir=args.data_dir)
    except KeyboardInterrupt:
        kept = sum(store.path(cell.name).exists() for cell in cells)
        _complain(
            f"interrupted with {kept} of {len(cells)} cells stored; "
            "the same command goes on from there."
        )
        return EXIT_INTERRUPTED
    _say(
        f"{len(cells)} cells: {report.stored} were stored, {report.computed} computed, "
        f"{len(report.failures)} failed."
    )
    if report.failures:
        for name, text in report.failures.items():
            _complain(f"cell {name} failed:\n{text}")
        if args.table:
            _complain(f"{args.table} is not written, since cells are missing.")
        return EXIT_FAILED
    if args.table:
        rows = write_table(store, args.table, [cell.name for cell in cells])
        _say(f"{args.table}: {rows} rows.")
    return 0


def _existing_store(args: argparse.Namespace):
    from dofbook.sweeps.store import Store

    store = Store(args.store)
    if not store.root.exists():
        raise InputError(f"there is no store {store.root}.")
    return store


def _known_cells(store) -> list:
    """List the cells a store knows of; name its damaged files."""
    from dofbook.sweeps.store import DamagedCell

    found = {name: failed.config for name, failed in store.failures().items()}
    for name in store.names():
        try:
            found[name] = store.read(name).config
        except DamagedCell as problem:
            _say(f"damaged: {store.path(name)}: {problem}.")

    def order(cell):
        where = cell.task.dataset, cell.task.network, cell.method
        return *where, cell.burn_in_steps, cell.d or 0, cell.name

    return sorted(found.values(), key=order)


def _status(args: argparse.Namespace) -> int:
    store = _existing_store(args)
    cells = _cells(args) if _sweep_options(args) else _known_cells(store)
    if cells:
        _print_states(store, cells)
    else:
        _say(f"{store.root} holds no cells.")
    return 0


def _table(args: argparse.Namespace) -> int:
    from dofbook.sweeps.tables import write_table

    store = _existing_store(args)
    names = [cell.name for cell in _cells(args)] if _sweep_options(args) else None
    rows = write_table(store, args.output, names)
    missing = sum(not store.path(name).exists() for name in names or ())
    note = f"; {missing} of {len(names)} cells are missing" if missing else ""
    _say(f"{args.output}: {rows} rows{note}.")
    return 0


def _run(args: argparse.Namespace) -> int:
    from dofbook.notebooks import run_chapter

    parameters = {}
    for entry in args.parameter:
        name, equals, value = entry.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"parameter {entry!r} is not of the form name=value.")
        if name in parameters:
            raise InputError(f"parameter {name} is given twice.")
        parameters[name] = value
    for name in ("start_timeout", "cell_timeout"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1 second.")
    run_chapter(args.chapter, args.output, parameters, args.start_timeout, args.cell_timeout)
    _say(str(args.output))
    return 0


# The options each figure takes; Fig. 3 has a panel for each of several metrics.
FIGURES = {
    "figure_2": ("metric", "delta"),
    "figure_3": ("metrics", "delta"),
    "figure_12": ("metric",),
}


def _figures(args: argparse.Namespace) -> int:
    import io

    import pandas as pd

    if not args.table.is_file():
        raise InputError(f"there is no table {args.table}.")
    try:
        table = pd.read_parquet(args.table)
    except (OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise InputError(f"{args.table} cannot be read as Parquet: {reason}.") from None
    from dofbook import figures
    from dofbook.sweeps.store import write_atomically

    given = {"metric": args.metric, "metrics": args.metric and (args.metric,), "delta": args.delta}
    drawn = {}
    for name in args.figure or FIGURES:
        options = {key: given[key] for key in FIGURES[name] if given[key] is not None}
        buffer = io.BytesIO()
        getattr(figures, name)(table, **options).savefig(buffer, format=args.format)
        drawn[args.output / f"{name}.{args.format}"] = buffer.getvalue()
    for path, content in drawn.items():
        write_atomically(path, content)
        _say(str(path))
    return 0


def _information(data_dir: str | None) -> dict:
    from dofbook import provenance
    from dofbook.datasets import NAMES, locate

    data = {name: locate(name, data_dir) for name in NAMES}
    return {**provenance.environment(), "machine": provenance.machine(), "data": data}


def _info(args: argparse.Namespace) -> int:
    facts = _information(args.data_dir)
    if args.json:
        _say(json.dumps(facts, indent=1))
        return 0
    for name, version in facts["versions"].items():
        _say(f"{name:<12}{version or 'not installed'}")
    for device in facts["devices"]:
        _say(f"{'device':<12}{device['platform']}, {device['kind']}")
    for name, value in facts["machine"].items():
        _say(f"{name:<12}{value}")
    git = facts["git"]
    dirty = ", with uncommitted changes" if git and git["dirty"] else ""
    _say(f"{'commit':<12}{git['commit'] + dirty if git else 'not a checkout'}")
    for name, where in facts["data"].items():
        _say(f"{name:<14}{where or 'would be downloaded'}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Describe every command and option.

    Returns:
        The parser; each command's function is its default ``command``.
    """
    parser = _Parser(prog="dofbook", allow_abbrev=False, description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"dofbook {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name, function, text):
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.set_defaults(command=function)
        return added

    def with_store(added):
        added.add_argument(
            "--store", type=Path, default=Path("store"), metavar="DIR", help="default: store"
        )

    sweep = command("sweep", _sweep, "Run a sweep, or go on with one.")
    with_store(sweep)
    sweep.add_argument("--table", type=Path, metavar="FILE.parquet", help="write the tidy table")
    sweep.add_argument("--data-dir", metavar="DIR", help="default: $DOFBOOK_DATA_DIR")
    sweep.add_argument("--dry-run", action="store_true", help="list the cells; write nothing")
    _add_sweep_options(sweep)

    status = command("status", _status, "Count done, failed and missing cells.")
    with_store(status)
    _add_sweep_options(status)

    table = command("table", _table, "Join a store, or one sweep of it, into one tidy table.")
    with_store(table)
    table.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.parquet")
    _add_sweep_options(table)

    run = command("run", _run, "Execute a chapter with other parameters.")
    run.add_argument("chapter", type=Path, help="a chapter such as book/phase_transition.md")
    run.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help="a value for a name in the chapter's parameters cell; relative paths start at the "
        "chapter's folder, in which it runs",
    )  # fmt: skip
    run.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.ipynb")
    run.add_argument("--start-timeout", type=int, default=120, metavar="SECONDS", help="kernel")
    run.add_argument("--cell-timeout", type=int, metavar="SECONDS", help="default: no limit")

    figures = command("figures", _figures, "Draw the paper's figures from a tidy table.")
    figures.add_argument("table", type=Path, help="a table of dofbook sweep or dofbook table")
    figures.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    figures.add_argument("--figure", action="append", choices=tuple(FIGURES), help="default: all")
    figures.add_argument("--metric", help="such as test_accuracy")
    figures.add_argument("--delta", type=float, help="allowed failure probability (Figs. 2, 3)")
    figures.add_argument("--format", choices=("png", "svg", "pdf"), default="png")

    info = command("info", _info, "Show versions, devices and data sets.")
    info.add_argument("--data-dir", metavar="DIR", help="default: $DOFBOOK_DATA_DIR")
    info.add_argument("--json", action="store_true", help="for machines")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; the process's own by default.

    Returns:
        Exit code: 0, or 1 if something failed, 2 if the input is wrong, 130 if interrupted.
        Other exceptions pass, so that they show their traceback and the process exits with 1.
    """
    try:
        args = build_parser().parse_args(argv)
        return args.command(args)
    except InputError as problem:
        _complain(problem)
        return EXIT_INPUT
    except RunFailed as problem:
        _complain(problem)
        return EXIT_FAILED
    except KeyboardInterrupt:
        _complain("interrupted.")
        return EXIT_INTERRUPTED
