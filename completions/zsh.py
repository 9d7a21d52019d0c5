"""The completion script for zsh."""

from dataclasses import replace
from shlex import quote

from completions.tree import Argument, Command, Option, Tree, Values

SCRIPT = """#compdef sertool
# zsh completion for sertool. Written by completions/generate.py: change the commands, not this file.

_sertool() {
    local curcontext=$curcontext state ret=1
    local -a line state_descr
    local -A opt_args
    _arguments -s -S -C : \\
@OPTIONS@ \\
        '1:command:_sertool_commands' \\
        '*:: :->arguments' && ret=0
    if [[ $state == arguments ]]; then
        curcontext=${curcontext%:*}-$words[1]:
        _call_function ret _sertool_command_$words[1]
    fi
    return ret
}

_sertool_commands() {
    local -a commands=(
@COMMANDS@
    )
    _describe -t commands command commands
}
@FUNCTIONS@
# Offers WORD or WORD:HELP; the value follows at once where a word ends in =.
_sertool_words() {
    local -a words=(${@:#[^:]#=(|:*)}) open=(${(M)@:#[^:]#=(|:*)})
    _describe -t values value words -- open -S ''
}

# The same for words with commas between, each once.
_sertool_many() {
    local -a words=("$@") given=(${(s:,:)${(M)PREFIX##*,}})
    compset -P '*,'
    words=(${words:#(${(~j:|:)given})(|:*)})
    _describe -t values value words -qS ,
}

# Sourced, or called by its name as compinit does.
if [[ $funcstack[1] == _sertool ]]; then
    _sertool "$@"
else
    compdef _sertool sertool
fi
"""

COMMAND = """
_sertool_command_@NAME@() {
    _arguments -s -S : \\
@SPECS@
}
"""


def script(tree: Tree) -> str:
    commands = "\n".join(f"        {quote(_described(item.name, item.summary))}" for item in tree.commands)
    options = _lines([_option("", option) for option in tree.top.options])
    functions = [_offers(name, command) for name, command in tree.contexts()]
    functions += [_command(command) for command in tree.commands]
    filled = SCRIPT.replace("@OPTIONS@", options).replace("@COMMANDS@", commands)
    return filled.replace("@FUNCTIONS@", "".join(functions))


def _command(command: Command) -> str:
    specs = [_option(command.name, option) for option in command.options]
    specs += [_argument(command.name, place, argument) for place, argument in _places(command)]
    return COMMAND.replace("@NAME@", command.name).replace("@SPECS@", _lines(specs))


def _lines(specs: list[str]) -> str:
    return " \\\n".join(f"        {spec}" for spec in specs)


def _places(command: Command) -> list[tuple[str, Argument]]:
    """Where each argument stands: first, second, or anywhere."""
    return [(str(n) if item.count == 1 else "*", item) for n, item in enumerate(command.arguments, 1)]


def _option(command: str, option: Option) -> str:
    """`'(-o --out)'{-o+,--out=}'[help]:PATH:_files'`."""
    words = (*option.names, *option.offs)
    excludes = "*" if option.repeats else f"({' '.join(words)})"
    names = [word + _joint(word, option) for word in words]
    spelled = "{" + ",".join(names) + "}" if len(names) > 1 else names[0]
    value = f":{_escape(option.metavar)}:{_action(command, option.names[-1], option.values)}" * option.count
    help = f"[{_escape(option.help)}]" if option.help else ""
    return quote(excludes) + spelled + quote(help + value)


def _joint(word: str, option: Option) -> str:
    """How the value joins the name: `-o+` for `-oPATH` too, `--out=` for `--out=PATH` too."""
    if not option.count or word in option.offs:
        return ""
    return "=" if word.startswith("--") else "+"


def _argument(command: str, place: str, argument: Argument) -> str:
    return quote(f"{place}:{_escape(argument.metavar)}:{_action(command, place, argument.values)}")


def _action(command: str, name: str, values: Values) -> str:
    """What offers the values; a space alone offers nothing and shows the value's name."""
    if values.words:
        return f" {_offer_name(command, name)}"
    return {"file": "_files", "dir": "_files -/", "": " "}[values.path]


def _offer_name(command: str, name: str) -> str:
    return "_".join(["_sertool_values", *([command] if command else []), name.strip("-").replace("*", "rest")])


def _offers(name: str, command: Command) -> str:
    """The functions that offer the words of one command's options and arguments."""
    values = [(option.names[-1], option.values) for option in command.options]
    values += [(place, argument.values) for place, argument in _places(command)]
    return "".join(_offer(_offer_name(name, key), value) for key, value in values if value.words)


def _offer(name: str, values: Values) -> str:
    words = [quote(_described(word, help)) for word, help in values.words]
    call = " \\\n        ".join([f"_sertool_{'many' if values.many else 'words'}", *words])
    files = f"    {_action('', '', replace(values, words=()))}\n" if values.path else ""
    return f"\n{name}() {{\n    {call}\n{files}}}\n"


def _described(word: str, help: str) -> str:
    return word.replace(":", "\\:") + (f":{help}" if help else "")


def _escape(text: str) -> str:
    """Text within a spec of `_arguments`."""
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text
