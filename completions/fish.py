"""The completion script for fish."""

import re

from completions.tree import Argument, Option, Tree, Values

HEAD = """# fish completion for sertool. Written by completions/generate.py: change the commands, not this file.

# Whether the line so far names this command ('' for none yet); with a test such as `-ge 2`, of its next argument too.
function __sertool_at
    set -l command ''
    set -l position 1
    set -l skip no
    set -l tokens (commandline -opc)
    for token in $tokens[2..]
        if test $skip = yes
            set skip no
        else if string match -q -- '-?*' $token
            contains -- "$command $token" \\
@VALUED@
            and set skip yes
        else if test -z $command
            set command $token
        else
            set position (math $position + 1)
        end
    end
    test "$command" = "$argv[1]"
    and begin
        not set -q argv[2]
        or test $position $argv[2] $argv[3]
    end
end

# The words after what stands before the last comma.
function __sertool_many
    set -l before (commandline -ct | string replace -r -- '^--[^=]*=' '' | string match -r '.*,')
    or set before ''
    for word in $argv
        string match -q -- "*,"(string split -f 1 -- \\t $word)",*" ",$before"
        or echo $before$word
    end
end

complete -c sertool -f
"""


def script(tree: Tree) -> str:
    lines = [_line("", "-eq 1", f"-a {item.name}", item.summary) for item in tree.commands]
    for name, command in tree.contexts():
        lines += [_option(name, option) for option in command.options]
        lines += [_argument(name, position, argument) for position, argument in enumerate(command.arguments, 1)]
    return HEAD.replace("@VALUED@", _valued(tree)) + "\n".join(lines) + "\n"


def _valued(tree: Tree) -> str:
    """Each command's options that a value follows, as the words `"index --out"`."""
    rows = [
        " ".join(f'"{name} {word}"' for word in option.names)
        for name, command in tree.contexts()
        for option in command.options
        if option.count
    ]
    return " \\\n".join(f"                {row}" for row in rows)


def _line(command: str, test: str, completes: str, help: str) -> str:
    place = " ".join(["__sertool_at", command or '""', *([test] if test else [])])
    return f"complete -c sertool -n {_quote(place)} {completes}" + (f" -d {_quote(help)}" if help else "")


def _option(command: str, option: Option) -> str:
    names = " ".join(map(_name, (*option.names, *option.offs)))
    takes = f" -r {_values(option.values)}" if option.count else ""
    return _line(command, "", names + takes, option.help)


def _name(word: str) -> str:
    """`-l out`, `-s o`, or `-o long` where one dash leads a long name."""
    if word.startswith("--"):
        return f"-l {word[2:]}"
    return f"-s {word[1:]}" if len(word) == 2 else f"-o {word[1:]}"


def _argument(command: str, position: int, argument: Argument) -> str:
    test = f"-eq {position}" if argument.count == 1 else f"-ge {position}"
    return _line(command, test, _values(argument.values), "")


def _values(values: Values) -> str:
    words = " ".join(_word(word, help) for word, help in values.words)
    if values.path == "dir":
        words = f"{words} (__fish_complete_directories)".strip()
    if values.many:
        words = f"(__sertool_many {words})"
    files = "-F" if values.path == "file" else "-f"
    return f"{files} -a {_quote(words)}" if words else files


def _word(word: str, help: str) -> str:
    return _quote(word) + (rf"\t{_quote(help)}" if help else "")


def _quote(text: str) -> str:
    if re.fullmatch(r"[\w./:+-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
