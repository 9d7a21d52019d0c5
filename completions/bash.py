"""The completion script for bash."""

from shlex import quote

from completions.tree import Command, Tree, Values

HEAD = r"""# bash completion for sertool. Written by completions/generate.py: change the commands, not this file.

# What a command has: its options for `-`, else what follows an option or stands as the n-th argument.
# Sets values, the words; takes, how many values follow; path, file or dir; many, whether commas join the words.
_sertool_expect() {
    values=() takes=0 path='' many=''
    case $1:$2 in
"""

TAIL = r"""    esac
}

# The words up to the cursor. Readline also cuts at = and :, so that what no space parts is joined again.
_sertool_words() {
    local line=${COMP_LINE:0:COMP_POINT} piece rest i
    words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        rest=${line#"${line%%[![:space:]]*}"}
        ((i == COMP_CWORD)) && piece=$rest || piece=${COMP_WORDS[i]}
        if [[ $i == 0 || $rest != "$line" ]]; then
            words+=("$piece")
        else
            words[${#words[@]}-1]+=$piece
        fi
        line=${rest#"$piece"}
    done
}

# Reads the words before the last: sets command, position, pending (how many values `name` still takes) and ended.
_sertool_read() {
    local i word
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        if ((pending)) && [[ $word != --?* ]]; then
            pending=$((pending - 1))
        elif [[ $word == *[\<\>] ]]; then
            name='>' pending=1
        elif [[ $word == *[\<\>]* || (! $ended && $word == --*=*) ]]; then
            pending=0
        elif [[ $word == -- ]]; then
            ended=yes pending=0
        elif [[ ! $ended && $word == -?* ]]; then
            name=$word
            _sertool_expect "$command" "$name"
            pending=$takes
        elif [[ ! $command ]]; then
            command=$word
        else
            position=$((position + 1))
        fi
    done
}

# Offers the values that begin as `part`, the end of the last word, does; readline replaces only $1 of that word.
# No space follows where more must: a comma, or a value after =.
_sertool_offer() {
    local before=${cur%"$part"} list='' value
    [[ $many && $part == *,* ]] && list=${part%,*},
    for value in "${values[@]}"; do
        if [[ $list$value == "$part"* && ,$list != *",$value,"* ]]; then
            value=$before$list$value
            COMPREPLY+=("${value#"${cur%"$1"}"}")
        fi
    done
    [[ $many || ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
}

_sertool() {
    local words cur part command='' name='' position=1 pending=0 ended='' values takes path many
    COMPREPLY=()
    _sertool_words
    _sertool_read
    cur=${words[${#words[@]}-1]} part=$cur
    if [[ $cur == *[\<\>]* ]]; then
        return
    elif ((pending)); then
        _sertool_expect "$command" "$name"
        [[ $name == '>' ]] && path=file
    elif [[ ! $ended && $cur == --*=* ]]; then
        _sertool_expect "$command" "${cur%%=*}"
        part=${cur#*=}
    elif [[ ! $ended && $cur == -* ]]; then
        _sertool_expect "$command" -
    else
        _sertool_expect "$command" "$position"
    fi
    _sertool_offer "$2"
    # With nothing to offer readline completes the path itself, where one may stand.
    [[ $path == file ]] || compopt +o default 2>/dev/null
    [[ $path == dir ]] && compopt -o dirnames 2>/dev/null
    return 0
}

complete -o default -F _sertool sertool
"""


def script(tree: Tree) -> str:
    names = tuple((command.name, "") for command in tree.commands)
    lines = [_case(":1", Values(names))]
    for name, command in tree.contexts():
        lines += _cases(name, command)
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _cases(name: str, command: Command) -> list[str]:
    options = [f"            {' '.join((*option.names, *option.offs))}" for option in command.options]
    lines = [f"        {name}:-) values=(", *options, "        ) ;;"]
    for option in command.options:
        if option.count:
            pattern = " | ".join(f"{name}:{word}" for word in option.names)
            lines.append(_case(pattern, option.values, option.count))
    for position, argument in enumerate(command.arguments, 1):
        pattern = f"{name}:{position}" if argument.count == 1 else f"{name}:[0-9]*"
        lines.append(_case(pattern, argument.values))
    return lines


def _case(pattern: str, values: Values, takes: int = 0) -> str:
    """One arm of the table; it names only what is not as usual."""
    words = " ".join(quote(word) for word, _ in values.words)
    sets = [f"values=({words})"] if words else []
    sets += [f"takes={takes}"] if takes else []
    sets += [f"path={values.path}"] if values.path else []
    sets += ["many=yes"] if values.many else []
    return f"        {pattern}) {' '.join(sets)} ;;"
