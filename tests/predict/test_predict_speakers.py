"""predict adapted to who speaks."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from predicted_rows import LEARNING, probabilities, rows_of, two_sided_call
from running import piped, sertool

from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import modelfile
from sertool.modelfiles.inference import Predictor
from sertool.predict import speaker_answers, voice_names
from sertool.predict.ensemble import KnownSpeakers


def test_mono_clips_enrol_the_speaker_of_the_selected_channel(run: Path, adaptable: Path, tmp_path: Path) -> None:
    anna, other = (sorted(folder.glob("*.wav")) for folder in sorted((run / "voices").iterdir())[:2])
    voices = [soundfile.read(clip)[0][:16_000] for clip in (other[0], anna[0])]
    soundfile.write(tmp_path / "call.wav", np.stack(voices, axis=1), 16_000)
    words = ("predict", "-m", adaptable, "--enroll", anna[0].parent, "--channel", "right")
    (row,) = rows_of(sertool(*words, tmp_path / "call.wav").out)
    assert (row["channel"], row["adapted"]) == ("2", "enrolled")
    (row,) = rows_of(sertool(*words, anna[0]).out)
    assert row["issue"] == "no-channel"


def test_speaker_on_another_channel_is_not_taken_for_the_enrolled_one(
    run: Path, adaptable: Path, tmp_path: Path
) -> None:
    anna = tmp_path / "anna"
    anna.mkdir()
    clips = sorted(sorted((run / "voices").iterdir())[0].glob("*.wav"))[:3]
    for clip in clips:
        shutil.copy(clip, anna)
    voice = soundfile.read(clips[0])[0]
    soundfile.write(tmp_path / "call.wav", np.stack([voice, voice[::-1]], axis=1), 16_000)
    words = ("predict", "-m", adaptable, "--enroll", anna, "--channel", "each", tmp_path / "call.wav")
    held = rows_of(sertool(*words).out)
    assert [(row["channel"], row["speaker"], row["adapted"]) for row in held] == [
        ("1", "anna", "enrolled"),
        ("2", "", ""),
    ]


@pytest.mark.parametrize("how", [("--adapt", "speaker"), ("--enroll", "alone.csv", "--speakers", "speaker")])
def test_named_speaker_is_the_same_person_on_every_named_channel(
    adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.chdir(sides)
    named, alone = (sertool("predict", "-m", adaptable, *how, table) for table in ("sides.csv", "alone.csv"))
    assert "not enrolled" not in named.err
    for one, other in zip(rows_of(named.out), rows_of(alone.out), strict=True):
        assert (one["speaker"], bool(one["adapted"])) == (other["speaker"], True)
        assert probabilities(one) == pytest.approx(probabilities(other), abs=5e-5)


def test_enrolled_speaker_is_recognised_on_the_channel_a_row_names(
    run: Path, adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sides)
    (sides / "anna.csv").write_text("clip,path,channel\na,a.wav,1\nb,b.wav,2\n")
    folder = min((run / "voices").iterdir())
    for words in ((), ("--speakers", "all")):
        done = sertool("predict", "-m", adaptable, "--enroll", folder, *words, "anna.csv")
        assert [row["adapted"] for row in rows_of(done.out)] == ["enrolled"] * 2
        assert "not enrolled" not in done.err


def test_each_named_channel_is_one_voice_with_speakers_all(
    adaptable: Path, sides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sides)
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", "all")
    named = rows_of(sertool(*words, "sides.csv").out)
    wanted = rows_of(sertool(*words, "--channel", "each", "a.wav", "b.wav").out)
    assert [probabilities(row) for row in named] == [pytest.approx(probabilities(row), abs=5e-5) for row in wanted]


def test_enrolled_clips_themselves_are_marked_transductive(run: Path, adaptable: Path) -> None:
    first, *others = sorted(next(folder for folder in (run / "voices").iterdir()).glob("*.wav"))
    words = ("predict", "-m", adaptable, "--enroll", first, first, *others)
    assert [row["adapted"] for row in rows_of(sertool(*words).out)] == ["transductive", *["enrolled"] * len(others)]


def test_only_segments_inside_the_enrolled_audio_are_transductive(run: Path, adaptable: Path, tmp_path: Path) -> None:
    clip = str(next((run / "voices").rglob("*.wav")))
    parts = {"clip": [*"abc"], "path": [clip] * 3, "start": [0.2, 0.6, 1.0], "duration": [0.4] * 3}
    silent = {"all": [None] * 3, "first": [None, "silent", "silent"], "outer": [None, "silent", None]}
    for name, issues in silent.items():
        rows = manifest.from_columns(parts | {"issue": issues})
        manifest_io.write(rows, str(tmp_path / f"{name}.parquet"), "parquet")
    for enrolled, wanted in (
        (clip, ["transductive"] * 3),
        (tmp_path / "first.parquet", ["transductive", "enrolled", "enrolled"]),
        (tmp_path / "outer.parquet", ["transductive", "enrolled", "transductive"]),
    ):
        done = sertool("predict", "-m", adaptable, "--enroll", enrolled, tmp_path / "all.parquet")
        assert [row["adapted"] for row in rows_of(done.out)] == wanted


@pytest.mark.parametrize(
    ("start", "end", "way"),
    [(0, 1, "enrolled"), (0, 1.1, "transductive"), (2.9, 4, "transductive"), (3, 4, "enrolled")],
)
def test_a_window_that_only_touches_what_was_enrolled_is_not_transductive(start: float, end: float, way: str) -> None:
    path = os.path.abspath("call.wav")
    known = KnownSpeakers([], ["anna"], {path: [(1.0, 3.0)]})
    assert speaker_answers._way({"clip": "call", "path": path, "start": start, "end": end}, known) == way


@pytest.mark.parametrize(
    ("how", "path", "who"),
    [
        ("parent-folder", "/calls/anna b/0.wav", "anna b"),
        ("parent-folder", "file:///calls/anna%20b/%FF.wav", "anna b"),
        ("J\u00fcrgen_{speaker}.wav", "/calls/Ju\u0308rgen_7.wav", "7"),
    ],
)
def test_speaker_name_does_not_depend_on_path_spelling(how: str, path: str, who: str) -> None:
    assert voice_names.SpeakerNames(how).of({"clip": "a", "path": path}) == who


@pytest.mark.parametrize("name", ["voice", "place", "_span", "_read", "_asked"])
def test_speakers_can_be_read_from_a_column_of_any_name(run: Path, adaptable: Path, tmp_path: Path, name: str) -> None:
    one, other = sorted((run / "voices").rglob("*.wav"))[:2]
    (tmp_path / "own.csv").write_text(f"path,{name}\n{one},1\n{other},2\n")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", name, tmp_path / "own.csv")
    held = rows_of(sertool(*words).out)
    assert [(row[name], row["speaker"], row["adapted"]) for row in held] == [
        ("1", "1", "transductive"),
        ("2", "2", "transductive"),
    ]


def test_adapted_predictions_match_those_of_training_on_held_out_clips(run: Path, adaptable: Path) -> None:
    trained = manifest_io.read(str(adaptable / "predictions.parquet")).to_pydict()
    done = sertool("predict", "-m", adaptable, "--adapt", "speaker", run / "features" / "manifest.parquet")
    mine = {row["clip"]: row for row in rows_of(done.out)}
    for place, clip in enumerate(trained["clip"]):
        assert mine[clip]["adapted"] == "transductive" == trained["adapted"][place]
        wanted = [trained[name][place] for name in mine[clip] if name.startswith("p_")]
        assert probabilities(mine[clip]) == pytest.approx(wanted, abs=1e-4)


def test_adapted_rows_keep_the_input_order_of_alternating_speakers(run: Path, adaptable: Path, tmp_path: Path) -> None:
    by_speaker = [sorted(folder.glob("*.wav"))[:3] for folder in sorted((run / "voices").iterdir())[:2]]
    asked = [clip for pair in zip(*by_speaker, strict=True) for clip in pair]
    (tmp_path / "bad.wav").write_text("no audio")
    asked.insert(3, tmp_path / "bad.wav")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers", "parent-folder")
    held = rows_of(sertool(*words, stdin="\n".join(map(str, asked)).encode()).out)
    assert [row["path"] for row in held] == [str(path) for path in asked]
    assert [row["adapted"] for row in held] == ["transductive"] * 3 + [""] + ["transductive"] * 3
    one_by_one = [row for clips in by_speaker for row in rows_of(sertool(*words, *clips).out)]
    alone = {row["path"]: probabilities(row) for row in one_by_one}
    for row in held:
        if row["predicted"]:
            assert probabilities(row) == pytest.approx(alone[row["path"]], abs=1e-5)


def test_clips_of_unknown_speakers_keep_all_window_and_channel_rows(run: Path, adaptable: Path, tmp_path: Path) -> None:
    for name in ("a.wav", "b_1.wav", "c.wav"):
        two_sided_call(run, tmp_path / name)
    words = ("predict", "-m", adaptable, tmp_path, "--window", "1", "--channel", "each")
    adapted = rows_of(sertool(*words, "--adapt", "speaker", "--speakers", "{speaker}_{}.wav").out)
    heard = rows_of(sertool(*words).out)
    names = ("path", "start", "channel")
    assert [[row[name] for name in names] for row in adapted] == [[row[name] for name in names] for row in heard]


def test_empty_manifest_gives_no_rows_with_or_without_adaptation(adaptable: Path, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("clip,path,speaker\n")
    for how in ((), ("--adapt", "speaker"), ("--adapt", "speaker", "--speakers", "all")):
        done = sertool("predict", "-m", adaptable, *how, tmp_path / "none.csv")
        assert (done.code, rows_of(done.out), done.out.startswith(b"clip,path,")) == (0, [], True), done.err


def test_speaker_pattern_and_parent_folder_give_the_same_answers(run: Path, adaptable: Path) -> None:
    words = ("predict", "-m", adaptable, "--adapt", "speaker", run / "voices", "--speakers")
    assert sertool(*words, "parent-folder").out == sertool(*words, "{speaker}/{}.wav").out
    assert "--speakers '*.wav{}': it says nothing of a clip" in sertool(*words, "*.wav{}").line
    assert "it names no {speaker}" in sertool(*words, "{emotion}.wav").line
    assert "nobody says who speaks" in sertool(*words, "{speaker}_{}.mp3").line


def test_speakers_all_adapts_to_one_voice_and_keeps_speaker_names(run: Path, adaptable: Path, tmp_path: Path) -> None:
    for clip in (run / "voices").rglob("*.wav"):
        shutil.copy(clip, tmp_path / f"{clip.parent.name}-{clip.name}")
    words = ("predict", "-m", adaptable, "--adapt", "speaker", "--speakers")
    one = rows_of(sertool(*words, "all", tmp_path).out)
    same = rows_of(sertool(*words, "parent-folder", tmp_path).out)
    assert [probabilities(row) for row in one] == [pytest.approx(probabilities(row), abs=1e-6) for row in same]
    assert {row["adapted"] for row in one} == {"as one voice"}
    assert {row["adapted"] for row in same} == {"transductive"}
    assert {row.get("speaker") for row in one} <= {"", None}
    known = sertool(*words, "all", run / "features" / "manifest.parquet", "-f", "jsonl").out.splitlines()
    assert len({json.loads(line)["speaker"] for line in known}) == 4
    told = sertool("predict", *words[1:], "all", run / "features" / "manifest.parquet", "-f", "csv").out
    title = sertool("eval", "--split", "test", stdin=told).out.decode()
    assert "adapted to all clips as one voice (transductive)" in title


def test_enrolling_clips_adapts_like_predicting_them_together(run: Path, adaptable: Path) -> None:
    folder = sorted((run / "voices").iterdir())[0]
    words = ("predict", "-m", adaptable, "--speakers", "parent-folder")
    together = rows_of(sertool(*words, "--adapt", "speaker", folder).out)
    done = sertool(*words, "--enroll", folder, run / "voices")
    known = [row for row in rows_of(done.out) if row["speaker"] == folder.name]
    assert [probabilities(row) for row in known] == [pytest.approx(probabilities(row), abs=1e-5) for row in together]
    assert {row["adapted"] for row in rows_of(done.out)} == {"transductive", ""}
    assert "is not enrolled" in done.err
    one_voice = rows_of(sertool("predict", "-m", adaptable, "--enroll", folder, folder).out)
    assert [probabilities(row) for row in one_voice] == [
        pytest.approx(probabilities(row), abs=1e-5) for row in together
    ]
    several = sertool("predict", "-m", adaptable, "--enroll", folder, run / "features" / "manifest.parquet")
    assert "is one voice, and the manifests name several" in several.err


def test_enrolling_one_named_speaker_for_another_is_refused(run: Path, adaptable: Path, tmp_path: Path) -> None:
    for name, folder in zip(("anna", "bob"), sorted((run / "voices").iterdir()), strict=False):
        rows = [f"{clip},{name}" for clip in sorted(folder.glob("*.wav"))[:2]]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,speaker", *rows]))
    words = ("predict", "-m", adaptable, "--enroll", tmp_path / "anna.csv")
    assert {row["speaker"] for row in rows_of(sertool(*words, tmp_path / "anna.csv").out)} == {"anna"}
    refused = sertool(*words, tmp_path / "bob.csv")
    assert (refused.code, "is one voice, and the manifests name several" in refused.err) == (2, True)


def test_enrolment_manifest_finds_moved_audio_through_root(run: Path, adaptable: Path, tmp_path: Path) -> None:
    folder = sorted((run / "voices").iterdir())[0]
    lines = [f"{clip.name},/gone/{folder.name}/{clip.name}\n" for clip in sorted(folder.iterdir())]
    (tmp_path / "own.csv").write_text("".join(["clip,path\n", *lines]))
    words = ("predict", "-m", adaptable, "--enroll")
    wanted = [probabilities(row) for row in rows_of(sertool(*words, folder, folder).out)]
    for asked in (folder, tmp_path / "own.csv"):
        done = sertool(*words, tmp_path / "own.csv", "--root", folder, asked)
        assert done.code == 0, done.err
        assert [probabilities(row) for row in rows_of(done.out)] == wanted
    refused = sertool(*words, folder, "--root", folder, folder)
    assert (refused.code, "it is for audio that a manifest names" in refused.err) == (2, True)


def test_each_enrolled_speaker_adapts_only_to_its_own_clips(run: Path, adaptable: Path) -> None:
    words = ("predict", "-m", adaptable, "--speakers", "parent-folder", run / "voices")
    together, enrolled = (
        rows_of(sertool(*words, *how).out) for how in (("--adapt", "speaker"), ("--enroll", words[-1]))
    )
    wanted = [pytest.approx(probabilities(row), abs=1e-5) for row in together]
    assert [probabilities(row) for row in enrolled] == wanted


def test_enrolled_speakers_are_told_apart_by_the_models_that_held_them_out(run: Path, tmp_path: Path) -> None:
    table, bare = manifest_io.read(str(run / "features" / "manifest.parquet")), tmp_path / "bare.parquet"
    turns = table.drop_columns(["split"]).take(np.argsort(np.arange(len(table)) % 8, kind="stable"))
    manifest_io.write(turns, str(bare), "parquet")  # speakers alternate
    words = (*LEARNING, "--adapt", "speaker", "--prior-clips", "2", "--folds", "2", "-o", tmp_path / "run")
    assert sertool("train", bare, *words).code == 0
    ways = (("--adapt", "speaker"), ("--enroll", bare, "--speakers", "speaker"))
    together, enrolled = (rows_of(sertool("predict", "-m", tmp_path / "run", bare, *how).out) for how in ways)
    assert {row["split"] for row in enrolled} == {"test"}
    wanted = [pytest.approx(probabilities(row), abs=5e-5) for row in together]
    assert [probabilities(row) for row in enrolled] == wanted


def test_speakers_are_known_by_answers_calibrated_without_adaptation(adaptable: Path) -> None:
    held = modelfile.read(adaptable / "seed-0" / "model.safetensors")
    rng, (name,) = np.random.default_rng(0), held.features
    clips = [{name: rng.normal(size=(30, held.columns)).astype(np.float32)} for _ in range(4)]

    def mean(**temperatures: float) -> np.ndarray:
        return Predictor(replace(held, **temperatures)).known_speakers([clips]).mean.numpy()

    usual = mean(temperature=1.0, adapted_temperature=1.0)
    assert np.array_equal(mean(temperature=1.0, adapted_temperature=20.0), usual)
    assert not np.array_equal(mean(temperature=20.0, adapted_temperature=1.0), usual)


def test_non_finite_clip_is_an_issue_and_does_not_affect_adaptation(
    run: Path, adaptable: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:4]
    for clip in clips:
        shutil.copy(clip, tmp_path / f"{clip.parent.name}-{clip.name}")
    adapt, enroll = ("--adapt", "speaker", "--speakers", "all"), ("--enroll", tmp_path)
    before = [rows_of(sertool("predict", "-m", adaptable, *how, tmp_path).out) for how in (adapt, enroll)]
    samples = soundfile.read(clips[0])[0]
    samples[100] = 1e30
    soundfile.write(tmp_path / "z.wav", samples, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "zz.wav", np.full((16_000, 2), 3e38), 16_000, subtype="FLOAT")
    for how, wanted in zip((adapt, enroll), before, strict=True):
        done = sertool("predict", "-m", adaptable, *how, tmp_path)
        *others, huge, stereo = rows_of(done.out)
        assert others == wanted
        assert huge["issue"] == stereo["issue"] == "not-finite"
        assert not huge["predicted"]
    table = run / "features" / "manifest.parquet"
    made = sertool("featurize", "--rms", "--dtype", "float16", "-o", tmp_path / "rms", table)
    assert sertool("train", *LEARNING, "--features", "rms", "-o", tmp_path / "louder", stdin=made.out).code == 0
    for model in (run / "model", tmp_path / "louder"):
        assert [row["issue"] for row in rows_of(sertool("predict", "-m", model, huge["path"]).out)] == ["not-finite"]
    assert not [warned for warned in recwarn if "sertool" in warned.filename or "numpy" in warned.filename]


def test_enrolled_speakers_are_answered_before_all_input_is_read(run: Path, adaptable: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    other = next(path for path in clip.parent.glob("*.wav") if path != clip)
    with piped("predict", "-m", adaptable, "--enroll", other, "-", "-f", "jsonl") as (stdin, stdout):
        stdin.write(f"{clip}\n".encode())
        stdin.flush()
        assert json.loads(stdout.readline())["adapted"] == "enrolled"


def test_each_channel_of_a_call_is_adapted_as_a_separate_speaker(run: Path, adaptable: Path, tmp_path: Path) -> None:
    two_sided_call(run, tmp_path / "call.wav")
    words = ("--adapt", "speaker", "--speakers", "{speaker}.wav", "--window", 2)
    held = rows_of(sertool("predict", "-m", adaptable, tmp_path / "call.wav", *words, "--channel", "each").out)
    left = rows_of(sertool("predict", "-m", adaptable, tmp_path / "call.wav", *words, "--channel", "left").out)
    mine = [row for row in held if row["channel"] == "1" and row["predicted"]]
    assert [probabilities(row) for row in mine] == [probabilities(row) for row in left if row["predicted"]]


def test_only_adaptable_models_of_several_runs_adapt(run: Path, adaptable: Path) -> None:
    words = (run / "voices", "--speakers", "parent-folder")
    both = sertool("predict", "-m", run / "model", "-m", adaptable, "--adapt", "speaker", *words)
    assert "1 of 3 models adapt to who speaks" in both.err
    stranger = rows_of(sertool("predict", "-m", run / "model", run / "voices").out)
    known = rows_of(sertool("predict", "-m", adaptable, "--adapt", "speaker", *words).out)
    for row, *alone in zip(rows_of(both.out), stranger, known, strict=True):
        assert probabilities(row) == pytest.approx(np.mean([*map(probabilities, alone)], axis=0), abs=1e-5)


def test_unadapted_prediction_of_many_clips_suggests_adapting(
    run: Path, adaptable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    assert "adapted" not in rows_of(sertool("predict", "-m", adaptable, clip).out)[0]
    for words, at_terminal, is_told in (
        ((run / "voices",), True, True), ((clip,), True, False), ((run / "voices",), False, False),
        ((run / "voices", "--adapt", "speaker", "--speakers", "all"), True, False),
    ):  # fmt: skip
        monkeypatch.setattr(
            "sertool.system.talk._is_terminal", lambda stream, shown=at_terminal: shown and stream is sys.stderr
        )
        assert ("it took everybody for a stranger" in sertool("predict", "-m", adaptable, *words).err) == is_told
    monkeypatch.undo()
    assert "was not trained with --adapt" in sertool("predict", "-m", run / "model", clip, "--adapt", "speaker").line
    assert "--speakers goes with" in sertool("predict", "-m", adaptable, clip, "--speakers", "parent-folder").line
    column = sertool("predict", "-m", adaptable, run / "features" / "manifest.parquet", "--adapt", "speaker",
                     "--speakers", "actor")  # fmt: skip
    assert "no column actor" in column.line


def test_clips_that_sound_unlike_the_training_data_are_warned_about(run: Path, adaptable: Path, tmp_path: Path) -> None:
    clips, unlike = sorted((run / "voices").rglob("*.wav"))[:12], "sound unlike those that the model was trained on"
    for place, clip in enumerate(clips):
        samples = soundfile.read(clip)[0]
        hiss = np.diff(np.random.default_rng(place).normal(0, 0.1, len(samples) + 1))
        soundfile.write(tmp_path / f"{place}.wav", samples + hiss, 16_000)
    assert unlike not in sertool("predict", "-m", adaptable, *clips).err
    assert unlike in sertool("predict", "-m", adaptable, tmp_path).err
    assert unlike not in sertool("predict", "-m", adaptable, tmp_path / "1.wav", tmp_path / "2.wav").err
    call = np.concatenate([soundfile.read(tmp_path / f"{place % 12}.wav")[0] for place in range(36)])
    soundfile.write(tmp_path / "call.wav", call, 16_000)
    for window, is_told in ((2.5, True), (1, False)):  # what is cut short sounds unlike any clip
        assert (unlike in sertool("predict", "-m", adaptable, tmp_path / "call.wav", "--window", window).err) == is_told
    assert unlike not in sertool("predict", "-m", adaptable, tmp_path, "--adapt", "speaker", "--speakers", "all").err
    assert unlike not in sertool("predict", "-m", run / "model", tmp_path).err
