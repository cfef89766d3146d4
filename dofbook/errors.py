"""The one exception that means "the input is wrong", shown to users as a single sentence."""


class InputError(ValueError):
    """Say what was given and what is allowed, in one sentence.

    The command line prints the message alone and exits with code 2; nothing is written before
    inputs are checked.
    """
