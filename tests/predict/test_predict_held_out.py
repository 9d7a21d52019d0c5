"""predict says which clips its models were trained on, and answers by those that held a clip out."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from predicted_rows import LEARNING, probabilities, rows_of
from running import PATTERN, sertool

from sertool.manifests import manifest, manifest_io, merging, row_filter
from sertool.manifests.manifest import Table
from sertool.modelfiles import modelfile
from sertool.modelfiles.inference import Predictor


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_leaky_split_of_the_clips_is_reported_when_predictions_are_scored(run: Path, tmp_path: Path, kind: str) -> None:
    done = sertool("index", run / "voices", "--pattern", PATTERN, "--split", "random-60-20-20")
    assert done.code == 0, done.err
    held = sertool("index", "-", "--where", "split=test", "-o", tmp_path / "test.parquet", stdin=done.out)
    assert held.code == 0, held.err
    answered = sertool("predict", "-m", run / "model", tmp_path / "test.parquet", "-f", kind)
    scored = sertool("eval", stdin=answered.out)
    assert scored.code == 0, scored.err
    assert "LEAKY: random-60-20-20" in scored.out.decode()


def test_only_clips_that_the_manifest_divides_get_a_protocol(run: Path, tmp_path: Path) -> None:
    first, second, *_ = sorted((run / "voices").rglob("*.wav"))
    head = "clip,path,split,protocol"
    (tmp_path / "a.csv").write_text(f"{head}\na,{first},test,loso\nb,{second},,loso\n")
    (tmp_path / "b.csv").write_text(f"{head}\nc,{first},,loso\n")
    (tmp_path / "c.csv").write_text(f"{head}\nd,{first},test,one\ne,{second},test,two\n")
    rows = rows_of(sertool("predict", "-m", run / "model", *(tmp_path / f"{name}.csv" for name in "abc")).out)
    assert {row["clip"]: row["protocol"] for row in rows} == {"a": "loso", "b": "", "c": "", "d": "", "e": ""}


@pytest.mark.slow
def test_each_of_several_runs_predicts_with_models_that_held_the_clip_out(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, wanted = tmp_path / "bare.parquet", []
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), str(bare), "parquet")
    runs = {"lstm": ("--folds", 2, "--seeds", 2), "gru": ("--folds", 4)}
    for name, how in runs.items():
        words = ("-m", name, *LEARNING[2:], *how, "-o", tmp_path / name, "-f", "csv")
        rows = rows_of(sertool("train", bare, *words).out)
        own = {row["clip"]: [probabilities(each) for each in rows if each["clip"] == row["clip"]] for row in rows}
        wanted.append({clip: np.mean(answers, axis=0) for clip, answers in own.items()})
    rows = rows_of(sertool("predict", "-m", tmp_path / "lstm", "-m", tmp_path / "gru", bare).out)
    assert {row["split"] for row in rows} == {"test"}
    for row in rows:
        mean = np.mean([each[row["clip"]] for each in wanted], axis=0)
        assert probabilities(row) == pytest.approx(mean, abs=1e-4)


def test_clips_are_not_marked_held_out_if_one_model_cannot_tell(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, alone = tmp_path / "bare.parquet", tmp_path / "alone.safetensors"
    bared = table.select([name for name in table.column_names if name != "split"])
    manifest_io.write(manifest.with_column(bared, "corpus", ["voices"] * len(table)), str(bare), "parquet")
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", alone)
    for corpus, unknown in (("voices", True), ("others", False)):
        held = modelfile.read(alone)
        held.trained["corpora"] = {corpus: 16}
        modelfile.write(alone, held)
        done = sertool("predict", "-m", run / "model", "-m", alone, bare)
        assert ("learnt from clips of voices" in done.err) == unknown
        parts = {row["split"] for row in rows_of(done.out)}
        assert parts == ({"", "train"} if unknown else {"train", "dev", "test"})


@pytest.mark.slow
def test_clips_that_any_of_several_runs_trained_on_are_marked_train(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare = tmp_path / "bare.parquet"
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), str(bare), "parquet")
    trained = sertool("train", bare, *LEARNING, "--folds", 2, "-o", tmp_path / "folds")
    assert trained.code == 0, trained.err
    for runs in (("folds", run / "model"), (run / "model", "folds")):
        words = [word for name in runs for word in ("-m", tmp_path / name)]
        rows = rows_of((done := sertool("predict", *words, bare)).out)
        assert "trained on 16 of 32 clips" in done.err
        assert [row["split"] for row in rows] == manifest.column(table, "split")


@pytest.mark.slow
def test_each_clip_is_predicted_only_by_models_that_held_it_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run / "features" / "manifest.parquet"
    names = [name for name in manifest_io.read(str(table)).column_names if name != "split"]
    bare = tmp_path / "bare.parquet"
    manifest_io.write(manifest_io.read(str(table)).select(names), str(bare), "parquet")
    trained = sertool("train", bare, *LEARNING, "--folds", 4, "--seeds", 2, "-o", tmp_path / "run", "-f", "csv")
    answered, of_clips = [], Predictor.of_clips
    monkeypatch.setattr(Predictor, "of_clips", lambda *args: answered.append(len(args[1])) or of_clips(*args))
    wanted: dict[str, list[list[float]]] = {}
    for row in rows_of(trained.out):
        wanted.setdefault(row["clip"], []).append(probabilities(row))
    done = sertool("predict", "-m", tmp_path / "run", bare)
    assert "trained on" not in done.err
    for row in rows_of(done.out):
        assert row["split"] == "test"
        assert probabilities(row) == pytest.approx(np.mean(wanted[row["clip"]], axis=0), abs=1e-4)
    assert {"_asked"} & {*rows_of(done.out)[0]} == set()
    assert sum(answered) == 32 * 2  # each clip, by the two seeds of one of the four folds


@pytest.mark.slow
def test_copies_do_not_count_in_figures_of_cross_validated_runs(run: Path, tmp_path: Path) -> None:
    """Each is answered by whom its clip was held out from, and was in train of all others."""
    folds = sertool("index", run / "voices", "--pattern", PATTERN, "--folds", 4)
    copied = sertool("augment", "-", "--copies", 1, "--noise", 10, stdin=folds.out)
    made = sertool("featurize", "-", "--mel", "--mel-bands", 24, "-o", tmp_path / "features", stdin=copied.out)
    trained = sertool("train", "-", *LEARNING, "-o", tmp_path / "run", stdin=made.out)
    assert trained.code == 0, trained.err
    done = sertool("predict", "-m", tmp_path / "run", tmp_path / "features" / "manifest.parquet", "-f", "parquet")
    assert "neither trained on 32 of 64 clips nor held them out" in done.err
    alone, all_rows = (
        json.loads(sertool("eval", "-f", "json", stdin=out).out)["runs"][0] for out in (trained.out, done.out)
    )
    assert all_rows["leaks"] == []
    scored = [(one["clips"], one["figures"]["uar"]["value"]) for one in (alone, all_rows)]
    assert scored[0] == scored[1]


def test_training_clips_are_marked_and_left_out_by_eval(run: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare, wrong = (str(tmp_path / f"{name}.parquet") for name in ("bare", "wrong"))
    manifest_io.write(table.select([name for name in table.column_names if name != "split"]), bare, "parquet")
    manifest_io.write(manifest.with_column(table, "split", ["test"] * 32), wrong, "parquet")
    for model in (run / "model", run / "model" / "seed-0" / "model.safetensors"):
        done = sertool("predict", "-m", model, bare)
        assert "trained on 16 of 32 clips: eval leaves them out unless --split train" in done.err
        parts = {row["clip"]: row["split"] for row in rows_of(done.out)}
        assert parts == dict(zip(*(manifest.column(table, name) for name in ("clip", "split")), strict=True))
    report = json.loads(sertool("eval", "-f", "json", stdin=done.out).out)
    assert report["runs"][0]["coverage"]["rows"] == 8
    assert "neither" not in done.err
    other = tmp_path / "other.wav"
    shutil.copy(next((run / "voices").rglob("*.wav")), other)
    stranger = manifest.from_columns({"clip": ["x"], "path": [str(other)]})
    manifest_io.write(merging.stacked([manifest_io.read(bare), stranger]), bare, "parquet")
    done = sertool("predict", "-m", run / "model", bare)
    assert "neither trained on 1 of 33 clips nor held them out: eval leaves them out unless --where split=" in done.err
    assert rows_of(done.out)[-1]["split"] == ""
    contrary = sertool("predict", "-m", run / "model", wrong)
    assert "trained on 16 clips that the manifest holds out" in contrary.err
    assert {row["split"] for row in rows_of(contrary.out) if parts[row["clip"]] == "train"} == {"train"}
    assert {row["split"] for row in rows_of(contrary.out) if parts[row["clip"]] != "train"} == {"test"}


def _as_new(run: Path) -> Table:
    """The clips of a run as others of the same speakers, in other files."""
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    table = table.drop_columns(["digest", *(name for name in table.column_names if name.startswith("mel_"))])
    shutil.copytree(run / "voices", run / "more", dirs_exist_ok=True)
    paths = [path.replace(str(run / "voices"), str(run / "more")) for path in manifest.column(table, "path")]
    table = manifest.with_column(table, "path", paths)
    return manifest.with_column(table, "clip", [f"new/{clip}" for clip in manifest.column(table, "clip")])


def test_new_clips_are_scored_only_if_their_speakers_were_held_out(run: Path, tmp_path: Path) -> None:
    """A run knows a voice that it was trained on: figures on more of its clips say nothing of others."""
    new = _as_new(run)
    parts = manifest.column(new, "split")
    manifest_io.write(new.drop_columns(["split"]), str(tmp_path / "bare.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "bare.parquet")
    assert "trained on the speakers of 16 of 32 clips: eval leaves them out unless --split train" in done.err
    assert [row["split"] for row in rows_of(done.out)] == parts
    report = json.loads(sertool("eval", "-f", "json", stdin=done.out).out)
    assert report["runs"][0]["coverage"]["rows"] == 8
    manifest_io.write(manifest.with_column(new, "split", ["test"] * 32), str(tmp_path / "wrong.parquet"), "parquet")
    contrary = sertool("predict", "-m", run / "model", tmp_path / "wrong.parquet")
    assert "trained on the speakers of 16 clips that the manifest holds out" in contrary.err


def test_unknown_speakers_beside_trained_ones_can_be_scored_separately(run: Path, tmp_path: Path) -> None:
    table = row_filter.where(_as_new(run), ["split=train"])
    strangers = [who if row % 2 else f"new-{who}" for row, who in enumerate(manifest.column(table, "speaker"))]
    table = manifest.with_column(table, "speaker", strangers).drop_columns(["split"])
    manifest_io.write(table, str(tmp_path / "both.parquet"), "parquet")
    done = sertool("predict", "-m", run / "model", tmp_path / "both.parquet")
    assert "neither trained on 8 of 16 clips nor held them out: eval leaves them out unless --where split=" in done.err
    refused = sertool("eval", stdin=done.out)
    assert (refused.code, "--where split=" in refused.line) == (1, True)
    scored = json.loads(sertool("eval", "--where", "split=", "-f", "json", stdin=done.out).out)
    assert scored["runs"][0]["coverage"]["rows"] == 8


def test_figures_on_the_corpus_of_a_model_without_its_run_come_with_a_warning_if_the_split_is_not_known(
    run: Path, tmp_path: Path
) -> None:
    shutil.copy(run / "model" / "seed-0" / "model.safetensors", tmp_path / "alone.safetensors")
    table = manifest_io.read(str(run / "features" / "manifest.parquet"))
    bare = table.drop_columns(["split"])
    held = modelfile.read(tmp_path / "alone.safetensors")
    held.trained["corpora"] = {"voices": 16}
    modelfile.write(tmp_path / "alone.safetensors", held)
    for rows, corpus, told in ((bare, "voices", True), (bare, "others", False), (table, "voices", False)):
        manifest_io.write(
            manifest.with_column(rows, "corpus", [corpus] * len(rows)), str(tmp_path / "b.parquet"), "parquet"
        )
        done = sertool("predict", "-m", tmp_path / "alone.safetensors", tmp_path / "b.parquet")
        assert ("learnt from clips of voices" in done.err) == told


@pytest.mark.parametrize("protocol", ["cremad-nk", "speaker:50/25/25", None])
def test_lone_model_marks_speakers_by_its_published_split(run: Path, tmp_path: Path, protocol: str | None) -> None:
    model, who = tmp_path / "alone.safetensors", ["cremad:1001", "cremad:1005", "cremad:1004", None]
    held = modelfile.read(run / "model" / "seed-0" / "model.safetensors")
    held.trained |= {"corpora": {"cremad": 16}, "protocol": protocol}
    modelfile.write(model, held)
    table = manifest_io.read(str(run / "features" / "manifest.parquet")).drop_columns(["split"])
    told = {"corpus": ["cremad"] * 32, "speaker": [who[row % 4] for row in range(32)]}
    for name, values in told.items():
        table = manifest.with_column(table, name, values)
    manifest_io.write(table, str(tmp_path / "all.parquet"), "parquet")
    manifest_io.write(row_filter.where(table, ["speaker!="]), str(tmp_path / "named.parquet"), "parquet")
    done = sertool("predict", "-m", model, tmp_path / "all.parquet")
    known = protocol == "cremad-nk"
    parts = [row.get("split", "") for row in rows_of(done.out)[:4]]
    assert parts == (["train", "dev", "test", ""] if known else [""] * 4)
    assert ("trained on 8 of 32 clips, as cremad-nk divides the speakers: eval leaves" in done.err) == known
    assert "which ones is not known here" in done.err
    alone = sertool("predict", "-m", model, tmp_path / "named.parquet")
    assert ("which ones is not known here" in alone.err) == (not known)
