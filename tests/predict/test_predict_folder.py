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


def test_output_folder_mirrors_the_layout_of_the_input_folder(make: Make) -> None:
    folder = make("calls/2023/a.wav", "calls/2024/mär z/b 1.wav", "calls/c.d.wav")
    assert predict(folder / "calls", "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["2023/a.csv", "2024/mär z/b 1.csv", "c.d.csv"]
    shutil.rmtree(folder / "out")
    assert predict(folder / "calls" / "2023" / "a.wav", folder / "calls" / "2024", "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["a.csv", "mär z/b 1.csv"]


def test_answer_files_together_hold_the_rows_of_one_table(make: Make) -> None:
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
def test_every_format_can_be_written_as_one_file_per_recording(make: Make, kind: str, ending: str) -> None:
    folder = make("calls/a.wav", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-f", kind, "-o", folder / "alone" / f"a.{ending}")
    assert predict(folder / "calls", "-f", kind, "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == [f"a.{ending}", f"b.{ending}"]
    if kind != "parquet":  # which holds the command line, too
        assert (folder / "out" / f"a.{ending}").read_bytes() == (folder / "alone" / f"a.{ending}").read_bytes()


def test_recordings_differing_only_in_extension_keep_it_in_answer_names(make: Make) -> None:
    folder = make("calls/a.wav", "calls/a.flac", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-o", f"{folder / 'out'}/")
    predict(folder / "calls", "-o", folder / "out")
    assert answers(folder / "out") == ["a.flac.csv", "a.wav.csv", "b.csv"]


def test_recording_keeps_its_answer_name_whatever_lies_beside_it_later(make: Make) -> None:
    folder = make("calls/a.wav")
    asked = (folder / "calls", "-o", f"{folder / 'out'}/")
    predict(*asked)
    make("calls/a.flac")
    assert "(1 made now)" in predict(*asked).err
    (folder / "calls" / "a.wav").unlink()
    assert "(0 made now)" in predict(*asked).err
    assert answers(folder / "out") == ["a.csv", "a.flac.csv"]


def test_missing_recording_counts_among_those_differing_only_in_extension(make: Make) -> None:
    folder = make("calls/a.wav")
    names = f"{folder}/calls/a.wav\n{folder}/calls/a.flac\n"
    assert (done := predict("-", "-o", f"{folder / 'out'}/", stdin=names.encode())).code == 0, done.err
    assert [Path(name).name for name in answers(folder / "out")] == ["a.wav.csv"]


def test_name_too_long_for_an_answer_file_is_refused_before_any_work(make: Make) -> None:
    folder = make("calls/a.wav", f"calls/{248 * 'b'}.wav")
    done = predict(folder / "calls", "-f", "textgrid", "-o", f"{folder / 'out'}/")
    assert (done.code, "b.TextGrid is too long a name" in done.line) == (2, True)
    assert not answers(folder / "out")
    assert predict(folder / "calls", "-f", "audacity", "-o", f"{folder / 'out'}/").code == 0


def test_recordings_with_colliding_answer_files_are_refused_before_any_work(make: Make) -> None:
    folder = make("one/a.wav", "two/a.wav")
    done = predict(folder / "one", folder / "two", "-o", f"{folder / 'out'}/")
    assert (done.code, "would both be answered in a.csv: name a folder that holds both" in done.line) == (2, True)
    predict(folder / "one", "-o", f"{folder / 'out'}/")
    before = snapshot(folder / "out")
    done = predict(folder / "two", "-o", folder / "out")
    assert (done.code, "take another -o" in done.line) == (2, True)
    assert snapshot(folder / "out") == before


def test_rerun_predicts_only_new_changed_or_missing_recordings(make: Make) -> None:
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


def test_interrupted_run_keeps_only_complete_files_and_resumes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("calls/a.wav", "calls/b.wav", "calls/c.wav")
    asked = (folder / "calls", "-o", f"{folder / 'out'}/")
    predict(folder / "calls", "-o", f"{folder / 'whole'}/")
    write = answer_files.write

    def interrupted(rows, kind, extra, place) -> None:
        def some():
            yield next(rows)
            raise KeyboardInterrupt

        write(some() if place.out.endswith("b.csv") else rows, kind, extra, place)

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
def test_answers_of_different_models_or_options_are_not_mixed(make: Make, words: tuple[object, ...]) -> None:
    folder = make("calls/a.wav", "calls/b.wav")
    predict(folder / "calls" / "a.wav", "-o", f"{folder / 'out'}/")
    before = snapshot(folder / "out")
    done = predict(folder / "calls", *words, "-o", folder / "out")
    option = "--model" if words[0] == "-m" else words[0]
    assert (done.code, f"holds answers by another {option}: take another -o" in done.line) == (2, True)
    assert snapshot(folder / "out") == before


def test_folder_of_a_refused_command_takes_answers_by_other_options(make: Make) -> None:
    folder = make("calls/a.wav")
    asked = (folder / "calls", "-o", f"{folder / 'out'}/")
    assert predict("--adapt", "speaker", "--speakers", "all", *asked).code == 2
    assert (done := predict(*asked)).code == 0, done.err


@pytest.mark.parametrize(("name", "text"), [("who.csv", "clip,path\n1,anna/1.wav\n"), ("who.txt", "anna/1.wav\n")])
def test_answers_adapted_to_other_audio_of_an_enrolled_table_are_not_mixed(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.chdir(make("calls/a.wav", "calls/b.wav", "anna/1.wav"))
    Path(name).write_text(text)
    asked = ("predict", "-m", "base", "--enroll", name, "-o", "out/")
    assert (done := sertool(*asked, "calls/a.wav")).code == 0, done.err
    assert sertool(*asked, "calls/b.wav").code == 0
    make("anna/1.wav")
    done = sertool(*asked, "calls")
    assert (done.code, "holds answers by another --enroll" in done.err) == (2, True)


def test_answers_in_different_formats_can_share_a_folder(make: Make) -> None:
    folder = make("calls/a.wav")
    for words in ((), ("-f", "rttm", "--silence", "-50")):
        assert predict(folder / "calls", *words, "-o", f"{folder / 'out'}/").code == 0
    assert answers(folder / "out") == ["a.csv", "a.rttm"]


def test_files_not_written_by_predict_are_never_replaced(make: Make) -> None:
    folder = make("calls/a.wav")
    (folder / "calls" / "a.txt").write_text("what was said")
    done = predict(folder / "calls", "-f", "audacity", "-o", folder / "calls")
    assert (done.code, "is there already, and not of this command" in done.line) == (2, True)
    assert (folder / "calls" / "a.txt").read_text() == "what was said"
    (folder / "calls" / "a.txt").unlink()
    for made in (1, 0):  # answers may lie beside the audio
        assert f"({made} made now)" in predict(folder / "calls", "-f", "audacity", "-o", folder / "calls").err


def test_answers_to_listed_and_manifest_paths_keep_their_folders(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("calls/1/a.wav", "calls/2/a.wav")
    monkeypatch.chdir(folder)
    assert predict("-", "-o", "listed/", stdin=b"calls/1/a.wav\ncalls/2/a.wav\n").code == 0
    sertool("index", "calls", "-o", "calls/clips.csv")
    assert predict("calls/clips.csv", "-o", "named/").code == 0
    assert answers(folder / "listed") == answers(folder / "named") == ["calls/1/a.csv", "calls/2/a.csv"]
    predict("-", "-o", "elsewhere/", stdin=b"/nowhere/x.wav\n")
    assert not answers(folder / "elsewhere")


def test_segments_of_a_recording_share_one_file_remade_when_they_change(make: Make) -> None:
    folder = make("a.wav", "b.wav")
    rows = ["clip,path,start,duration", "x,a.wav,0,.1", "y,b.wav,0,.1", "z,a.wav,.1,.1"]
    table, asked = folder / "parts.csv", (folder / "parts.csv", "-o", f"{folder / 'out'}/")
    table.write_text("\n".join(rows))
    done = predict(*asked)
    (a,) = (folder / "out").rglob("a.csv")
    assert (done.code, [row.split(",")[0] for row in a.read_text().splitlines()]) == (0, ["clip", "x", "z"])
    table.write_text("\n".join([*rows[:3], "z,a.wav,.05,.1"]))
    assert "(1 made now)" in predict(*asked).err


def test_answer_files_for_shards_are_named_by_clip_id(run: Path, tmp_path: Path) -> None:
    shard = next((run / "features" / "mel").glob("*.safetensors"))
    for made in (32, 0):
        done = sertool("predict", "-m", run / "model", shard, "-o", f"{tmp_path / 'out'}/")
        assert f"answers for 32 recordings in {tmp_path / 'out'} ({made} made now)" in done.err
    assert "voices/s01f/angry_0_0.csv" in answers(tmp_path / "out")
    os.utime(shard)
    assert "(32 made now)" in sertool("predict", "-m", run / "model", shard, "-o", tmp_path / "out").err


def test_adapted_answers_of_a_speaker_are_remade_together(make: Make) -> None:
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


def test_rerun_with_only_unknown_speakers_left_goes_on(make: Make) -> None:
    folder = make("a.wav", "b.wav")
    (folder / "who.csv").write_text("clip,path,speaker\na,a.wav,\nb,b.wav,ben\n")
    asked = ("predict", "-m", "base", "--adapt", "speaker", folder / "who.csv", "-o", f"{folder / 'out'}/")
    sertool(*asked)
    make("a.wav")
    assert "(1 made now)" in sertool(*asked).err
    (folder / "who.csv").write_text("clip,path\na,a.wav\n")
    assert "nobody says who speaks" in sertool(*asked).line


def test_strict_fails_on_every_run_with_set_aside_recordings(make: Make) -> None:
    folder = make("calls/a.wav")
    (folder / "calls" / "bad.wav").write_bytes(b"no sound")
    for made in (2, 0):
        done = predict("--strict", folder / "calls", "-o", f"{folder / 'out'}/")
        assert (done.code, f"({made} made now)" in done.err, "unreadable 1" in done.err) == (1, True, True)


def test_missing_recording_is_reported_and_gets_no_answer_file(make: Make) -> None:
    folder = make("calls/a.wav")
    asked = ("-o", f"{folder / 'out'}/")
    assert predict(folder / "gone.wav", *asked).code == 1
    for made in (1, 0):
        done = predict(folder / "gone.wav", folder / "calls", *asked)
        assert (done.code, f"({made} made now)" in done.err) == (0, True)
        assert f"and so without new answers: {folder / 'gone.wav'}" in done.err
    assert answers(folder / "out") == ["a.csv"]


def test_unreadable_recording_gets_no_textgrid_and_the_others_do(make: Make) -> None:
    folder = make("calls/b.wav")
    (folder / "calls" / "a.wav").write_bytes(b"no sound")
    done = predict(folder / "calls", "-f", "textgrid", "-o", f"{folder / 'out'}/")
    assert (done.code, answers(folder / "out"), "a.wav" in done.err) == (0, ["b.TextGrid"], True)


def test_second_run_in_a_busy_folder_is_refused_unless_it_waits(make: Make) -> None:
    folder = make("calls/a.wav")
    out, asked = folder / "out", (folder / "calls", "-o", f"{folder / 'out'}/")
    with locks.folder_lock(out, wait=False):
        done = predict(*asked)
        assert (done.code, "another sertool is at work" in done.line) == (1, True)
        assert not answers(out)
    assert predict(*asked, "--wait").code == 0
    assert answers(out) == ["a.csv"]


def test_answers_record_identifies_models_by_digest(make: Make) -> None:
    folder = make("calls/a.wav")
    predict(folder / "calls", "-o", f"{folder / 'out'}/")
    head = json.loads((folder / "out" / ".answers-csv.jsonl").read_text().splitlines()[0])["made_by"]
    assert len(head["model"][0][0]["sha256"]) == 64


@pytest.mark.parametrize(("words", "said"), [
    (("-f", "table", "-o", "out/"), "-f table is for terminals"), (("--wait",), "--wait is for another sertool"),
    (("-o", "a.wav/"), "-o a.wav/ ends in / as a folder does, and is a file"),
])  # fmt: skip
def test_invalid_output_folder_options_are_refused(
    make: Make, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(make("a.wav"))
    done = predict("a.wav", *words)
    assert (done.code, said in done.line) == (2, True)
