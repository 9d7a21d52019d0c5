"""Files that libsndfile does not read are decoded by ffmpeg, exactly, or refused in a line."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from running import ON_LINUX, Outcome, sertool

from sertool.errors import SertoolError
from sertool.sound import audio, ffmpeg, synth
from sertool.sound.audio import Cut, Unusable

pytestmark = pytest.mark.skipif(ffmpeg.program() is None, reason="needs ffmpeg")
RATE = 16_000
Convert = Callable[..., Path]


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    ffmpeg._converted.cache_clear()
    yield
    ffmpeg._converted.cache_clear()


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """Three sentences in 16 bits, `[samples]`."""
    said = np.concatenate([synth.voice(0, "happy", sentence) for sentence in range(3)])
    return (said / abs(said).max() * 20_000).astype(np.int16)


@pytest.fixture
def convert(tmp_path: Path, voice: np.ndarray) -> Convert:
    """Write the voice, or other samples, to a file of another kind."""

    def converted(name: str, *words: str, samples: np.ndarray = voice) -> Path:
        soundfile.write(tmp_path / "original.wav", samples, RATE)
        command = [ffmpeg.program(), "-nostdin", "-v", "error", "-y", "-i", tmp_path / "original.wav", *words]
        subprocess.run([*command, tmp_path / name], check=True)
        (tmp_path / "original.wav").unlink()
        return tmp_path / name

    return converted


def rows(done: Outcome) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.out.splitlines()]


def halved(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.m4a", "alac"), ("a.mkv", "flac"), ("a.mov", "pcm_s24le"), ("a.caf", "pcm_s16be"), ("a.au", "pcm_s16be")],
)
def test_lossless_sound_in_any_container_is_that_of_a_wav_file(
    convert: Convert, voice: np.ndarray, name: str, codec: str
) -> None:
    soundfile.write(wav := convert(name, "-c:a", codec).with_suffix(".wav"), voice, RATE)
    found, wanted = audio.probe(str(wav.with_name(name))), audio.probe(str(wav))
    assert (found.digest, found.samples, found.sample_rate, found.channels, found.issue) == (
        *(wanted.digest, len(voice), RATE, 1, None),
    )
    assert np.array_equal(audio.decode(str(wav.with_name(name)), Cut()), audio.decode(str(wav), Cut()))


@pytest.mark.parametrize("words", [("a.m4a", "-c:a", "aac"), ("a.webm", "-c:a", "libopus"), ("a.wma",), ("a.au",)])
@pytest.mark.parametrize("channels", [1, 2])
def test_parts_of_a_file_are_those_of_the_whole(
    convert: Convert, voice: np.ndarray, words: tuple[str, ...], channels: int
) -> None:
    samples = voice if channels == 1 else np.stack([voice, voice[::-1]], axis=1)
    path = str(convert(*words, samples=samples))
    rate = audio.probe(path, full=False).sample_rate
    whole = audio.decode(path, Cut(rate, "all"))
    assert whole.shape[0] == channels
    assert abs(whole.shape[1] / rate - len(voice) / RATE) < 0.1
    for start, duration in ((0.0, 0.5), (1.25, 0.4), (2.0, None)):
        first = round(start * rate)
        last = None if duration is None else round(first + duration * rate)
        assert np.array_equal(audio.decode(path, Cut(rate, "all"), start, duration), whole[:, first:last])
    assert np.array_equal(np.concatenate(list(audio.pieces(path, Cut(rate, "all"), whole=False)), axis=1), whole)


def test_segments_of_one_file_decode_it_once(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    path, runs, decode = str(convert("a.m4a")), [], ffmpeg._decode
    monkeypatch.setattr(ffmpeg, "_decode", lambda *asked: runs.append(asked) or decode(*asked))
    assert len({audio.decode(path, Cut(), start, 0.5).tobytes() for start in (0.0, 1.0, 2.0)}) == 3
    assert len(runs) == 1


def test_changed_file_is_decoded_again(convert: Convert, voice: np.ndarray) -> None:
    before = audio.decode(str(convert("a.m4a", "-c:a", "alac")), Cut())
    after = audio.decode(str(convert("a.m4a", "-c:a", "alac", samples=voice[:RATE])), Cut())
    assert np.array_equal(after, before[:, :RATE])


@pytest.mark.parametrize("words", [("a.aac",), ("a.webm",), ("a.m4a", "-movflags", "+faststart"), ("a.wma",)])
def test_files_that_are_cut_off_are_truncated_and_keep_what_there_is(convert: Convert, words: tuple[str, ...]) -> None:
    whole = audio.decode(str(convert(*words)), Cut())[0]
    path = str(halved(convert(*words)))
    assert audio.probe(path).issue == "truncated"
    with pytest.raises(Unusable, match="decoding stops") as caught:
        audio.decode(path, Cut())
    assert caught.value.issue == "truncated"
    kept: list[np.ndarray] = []
    with pytest.raises(Unusable):
        kept.extend(audio.pieces(path, Cut(), whole=False))
    there = np.concatenate(kept, axis=1)[0]
    assert 0.2 * len(whole) < len(there) < 0.8 * len(whole)
    assert np.allclose(there[: len(there) // 2], whole[: len(there) // 2], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.m4a", b"\0\0\0\x18ftypmp42" + bytes(100), "moov atom not found"),
        ("a.mp4", b"x" * 5000, "ffmpeg reads it neither"),
        ("a.wav", b"notes of a meeting\n" * 99, "ffmpeg reads it neither"),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n%s\n#EXT-X-ENDLIST\n", "ffmpeg reads it neither"),
        ("list.m4a", b"ffconcat version 1.0\nfile other.m4a\n", "whitelist"),
    ],
)
def test_what_is_no_sound_or_names_other_files_is_unreadable(
    convert: Convert, name: str, content: bytes, said: str
) -> None:
    other = convert("other.m4a")
    path = other.with_name(name)
    path.write_bytes(content.replace(b"%s", str(other).encode()))
    facts = audio.probe(str(path))
    assert facts.issue == "unreadable"
    assert said in facts.detail


def test_video_without_sound_is_said_to_have_none(tmp_path: Path) -> None:
    made = ["-f", "lavfi", "-i", "color=d=0.2:s=16x16", tmp_path / "a.mp4"]
    subprocess.run([ffmpeg.program(), "-nostdin", "-v", "error", *made], check=True)
    facts = audio.probe(str(tmp_path / "a.mp4"))
    assert (facts.issue, facts.detail.rpartition(": ")[2]) == ("unreadable", "no sound in it")


def test_sound_that_starts_late_in_a_video_is_at_its_time(tmp_path: Path, voice: np.ndarray) -> None:
    soundfile.write(tmp_path / "a.wav", voice, RATE)
    sources = ["-f", "lavfi", "-i", "color=d=9:s=16x16", "-itsoffset", "1.5", "-i", tmp_path / "a.wav"]
    command = [ffmpeg.program(), "-nostdin", "-v", "error", *sources, "-map", "0:v", "-map", "1:a", "-c:a", "pcm_s16le"]
    subprocess.run([*command, tmp_path / "a.mov"], check=True)
    heard = audio.decode(str(tmp_path / "a.mov"), Cut())[0]
    late = 1.5 * RATE
    assert not heard[: round(late) - 16].any()
    assert abs(len(heard) - len(voice) - late) <= 16
    assert np.array_equal(heard[-len(voice) :], voice / np.float32(32768))


@pytest.mark.parametrize("name", ["-i.m4a", "a:b.m4a", "%d ä\n.m4a", "http:x.m4a"])
def test_odd_names_are_read_as_names(convert: Convert, tmp_path: Path, name: str, monkeypatch) -> None:
    convert("a.m4a").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert audio.probe(name).issue is None


def test_videos_are_indexed_unless_a_sound_has_their_name(convert: Convert, tmp_path: Path, voice: np.ndarray) -> None:
    clip = convert("a.mp4")
    for folder, name in (("sad", "1.mp4"), ("sad", "2.M4A"), ("video", "3.mp4")):
        (tmp_path / "x" / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / "x" / folder / name)
    soundfile.write(tmp_path / "x/sad/3.wav", voice, RATE)
    done = sertool("index", tmp_path / "x", "-f", "jsonl")
    assert [(row["clip"], row["emotion"]) for row in rows(done)] == [(f"x/sad/{name}", "sad") for name in "312"]
    assert "1 file passed over: 1 .mp4; sounds of the same names are read instead" in done.err


def test_recordings_of_one_name_in_several_folders_are_all_read_but_not_videos_of_a_sound(
    convert: Convert, tmp_path: Path, voice: np.ndarray
) -> None:
    clip = convert("a.m4a")
    for name in ("anna/1.m4a", "ben/1.m4a", "video/1.mp4"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / "x" / name)
    soundfile.write(tmp_path / "x/ben/1.wav", voice, RATE)
    done = sertool("predict", "-m", "tiny", tmp_path / "x", "-f", "jsonl")
    assert [Path(row["path"]).relative_to(tmp_path).as_posix() for row in rows(done)] == ["x/ben/1.wav", "x/anna/1.m4a"]
    assert "2 files passed over: 1 .m4a, 1 .mp4" in done.err


@ON_LINUX
@pytest.mark.parametrize("broken", ["echo no library >&2; exit 127", "echo something else"])
def test_program_that_does_not_work_is_not_taken_for_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\n{broken}\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg.program.__wrapped__() != str(tmp_path / "ffmpeg")


def test_clips_are_featurized_and_predicted_like_their_wav(convert: Convert, tmp_path: Path, voice: np.ndarray) -> None:
    (tmp_path / "x").mkdir()
    soundfile.write(tmp_path / "x/a.wav", voice, RATE)
    convert("x/b.m4a", "-c:a", "alac")
    done = sertool("predict", "-m", "tiny", tmp_path / "x", "-f", "jsonl")
    one, other = rows(done)
    assert {name: one[name] for name in one if name not in ("clip", "path")} == {
        name: other[name] for name in other if name not in ("clip", "path")
    }
    assert sertool("predict", "-m", "tiny", tmp_path / "x", "-o", f"{tmp_path}/answers/").code == 0
    assert sorted(path.name for path in (tmp_path / "answers").glob("*.csv")) == ["a.csv", "b.csv"]


@ON_LINUX
def test_full_disk_ends_the_command_rather_than_the_clip(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(convert("a.m4a"))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "w+b"))  # noqa: SIM115
    with pytest.raises(SertoolError, match="no space left on device: name another folder in TMPDIR") as caught:
        audio.probe(path)
    assert not isinstance(caught.value, Unusable)


def test_no_folder_for_temporary_files_is_one_line(convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    path = convert("a.m4a")
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    monkeypatch.setattr(tempfile, "tempdir", None)
    done = sertool("index", path)
    assert (done.code, done.line) == (1, "sertool: no folder for decoded sound: name one in TMPDIR")


def test_file_that_takes_most_of_the_space_is_unreadable_and_takes_none(
    convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000))
    path = str(convert("a.m4a"))
    facts = audio.probe(path)
    assert facts.issue == "unreadable"
    assert "it takes more than half of the space in" in facts.detail
    with audio._file(path) as file:
        assert not os.fstat(ffmpeg.stream(path, os.fstat(file.fileno())).converted.file.fileno()).st_size


@ON_LINUX
@pytest.mark.parametrize("command", ["index", pytest.param("predict", marks=pytest.mark.slow)])
def test_command_ended_by_sigterm_does_not_wait_for_ffmpeg_nor_leave_it(tmp_path: Path, command: str) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo ffmpeg && exit\n'
        f"echo $$ > {tmp_path}/begun\nwhile echo more sound; do sleep .1; done\n"
    )
    program.chmod(0o755)
    (tmp_path / "a.m4a").write_bytes(b"sound" * 99)
    words = [sys.executable, "-m", "sertool", command, *(["-m", "tiny"] * (command == "predict")), tmp_path / "a.m4a"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    with subprocess.Popen(words, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL) as running:
        until(lambda: (tmp_path / "begun").is_file() and (tmp_path / "begun").read_text())
        running.terminate()
        assert running.wait(10) == 130
    theirs = Path("/proc", (tmp_path / "begun").read_text().strip())
    until(lambda: not theirs.exists())


def until(happens: Callable[[], object]) -> None:
    """Wait until something has happened, at most for 20 seconds."""
    end = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("words", [("a.wav", "-c:a", "g722"), ("a.oga", "-c:a", "flac", "-f", "ogg")])
def test_codecs_that_libsndfile_refuses_in_files_of_its_kinds_are_read(
    convert: Convert, voice: np.ndarray, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(convert(*words))
    heard, wanted = audio.decode(path, Cut())[0][1000:40_000], voice[1000:40_000].astype(np.float32)
    shifts = [np.corrcoef(np.roll(heard, -shift), wanted)[0, 1] for shift in range(40)]  # codecs delay
    assert max(shifts) > 0.95
    monkeypatch.setattr(ffmpeg, "program", lambda: None)
    assert audio.probe(path).issue == "unreadable"


def test_update_without_ffmpeg_keeps_the_rows_that_it_cannot_look_at(
    convert: Convert, tmp_path: Path, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x/sad/1.m4a", "x/sad/2.m4a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        convert(name)
    soundfile.write(tmp_path / "x/sad/3.wav", voice, RATE)
    out = tmp_path / "clips.parquet"
    assert sertool("index", tmp_path / "x", "-o", out).code == 0
    (tmp_path / "x/sad/2.m4a").unlink()
    monkeypatch.setattr(ffmpeg, "program", lambda: None)
    done = sertool("index", tmp_path / "x", "--update", out, "-f", "jsonl")
    assert sorted(row["clip"] for row in rows(done)) == ["x/sad/1", "x/sad/3"]
    assert "1 unchanged, 1 gone" in done.err
    assert "kept as they were, as they could not be looked at: 1 row\n" in done.err


@pytest.mark.parametrize("command", ["index", "predict", "augment"])
def test_folder_of_recordings_says_without_ffmpeg_what_would_read_them(
    convert: Convert, tmp_path: Path, voice: np.ndarray, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "x").mkdir()
    convert("x/1.m4a")
    soundfile.write(tmp_path / "a.wav", voice, RATE)
    monkeypatch.setattr(ffmpeg, "program", lambda: None)
    words = {"index": [], "predict": ["-m", "tiny"], "augment": [tmp_path / "a.wav", "--background"]}
    done = sertool(command, *words[command], tmp_path / "x")
    assert "1 file passed over: 1 .m4a; install ffmpeg" in done.err


def test_copies_of_recordings_are_those_of_their_wav(convert: Convert, tmp_path: Path, voice: np.ndarray) -> None:
    wav, recording = tmp_path / "one/x/a.wav", tmp_path / "two/x/a.m4a"
    for path in (wav, recording):
        path.parent.mkdir(parents=True)
    soundfile.write(wav, voice, RATE)
    convert("two/x/a.m4a", "-c:a", "alac")
    copies = []
    for path in (wav, recording):
        written = path.parents[1] / "copies"
        assert sertool("augment", path, "--speed", "0.9:1.1", "--noise", "10", "--write", written).code == 0
        copies += [soundfile.read(each)[0] for each in written.rglob("*.flac")]
    assert len(copies) == 2
    assert np.array_equal(*copies)
