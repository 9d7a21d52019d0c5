"""Whatever lies in a folder or comes down a pipe: one clear line, the right exit code, never a traceback or a hang."""

import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from running import sertool

from sertool.errors import SertoolError
from sertool.manifests import manifest, manifest_io
from sertool.sound import audio, encoding, synth
from sertool.system import locks
from sertool.system.paths import path_of

NAMES = [
    "with space", "two\nlines", "tab\there", "'single' \"double\"", "back\\slash", "emoji 😀", "percent%20", "-dash",
    "semi;colon,comma", "bell\x07", "combining e\u0301", "dots...", "~", "{braces}", "#hash", "file:", "nul\\0",
]  # fmt: skip


def sound(
    kind: str = "WAV", subtype: str = "PCM_16", rate: int = 16_000, channels: int = 1, seconds: float = 0.5
) -> bytes:
    wave = np.random.default_rng(len(kind) + channels).normal(0, 0.1, (round(seconds * rate), channels))
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def floats(value: float) -> bytes:
    wave = np.random.default_rng(0).normal(0, 0.1, 8000)
    wave[100] = value
    stream = io.BytesIO()
    soundfile.write(stream, wave, 16_000, format="WAV", subtype="FLOAT")
    return stream.getvalue()


WHOLE = sound()
FILES = {
    "empty.wav": (b"", "empty"),
    "header only.wav": (WHOLE[:44], "truncated"),
    "no samples.wav": (sound(seconds=0), "empty"),
    "half a header.wav": (WHOLE[:20], "truncated"),
    "cut.wav": (WHOLE[:-100], "truncated"),
    "cut.flac": (sound("FLAC")[:-100], "truncated"),
    "cut.ogg": (sound("OGG", "VORBIS")[:-100], "truncated"),
    "cut.opus": (sound("OGG", "OPUS")[:-100], "truncated"),
    "cut.mp3": (sound("MP3", "MPEG_LAYER_III")[:-100], "truncated"),
    "0 Hz.wav": (WHOLE[:24] + bytes(4) + WHOLE[28:], "unreadable"),
    "1 sample.wav": (sound(seconds=1 / 16_000), "too-short"),
    "silence.wav": (WHOLE[:44] + bytes(len(WHOLE) - 44), "silent"),
    "nan.wav": (floats(np.nan), "not-finite"),
    "infinite.wav": (floats(np.inf), "not-finite"),
    "text.wav": (b"This is not audio.\n" * 99, "unreadable"),
    "html.mp3": (b"<!DOCTYPE html><title>404</title>", "unreadable"),
    "noise.flac": (np.random.default_rng(0).bytes(9999), "unreadable"),
    "pointer.wav": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "lfs-pointer"),
    "8 bit.wav": (sound(subtype="PCM_U8"), None),
    "24 bit.wav": (sound(subtype="PCM_24"), None),
    "float.wav": (sound(subtype="FLOAT"), None),
    "8 channels.wav": (sound(channels=8), None),
    "192 kHz.wav": (sound(rate=192_000), None),
    "whole.opus": (sound("OGG", "OPUS"), None),
}


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of everything that may go wrong."""
    folder = tmp_path / "zoo"
    (folder / "x.wav").mkdir(parents=True)
    for name, (data, _) in FILES.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "fifo.wav")
    with socket.socket(socket.AF_UNIX) as door:
        monkeypatch.chdir(folder)  # the name of a socket must be short
        door.bind("socket.wav")
    (folder / "dead link.wav").symlink_to("nowhere.wav")
    (folder / "own link.wav").symlink_to("own link.wav")
    (folder / "x.wav" / "up").symlink_to(folder)
    return folder


def test_every_bad_file_and_no_good_file_is_set_aside(zoo):
    expected = {name: issue for name, (_, issue) in FILES.items()} | {
        "fifo.wav": "unreadable", "socket.wav": "unreadable", "dead link.wav": "vanished", "own link.wav": "unreadable",
    }  # fmt: skip
    done = sertool("index", zoo, "-f", "jsonl")
    found = {Path(row["path"]).name: row.get("issue") for row in map(json.loads, done.out.splitlines())}
    assert (done.code, found) == (0, expected)
    for kind in set(expected.values()) - {None}:
        assert f" {kind} " in done.err


def test_index_prints_nothing_beyond_the_summary_of_bad_files(zoo, tmp_path):
    command = [sys.executable, "-W", "error", "-m", "sertool", "index", zoo, "-o", tmp_path / "a.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    known = ("zoo", "set aside", "warning: ", "      ")
    assert [line for line in done.stderr.splitlines() if not any(word in line for word in known)] == []


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "opus", "mp3"])
def test_file_cut_at_any_tenth_is_never_usable(tmp_path, extension):
    kinds = {
        "ogg": ("OGG", "VORBIS"),
        "opus": ("OGG", "OPUS"),
        "mp3": ("MP3", "MPEG_LAYER_III"),
        "flac": ("FLAC", "PCM_16"),
    }
    data = sound(*kinds.get(extension, ("WAV", "PCM_16")))
    for tenth in range(11):
        (tmp_path / f"{tenth}.{extension}").write_bytes(data[: len(data) * tenth // 10])
    done = sertool("index", tmp_path, "-f", "jsonl")
    issues = {Path(row["path"]).stem: row.get("issue") for row in map(json.loads, done.out.splitlines())}
    assert issues == {str(tenth): "truncated" for tenth in range(1, 10)} | {"0": "empty", "10": None}


# Names


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_any_file_name_survives_any_manifest_format(tmp_path, kind):
    folder = tmp_path / "names"
    (folder / "sad").mkdir(parents=True)
    names = [*(f"{name}.wav" for name in NAMES), os.fsdecode(b"latin-\xe9.wav"), os.fsdecode(b"\xff\xfe.wav")]
    for count, name in enumerate(names):
        encoding.write(folder / "sad" / name, np.random.default_rng(count).normal(0, 0.1, 3200), 16_000)
    done = sertool("index", folder, "-o", tmp_path / f"a.{kind}")
    assert done.code == 0, done.err
    held = manifest_io.read(str(tmp_path / f"a.{kind}"))
    assert sorted(path_of(path) for path in held.column("path").to_pylist()) == sorted(
        str(folder / "sad" / n) for n in names
    )
    assert len(set(held.column("clip").to_pylist())) == len(names)
    assert not held.column("emotion").null_count
    assert manifest.usable(held).all()
    assert all(audio.probe(path_of(path)).issue is None for path in held.column("path").to_pylist())
    assert "\x07" not in done.err


def test_undecodable_folder_names_yield_speakers_and_emotions(tmp_path):
    emotion, speaker = os.fsdecode(b"w\xfctend"), os.fsdecode(b"J\xf6rg")
    for count in range(2):
        folder = tmp_path / "names" / speaker / (emotion, "sad")[count]
        folder.mkdir(parents=True)
        encoding.write(folder / "a.wav", np.random.default_rng(count).normal(0, 0.1, 3200), 16_000)
    meant, pattern = f"{emotion}=angry", "{speaker}/{emotion}/{}.wav"
    done = sertool("index", tmp_path / "names", "--map", meant, "--pattern", pattern, "-o", tmp_path / "a.parquet")
    assert done.code == 0, done.err
    held = manifest_io.read(str(tmp_path / "a.parquet"))
    assert sorted(held.column("emotion").to_pylist()) == ["angry", "sad"]
    assert set(held.column("speaker").to_pylist()) == {"names:J\\udcf6rg"}


def test_undecodable_file_names_are_accepted_from_stdin_lists(tmp_path):
    names = [tmp_path / os.fsdecode(b"\xff.wav"), tmp_path / "two\nlines.wav", tmp_path / "plain.wav"]
    for count, name in enumerate(names):
        encoding.write(name, np.random.default_rng(count).normal(0, 0.1, 3200), 16_000)
    listed = b"".join(os.fsencode(name) + b"\0" for name in names)
    done = sertool("index", "-", "-0", "-f", "jsonl", stdin=listed)
    assert [path_of(json.loads(line)["path"]) for line in done.out.splitlines()] == [str(name) for name in names]
    assert "set aside" not in done.err


def test_path_of_4000_characters_is_indexed_and_a_longer_one_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    while len(os.getcwd()) < 3800:
        os.mkdir("d" * 150)
        os.chdir("d" * 150)
    name = "c" * (4000 - len(os.getcwd()) - 5) + ".wav"
    assert len(os.path.join(os.getcwd(), name)) == 4000
    Path(name).write_bytes(WHOLE)
    for _ in range(2):
        os.mkdir("e" * 200)
        os.chdir("e" * 200)
    Path("unreachable.wav").write_bytes(WHOLE)
    done = sertool("index", tmp_path, "-o", tmp_path / "a.parquet")
    assert (done.code, "name too long" in done.err) == (0, True)
    (row,) = manifest_io.read(str(tmp_path / "a.parquet")).to_pylist()
    assert (len(row["path"]), row["samples"], row["issue"]) == (4000, 8000, None)


def test_overlong_path_argument_is_refused(tmp_path):
    for name in ("x" * 4000, "x" * 4000 + ".wav", "/".join(["x"] * 2000)):
        done = sertool("index", name)
        assert done.code in (1, 2)
        assert "no such file" in done.line or "name too long" in done.line


# What may not be read


def as_nobody(function: object, *arguments: object) -> int:
    """Call a function in a child that has no rights; its exit code."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 77:
            pytest.skip("others than root cannot enter the folder that this Python lies in")
        return code
    try:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        if not all(os.access(folder, os.R_OK | os.X_OK) for folder in (sys.prefix, Path(manifest_io.__file__).parent)):
            os._exit(77)
        os._exit(function(*arguments))
    finally:
        os._exit(99)


@pytest.fixture
def closed() -> Iterator[Path]:
    """A file and a folder that only root may read, not in the folder of pytest, which others cannot enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "sad").mkdir()
        for file in ("open.wav", "closed.wav"):
            encoding.write(folder / "sad" / file, synth.voice(0, "sad", len(file)), 16_000)
        sertool("index", folder, "-f", "csv")  # which loads what may lie where others than root cannot enter
        (folder / "private").mkdir()
        (folder / "sad" / "closed.wav").chmod(0)
        (folder / "private").chmod(0)
        yield folder
        (folder / "private").chmod(0o700)


def test_unreadable_files_are_set_aside_and_unreadable_folders_reported(closed):
    def look() -> int:
        done = sertool("index", closed, "-f", "jsonl")
        issues = {Path(row["path"]).name: row.get("issue") for row in map(json.loads, done.out.splitlines())}
        told = f"cannot look into {closed}/private: permission denied" in done.err
        return 0 if (done.code, issues, told) == (0, {"open.wav": None, "closed.wav": "unreadable"}, True) else 1

    def explain() -> int:
        done = sertool("index", closed / "sad", "-f", "jsonl")
        return 0 if "1 unreadable     sad/closed: permission denied\n" in done.err else 1

    def refuse() -> int:
        done = sertool("index", closed / "private")
        return 0 if done.code in (1, 2) and "not readable" in done.line else 1

    assert as_nobody(look) == 0
    assert as_nobody(explain) == 0
    assert as_nobody(refuse) == 0


def test_summary_explains_why_the_first_clip_is_unreadable(tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "rate.wav").write_bytes(sound(rate=1000))
    done = sertool("index", tmp_path / "odd", "-f", "jsonl")
    assert "1 unreadable     odd/rate: a sample rate of 1,000 Hz, not 4,000 to 384,000\n" in done.err
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "odd" / "a.wav")
    done = sertool("index", tmp_path / "odd", "-f", "jsonl")
    assert "2 unreadable     odd/a: not a regular file\n" in done.err


def test_manifest_without_read_or_write_permission_is_a_one_line_error(closed):
    manifest_io.write(manifest.from_columns({"clip": ["a"], "path": ["/a"]}), str(closed / "a.parquet"), "parquet")

    def write() -> int:
        done = sertool("index", closed / "a.parquet", "-o", closed / "b.parquet", "-q")
        return 0 if done.code == 1 and "cannot write" in done.line and "permission denied" in done.line else 1

    assert as_nobody(write) == 0
    (closed / "a.parquet").chmod(0)

    def read() -> int:
        done = sertool("index", closed / "a.parquet")
        return 0 if done.code == 2 and "not readable" in done.line else 1

    assert as_nobody(read) == 0


def test_read_only_folder_allows_complete_output_and_refuses_new_work(closed):
    (closed / "sad" / "closed.wav").unlink()
    sertool("index", closed / "sad" / "open.wav", "-o", closed / "a.parquet")
    features = ("featurize", closed / "a.parquet", "--rms", "-o", closed / "f", "-f", "csv")
    copies = ("augment", closed / "a.parquet", "--gain", 1, "--write", closed / "s", "-f", "csv")
    made = [sertool(*line).out for line in (features, copies)]
    for folder in ("s", "f"):
        for path in (closed / folder, *(closed / folder).rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)

    def again() -> int:
        same = [sertool(*line).out for line in (features, copies, (*features, "--part", "1/1"))] == [*made, made[0]]
        done = {"f": sertool(*features, "--zcr"), "s": sertool(*copies, "--noise", 3)}
        refused = [f"cannot write in {closed / name}: permission denied" in one.err for name, one in done.items()]
        return 0 if same and all(refused) and {one.code for one in done.values()} == {1} else 1

    assert as_nobody(again) == 0


def test_folder_that_other_users_may_write_in_is_locked_by_the_file_of_whoever_came_first(closed):
    shared = closed / "shared"
    with locks.folder_lock(shared, wait=False):
        pass
    shared.chmod(0o777)

    def lock() -> int:
        with suppress(SertoolError), locks.folder_lock(shared, wait=False) as held:
            return 0 if held.is_writable else 1
        return 2

    assert as_nobody(lock) == 0
    with locks.folder_lock(shared, wait=False):
        assert as_nobody(lock) == 2


# Files that come and go


def test_file_that_vanishes_before_it_is_probed_gets_an_issue(make, monkeypatch):
    folder = make("x/sad/1.wav", "x/sad/2.wav")
    look = audio.probe

    def late(path: str, **how: bool) -> audio.AudioInfo:
        Path(path).unlink(missing_ok=path.endswith("2.wav"))
        return look(path, **how)

    monkeypatch.setattr(audio, "probe", late)
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert [json.loads(line)["issue"] for line in done.out.splitlines()] == ["vanished", "vanished"]
    assert "2 vanished       x/sad/1: the file is not there: restore it, name where it lies now" in done.err


def test_folder_that_vanishes_during_the_walk_is_reported(make, monkeypatch):
    folder = make("x/sad/1.wav", "x/angry/2.wav")
    scandir = os.scandir

    def late(path: object) -> object:
        if str(path).endswith("sad"):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", late)
    done = sertool("index", folder / "x", "-f", "jsonl")
    assert (done.code, done.out.count(b"\n")) == (0, 1)
    assert "warning: cannot look into" in done.err


# Manifests


def parquet(**columns: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "says", "code"),
    [
        (b"", "empty input", 1), (b"\x89PNG\r\n\x1a\n", "no such file", 1), (b"PAR1" * 9, "cut off or altered", 1),
        (parquet(x=[1], y=["a"]), "no column named path or clip; it has x, y", 1),
        (parquet(path=[1.5], age=["old"]), "column age holds 'old' in row 1", 1),
        (parquet(clip=[{"a": 1}]), "column clip holds struct", 1),
        (parquet(path=[["/a"]]), "column path holds list", 1),
        (parquet(clip=["a", "a"], path=["/a", "/b"]), "clip a stands twice", 1),
        (parquet(clip=["a"], path=["/a"], notes=[{"x": 1}]), "column notes holds struct", 1),
        (parquet(clip=["a", None]), "1 row without a clip id", 1),
        (parquet(path=["/a", None]), "1 row without a path", 1),
        (parquet(clip=pa.array([], pa.string()), path=pa.array([], pa.string())), "has no rows", 1),
        (parquet(clip=pa.array([b"\xff"], pa.binary())), "Invalid UTF8", 1),
        (b"clip,path\n", "has no rows", 1), (b'clip,path\n"a,/b\n', "not readable as csv", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("door", ["file", "pipe"])
def test_invalid_manifest_is_a_one_line_error(tmp_path, data, says, code, door):
    (tmp_path / "a.parquet").write_bytes(data)
    done = sertool("index", tmp_path / "a.parquet") if door == "file" else sertool("index", stdin=data)
    assert (done.code, done.out) == (code, b"")
    assert says in done.line


@pytest.mark.parametrize("path", [{}, {"path": pa.nulls(1, pa.string())}, {"path": [""]}])
def test_clip_without_a_path_counts_as_vanished(tmp_path, path):
    done = sertool("featurize", "--mel", "-o", tmp_path / "features", stdin=parquet(clip=["a"], **path))
    assert (done.code, "1 vanished" in done.err) == (1, True), done.err


def test_manifest_with_nonsense_values_never_crashes_index(tmp_path):
    data = parquet(
        clip=["a", "b"], path=["/nowhere/a.wav", "/nowhere/b.wav"], start=[float("nan"), -1e308],
        duration=[float("inf"), -1.0],
        samples=[-1, 2**62], fold=[-1, 32_000], split=["\0", "x" * 9999], issue=["", None], speaker=["", "\0"],
    )  # fmt: skip
    for more in ((), ("--audit",), ("--split", "random-80-20"), ("--where", "start>0 and fold!=3")):
        done = sertool("index", "-f", "csv", *more, stdin=data)
        assert done.code in (0, 1)


def test_clips_with_invalid_start_or_duration_are_set_aside(tree, tmp_path):
    real = str(next(tree.rglob("*.wav")))
    length = soundfile.info(real).duration
    starts = [float("nan"), -1e308, float("inf"), 1e300, length, length - 1e-6, 0.0, 0.0, 0.0]
    lengths = [None, 1.0, None, 1.0, None, None, float("nan"), -1.0, 1e-9]
    names = [f"c{number}" for number in range(len(starts))]
    data = parquet(clip=[*names, "whole"], path=[real] * 10, start=[*starts, None], duration=[*lengths, None])
    done = sertool("featurize", "-", "--rms", "-o", tmp_path / "f", stdin=data)
    assert (done.code, manifest.column(manifest_io.parse(pa.py_buffer(done.out), "x"), "clip")[-1]) == (0, "whole"), (
        done.err
    )
    heard = sertool("predict", "-m", "tiny", "-", stdin=data).out.decode().splitlines()
    assert len(heard) == 11


@pytest.mark.parametrize("tenth", range(1, 10))
def test_truncated_manifest_on_stdin_is_refused(tree, tenth):
    whole = sertool("index", tree, "-q").out
    done = sertool("index", "--split", "speaker", stdin=whole[: len(whole) * tenth // 10])
    assert (done.code, done.out) == (1, b"")
    assert "stdin: not readable as parquet: it was cut off or altered" in done.line


def test_full_disk_is_reported(tree):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    command = f"{sys.executable} -m sertool index {tree} -f csv > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "sertool: no space left on device"


# Options


WAYS = [
    "--corpus cremad", "--corpus own", "--pattern {speaker}_{emotion}_{}.wav", "--pattern {speaker}/{}/{}",
    "--table labels.csv", "--table test=labels.csv", "--table mine.parquet", "--group parent-folder", "--map sad=angry",
    "--correct labels.csv", "--correct parted.csv", "--correct nowhere",
    "--labels perceived", "--labels soft", "--emotions sad,angry", "--emotions foo", "--where emotion=sad",
    "--where issue=", "--where notes=dc", "--check none", "--check header", "--update mine.parquet",
    "--update parted.csv", "--root .", "--root /", "-0", "--split speaker:70/15/15", "--split sentence", "--split loso",
    "--split random-92-8-leaky-copies", "--folds 3", "--protocol cremad-nk", "--audit", "--strict-sentences",
    "--seed 3", "--strict", "--dry-run", "-f csv", "-f jsonl", "-f table", "-q", "-v", "-o out.parquet",
    "-o out.csv", "-o -",
]  # fmt: skip
THINGS = [
    ["voices"], ["bad"], ["voices", "bad"], ["mine.parquet"], ["parted.csv", "mine.parquet"],
    ["mine.parquet", "voices"], [], ["nowhere"], ["-"], ["labels.csv"],
]  # fmt: skip


def test_no_combination_of_options_ends_in_a_traceback(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("voices").symlink_to(tree)
    Path("bad").mkdir()
    for length in range(3):
        Path(f"bad/{length}.wav").write_bytes(b"x" * length)
    sertool("index", "voices", "--group", "parent-folder", "-o", "mine.parquet")
    sertool("index", "voices", "--group", "parent-folder", "--split", "speaker:34/33/33", "-o", "parted.csv")
    paths = sorted(tree.rglob("*.wav"))
    Path("labels.csv").write_text(
        "path,emotion,speaker\n" + "".join(f"{p},sad,z{k % 3}\n" for k, p in enumerate(paths))
    )
    rng = random.Random(5)
    streams = [b"", Path("mine.parquet").read_bytes(), Path("parted.csv").read_bytes(), f"{paths[0]}\n".encode()]
    for _ in range(150):
        options = [word for way in rng.sample(WAYS, rng.randint(1, 4)) for word in way.split()]
        arguments = [*rng.choice(THINGS), *options]
        done = sertool("index", *arguments, stdin=rng.choice(streams))
        assert done.code in (0, 1, 2), arguments
        assert done.code != 2 or done.err.splitlines()[-1].startswith("sertool: "), arguments
