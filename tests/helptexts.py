"""Read the examples in the help."""

import click
import pytest

from sertool import cli


def epilog(command: str) -> str:
    return cli.cli.epilog if command == "sertool" else cli.cli.get_command(click.Context(cli.cli), command).epilog


def examples(*commands: str) -> list[str]:
    """Return every line of the examples in the help of some commands; those of commands alone are slow tests."""
    lines = [line for command in commands for line in epilog(command).splitlines()]
    found = dict.fromkeys(line.strip() for line in lines if line.startswith(("  sertool ", "  find ")))
    return [line if line in cli.cli.epilog else pytest.param(line, marks=pytest.mark.slow) for line in found]
