"""Write the completions from the commands: `python completions/generate.py`, or with `--check` name the stale ones
and fail.

Each file is named as its shell looks for it: `sertool` (bash), `_sertool` (zsh), `sertool.fish`. They hold all they
need and start no Python.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from completions import bash, fish, zsh
from completions.tree import Tree, publish, read


def scripts(tree: Tree) -> dict[str, str]:
    """The text of every script by the name of its file."""
    name = tree.top.name
    return {name: bash.script(tree), f"_{name}": zsh.script(tree), f"{name}.fish": fish.script(tree)}


if __name__ == "__main__":
    from sertool.cli import cli

    publish(Path(__file__).parent, scripts(read(cli)), "*sertool*")
