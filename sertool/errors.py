"""The errors that a user may see: one line that says what, where and what to do."""


def first_line(error: BaseException) -> str:
    """What a library said, of which the first line is for people."""
    return str(error).partition("\n")[0]


class SertoolError(Exception):
    """The work failed: shown as one line, exit code 1."""

    exit_code = 1


class UsageError(SertoolError):
    """The command line asks for something that cannot be: shown as one line, exit code 2."""

    exit_code = 2


class NothingThereError(SertoolError):
    """Nothing of what was asked for exists, so that what was made of it is not worth keeping."""


class Interrupted(SertoolError):
    """Somebody pressed Ctrl-C."""

    exit_code = 130
