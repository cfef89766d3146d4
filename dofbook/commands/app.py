"""The commands there are; each is imported when it is called, so that help is quick."""

import difflib
import io
from collections.abc import Sequence
from importlib import import_module
from textwrap import TextWrapper

from cyclopts import App, Group, Parameter, exceptions
from cyclopts.help import PlainFormatter

from dofbook import __version__
from dofbook.errors import InputError
from dofbook.references import is_reference

COMMANDS = {
    "sweep": ("sweep:sweep_command", "Run a sweep, or go on with one."),
    "status": ("status:status", "Count done, failed and missing cells."),
    "table": ("table:table_command", "Join a store, or one sweep of it, into one tidy table."),
    "thresholds": ("table:thresholds_command", "Find d* with its interval for every curve."),
    "verify": ("verify:verify_command", "Run a random sample of stored runs again and compare."),
    "figures": ("figures:figures", "Draw figures from a tidy table, or export those of chapters."),
    "run": ("run:run", "Execute a chapter with other parameters."),
    "list": ("info:show_list", "Name the data sets, networks, objectives, methods or figures."),
    "info": ("info:info", "Show versions, devices and data sets."),
    "completion": ("info:completion", "Print the completion script of a shell."),
}
"""Where each command is found below ``commands``, and what help says of it."""
DESCRIBING = ("sweep", "status", "table", "verify")
"""Those with options that describe a sweep."""


_SHORTER = {
    "Unknown option: ": "there is no option ", "Invalid": "invalid", "Parameter --": "--",
    ". Did you mean": "; did you mean", ". Choose from:": "; choose from:",
    " requires an argument": " needs a value",
}  # fmt: skip


class _Help(PlainFormatter):
    """Print plain lines, wrapped once to the terminal's width."""

    def __call__(self, console, options, panel):
        from rich.console import Console

        text = io.StringIO()
        super().__call__(Console(file=text, width=10**4), options, panel)
        wrap = TextWrapper(console.width, subsequent_indent=" " * 6, break_on_hyphens=False)
        for line in text.getvalue().splitlines():
            console.print(wrap.fill(line), markup=False, highlight=False, soft_wrap=True)


def build_app() -> App:
    """Describe the commands, importing none."""
    usual = Parameter(
        negative=(), allow_repeating=False,
        show_default=lambda value: None if value in (None, False, ()) else value,
    )  # fmt: skip
    app = App(
        name="dofbook", version=f"dofbook {__version__}\n", help_flags=["--help", "-h"],
        help="Train networks inside affine subspaces, and find where that succeeds.",
        help_format="plaintext", help_formatter=_Help(), result_action="return_value",
        exit_on_error=False, print_error=False, suppress_keyboard_interrupt=False,
        default_parameter=usual,
    )  # fmt: skip
    for place, (name, (where, text)) in enumerate(COMMANDS.items()):
        app.command(f"{__package__}.{where}", name=name, help=text, sort_key=place)
    app["--help"].group = app["--version"].group = (Group("Options", sort_key=2),)
    return app


def run_line(tokens: Sequence[str]) -> int:
    """Run a command line; it raises InputError if it is not one of ours."""
    try:
        if tokens and tokens[0] in DESCRIBING:
            _renew_options(tokens)
        return build_app()(list(tokens)) or 0
    except exceptions.CycloptsError as problem:
        raise InputError(_sentence(problem)) from None


def _renew_options(tokens: Sequence[str]) -> None:
    """Make the options that describe a sweep anew, as the method named has them."""
    from dofbook.commands.describing import describes_sweep
    from dofbook.methods import method_class, methods

    words = [word for token in tokens for word in token.split("=", 1)]
    named = [after for word, after in zip(words, words[1:], strict=False) if word == "--method"]
    kinds = [method_class(name) for name in named if is_reference(name) or name in methods()]
    module, _, name = COMMANDS[tokens[0]][0].partition(":")
    describes_sweep(getattr(import_module(f"{__package__}.{module}"), name), *kinds[:1])


def _sentence(problem: exceptions.CycloptsError) -> str:
    """Say what is wrong with a command line, and what may have been meant."""
    problem.verbose = False
    if isinstance(problem, exceptions.UnknownCommandError):
        # Its own words would import every command.
        given = (problem.unused_tokens or [""])[0]
        near = difflib.get_close_matches(given, COMMANDS, n=1)
        text = f"there is no command {given!r}" + (f"; did you mean {near[0]}?" if near else ".")
    elif isinstance(problem, exceptions.UnusedCliTokensError):
        text = f"{' '.join(problem.unused_tokens or ())} is not expected."
    else:
        text = " ".join(str(problem).split())
    if isinstance(problem, exceptions.MissingArgumentError):
        text = text.partition(" parameter ")[2]
    for said, shorter in _SHORTER.items():
        text = text.replace(said, shorter, 1)
    if isinstance(problem, exceptions.CoercionError) and text.endswith("."):
        return text
    return f"{text} See {' '.join(('dofbook', *(problem.command_chain or ())))} --help."
