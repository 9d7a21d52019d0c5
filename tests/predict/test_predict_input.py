"""predict takes files, folders, lists, manifests and pipes."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import soundfile
from predicted_rows import rows_of
from running import piped, sertool

from sertool.manifests import manifest, manifest_io
from sertool.predict import predict_inputs, predicting
from sertool.predict.stored_rows import Shelf
from sertool.sound import ffmpeg


def test_answers_keep_the_input_order_and_include_bad_files(run: Path, tmp_path: Path) -> None:
    good = sorted((run / "voices").rglob("*.wav"))[:2]
    bad = tmp_path / "text.wav"
    bad.write_text("no audio")
    asked = [good[1], bad, tmp_path / "gone.wav", good[0]]
    done = sertool("predict", "-m", run / "model", stdin="\n".join(map(str, asked)).encode())
    held = rows_of(done.out)
    assert [row["path"] for row in held] == [str(path) for path in asked]
    assert [row["issue"] for row in held] == ["", "unreadable", "vanished", ""]
    assert [bool(row["predicted"]) for row in held] == [True, False, False, True]
    assert done.code == 0
    strict = sertool("predict", "-m", run / "model", bad, good[0], tmp_path / "gone.wav", "--strict", "-q")
    assert (strict.code, strict.line) == (1, "sertool: --strict: 2 rows set aside: unreadable 1, vanished 1")
    listed = f"{good[0].parent}\n{good[1]}\n".encode()
    found = [row["path"] for row in rows_of(sertool("predict", "-m", run / "model", stdin=listed).out)]
    assert found == [*map(str, sorted(good[0].parent.glob("*.wav"))), str(good[1])]


def test_folder_without_audio_does_not_stop_the_run(run: Path, tmp_path: Path) -> None:
    good, empty = sorted((run / "voices").rglob("*.wav"))[:2], tmp_path / "empty"
    empty.mkdir()
    asked = (good[0], empty, good[1])
    named = sertool("predict", "-m", run / "model", *asked)
    assert [(row["path"], row["issue"]) for row in rows_of(named.out)] == [
        (str(path), "empty" if path == empty else "") for path in asked
    ]
    piped = sertool("predict", "-m", run / "model", stdin="\n".join(map(str, asked)).encode())
    assert (named.code, piped.code, piped.out) == (0, 0, named.out)


def test_rf64_files_in_a_folder_are_predicted(run: Path, tmp_path: Path) -> None:
    voice, rate = soundfile.read(next((run / "voices").rglob("*.wav")))
    soundfile.write(tmp_path / "x.rf64", voice, rate, format="RF64")
    assert [row["issue"] for row in rows_of(sertool("predict", "-m", run / "model", tmp_path).out)] == [""]


def test_files_that_only_ffmpeg_reads_are_counted_where_it_is_not_installed_and_macos_metadata_files_are_ignored(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "program", lambda: None)
    shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav")
    for name in ("._x.wav", "._y.m4a", "y.m4a"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    done = sertool("predict", "-m", run / "model", tmp_path)
    assert [row["path"] for row in rows_of(done.out)] == [str(tmp_path / "x.wav")]
    assert "warning: 1 file passed over: 1 .m4a; install ffmpeg, or convert to WAV or FLAC" in done.err


def test_paths_arriving_slowly_on_stdin_are_answered_as_they_come(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:20]
    monkeypatch.setattr(predicting, "BATCH", 4)
    with piped("predict", "-m", run / "model", "-j", "2", "-f", "jsonl", "-") as (stdin, stdout):
        for some in (clips[:16], clips[16:]):  # the first of them are enough for forks
            stdin.write("".join(f"{clip}\n" for clip in some).encode())
            stdin.flush()
            rows = [json.loads(stdout.readline()) for _ in some]
            assert [row["path"] for row in rows] == [str(clip) for clip in some]


class Trickle(io.RawIOBase):
    """A stream of which a few bytes are there at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data, self.size = data, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("size", [1, 5, 100_000])
@pytest.mark.parametrize(
    "text",
    [
        "clip,path,mine\na,/a.wav,1\nb,/b.wav,1\n",
        '\n\n{"clip": "a", "path": "/a.wav"}\n{"clip": "b", "path": "/b.wav"}',
        '[\n {\n  "clip": "a", "path": "/a.wav"}, {"clip": "b", "path": "/b.wav"}]',
        "/a.wav\n/b.wav\n",
        "/a.wav\r\n\r\n/b.wav",
        "path\n/a.wav\n/b.wav",
        "sep=;\r\nclip;path\r\na;/a.wav\r\nb;/b.wav\r\n",
    ],
)
def test_stdin_format_detection_ignores_chunking_and_byte_order_marks(
    text: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bom in (b"", b"\xef\xbb\xbf"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Trickle(bom + text.encode(), size))))
        requests, _ = predict_inputs.opened(["-"], None, Shelf({}, "a test"))
        assert [request.row["path"] for request in requests] == ["/a.wav", "/b.wav"]


def test_nul_separated_paths_may_contain_any_characters(run: Path, tmp_path: Path) -> None:
    clip = tmp_path / "a\nb 'c\" é\r"
    shutil.copy(next((run / "voices").rglob("*.wav")), clip)
    done = sertool("predict", "-m", run / "model", "-0", "-f", "jsonl", "-", stdin=str(clip).encode() + b"\0")
    assert json.loads(done.out)["path"] == str(clip)


def test_piped_answers_give_absolute_paths_for_non_utf8_names(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = os.fsencode(tmp_path) + b"/\xff.wav"
    try:
        shutil.copy(os.fsencode(next((run / "voices").rglob("*.wav"))), clip)
    except OSError:
        pytest.skip("the file system takes no such name")
    monkeypatch.chdir(tmp_path)
    (row,) = rows_of(sertool("predict", "-m", run / "model", "-", stdin=b"\xff.wav\n").out)
    assert (row["clip"], row["path"]) == ("file://%FF.wav", f"file://{tmp_path}/%FF.wav")
    assert row["predicted"]


@pytest.mark.parametrize("words", [("--merge",), ("--hop", 1), ("-0",), ("--root", "elsewhere")])
def test_options_without_effect_are_refused(run: Path, words: tuple[str, ...]) -> None:
    done = sertool("predict", "-m", run / "model", next((run / "voices").rglob("*.wav")), *words)
    assert (done.code, done.out) == (2, b"")
    assert words[0] in done.line


def test_manifests_and_path_lists_are_recognised_by_content(run: Path, tmp_path: Path) -> None:
    table, model = run / "features" / "manifest.parquet", ("-m", run / "model")
    wanted = sertool("predict", *model, table).out
    paths = manifest.column(manifest_io.read(str(table)), "path")
    shutil.copy(table, table.with_name("clips.manifest"))
    assert sertool("predict", *model, table.with_name("clips.manifest")).out == wanted
    (tmp_path / "list.txt").write_text("\n".join(paths))
    listed = rows_of(sertool("predict", *model, tmp_path / "list.txt").out)
    assert [row["path"] for row in listed] == paths
    assert {row["issue"] for row in listed} == {""}


@pytest.mark.parametrize(("name", "header"), [("list.txt", ""), ("list", "file\n"), ("clips.2026", "")])
def test_path_list_in_a_file_works_like_one_on_stdin(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: str
) -> None:
    folder = next((run / "voices").iterdir())
    clip = next(path for path in sorted((run / "voices").rglob("*.wav")) if path.parent != folder)
    monkeypatch.chdir(run)
    (tmp_path / name).write_text(f"{header}{folder.relative_to(run)}\n{clip.relative_to(run)}\n")
    wanted = sertool("predict", "-m", run / "model", stdin=(tmp_path / name).read_bytes())
    done = sertool("predict", "-m", run / "model", tmp_path / name)
    assert done.out == wanted.out
    assert {row["issue"] for row in rows_of(done.out)} == {""}
    assert len(sertool("index", tmp_path / name, "-f", "jsonl").out.splitlines()) == len(rows_of(done.out))


@pytest.mark.parametrize("name", ["list.txt", "calls.LST", "all.list", "wav.scp"])
def test_list_file_without_existing_paths_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a text\nof words\n")
    for words in (("predict", "-m", run / "model"), ("index",)):
        done = sertool(*words, tmp_path / name)
        assert (done.code, f"{tmp_path / name}: no manifest" in done.err) == (1, True)


def test_a_list_with_an_id_before_each_path_is_refused_with_what_removes_it(run: Path, tmp_path: Path) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))
    (tmp_path / "wav.scp").write_text("".join(f"u{place} {path}\n" for place, path in enumerate(clips)))
    for words in (("predict", "-m", run / "model"), ("index",)):
        done = sertool(*words, tmp_path / "wav.scp")
        assert (done.code, done.out, "`cut -d' ' -f2-` removes them" in done.line) == (1, b"", True)


def test_a_command_in_a_list_is_a_path_that_is_not_there(run: Path, tmp_path: Path) -> None:
    (tmp_path / "wav.scp").write_text(f"u0 touch {tmp_path / 'done'} |\n")
    done = sertool("predict", "-m", run / "model", tmp_path / "wav.scp")
    assert (done.code, "no such file 'u0 touch" in done.line) == (1, True)
    assert not (tmp_path / "done").exists()


def test_stray_text_files_among_audio_are_set_aside(run: Path, tmp_path: Path) -> None:
    stray = {
        "README.md": "# My calls\n",
        "badges.md": "[![build](x.svg)](x)\n",
        "empty.dat": "",
        "x.m4a": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "y.m4a": "<!DOCTYPE html>\n<html></html>\n",
    }
    for name, text in stray.items():
        (tmp_path / name).write_text(text)
    good = next((run / "voices").rglob("*.wav"))
    done = sertool("predict", "-m", run / "model", *(tmp_path / name for name in stray), good)
    assert done.code == 0, done.err
    found = [row["issue"] for row in rows_of(done.out)]
    assert found == ["unreadable", "unreadable", "empty", "lfs-pointer", "unreadable", ""]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_list_from_process_substitution_is_read(run: Path) -> None:
    words = f"{sys.executable} -m sertool predict -m {run / 'model'}"
    line = f"cd {run}; {words} <(ls voices/*/*.wav)"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert [row["issue"] for row in rows_of(done.stdout)] == [""] * 32


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_manifest_from_process_substitution_is_read(run: Path) -> None:
    reader, writer = os.pipe()
    table = (run / "features" / "manifest.parquet").read_bytes()
    with open(reader, "rb"), open(writer, "wb") as pipe, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (pipe.write(table), pipe.close()))
        done = sertool("predict", "-m", run / "model", f"/dev/fd/{reader}")
    assert len(rows_of(done.out)) == 32


def test_run_fails_only_if_every_input_is_missing(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    for asked, code in (((tmp_path / "no.wav",), 1), ((tmp_path / "no.wav", good), 0)):
        done = sertool("predict", "-m", run / "model", *asked)
        assert (done.code, rows_of(done.out)[0]["issue"]) == (code, "vanished")
        assert ("nothing of what was asked for is there" in done.err) == bool(code)


def test_manifest_after_audio_files_keeps_its_columns(run: Path, tmp_path: Path) -> None:
    clip, table = next((run / "voices").rglob("*.wav")), run / "features" / "manifest.parquet"
    done = sertool("predict", "-m", run / "model", clip, table)
    first, *others = rows_of(done.out)
    assert (first["path"], first["emotion"], first["speaker"]) == (str(clip), "", "")
    assert all(row["emotion"] and row["speaker"] for row in others)
    piped = sertool("predict", "-m", run / "model", clip, "-", stdin=table.read_bytes())
    assert piped.out == done.out
    assert sertool("eval", stdin=done.out).code == 0


def test_manifest_rows_without_audio_get_no_answer(run: Path, tmp_path: Path) -> None:
    good = next((run / "voices").rglob("*.wav"))
    (tmp_path / "some.csv").write_text(f"clip,path,emotion\na,,sad\nb,{good},sad\n")
    for words in ((), ("--window", 1)):
        done = sertool("predict", "-m", run / "model", tmp_path / "some.csv", *words)
        assert [row["issue"] for row in rows_of(done.out)][:2] == ["vanished", ""]
    length = soundfile.info(good).duration
    (tmp_path / "end.csv").write_text(f"clip,path,start\na,{good},{length - 1e-5}\nb,{good},0\n")
    ended = rows_of(sertool("predict", "-m", run / "model", tmp_path / "end.csv").out)
    assert [row["issue"] for row in ended] == ["empty", ""]
    (tmp_path / "none.csv").write_text("clip,emotion\na,sad\n")
    refused = sertool("predict", "-m", run / "model", tmp_path / "none.csv")
    assert (refused.code, "without the column path" in refused.line) == (2, True)


def test_unwritten_copies_are_left_out_and_reported(run: Path, tmp_path: Path) -> None:
    table, words = run / "features" / "manifest.parquet", ("--copies", 1, "--noise", "0:5")
    made = sertool("augment", table, *words)
    done = sertool("predict", "-m", run / "model", stdin=made.out)
    assert done.out == sertool("predict", "-m", run / "model", table).out
    assert "16 augmented copies are left out" in done.err
    written = sertool("augment", table, *words, "--write", tmp_path / "copies")
    heard = rows_of(sertool("predict", "-m", run / "model", stdin=written.out).out)
    assert len(heard) == 48
    assert len({row["path"] for row in heard}) == 48


def test_empty_folder_gets_a_row_alone_or_beside_other_inputs(run: Path, tmp_path: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    alone, beside = (sertool("predict", "-m", run / "model", tmp_path, *more) for more in ((), (clip,)))
    for done in (alone, beside):
        assert done.code == 0
        assert f"warning: no audio under {tmp_path}" in done.err
        assert (rows_of(done.out)[0]["path"], rows_of(done.out)[0]["issue"]) == (str(tmp_path), "empty")
    assert sertool("predict", "-m", run / "model", tmp_path, "--strict").code == 1


def test_unlistable_folder_gets_a_row_that_fails_strict(run: Path, make: Callable[..., Path], shut: set[str]) -> None:
    folder = make("den/a/1.wav", "den/b/2.wav") / "den"
    shut.add("b")
    for window in ((), ("--window", 1)):
        done = sertool("predict", "-m", run / "model", folder, "--strict", *window, "-f", "csv")
        assert (done.code, f"cannot look into {folder / 'b'}: permission denied" in done.err) == (1, True)
        assert [(row["clip"], row["issue"]) for row in rows_of(done.out)] == [
            (str(folder / "a" / "1.wav"), ""), (str(folder / "b"), "unreadable"),
        ]  # fmt: skip


def test_inapplicable_options_are_refused(run: Path, tmp_path: Path) -> None:
    model = run / "model" / "seed-0" / "model.safetensors"
    for words, said in (
        (("-m", model, "--hop", 1), "--hop goes with --window"),
        (("-m", model, "--fold", 0), "--fold 0 is for a run's folder, and"),
        (("--fold", 0, "--model-card"), "--fold 0 is for a run's folder, and"),
        (("-m", model, "--top", 2, "-o", tmp_path / "x.rttm"), "--top makes a column, and rttm has no columns"),
        (("-m", model, "--speeds", "1,1.004"), "--speeds 1.004: too near 1"),
        (("-m", model, "-o", tmp_path / "x.json"), "the extension says no format; choose .csv"),
    ):
        done = sertool("predict", *words, *sorted((run / "voices").rglob("*.wav"))[:1])
        assert (done.code, said in done.line) == (2, True)
    assert not [*tmp_path.iterdir()]


def test_empty_stdin_is_an_error_and_keeps_older_answers(run: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("older")
    done = sertool("predict", "-m", run / "model", "-q", "-o", tmp_path / "a.csv", stdin=b"")
    assert (done.code, (tmp_path / "a.csv").read_text()) == (1, "older")
    assert done.line == "sertool: stdin: empty input; the command that should have written it may have failed"


def test_path_list_with_carriage_return_line_endings_is_read(run: Path) -> None:
    paths = [str(path) for path in sorted((run / "voices").rglob("*.wav"))[:2]]
    done = sertool("predict", "-m", run / "model", stdin="\r".join([*paths, ""]).encode())
    assert [row["path"] for row in rows_of(done.out)] == paths


def test_excel_workbook_is_refused_with_advice_to_save_as_csv(run: Path, tmp_path: Path) -> None:
    (tmp_path / "list.xlsx").write_bytes(b"PK\3\4" + bytes(100))
    for words, stdin in (((tmp_path / "list.xlsx",), b""), ((), (tmp_path / "list.xlsx").read_bytes())):
        done = sertool("predict", "-m", run / "model", *words, stdin=stdin)
        assert (done.code, "an Excel workbook, or another archive: save it as CSV" in done.line) == (1, True)


def test_stdin_that_is_not_a_path_list_is_refused_in_one_line(run: Path) -> None:
    path = next((run / "voices").rglob("*.wav"))
    for given in (path.read_bytes(), f"{path}\0{path}\0".encode()):
        done = sertool("predict", "-m", run / "model", stdin=given)
        assert (done.code, "need -0" in done.line, done.out) == (2, True, b"")


def test_unreadable_folder_gets_a_row_and_other_inputs_are_predicted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, shut = shutil.copy(next((run / "voices").rglob("*.wav")), tmp_path / "x.wav"), tmp_path / "shut"
    shut.mkdir()
    listing = os.scandir

    def refused(folder: Any) -> Any:
        if Path(folder) == shut:
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path) != shut)
    monkeypatch.setattr(os, "scandir", refused)
    done = sertool("predict", "-m", run / "model", shut, clip)
    assert [(row["path"], row["issue"]) for row in rows_of(done.out)] == [(str(shut), "unreadable"), (str(clip), "")]
    assert f"warning: cannot read {shut}: permission denied" in done.err
    alone = sertool("predict", "-m", run / "model", shut)
    assert (alone.code, alone.err.splitlines()[-1]) == (1, f"sertool: cannot read {shut}: permission denied")
