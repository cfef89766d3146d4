"""The command line: sweep, status, table, verify, run, figures, info.

JAX and everything that imports it are imported by the commands that need them, so that ``--help``
and ``--version`` answer at once. Values are checked by the configuration classes, not here.
"""

import argparse
import json
import os
import sys
from functools import partial
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
    from dofbook.experiments.profiles import octaves

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


_LISTS = {int: "integers such as 0,4,8,16", float: "numbers such as 0.5,0.9"}


def parse_list(text: str, kind: type) -> tuple:
    """Read comma-separated numbers.

    Args:
        text: Such as "0,4,8,16".
        kind: ``int`` or ``float``.

    Returns:
        The numbers.

    Raises:
        InputError: If the text is something else.
    """
    try:
        return tuple(kind(entry) for entry in text.split(","))
    except ValueError:
        raise InputError(f"{text!r} is not a list of {_LISTS[kind]}.") from None


# Option, type and help; the names are those of the configuration's fields.
SWEEP_OPTIONS = (
    ("profile", str, "start from a named sweep: reduced (digits) or paper (MNIST row of Fig. 2)"),
    ("figure", str, "a figure of the paper at its settings, such as 2-mnist, 6-cifar10-conv2 or 2"),
    (
        "dataset",
        str,
        "digits, mnist, fashion_mnist, cifar10, cifar100, svhn_cropped or your module:function",
    ),
    ("network", str, "conv2, conv3, resnet20, mlp, lenet or your module:function"),
    ("pooling", str, "max (the paper's text) or average (its released code)"),
    ("method", str, "affine, lottery_subspace, lottery_ticket, random_pruning or full"),
    ("directions", str, "structured random directions: sparse, fastfood or hadamard"),
    ("dims", str, "training dimensions: 1,2,4 or 1:4096:x2 or octaves:4096"),
    ("burn_in_steps", str, "burn-in times t, such as 0,4,8,16; 0 is random affine"),
    ("runs", int, "seeds per cell; with --adaptive the largest number of initializations"),
    ("first_seed", int, "the first seed"),
    ("epochs", int, "passes over the training set; the paper's Table 2 by default"),
    ("batch_size", int, "images per step"),
    ("learning_rate", float, "learning rate inside the subspaces"),
    ("train_size", int, "images of a stratified training subset; all by default"),
    ("test_size", int, "the same for the test set"),
    ("checkpoints_per_epoch", int, "evaluations per epoch"),
    ("convention", str, "paper or released_code: how the paper's text and code differ"),
    ("basis", str, "of lottery subspaces: increments, centred or uncentred"),
    ("spacing", int, "updates between the stored points of a lottery subspace's trajectory"),
    ("trajectory_steps", int, "updates of that trajectory"),
    ("pruning_epochs", int, "epochs of training before pruning"),
    ("iterations", int, "rounds of training and pruning"),
    ("retraining", str, "of lottery tickets: common or released_code"),
    ("weight_decay", float, "on convolution kernels before pruning"),
)
# Not argparse types: argparse would replace their message by its own.
PARSERS = {"dims": parse_dims, "burn_in_steps": partial(parse_list, kind=int)}


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


def _config(args: argparse.Namespace):
    from dofbook.experiments.profiles import make_sweep, paper_figure

    options = _sweep_options(args)
    return paper_figure(**options) if "figure" in options else make_sweep(**options)


def _chosen(args: argparse.Namespace):
    """Describe the sweep the options name; None if there are none."""
    return _config(args) if _sweep_options(args) else None


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def _complain(text: object) -> None:
    sys.stderr.write(f"dofbook: {text}\n")


def _sweep(args: argparse.Namespace) -> int:
    config = _config(args)
    args.level = parse_list(args.level, float) if args.level else ()
    if "figure" in args and (args.adaptive or args.level):
        raise InputError("a figure's cells are fixed; --adaptive and --level do not go with it.")
    from dofbook.commands.sweep import sweep

    return sweep(args, config)


def _status(args: argparse.Namespace) -> int:
    from dofbook.commands.status import status

    return status(args, _chosen(args))


def _table(args: argparse.Namespace) -> int:
    from dofbook.commands.table import table

    return table(args, _chosen(args))


def _spectra(args: argparse.Namespace) -> int:
    if "figure" in args:
        raise InputError("spectra are of one data set and network; name them, not a figure.")
    config = _config(args)
    from dofbook.commands.spectra import spectra

    return spectra(args, config)


def _verify(args: argparse.Namespace) -> int:
    from dofbook.commands.verify import verify

    return verify(args, _chosen(args))


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
    from dofbook.experiments.store import write_atomically

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


def _add_batching_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batching", default="auto", metavar="HOW",
        help="seeds of a cell together: auto (batched except on a CPU), batched or sequential",
    )  # fmt: skip
    parser.add_argument("--chunk", type=int, metavar="N", help="seeds at once; default: what fits")
    parser.add_argument(
        "--precision", default="float32", metavar="P", help="of products on a GPU: float32 or tf32"
    )


def _add_executor_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--executor", metavar="NAME", help="local (this process, the default) or dask"
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="join a running dask scheduler")
    group.add_argument("--scheduler-file", metavar="FILE", help="the same, by the file it wrote")
    group.add_argument("--workers", type=int, metavar="N", help="processes of a local dask cluster")
    group.add_argument(
        "--part", metavar="I/N", help="only every N-th cell from the I-th: shares of a job array"
    )
    group.add_argument(
        "--retries", type=int, default=1, metavar="N", help="attempts at a cell that raised"
    )
    _add_batching_options(group)


def _add_adaptive_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("adaptive sweeps: bisection for the threshold of each level")
    group.add_argument("--adaptive", action="store_true", help="search instead of a full grid")
    group.add_argument("--level", metavar="X,...", help="accuracies or losses to reach")
    group.add_argument("--metric", default="test_accuracy", help="default: test_accuracy")
    group.add_argument(
        "--half-width", type=float, default=0.25, metavar="OCTAVES",
        help="stop when d* is known to so many octaves either way; default: 0.25",
    )  # fmt: skip
    group.add_argument("--delta", type=float, default=0.1, help="failure probability of d*")
    group.add_argument("--confidence", type=float, default=0.95, help="of the interval")


def _folder(text: str) -> Path:
    if not text:  # an unset variable; Path would make it the current folder
        raise argparse.ArgumentTypeError("it is empty; name a folder")
    return Path(text)


def _describe_store_commands(command) -> None:
    """Describe the commands that work on a store; ``command`` adds one to the parser."""

    def with_store(name, function, text):
        added = command(name, function, text)
        added.add_argument(
            "--store", type=_folder, default=Path("store"), metavar="DIR", help="default: store"
        )
        _add_sweep_options(added)
        return added

    def with_json(added):
        added.add_argument("--json", action="store_true", help="one event a line, for machines")

    sweep = with_store("sweep", _sweep, "Run a sweep, or go on with one.")
    sweep.add_argument("--table", type=Path, metavar="FILE.parquet", help="write the tidy table")
    sweep.add_argument("--data-dir", metavar="DIR", help="default: $DOFBOOK_DATA_DIR")
    sweep.add_argument(
        "--dry-run", action="store_true",
        help="list cells, steps, memory and time (measured in seconds); write nothing",
    )  # fmt: skip
    with_json(sweep)
    _add_executor_options(sweep)
    _add_adaptive_options(sweep)

    with_json(with_store("status", _status, "Count done, failed and missing cells."))

    table = with_store("table", _table, "Join a store, or one sweep of it, into one tidy table.")
    table.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.parquet")

    spectra = command("spectra", _spectra, "Decompose the paths of full training (Figs. 10, 11).")
    spectra.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.parquet")
    spectra.add_argument("--data-dir", metavar="DIR", help="default: $DOFBOOK_DATA_DIR")
    _add_sweep_options(spectra)

    verify = with_store("verify", _verify, "Run a random sample of stored runs again and compare.")
    verify.add_argument("--sample", type=int, default=3, metavar="N", help="cells; default: 3")
    verify.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample")
    verify.add_argument("--data-dir", metavar="DIR", help="default: $DOFBOOK_DATA_DIR")
    with_json(verify)
    _add_batching_options(verify)


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

    _describe_store_commands(command)

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
    if "" not in sys.path:
        sys.path.append("")  # modules of one's own in the current folder, as for python -m
    try:
        args = build_parser().parse_args(argv)
        code = args.command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read the output, such as head, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing to flush at exit
        return EXIT_FAILED
    except InputError as problem:
        _complain(problem)
        return EXIT_INPUT
    except RunFailed as problem:
        _complain(problem)
        return EXIT_FAILED
    except KeyboardInterrupt:
        _complain("interrupted.")
        return EXIT_INTERRUPTED
