"""The command line's manners: what people read, what pipes read, and how it ends."""

import errno
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import click
import pytest
from helptexts import examples
from running import in_fork, sertool, shell

from sertool import __version__, catalogue, cli, options
from sertool.errors import SertoolError, UsageError
from sertool.sound import audio, encoding, synth
from sertool.system import talk

pytest_plugins = ("pretrained", "example_folder")

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = sorted(catalogue.names("commands"))
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def process(*arguments: object, **settings: object) -> subprocess.CompletedProcess:
    """`python -m sertool` as a process of its own."""
    words = [sys.executable, "-m", "sertool", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, check=False, **{"cwd": ROOT, **settings})


# Where it runs.


def test_package_in_a_zip_file_says_to_install_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "sertool.zip", "w") as archive:
        for path in sorted((ROOT / "sertool").rglob("*.py")):
            archive.write(path, path.relative_to(ROOT))
    found = {**os.environ, "PYTHONPATH": str(tmp_path / "sertool.zip")}
    for words in (["--help"], ["index", "x"]):
        done = process(*words, env=found, cwd=tmp_path, text=True)
        says = "sertool: it does not run from a zip file: install it with pip\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", says)


@pytest.mark.parametrize(("told", "threads"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_numpy_multiplies_in_one_thread_unless_told_otherwise(told, threads):
    says = "os._exit = lambda _: print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    code = f"import os, sys; from sertool import cli; {says}; cli.main(['--version'])"
    found = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | told
    done = subprocess.run([sys.executable, "-c", code], env=found, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"False {threads}"  # NumPy reads it when it is imported


# What it says of itself.


def test_module_run_with_python_m_prints_the_version():
    done = process("--version")
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"sertool {__version__}")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_a_line_in_the_list(command):
    done = sertool(command, "--help")
    assert done.code == 0
    assert "Examples:" in done.out.decode()
    assert command in sertool("--help").out.decode()
    assert done.out == sertool(command, "-h").out


def test_missing_command_prints_help_on_stderr_and_fails():
    done = sertool()
    assert (done.code, done.out) == (2, b"")
    assert "Usage:" in done.err


def test_help_shows_input_first_and_options_last():
    text = sertool("featurize", "--help").out.decode()
    sections = re.findall(r"^(\w[^\n]*):$", text, flags=re.MULTILINE)
    first = ["Input", "Features", "Waveform", "Frames", "Pretrained encoders", "Rows"]
    assert [name.partition(",")[0] for name in sections[:6]] == first
    assert sections[-1] == "Options"
    assert all(name.startswith("Settings of --") for name in sections[6:-1])


@pytest.mark.parametrize("command", COMMANDS)
def test_shared_options_have_the_same_names_in_every_command(command):
    shared = {"-o": "--out", "-f": "--format", "-j": "--jobs", "-q": "--quiet", "-v": "--verbose", "-h": "--help"}
    made = cli.cli.get_command(click.Context(cli.cli), command)
    for parameter in made.params:
        for short, long in shared.items():
            assert (short in parameter.opts) == (long in parameter.opts)
        assert all(
            name.startswith("--") or len(name) == 2 for name in getattr(parameter, "opts", ()) if name[:1] == "-"
        )


@posix
@pytest.mark.parametrize("command", COMMANDS)
def test_nan_and_infinity_are_refused_by_every_numeric_option(command):
    made = cli.cli.get_command(click.Context(cli.cli), command)
    numbers = [one for one in made.params if one.type.name in ("x", "float", "float range")]
    for one in numbers:
        for word in ("nan", "inf"):
            done = sertool(command, one.opts[-1], word, ".")
            assert done.code == 2, (one.opts, done.err)
            assert one.opts[-1] in done.line


# How it ends.


@pytest.mark.parametrize(("error", "code", "said"), [
    (SertoolError("it failed"), 1, "sertool: it failed"), (UsageError("not so"), 2, "sertool: not so"),
    (OSError(errno.ENOSPC, "No space left on device"), 1, "sertool: no space left on device"),
    (OSError(errno.EACCES, "Permission denied", "x"), 1, "sertool: permission denied: x"),
    (ImportError("libtorch.so: failed to map segment from shared object"), 1,
     "sertool: no memory to load a package (libtorch.so: failed to map segment from shared object): "
     "raise the limit (ulimit -v, or the job's)"),
    (MemoryError(), 1, "sertool: out of memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), 1, "sertool: out of memory"),
    (RuntimeError("can't start new thread"), 1,
     "sertool: no more threads or processes can be started: raise the limit (ulimit -u, or the container's)"),
    (KeyboardInterrupt(), 130, "sertool: interrupted"),
    (click.UsageError("wrong"), 2, "sertool: wrong (see `sertool --help`)"),
    (click.ClickException("bad"), 1, "sertool: bad"),
])  # fmt: skip
def test_every_error_is_one_line_and_an_exit_code(monkeypatch, error, code, said):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cli.Commands, "resolve_command", fail)
    done = sertool("index")
    assert (done.code, done.line) == (code, said)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_that_end_processes_are_interrupts_unless_they_were_ignored(monkeypatch, name):
    number = getattr(signal, name)

    def be_ended(*_: object) -> None:
        os.kill(os.getpid(), number)
        raise SertoolError("went on")

    monkeypatch.setattr(cli.Commands, "resolve_command", be_ended)
    before = signal.signal(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL)
    try:
        done = sertool("index")
        assert (done.code, done.line) == (130, "sertool: interrupted")
        signal.signal(number, signal.SIG_IGN)
        assert sertool("index").line == "sertool: went on"
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("words", "said"), [
    (["indx"], "there are "), (["--nothing"], "No such option"), (["index", "--split"], "requires an argument"),
    (["index", "x", "--check", "some"], "'none', 'header', 'full'"), (["featurize", "x", "-j", "0"], "0"),
    (["featurize", "x", "--mell"], "--mel"), (["index", "no/such/folder"], "no/such/folder"),
])  # fmt: skip
def test_wrong_usage_exits_with_code_2_and_explains_the_error(words, said):
    done = sertool(*words)
    assert (done.code, done.out) == (2, b"")
    assert said in done.line


@pytest.mark.parametrize(("words", "ours"), [
    (["featurize", "--n-mels", "64"], "--mel-bands"), (["featurize", "--n_mels=64"], "--mel-bands"),
    (["featurize", "--sr", "16000"], "--rate"), (["featurize", "--hop-length", "160"], "--hop"),
    (["train", "--class-weight", "balanced"], "--balance weights"), (["train", "--cuda"], "--device cuda"),
    (["predict", "--output", "x.csv"], "--out"), (["predict", "--workers", "4"], "--jobs"),
])  # fmt: skip
def test_what_others_call_an_option_is_told_by_our_name(words, ours):
    done = sertool(*words)
    assert (done.code, f"Did you mean '{ours}'?" in done.line) == (2, True)
    assert f"(see `sertool {words[0]} --help`)" in done.line


def test_others_names_stand_for_options_that_some_command_has():
    made = [cli.cli.get_command(click.Context(cli.cli), command) for command in COMMANDS]
    for ours in options.OTHERS_NAMES.values():
        word, _, value = ours.partition(" ")
        named = [one for command in made for one in command.params if word in one.opts]
        assert named
        assert all(not value or value in one.type.choices for one in named)
    assert "--lr" not in sertool("eval", "--learning-rate", "3").line  # as only train has that


@pytest.mark.parametrize("command", ["index", "predict"])
def test_option_without_its_argument_points_to_the_commands_help(command):
    assert sertool(command, "x", "-o").line == (
        f"sertool: Option '-o' requires an argument (see `sertool {command} --help`)"
    )


@pytest.mark.parametrize(("command", "shown"), [
    ("predict", "--adapt speaker "), ("train", "--adapt speaker "), ("index", "--group parent-folder "),
])  # fmt: skip
def test_help_shows_the_only_choice_of_an_option_as_its_value(command, shown):
    assert f"  {shown}" in sertool(command, "--help").out.decode()


def test_existing_file_named_like_an_option_gets_its_own_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where `sertool predict *` is typed
    assert "No such option" in sertool("predict", "-x.wav").line
    Path("-x.wav").touch()
    assert sertool("predict", "-x.wav").line == "sertool: -x.wav begins like an option: call the file ./-x.wav"


@pytest.mark.parametrize("words", [["index"], ["featurize", "--mel"], ["augment", "--telephone"], ["predict"]])
def test_null_separator_option_is_refused_without_paths_on_stdin(words, tmp_path):
    (tmp_path / "x.wav").touch()
    done = sertool(*words, tmp_path / "x.wav", "-0")
    assert (done.code, done.out) == (2, b"")
    assert "-0 says how paths on stdin end" in done.line


@pytest.mark.parametrize("words", [
    ["index", "x"], ["augment", "x", "--telephone"], ["featurize", "x", "--mel"], ["train", "x"], ["eval", "x"],
], ids=lambda words: words[0])  # fmt: skip
def test_output_path_of_the_wrong_kind_is_refused_before_reading_input(words, tmp_path):
    place = tmp_path / "out.parquet"
    wants_folder = words[0] in ("featurize", "train")
    place.touch() if wants_folder else place.mkdir()
    done = sertool(words[0], tmp_path / words[1], *words[2:], "-o", place)
    said = f"Directory '{place}' is a file" if wants_folder else f"File '{place}' is a directory"
    assert (done.code, done.out, said in done.line) == (2, b"", True)


def test_control_characters_in_messages_are_escaped():
    done = sertool("index", "no\x1b[2J\nfolder\x9b")
    assert "\\x1b[2J\\x0afolder\\x9b" in done.line


@posix
@pytest.mark.parametrize("begun", [False, True])
def test_interrupt_prints_one_line_and_exits_with_code_130(voices, tmp_path, begun):
    words = [sys.executable, "-m", "sertool", "featurize", voices, "--pitch", "--msf", "-o", tmp_path / "f"]
    running = subprocess.Popen(map(str, words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.3)
    while begun and running.poll() is None and not (tmp_path / "f").exists():
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    if running.returncode == 0 or (b"Traceback" in err and bytes(ROOT / "sertool") not in err):
        pytest.skip("it was quicker, or Python had not begun")
    assert running.returncode == 130
    assert (out, err.decode().splitlines()) == (b"", ["sertool: interrupted"])
    assert not list(tmp_path.rglob("manifest*"))


@pytest.mark.parametrize("imported", ["sertool.cli", "click", "sertool.commands.index", "pyarrow"])
def test_an_interrupt_while_the_console_script_imports_is_one_line_and_exit_code_130(tmp_path, imported):
    script = re.search(r'^sertool = "(.+):(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    code = f"""
import signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {imported!r}:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from {script[1]} import {script[2]}
{script[2]}()
"""
    words = [sys.executable, "-c", code, "index", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.decode().splitlines()) == (130, b"", ["sertool: interrupted"])


@pytest.mark.slow
@posix
def test_an_interrupt_does_not_wait_for_hours_of_audio(tmp_path):
    wave = audio.decode(str(write_voice(tmp_path / "v.wav")), audio.Cut())[0]
    for hour in range(30):
        encoding.write(tmp_path / "neutral" / f"{hour}.wav", wave.repeat(400), 16_000)
    program = """
import sys
from sertool import cli
from sertool.numeric import pyin

def told(*given):
    sys.stderr.write("busy\\n")
    return find(*given)

find, pyin.find_candidates = pyin.find_candidates, told
cli.main()
"""
    words = [sys.executable, "-c", program, "featurize", tmp_path / "neutral", "--pitch", "-o", tmp_path / "f"]
    running = subprocess.Popen(map(str, words), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while running.stderr.readline() not in (b"busy\n", b""):
        pass
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err.decode().splitlines()[-1:]) == (130, ["sertool: interrupted"])


def write_voice(path: Path) -> Path:
    encoding.write(path, synth.voice(0, "angry", 0), 16_000)
    return path


# Pipes.


@posix
@pytest.mark.parametrize("line", [
    "featurize --help | head -1", "featurize --list | head -2", "index voices -f csv | head -1", "--help | head -1",
    "index voices | head -c 10",
])  # fmt: skip
def test_closed_output_pipe_ends_the_program_quietly(voices, tmp_path, line):
    shutil.copytree(voices.parent / "clips", tmp_path / "voices")
    shutil.copy(voices, tmp_path)
    words = ["bash", "-c", f"{sys.executable} -m sertool {line} >seen; echo ${{PIPESTATUS[0]}} >code"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert "rror" not in done.stderr.replace("sertool: error", "")
    assert "Traceback" not in done.stderr
    assert (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "seen").stat().st_size


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@posix
@pytest.mark.parametrize("words", ["--help", "featurize --list", "index -q voices", "index -q voices -f csv"])
def test_full_stdout_device_prints_one_line_and_fails(voices, tmp_path, words):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    shutil.copytree(voices.parent / "clips", tmp_path / "voices")
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "sertool", *words.split()]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"sertool: no space left on device\n")


@posix
@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [("--help", "1"), ("index -q voices", ""), ("index -q voices", "1"), ("index -q voices -f csv", "")],
)
def test_partial_write_to_stdout_prints_one_line_and_fails(voices, tmp_path, words, unbuffered):
    shutil.copytree(voices.parent / "clips", tmp_path / "voices")
    line = f"ulimit -f 1; exec {sys.executable} -m sertool {words} >taken"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False,
                          env=environment() | {"PYTHONUNBUFFERED": unbuffered})  # fmt: skip
    assert (tmp_path / "taken").stat().st_size == 1024
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, b"sertool: file too large")


@pytest.mark.skipif(sys.platform != "linux", reason="pipes of a known size")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_non_blocking_pipe_receives_the_complete_output(unbuffered):
    import fcntl

    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    command = [sys.executable, "-m", "sertool", "index", "--list"]
    with (
        open(reader, "rb", buffering=0) as stream,
        subprocess.Popen(
            command, stdout=writer, stderr=subprocess.PIPE, env=environment() | {"PYTHONUNBUFFERED": unbuffered}
        ) as begun,
    ):
        os.close(writer)
        seen = stream.read(1)
        time.sleep(0.2)  # in which it fills the pipe
        seen += stream.read()
        assert (begun.stderr.read(), begun.wait()) == (b"", 0)
    assert seen == sertool("index", "--list").out


@posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cause_failure_only_when_data_is_lost(voices, tmp_path, closed):
    shutil.copytree(voices.parent / "clips", tmp_path / "voices")
    command, lost = f"{sys.executable} -m sertool index voices -q", ">&-" in closed.split()
    line = f"{command} {closed}; echo $? >code; {command} -o clips.csv {closed}; echo $? >>code"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (tmp_path / "code").read_text() == f"{int(lost)}\n0\n"
    told = b"sertool: stdout is closed: give it a reader, or name a file with -o\n"
    assert done.stderr == (told if lost and "2>&-" not in closed else b"")
    assert done.stdout.startswith(b"PAR1") != lost


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_stdout_is_utf_8_under_any_environment_encoding(voices, tmp_path, encoding):
    shutil.copytree(voices.parent / "clips", tmp_path / "Größe")
    settings = {**environment(), "PYTHONIOENCODING": encoding}
    done = process("index", "Größe", "-f", "table", cwd=tmp_path, env=settings)
    assert done.returncode == 0, done.stderr
    assert "Größe" in done.stdout.decode()


def test_an_empty_stdin_is_one_clear_error():
    for command in ("index", "featurize"):
        words = ("-",) if command == "index" else ("-", "--rms")
        done = sertool(command, *words)
        assert done.code == 1
        assert "empty" in done.line


# Terminals.


@posix
@pytest.mark.parametrize("words", [["featurize", "--mel"], ["index"]])
def test_missing_input_on_a_terminal_prints_a_hint_instead_of_hanging(words):
    code, seen = on_terminal(*words)
    assert code == 2
    assert "--help" in seen


@posix
def test_terminal_gets_a_table_and_progress_bar_and_never_binary(voices, tmp_path):
    code, seen = on_terminal("featurize", voices, "--rms", "-o", tmp_path / "f")
    assert code == 0
    assert "PAR1" not in seen
    assert re.search(r"featurizing: .*clips/s", seen)
    assert re.search(r"clip +speaker +emotion +duration", seen)
    assert "rms of 24 clips" in seen
    code, seen = on_terminal("featurize", voices, "--rms", "-o", tmp_path / "f", "-f", "parquet")
    assert (code, "PAR1" in seen) == (2, False)


@posix
def test_quiet_option_silences_all_messages(voices, tmp_path):
    code, seen = on_terminal("index", voices, "-q", "-o", tmp_path / "m.parquet")
    assert (code, seen) == (0, "")
    assert sertool("featurize", voices, "--rms", "-o", tmp_path / "f", "-q").err == ""
    assert "rms of 24 clips" in sertool("featurize", voices, "--rms", "-o", tmp_path / "f").err


def on_terminal(*arguments: object) -> tuple[int, str]:
    """Exit code and screen of a process whose streams are a terminal."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 100, 0, 0))
    fork = in_fork(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = bytearray()
    with suppress(OSError):  # where the terminal ends
        while data := os.read(ours, 65_536):
            seen += data
    os.close(ours)
    return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]), click.unstyle(seen.decode("utf-8", "replace"))


# Options.


@pytest.mark.parametrize(("kind", "low", "high", "good", "bad"), [
    (int, 1, 10, ["1", "10"], ["0", "11", "1.5", "x", "", "nan", "1e1"]),
    (float, 0.5, None, ["0.5", "1e9", "7"], ["0.4", "nan", "inf", "-inf", "x"]),
    (float, None, None, ["-3", "0"], ["nan", "inf"]),
    (int, 1, None, ["1", str(2**63 - 1)], ["9" * 20, "9" * 400]),
])  # fmt: skip
def test_numeric_options_accept_only_finite_numbers_within_limits(kind, low, high, good, bad):
    number = options.Number(kind, low, high)
    assert [number.convert(text, None, None) for text in good] == [kind(text) for text in good]
    for text in bad:
        with pytest.raises(click.BadParameter):
            number.convert(text, None, None)


def test_shell_completion_works_after_a_comma():
    words = options.Words(lambda: ["mean", "median", "std"])
    assert [item.value for item in words.shell_complete(None, None, "std,me")] == ["std,mean", "std,median"]


def test_messages_to_a_closed_stderr_do_not_crash(monkeypatch):
    class Closed:
        def write(self, _: str) -> None:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "stderr", Closed())
    talk.fail("unheard")


# The examples.


@pytest.mark.usefixtures("small_encoders")
@pytest.mark.parametrize("line", examples("sertool", "index", "augment", "featurize"))
def test_help_examples_of_index_augment_and_featurize_run_successfully(example_folder, tmp_path, monkeypatch, line):
    shutil.copytree(example_folder, tmp_path / "example_folder")
    monkeypatch.chdir(tmp_path / "example_folder")
    done = shell(line)
    assert done.code == 0, done.err
