"""Read the examples in the help."""

import click
import pytest

from sertool import cli


def epilog(command: str) -> str:
    return cli.cli.epilog if command == "sertool" else cli.cli.get_command(click.Context(cli.cli), command).epilog


def examples(*commands: str) -> list[str]:
    """Return every line of the examples in the help of some commands."""
    lines = [line for command in commands for line in epilog(command).splitlines()]
    found = dict.fromkeys(line.strip() for line in lines if line.startswith(("  sertool ", "  find ")))
    slow = [line for line in found if "sertool train" in line and line not in cli.cli.epilog]
    return [pytest.param(line, marks=pytest.mark.slow) if line in slow else line for line in found]
