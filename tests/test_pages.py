"""The man pages and the completions say what the commands say, and real shells and a real `man` read them so."""

import importlib.util
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.shell_completion import CompletionItem

from sertool import __version__
from sertool.cli import cli

ROOT = Path(__file__).resolve().parents[1]


def load(path: str) -> ModuleType:
    """A generator as a module: both are called `generate`."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


man = load("man/generate.py")
completions = load("completions/generate.py")
sys.path.append(str(ROOT / "tests" / "bench"))  # where the scripts of figures have what they share
records = load("tests/bench/records.py")
conditions = load("tests/bench/conditions.py")
gaps = load("tests/bench/gaps.py")


class Names(click.ParamType):
    name = "names"
    many = True

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, _text: str) -> list[CompletionItem]:
        return [CompletionItem("mel", help="Log-mel: the [power] in bands"), *map(CompletionItem, ("mfcc", "f0"))]


class Columns(click.ParamType):
    name = "columns"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, _text: str) -> list[CompletionItem]:
        return [CompletionItem("corpus=", help="the corpus"), CompletionItem("speaker=")]


class Splits(click.ParamType):
    name = "splits"

    def shell_complete(self, _ctx: click.Context, _param: click.Parameter, _text: str) -> list[CompletionItem]:
        return [CompletionItem("speaker:70"), CompletionItem("speaker:80"), CompletionItem("random")]


@click.group(epilog="\b\nExamples:\n  sertool index a | head\n\nA note that ends.")
@click.option("-C", "--folder", type=click.Path(file_okay=False), help="Work there.")
@click.version_option("1")
def toy() -> None:
    """A toy -- with 'quotes', \\backslashes and an ellipsis…"""


@toy.command(epilog="\b\nExamples:\n  $ sertool index a/ | head\n  .dot 'quoted'\n\n\b\nFiles:\n  ./features/")
@click.option("-c", "--corpus", type=click.Choice(["cremad", "ravdess"]), help="Which corpus it's [from]: $HOME `x`.")
@click.option("--names", type=Names(), help="Names.")
@click.option("--where", type=Columns(), multiple=True, help="Rows to keep.")
@click.option("--split", type=Splits(), help="How to split.")
@click.option("-o", "--out", type=click.Path(), default="x", show_default=True, help="Where to write.")
@click.option("--into", type=click.Path(file_okay=False))
@click.option("-j", "--jobs", type=click.IntRange(1, 9), metavar="N", help="Threads.")
@click.option("--center/--no-center", help="Centre the frames.")
@click.option("--secret", hidden=True)
@click.option("-v", "--verbose", count=True)
@click.argument("inputs", nargs=-1, type=click.Path())
def index(**_: object) -> None:
    """Look at folders. Then do more.

    .A paragraph that begins with a dot, and a path C:\\new\\temp.

    \b
    kept   as it is
      .twice
    """


@toy.command()
@click.argument("corpus", type=click.Choice(["cremad", "ravdess"]))
@click.argument("into", type=click.Path(file_okay=False))
def fetch(**_: object) -> None:
    """Fetch a corpus"""


@toy.command(hidden=True)
def hidden() -> None:
    """Not for anyone."""


index.params[0].group = "Input"
TOY = completions.read(toy)
REAL = completions.read(cli)


# What is in the repository


@pytest.mark.parametrize("script", ["man/generate.py", "completions/generate.py"])
@pytest.mark.parametrize("surroundings", [{}, {"COLUMNS": "30", "LC_ALL": "C", "PYTHONHASHSEED": "1"}])
def test_generated_files_are_up_to_date_in_any_environment(script, surroundings):
    environment = {**os.environ, **surroundings}
    done = subprocess.run(
        [sys.executable, script, "--check"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_pages_and_completions_are_installed_in_standard_locations():
    tomllib = pytest.importorskip("tomllib")
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    assert setup == {
        "share/man/man1": ["man/*.1"],
        "share/bash-completion/completions": ["completions/sertool"],
        "share/zsh/site-functions": ["completions/_sertool"],
        "share/fish/vendor_completions.d": ["completions/sertool.fish"],
    }


def test_check_lists_stale_files_without_changing_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.1").write_text("old")
    (tmp_path / "removed.1").write_text("of a command that is no more")
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match="1"):
        completions.publish(tmp_path, {"a.1": "new", "b.1": "b"}, "*.1")
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == [
        str(tmp_path / name) for name in ("a.1", "b.1", "removed.1")
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.1", "removed.1"]
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    completions.publish(tmp_path, {"a.1": "new", "b.1": "b"}, "*.1")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.1": "new", "b.1": "b"}


# Man pages


def rendered(page: Path, width: int = 80) -> str:
    """What `man` shows; it must not warn."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": str(width), "MANPAGER": "cat", "MANROFFOPT": ""}
    done = subprocess.run(
        ["man", "--warnings", "--local-file", page], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


PAGES = {**man.pages(REAL, __version__), **{f"toy:{name}": text for name, text in man.pages(TOY, "1").items()}}


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("name", PAGES)
def test_man_renders_every_page_without_a_warning(name, tmp_path):
    page = tmp_path / name.removeprefix("toy:")
    page.write_text(PAGES[name], encoding="utf-8")
    for width in (60, 80, 132):
        text = rendered(page, width)
        assert text.startswith(page.name.removesuffix(".1").upper())


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_page_preserves_the_help_text_and_its_layout(tmp_path):
    page = tmp_path / "sertool-index.1"
    page.write_text(PAGES["toy:sertool-index.1"], encoding="utf-8")
    text = rendered(page)
    for line in (
        "sertool-index - Look at folders",
        "sertool index [OPTIONS] [INPUTS]...",
        ".A paragraph that begins with a dot, and a path C:\\new\\temp.",
        "kept   as it is\n         .twice",
        "Input\n       -c, --corpus [cremad|ravdess]\n              Which corpus it's [from]: $HOME `x`.",
        "FILES\n       ./features/\n\nEXAMPLES\n       $ sertool index a/ | head\n       .dot 'quoted'",
    ):
        assert line in text
    assert "--secret" not in text


def test_main_man_page_lists_only_visible_commands():
    page = PAGES["toy:sertool.1"]
    assert [name for name in ("fetch", "index", "hidden") if rf"sertool\-{name}" in page] == ["fetch", "index"]
    assert page.index(".SH NOTES") < page.index("A note that ends.") < page.index(".SH EXAMPLES")


# Completion: what is typed into a real shell, and what it makes of it

BASH = """
source {script}
PS1='READY> '
bind 'set bell-style none'
bind '"\\C-t": insert-completions'
bind -x '"\\C-l": printf %s "$READLINE_LINE" > {out}.part && mv {out}.part {out}'
"""

ZSH = """
fpath=({script.parent} $fpath)
autoload -Uz compinit && compinit -D -u
PS1='READY> '
bindkey -e
zle -C every complete-word _generic
zstyle ':completion:every:*' completer _all_matches _complete
zstyle ':completion:every:*' insert true
bindkey '^T' every
dump() {{ print -rn -- $BUFFER > {out}.part && mv {out}.part {out} }}
zle -N dump
bindkey '^L' dump
"""

TAB, EVERY = "\t", "\x14"  # complete; insert every completion


class Terminal:
    """bash or zsh in a terminal of its own."""

    def __init__(self, shell: str, scripts: dict[str, str], home: Path) -> None:
        self.out = home / "line"
        for name, text in scripts.items():
            (home / name).write_text(text, encoding="utf-8")
        setup, script = (BASH, home / "sertool") if shell == "bash" else (ZSH, home / "_sertool")
        (home / ".zshrc").write_text(setup.format(script=script, out=self.out))
        command = ["bash", "--noprofile", "--rcfile", ".zshrc", "-i"] if shell == "bash" else ["zsh", "-d", "-i"]
        environment = {**os.environ, "ZDOTDIR": str(home), "TERM": "dumb", "INPUTRC": "/dev/null", "HISTFILE": ""}
        self.screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=inside, stdout=inside, stderr=inside, cwd=home, env=environment, start_new_session=True
        )
        os.close(inside)
        self._until(lambda seen: "READY> " in seen)

    def line(self, keys: str) -> str:
        """The command line after the keys."""
        os.write(self.screen, f"\x15{keys}\f".encode())
        self._until(lambda _: self.out.exists())
        text = self.out.read_text()
        self.out.unlink()
        return text

    def _until(self, done: Callable[[str], bool]) -> None:
        seen, end = "", time.monotonic() + 20
        while not done(seen):
            assert time.monotonic() < end, seen
            if select.select([self.screen], [], [], 0.01)[0]:
                seen += os.read(self.screen, 65536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)


def furnish(home: Path) -> Path:
    """A folder with paths to complete."""
    (home / "file.wav").touch()
    for name in ("fold", "folder a"):
        (home / name).mkdir()
    return home


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminals(request, tmp_path_factory) -> Iterator[dict[str, Any]]:
    """A shell that completes the toy, and one that completes the real commands."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    trees = {"toy": TOY, "real": REAL}
    opened = {
        name: Terminal(request.param, completions.scripts(tree), furnish(tmp_path_factory.mktemp(name)))
        for name, tree in trees.items()
    }
    yield {"shell": request.param, **opened}
    for name in trees:
        opened[name].close()


LINES = {
    "sertool ind": "sertool index ",
    "sertool index --split ran": "sertool index --split random ",
    "sertool index --corpus=cr": "sertool index --corpus=cremad ",
    "sertool index -c r": "sertool index -c ravdess ",
    "sertool index --split speaker:7": "sertool index --split speaker:70 ",
    "sertool index --split=speaker:7": "sertool index --split=speaker:70 ",
    "sertool index --split sp": "sertool index --split speaker:",
    "sertool index --where co": "sertool index --where corpus=",
    "sertool index --where=sp": "sertool index --where=speaker=",
    "sertool index --where 'corpus=a b' --split ran": "sertool index --where 'corpus=a b' --split random ",
    "sertool index --out fil": "sertool index --out file.wav ",
    "sertool index --out=fil": "sertool index --out=file.wav ",
    "sertool index fil": "sertool index file.wav ",
    "sertool index > fil": "sertool index > file.wav ",
    "sertool index >fil": "sertool index >file.wav ",
    "sertool index 2>/dev/null -c r": "sertool index 2>/dev/null -c ravdess ",
    "sertool index -j ": "sertool index -j ",
    "sertool index -- --no-c": "sertool index -- --no-c",
    "sertool -C fold in": "sertool -C fold index ",
    "sertool --folder=fold index --no-c": "sertool --folder=fold index --no-center ",
    "sertool fetch cr": "sertool fetch cremad ",
    "sertool fetch cremad fo": "sertool fetch cremad fold",
    "sertool index a | sertool fetch rav": "sertool index a | sertool fetch ravdess ",
    "sertool nothing ": "sertool nothing ",
}


@pytest.mark.parametrize("typed", LINES)
def test_shell_completes_partial_input(terminals, typed):
    assert terminals["toy"].line(typed + TAB) == LINES[typed]


def test_comma_separated_values_are_completed_without_repeats(terminals):
    comma = "," if terminals["shell"] == "zsh" else ""
    assert terminals["toy"].line(f"sertool index --names=f0,mf{TAB}") == f"sertool index --names=f0,mfcc{comma}"
    every = terminals["toy"].line(f"sertool index --names mel,{EVERY}")
    assert sorted(every.rstrip(", ").split()[3:]) == ["mel,f0", "mel,mfcc"]


def test_only_folders_are_offered_where_a_folder_is_required(terminals):
    every = terminals["toy"].line(f"sertool index --into f{EVERY}")
    assert every.replace("/", "").rstrip() == r"sertool index --into fold folder\ a"


def option_words(command: Any) -> list[str]:
    words = [word for option in command.options for word in (*option.names, *option.offs)]
    return sorted(word for word in words if word.startswith("--"))


@pytest.mark.parametrize("command", REAL.commands, ids=lambda command: command.name)
def test_shell_offers_every_option_of_a_command(terminals, command):
    every = terminals["real"].line(f"sertool {command.name} --{EVERY}")
    assert sorted(word.removesuffix("=") for word in every.split()[2:]) == option_words(command)


# fish completes a line without a terminal


def fish(tree: Any, typed: str, home: Path) -> dict[str, str]:
    """What fish offers, with its explanations."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    (home / "toy.fish").write_text(completions.scripts(tree)["sertool.fish"], encoding="utf-8")
    command = ["fish", "--no-config", "-c", "source toy.fish; complete -C $argv[1]", typed]
    environment = {**os.environ, "HOME": str(home)}
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return dict(line.partition("\t")[::2] for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sertool ", ["fetch", "index"]),
        ("sertool index --corpus ", ["cremad", "ravdess"]),
        ("sertool index --corpus=r", ["--corpus=ravdess"]),
        ("sertool index --names mel,", ["mel,f0", "mel,mfcc"]),
        ("sertool index --names=f0,me", ["--names=f0,mel"]),
        ("sertool index --where=", ["--where=corpus=", "--where=speaker="]),
        ("sertool index --split speaker:", ["speaker:70", "speaker:80"]),
        ("sertool index --out fil", ["file.wav"]),
        ("sertool index --into f", ["fold/", "folder a/"]),
        ("sertool index -j ", []),
        ("sertool index fil", ["file.wav"]),
        ("sertool -C fold ind", ["index"]),
        ("sertool fetch ", ["cremad", "ravdess"]),
        ("sertool fetch index f", ["fold/", "folder a/"]),
        ("sertool index a | sertool fetch rav", ["ravdess"]),
        ("sertool nothing ", []),
    ],
)
def test_fish_completes_partial_input(typed, offered, tmp_path):
    assert sorted(fish(TOY, typed, furnish(tmp_path))) == offered


def test_fish_shows_a_description_for_each_completion(tmp_path):
    assert fish(TOY, "sertool fe", tmp_path) == {"fetch": "Fetch a corpus"}
    assert fish(TOY, "sertool index --cor", tmp_path) == {"--corpus": "Which corpus it's [from]: $HOME `x`."}
    assert fish(TOY, "sertool index --names me", tmp_path) == {"mel": "Log-mel: the [power] in bands"}


@pytest.mark.parametrize("command", REAL.commands, ids=lambda command: command.name)
def test_fish_offers_every_option_of_a_command(command, tmp_path):
    assert sorted(fish(REAL, f"sertool {command.name} --", tmp_path)) == option_words(command)


# README.


def test_readme_table_of_records_matches_the_measurements():
    held = json.loads(records.HELD.read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert held.keys() <= records.RECORDS.keys()
    assert records.with_table(text, held) == text


def test_readme_tables_of_conditions_match_the_measurements():
    held = json.loads(conditions.HELD.read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert conditions.with_tables(text, held) == text


def test_readme_table_of_published_systems_matches_the_measured_optimism():
    held = json.loads(gaps.HELD.read_text(encoding="utf-8"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert held.keys() <= gaps.SYSTEMS.keys()
    assert gaps.with_table(text, held) == text
