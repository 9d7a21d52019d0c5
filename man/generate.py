"""Write the man pages from the commands: `python man/generate.py`, or with `--check` name the stale ones and fail.

A paragraph of a command's epilog whose first line is a title and a colon, such as `Examples:`, opens a section.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from completions.tree import Argument, Command, Option, Tree, publish, read
from sertool import __version__

EXIT_STATUS = {
    "0": "The work is done.",
    "1": "It failed; standard error says why.",
    "2": "The command line is wrong.",
    "130": "It was interrupted.",
}
CLOSING = ("EXIT STATUS", "ENVIRONMENT", "FILES", "NOTES", "EXAMPLES")  # in the order that man-pages(7) has them in
ESCAPES = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def pages(tree: Tree, version: str) -> dict[str, str]:
    """The text of every page by the name of its file."""
    return {f"{_title(tree, command)}.1": page(tree, command, version) for command in (tree.top, *tree.commands)}


def page(tree: Tree, command: Command, version: str) -> str:
    title = escape(_title(tree, command))
    sections = {
        "NAME": [rf"{title} \- {escape(command.summary)}"],
        "SYNOPSIS": [bold(_words(tree, command)), _placeholders(command.usage)],
        "DESCRIPTION": _prose(_paragraphs(command.help)),
        "ARGUMENTS": _arguments(command.arguments),
        "OPTIONS": _options(command),
        "COMMANDS": _commands(tree) if command is tree.top else [],
        **_closing(command),
        "SEE ALSO": [_see_also(tree, command)],
    }
    head = [
        r".\" Written by man/generate.py: change the command, not this file.",
        f'.TH {escape(_title(tree, command).upper())} 1 "" "{tree.top.name} {version}" "User Commands"',
        ".nh",
        ".ad l",
    ]
    body = [line for name, lines in sections.items() if lines for line in (f".SH {name}", *lines)]
    return "\n".join(head + body) + "\n"


def escape(text: str) -> str:
    """One line as roff prints it unchanged."""
    escaped = "".join(ESCAPES.get(char) or (char if char.isascii() else rf"\[u{ord(char):04X}]") for char in text)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def bold(text: str) -> str:
    return rf"\fB{escape(text)}\fR"


def _placeholders(text: str) -> str:
    """Text in which a word in capitals stands for a value; a long list of choices may break at its bars."""
    escaped = re.sub(r"\b[A-Z][A-Z_]*\b", r"\\fI\g<0>\\fR", escape(text))
    return escaped.replace("|", r"|\:")


def _words(tree: Tree, command: Command) -> str:
    return command.name if command is tree.top else f"{tree.top.name} {command.name}"


def _title(tree: Tree, command: Command) -> str:
    return _words(tree, command).replace(" ", "-")


def _paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """Whether each paragraph keeps its line breaks (click's `\\b` stands above it), and its lines."""
    for paragraph in re.split(r"\n(?:[ \t]*\n)+", text):
        lines = paragraph.split("\n")
        kept = lines[0].strip() == "\b"
        if lines != [""]:
            yield kept, "\n".join(lines[kept:])


def _prose(parts: Iterable[tuple[bool, str]]) -> list[str]:
    lines = []
    for kept, text in parts:
        if kept:
            lines += [".PP", ".nf", *(escape(line) for line in text.split("\n")), ".fi"]
        else:
            lines += [".PP", *_filled(text)]
    return lines


def _filled(text: str) -> list[str]:
    wrapped = textwrap.wrap(" ".join(text.split()), 100, break_long_words=False, break_on_hyphens=False)
    return [escape(line) for line in wrapped]


def _item(tag: str, text: str) -> list[str]:
    return [".TP", tag, *(_filled(text) or [r"\&"])]


def _arguments(arguments: tuple[Argument, ...]) -> list[str]:
    explained = [argument for argument in arguments if argument.help]
    return [line for argument in explained for line in _item(_placeholders(argument.metavar), argument.help)]


def _options(command: Command) -> list[str]:
    """The options, in groups where the help has any."""
    lines, groups = [], command.groups()
    for group, options in groups.items():
        lines += [f".SS {escape(group or 'Other options')}"] if len(groups) > 1 else []
        lines += [line for option in options for line in _item(_option(option), option.help)]
    return lines


def _option(option: Option) -> str:
    names = [", ".join(map(bold, names)) for names in (option.names, option.offs) if names]
    return " / ".join(names) + (f" {_placeholders(option.metavar)}" if option.metavar else "")


def _commands(tree: Tree) -> list[str]:
    items = [_item(rf"{bold(_title(tree, command))}(1)", command.summary) for command in tree.commands]
    return [line for item in items for line in item]


def _closing(command: Command) -> dict[str, list[str]]:
    """The sections that the epilog opens, and the exit status; prose without a title is a note."""
    found: dict[str, list[tuple[bool, str]]] = {}
    title = "NOTES"
    for kept, text in _paragraphs(command.epilog):
        opens = re.match(r"([A-Z][A-Za-z ]*):[ \t]*\n", text)
        title = opens[1].upper() if opens else title if kept else "NOTES"
        found.setdefault(title, []).append((kept, textwrap.dedent(text[opens.end() :]) if opens else text))
    status = [line for code, text in EXIT_STATUS.items() for line in _item(bold(code), text)]
    sections = {"EXIT STATUS": status} | {title: _prose(parts) for title, parts in found.items()}
    return dict(sorted(sections.items(), key=lambda section: _rank(section[0])))


def _rank(title: str) -> int:
    """Where a section stands; one that man-pages(7) does not know stands with the notes."""
    return CLOSING.index(title if title in CLOSING else "NOTES")


def _see_also(tree: Tree, command: Command) -> str:
    others = [other for other in (tree.top, *tree.commands) if other is not command]
    return ", ".join(f"{bold(_title(tree, other))}(1)" for other in others)


if __name__ == "__main__":
    from sertool.cli import cli

    publish(Path(__file__).parent, pages(read(cli), __version__), "sertool*.1")
