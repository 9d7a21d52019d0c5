"""predict -o FOLDER/: a file for each recording, whole or absent, made again only if what it is made of has changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Outcome, ages, sertool, snapshot

from sertool.predict import answer_files
from sertool.system import locks

Make = Callable[..., Path]


def predict(*words: object, stdin: bytes = b"") -> Outcome:
    return sertool("predict", "-m", "tiny", *words, stdin=stdin)


def answers(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("[!.]*") if path.is_file())


def times(folder: Path) -> dict[str, int]:
    """Return the modification time of each answer in a folder."""
    held = ages(folder)
    return {name: held[name] for name in answers(folder)}


def test_answers_are_laid_out_like_the_folder_that_was_named(make: Make) -> None:
    folder = make("calls/2023/a.wav", "calls/2024/mär z/b 1.wav", "calls/c.d.wav")
    assert predict(folder / "calls", "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["2023/a.csv", "2024/mär z/b 1.csv", "c.d.csv"]
    shutil.rmtree(folder / "out")
    assert predict(folder / "calls" / "2023" / "a.wav", folder / "calls" / "2024", "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["a.csv", "mär z/b 1.csv"]


def test_the_files_hold_the_rows_of_one_table(make: Make) -> None:
    folder = make("calls/a.wav", "calls/b.wav")
    (folder / "calls" / "bad.wav").write_bytes(b"no sound")
    (folder / "out").mkdir()  # needs no slash, as it is there
    asked = ("--window", 0.1, "--channel", "each", folder / "calls")
    done, whole = predict(*asked, "-o", folder / "out"), predict(*asked)
    assert (done.code, done.out) == (0, b"")
    assert "answers for 3 recordings" in done.err
    assert "1 set aside" in done.err
    header = whole.out.splitlines()[:1]
    parts = [(folder / "out" / f"{name}.csv").read_bytes().splitlines() for name in ("a", "b", "bad")]
    assert [part[:1] for part in parts] == 3 * [header]
    assert header + [row for part in parts for row in part[1:]] == whole.out.splitlines()


@pytest.mark.parametrize(("kind", "ending"), [
    ("tsv", "tsv"), ("jsonl", "jsonl"), ("parquet", "parquet"), ("rttm", "rttm"), ("srt", "srt"),
    ("audacity", "txt"), ("textgrid", "TextGrid"),
])  # fmt: skip
def test_every_format_makes_files_also_those_of_one_recording(make: Make, kind: str, ending: str) -> None:
    folder = make("calls/a.wav", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-f", kind, "-o", folder / "alone" / f"a.{ending}")
    assert predict(folder / "calls", "-f", kind, "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == [f"a.{ending}", f"b.{ending}"]
    if kind != "parquet":  # which holds the command line, too
        assert (folder / "out" / f"a.{ending}").read_bytes() == (folder / "alone" / f"a.{ending}").read_bytes()


def test_audio_that_differs_in_its_extension_alone_keeps_it(make: Make) -> None:
    folder = make("calls/a.wav", "calls/a.flac", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-o", f"{folder / 'out'}/")
    predict(folder / "calls", "-o", folder / "out")
    assert answers(folder / "out") == ["a.flac.csv", "a.wav.csv", "b.csv"]


def test_two_recordings_in_one_place_are_refused_before_any_work(make: Make) -> None:
    folder = make("one/a.wav", "two/a.wav")
    done = predict(folder / "one", folder / "two", "-o", f"{folder / 'out'}/")
    assert (done.code, "would both be answered in a.csv: name a folder that holds both" in done.line) == (2, True)
    predict(folder / "one", "-o", f"{folder / 'out'}/")
    before = snapshot(folder / "out")
    done = predict(folder / "two", "-o", folder / "out")
    assert (done.code, "take another -o" in done.line) == (2, True)
    assert snapshot(folder / "out") == before


def test_what_is_done_is_left_and_what_is_new_changed_or_missing_is_made(make: Make) -> None:
    folder = make("calls/a.wav", "calls/b.wav", "calls/c.wav")
    asked = (folder / "calls", "-o", f"{folder / 'out'}/")
    predict(*asked)
    before = ages(folder / "out")
    done = predict(*asked)
    assert (done.code, "(0 made now)" in done.err) == (0, True)
    assert ages(folder / "out") == before
    make("calls/b.wav", "calls/d.wav")
    os.utime(folder / "calls" / "b.wav", (0, 0))  # changed, though older than its answer
    (folder / "out" / "c.csv").unlink()
    assert "answers for 4 recordings" in (done := predict(*asked)).err
    assert "(3 made now)" in done.err
    now = times(folder / "out")
    assert sorted(now) == ["a.csv", "b.csv", "c.csv", "d.csv"]
    assert [name for name in now if now[name] == before.get(name)] == ["a.csv"]


def test_an_interrupted_run_keeps_whole_files_alone_and_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("calls/a.wav", "calls/b.wav", "calls/c.wav")
    asked = (folder / "calls", "-o", f"{folder / 'out'}/")
    predict(folder / "calls", "-o", f"{folder / 'whole'}/")
    write = answer_files.write

    def interrupted(rows, labels, extra, place) -> None:
        def some():
            yield next(rows)
            raise KeyboardInterrupt

        write(some() if place.out.endswith("b.csv") else rows, labels, extra, place)

    monkeypatch.setattr(answer_files, "write", interrupted)
    assert predict(*asked).code == 130
    assert [name for name in snapshot(folder / "out") if not name.startswith((".lock", ".answers"))] == ["a.csv"]
    monkeypatch.undo()
    with (folder / "out" / ".answers-csv.jsonl").open("a") as stream:
        stream.write('{"answers": "c.c')  # as a killed run may leave
    assert "(2 made now)" in predict(*asked).err
    assert "(0 made now)" in predict(*asked).err
    assert answers(folder / "out") == answers(folder / "whole")
    for name in answers(folder / "out"):
        assert (folder / "out" / name).read_bytes() == (folder / "whole" / name).read_bytes()


@pytest.mark.parametrize("words", [("-m", "base"), ("--threshold", 0.5), ("--window", 0.1), ("--top", 2)])
def test_answers_by_other_models_or_options_are_never_mixed(make: Make, words: tuple[object, ...]) -> None:
    folder = make("calls/a.wav", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-o", f"{folder / 'out'}/")
    before = snapshot(folder / "out")
    done = predict(folder / "calls", *words, "-o", folder / "out")
    option = "--model" if words[0] == "-m" else words[0]
    assert (done.code, f"holds answers by another {option}: take another -o" in done.line) == (2, True)
    assert snapshot(folder / "out") == before


def test_formats_share_a_folder_as_their_files_differ(make: Make) -> None:
    folder = make("calls/a.wav")
    for words in ((), ("-f", "rttm", "--silence", "-50")):
        assert predict(folder / "calls", *words, "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["a.csv", "a.rttm"]


def test_files_of_others_are_never_replaced(make: Make) -> None:
    folder = make("calls/a.wav")
    (folder / "calls" / "a.txt").write_text("what was said")
    done = predict(folder / "calls", "-f", "audacity", "-o", folder / "calls")
    assert (done.code, "is there already, and not of this command" in done.line) == (2, True)
    assert (folder / "calls" / "a.txt").read_text() == "what was said"
    (folder / "calls" / "a.txt").unlink()
    for made in (1, 0):  # answers may lie beside the audio
        assert f"({made} made now)" in predict(folder / "calls", "-f", "audacity", "-o", folder / "calls").err


def test_paths_on_stdin_and_in_manifests_keep_their_folders(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("calls/1/a.wav", "calls/2/a.wav")
    monkeypatch.chdir(folder)
    assert predict("-", "-o", "listed/", stdin=b"calls/1/a.wav\ncalls/2/a.wav\n").code == 0
    sertool("index", "calls", "-o", "calls/clips.csv")
    assert predict("calls/clips.csv", "-o", "named/").code == 0
    assert answers(folder / "listed") == answers(folder / "named") == ["calls/1/a.csv", "calls/2/a.csv"]
    predict("-", "-o", "elsewhere/", stdin=b"/nowhere/x.wav\n")
    assert not answers(folder / "elsewhere")


def test_parts_of_a_recording_are_one_file_and_are_made_again_if_they_are_cut_otherwise(make: Make) -> None:
    folder = make("a.wav", "b.wav")
    rows = ["clip,path,start,duration", "x,a.wav,0,.1", "y,b.wav,0,.1", "z,a.wav,.1,.1"]
    table, asked = folder / "parts.csv", (folder / "parts.csv", "-o", f"{folder / 'out'}/")
    table.write_text("\n".join(rows))
    done = predict(*asked)
    (a,) = (folder / "out").rglob("a.csv")
    assert (done.code, [row.split(",")[0] for row in a.read_text().splitlines()]) == (0, ["clip", "x", "z"])
    table.write_text("\n".join([*rows[:3], "z,a.wav,.05,.1"]))
    assert "(1 made now)" in predict(*asked).err


def test_clips_of_shards_are_named_by_their_ids(run: Path, tmp_path: Path) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    for made in (32, 0):
        done = sertool("predict", "-m", run / "model", shard, "-o", f"{tmp_path / 'out'}/")
        assert f"answers for 32 recordings in {tmp_path / 'out'} ({made} made now)" in done.err
    assert "voices/s01f/angry_0_0.csv" in answers(tmp_path / "out")
    os.utime(shard)
    assert "(32 made now)" in sertool("predict", "-m", run / "model", shard, "-o", tmp_path / "out").err


def test_all_recordings_of_a_speaker_are_made_again_with_one_of_them(make: Make) -> None:
    folder = make("calls/anna/1.wav", "calls/anna/2.wav", "calls/ben/1.wav")
    asked = ("-m", "base", "--adapt", "speaker", "--speakers", "parent-folder", folder / "calls", "-o")
    sertool("predict", *asked, f"{folder / 'out'}/")
    make("calls/anna/3.wav")
    before = times(folder / "out")
    assert "(3 made now)" in sertool("predict", *asked, folder / "out").err
    now = times(folder / "out")
    assert [name for name in before if now[name] == before[name]] == ["ben/1.csv"]
    (folder / "out" / "anna" / "1.csv").unlink()
    assert "(3 made now)" in sertool("predict", *asked, folder / "out").err
    sertool("predict", *asked, f"{folder / 'whole'}/")
    for name in answers(folder / "whole"):
        assert (folder / "out" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_what_was_set_aside_fails_a_strict_run_each_time(make: Make) -> None:
    folder = make("calls/a.wav")
    (folder / "calls" / "bad.wav").write_bytes(b"no sound")
    for made in (2, 0):
        done = predict("--strict", folder / "calls", "-o", f"{folder / 'out'}/")
        assert (done.code, f"({made} made now)" in done.err, "unreadable 1" in done.err) == (1, True, True)


def test_what_is_not_there_gets_no_file_and_is_said(make: Make) -> None:
    folder = make("calls/a.wav")
    asked = ("-o", f"{folder / 'out'}/")
    assert predict(folder / "gone.wav", *asked).code == 1
    for made in (1, 0):
        done = predict(folder / "gone.wav", folder / "calls", *asked)
        assert (done.code, "gone.wav" in done.err, f"({made} made now)" in done.err) == (0, True, True)
    assert answers(folder / "out") == ["a.csv"]


def test_a_recording_of_which_nothing_is_heard_gets_no_textgrid_and_the_work_goes_on(make: Make) -> None:
    folder = make("calls/b.wav")
    (folder / "calls" / "a.wav").write_bytes(b"no sound")
    done = predict(folder / "calls", "-f", "textgrid", "-o", f"{folder / 'out'}/")
    assert (done.code, answers(folder / "out"), "a.wav" in done.err) == (0, ["b.TextGrid"], True)


def test_the_second_of_two_at_work_in_one_folder_is_refused(make: Make) -> None:
    folder = make("calls/a.wav")
    out, asked = folder / "out", (folder / "calls", "-o", f"{folder / 'out'}/")
    with locks.folder_lock(out, wait=False):
        done = predict(*asked)
        assert (done.code, "another sertool is at work" in done.line) == (1, True)
        assert not answers(out)
    assert predict(*asked, "--wait").code == 0
    assert answers(out) == ["a.csv"]


def test_the_record_names_the_models_by_their_content(make: Make) -> None:
    folder = make("calls/a.wav")
    predict(folder / "calls", "-o", f"{folder / 'out'}/")
    head = json.loads((folder / "out" / ".answers-csv.jsonl").read_text().splitlines()[0])["made_by"]
    assert len(head["model"][0][0]["sha256"]) == 64


@pytest.mark.parametrize(("words", "said"), [
    (("-f", "table", "-o", "out/"), "-f table is for terminals"), (("--wait",), "--wait is for another sertool"),
    (("-o", "a.wav/"), "-o a.wav/ ends in / as a folder does, and is a file"),
])  # fmt: skip
def test_what_makes_no_folder_is_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(make("a.wav"))
    done = predict("a.wav", *words)
    assert (done.code, said in done.line) == (2, True)
