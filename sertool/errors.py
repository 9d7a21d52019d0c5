"""Errors shown to the user: one line that says what is wrong, where, and what to do."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]


def reason(error: OSError) -> str:
    """Return the system's message without Python's additions."""
    return (error.strerror or str(error)).lower()


class SertoolError(Exception):
    """The work failed: shown as one line, exit code 1."""

    exit_code = 1


class UsageError(SertoolError):
    """The command line asks for something impossible: shown as one line, exit code 2."""

    exit_code = 2


class NothingThereError(SertoolError):
    """Nothing that was asked for exists, so the partial output is not worth keeping."""


class Interrupted(SertoolError):
    """The user pressed Ctrl-C."""

    exit_code = 130
