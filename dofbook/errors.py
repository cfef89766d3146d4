"""Exceptions shown to users as a single sentence: the input is wrong, or the work failed."""


class InputError(ValueError):
    """Say what was given and what is allowed, in one sentence, before anything is written.

    The command line prints the message alone and exits with code 2.
    """


class RunFailed(RuntimeError):
    """Say in one sentence why right input came to nothing: a disk full, a chapter's cell failed.

    The command line prints the message alone and exits with code 1.
    """
