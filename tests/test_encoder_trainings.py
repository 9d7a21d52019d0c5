"""An encoder tells its pupils of nobody whom they hold out: a split that holds out those who taught it is refused."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running import PATTERN, Outcome, changed, column, sertool
from training_run import train

from sertool.divisions import splits
from sertool.errors import SertoolError
from sertool.featurize import shards
from sertool.manifests import manifest, manifest_io, row_filter
from sertool.modelfiles import modelfile
from sertool.predict import model_knowledge
from sertool.pretraining import encoder_trainings
from sertool.sound import encoding, synth

pytest_plugins = ("pretrained",)
EMOTIONS = ("neutral", "angry")
HALF = ("--split", "speaker:50/25/25")
BLOCK = ("-m", "whisper", "--layers", 2, "--tune", 1, "--epochs", 1, "--precision", "float32")
HEAD = ("-m", "lda", "--set", "shrinkage=true")
KNOWS = "its encoder learnt from"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, small_encoders: Path) -> Path:
    """Layer 1 of eight speakers' clips and of a copy of each."""
    assert small_encoders.exists()
    folder = tmp_path_factory.mktemp("schooling")
    synth.corpus(folder / "clips", 8, EMOTIONS, 1, write=encoding.write)
    indexed = sertool("index", folder / "clips", "--pattern", PATTERN)
    copied = sertool("augment", "-", "--copies", 1, "--noise", "5:10", stdin=indexed.out)
    return featurized(folder / "layer-1", 1, stdin=copied.out)


@pytest.fixture(scope="module")
def school(clips: Path) -> Path:
    """An encoder whose second block learnt from half of the speakers; the model file that brings it."""
    return taught(clips, clips.parent.parent / "school", *HALF)


@pytest.fixture(scope="module")
def pupil(clips: Path, school: Path) -> Path:
    """What it hears of them all, without the copies."""
    return heard(clips, school)


def featurized(folder: Path, layers: object, *words: object, stdin: bytes = b"") -> Path:
    how = ("--whisper", "base", "--layers", layers, "--precision", "float32")
    done = sertool("featurize", *words, *how, "-o", folder, stdin=stdin)
    assert done.code == 0, done.err
    return folder / "manifest.parquet"


def heard(clips: Path, school: Path, layers: object = 2, name: str = "heard") -> Path:
    words = (clips, "--where", "parent=", "--weights", school, "--stats", "mean")
    return featurized(school.parent / name, layers, *words)


def taught(source: Path, folder: Path, *words: object) -> Path:
    train(source, *BLOCK, *words, "--pack", "half", "-o", folder)
    return folder / "seed-0" / "model.safetensors"


def speakers(run: Path, part: str = "train") -> set[str]:
    """Who has a part in a run."""
    table = row_filter.where(manifest_io.read(str(run / "seed-0" / "split.parquet")), [f"split={part}"])
    return {*manifest.column(table, "speaker")}


def forgetful(school: Path, folder: Path) -> Path:
    """The file as it was before files said who taught their encoder."""
    held = modelfile.read(school)
    del held.trained["encoder"]
    modelfile.write(folder / "model.safetensors", held)
    return folder / "model.safetensors"


def test_holding_out_speakers_who_taught_the_encoder_is_refused(pupil: Path, tmp_path: Path) -> None:
    done = train(pupil, *HEAD, "--loso", "-o", tmp_path / "run", code=1)
    assert f"whisper: {KNOWS} 4 of 8 speakers that are held out here" in done.line
    assert "--weights" in done.line
    train(pupil, *HEAD, "--folds", 4, "-o", tmp_path / "run", code=1)
    assert not (tmp_path / "run").exists()
    assert KNOWS in train(pupil, *HEAD, "--loso", "--dry-run", "-o", tmp_path / "run", code=1).line


def test_training_on_the_encoders_own_split_is_accepted_without_warning(pupil: Path, tmp_path: Path) -> None:
    done = train(pupil, *HEAD, *HALF, "-o", tmp_path / "run")
    assert "encoder" not in done.err.replace(str(tmp_path), "")
    other = train(pupil, *HEAD, *HALF, "--seed", 1, "-o", tmp_path / "other", code=1)
    assert KNOWS in other.line


def test_leaky_protocol_is_accepted_with_a_taught_encoder(pupil: Path, tmp_path: Path) -> None:
    done = train(pupil, *HEAD, "--split", "random-80-20", "-o", tmp_path / "run")
    assert "LEAKY" in done.err
    other = train(pupil, *HEAD, "--gap", "--seed", 1, "-o", tmp_path / "gap", code=1)
    assert KNOWS in other.err, "the disjoint half of it is no leaky protocol"


def test_speakers_held_out_from_the_encoder_can_be_held_out(pupil: Path, school: Path, tmp_path: Path) -> None:
    strangers = "|".join(speakers(school.parents[1], "test") | speakers(school.parents[1], "dev"))
    train(pupil, *HEAD, "--where", f"speaker={strangers}", "--folds", 4, "-o", tmp_path / "run")


def test_any_speaker_can_be_held_out_below_the_trained_layers(clips: Path, school: Path, tmp_path: Path) -> None:
    train(heard(clips, school, 1, "lower"), *HEAD, "--folds", 4, "-o", tmp_path / "run")


def test_encoder_training_record_does_not_change_the_shard_key(clips: Path, school: Path, tmp_path: Path) -> None:
    """Shards of either file are one another's, and stay."""
    own, other = heard(clips, school), featurized(
        tmp_path / "f", 2, clips, "--where", "parent=", "--weights", forgetful(school, tmp_path), "--stats", "mean"
    )  # fmt: skip
    one, two = (shards.head_of(path.parent / "whisper" / "00000.safetensors") for path in (own, other))
    assert (one.settings, one.key) == (two.settings, two.key)
    assert one.encoder_trainings != two.encoder_trainings


def test_encoder_without_recorded_training_speakers_causes_a_warning(clips: Path, school: Path, tmp_path: Path) -> None:
    words = (clips, "--where", "parent=", "--weights", forgetful(school, tmp_path), "--stats", "mean")
    made = featurized(tmp_path / "f", 2, *words)
    (corpus,) = {*column(made, "corpus")}
    done = train(made, *HEAD, "--folds", 4, "-o", tmp_path / "run")
    assert f"{KNOWS} clips of {corpus}, and its file does not say whose" in done.err
    strange = changed(made, tmp_path / "strange.parquet", corpus=["mine"] * 16)
    assert KNOWS not in train(strange, *HEAD, "--folds", 4, "-o", tmp_path / "other").err


def test_encoder_training_record_survives_packing_into_another_model(
    clips: Path, pupil: Path, school: Path, tmp_path: Path
) -> None:
    """So where it is brought by the model of its pupils, rounded."""
    train(pupil, *HEAD, *HALF, "--pack", "8-bit", "--weights", school, "-o", tmp_path / "head")
    again = heard(clips, tmp_path / "head" / "seed-0" / "model.safetensors")
    assert KNOWS in train(again, *HEAD, "--folds", 4, "-o", tmp_path / "run", code=1).line
    said = modelfile.read(tmp_path / "head" / "seed-0" / "model.safetensors").trained["encoder"]
    assert said == modelfile.read(school).trained["encoder"]


@pytest.mark.slow
def test_further_training_keeps_the_record_of_earlier_training_speakers(
    clips: Path, school: Path, tmp_path: Path
) -> None:
    done = train(clips, *BLOCK, *HALF, "--seed", 1, "--weights", school, "-o", tmp_path / "run", code=1)
    assert KNOWS in done.err.splitlines()[-1]
    train(clips, *BLOCK, *HALF, "--seed", 1, "-o", tmp_path / "run")
    further = modelfile.read(taught(clips, tmp_path / "further", *HALF, "--weights", school))
    (training,) = further.trained["encoder"]
    assert len(training["who"]) == (4 + 8) * encoder_trainings.DIGITS, "speakers and clips, each once"
    assert training["above"] == 1


def test_clips_without_speakers_are_recognised_under_other_names(clips: Path, tmp_path: Path) -> None:
    table = manifest.without(manifest_io.read(str(clips)), "speaker")
    own = manifest.originals(table)
    part = np.where(np.cumsum(own) % 3 == 1, "test", "train")
    parts = dict(zip(np.array(manifest.column(table, "clip"))[own], part[own], strict=True))
    placed = [parts[parent or clip] if parent is None or parts[parent] == "train" else None for clip, parent in
              zip(manifest.column(table, "clip"), manifest.column(table, "parent"), strict=True)]  # fmt: skip
    bare = tmp_path / "bare.parquet"
    manifest_io.write(manifest.with_column(table, "split", placed), str(bare), "parquet")
    made = heard(bare, taught(bare, tmp_path / "school"))
    assert KNOWS not in train(made, *HEAD, "-o", tmp_path / "same").err
    swapped = ["test" if word == "train" else "train" for word in column(made, "split")]
    path = changed(made, tmp_path / "swapped.parquet", split=swapped, clip=[f"other/{place}" for place in range(16)])
    done = train(path, *HEAD, "-o", tmp_path / "run", code=1)
    assert f"{KNOWS} {swapped.count('test')} of {swapped.count('test')} clips" in done.err


def test_tuning_the_shipped_encoder_gives_a_warning_naming_its_protocol(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of the package's own encoder; only those who taught it here are refused to be held out."""
    ours = changed(clips, tmp_path / "ours.parquet", corpus=["cremad"] * 32)
    with monkeypatch.context() as patch:
        patch.setattr(encoder_trainings, "of_package", lambda *_: "base")
        school = taught(ours, tmp_path / "school", *HALF)
    package, own = modelfile.read(school).trained["encoder"]
    assert (package, own["above"]) == ({"above": 0, "package": "base"}, 1)
    made = heard(ours, school)
    done = train(made, *HEAD, *HALF, "-o", tmp_path / "run")
    assert "the package's base, learnt without labels from clips of cremad: but for those that" in done.err
    assert "--protocol cremad-nk holds out" in done.err
    assert KNOWS in train(made, *HEAD, "--folds", 4, "-o", tmp_path / "no", code=1).err


def test_shards_without_an_encoder_training_record_are_remade(clips: Path, school: Path, tmp_path: Path) -> None:
    words = ("--where", "parent=", "--stats", "mean")
    place = heard(clips, school, name=str(tmp_path / "f")).parent / "whisper" / "00000.safetensors"
    whole, (head, values) = place.read_bytes(), shards.read(place, "whisper")
    shards.write(replace(head, encoder_trainings=[]), "whisper", [np.array(values)])
    assert not shards.head_of(place).encoder_trainings
    assert "(0 made now)" not in again(clips, *words, school, place.parents[1])
    assert place.read_bytes() == whole
    for known in (school, forgetful(school, tmp_path)):
        assert "(0 made now)" in again(clips, *words, known, place.parents[1])
    assert place.read_bytes() == whole, "what a file does not say is no reason to forget it"


def test_equal_encoder_records_of_many_shards_are_held_once(clips: Path, tmp_path: Path) -> None:
    head = shards.head_of(Path(column(clips, "whisper_shard")[0]))
    said, paths = [{"above": 1, "who": "0123456789ab" * 1000}], [tmp_path / f"{place}" for place in range(2)]
    for path in paths:
        shards.write(replace(head, path=path, encoder_trainings=said, rows=[0] * len(head.rows)), "whisper",
                     [np.zeros((0, len(head.columns)), head.dtype)])  # fmt: skip
    one, two = (shards.head_of(path).encoder_trainings for path in paths)
    assert one == said
    assert one[0]["who"] is two[0]["who"]


def test_refusal_suggests_no_dev_if_only_dev_speakers_taught_the_encoder(
    clips: Path, school: Path, pupil: Path, tmp_path: Path
) -> None:
    knew = speakers(school.parents[1])
    named = ["a" if who in knew else "b" for who in column(pupil, "speaker")]
    across = (changed(pupil, tmp_path / "both.parquet", corpus=named), "--train-on", "a", "--test-on", "b")
    done = train(*across, *HEAD, "-o", tmp_path / "run", code=1)
    assert f"{KNOWS} 1 of 5 speakers" in done.err
    assert "add --no-dev, as all of those are in dev and none in test" in done.err
    train(*across, *HEAD, "--no-dev", "-o", tmp_path / "run")


def again(clips: Path, *words: object) -> str:
    *how, weights, folder = words
    done = sertool("featurize", clips, "--whisper", "base", "--layers", 2, "--precision", "float32", *how,
                   "--weights", weights, "-o", folder)  # fmt: skip
    assert done.code == 0, done.err
    return done.err


@pytest.mark.parametrize(
    "said",
    [
        "all",
        [1],
        [{"who": ["x"]}],
        [{"above": 0, "who": [1]}],
        [{"above": 0, "corpora": 1}],
        [{"above": 0, "who": ["0" * 12]}],
        [{"above": 0, "who": "0" * 13}],
        [{"above": 0, "who": "G" * 12}],
        [{"above": 0, "package": 1}],
        [{"above": True}],
    ],
)
def test_malformed_encoder_training_record_is_refused_in_one_line(
    clips: Path, school: Path, tmp_path: Path, said: object
) -> None:
    held = modelfile.read(school)
    held.trained["encoder"] = said
    modelfile.write(tmp_path / "model.safetensors", held)
    words = ("--whisper", "base", "--layers", 2, "--weights", tmp_path / "model.safetensors", "-o", tmp_path / "f")
    done = sertool("featurize", clips, *words)
    assert (done.code, "does not say who taught its encoder" in done.line) == (1, True)
    head = shards.head_of(Path(column(clips, "whisper_shard")[0]))
    shards.write(replace(head, path=tmp_path / "shard", encoder_trainings=said, rows=[0] * len(head.rows)), "whisper",
                 [np.zeros((0, len(head.columns)), head.dtype)])  # fmt: skip
    with pytest.raises(SertoolError, match="not a shard of sertool's"):
        shards.head_of(tmp_path / "shard")


def parts_by_speaker(done: Outcome) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in csv.DictReader(io.StringIO(done.out.decode())):
        found.setdefault(row["speaker"], set()).add(row.get("split", ""))
    return found


def elsewhere(clips: Path, folder: Path) -> Path:
    """The same sounds as another corpus, of other speakers and in other files, of which nobody knows that."""
    table = manifest_io.read(str(clips))
    paths = [shutil.copy2(path, folder / f"{place}.wav") for place, path in enumerate(column(clips, "path"))]
    named = {name: [f"other-{word}" for word in column(clips, name)] for name in ("clip", "speaker")}
    bare = {"parent": [None] * len(table), "digest": [None] * len(table), "corpus": ["other"] * len(table)}
    return changed(clips, folder / "elsewhere.parquet", path=[*map(str, paths)], **named, **bare)


@pytest.fixture(scope="module")
def session(clips: Path, school: Path) -> Path:
    """A head that learnt on another corpus what the taught encoder hears; its run."""
    folder = school.parents[2] / "session"
    folder.mkdir()
    made = heard(elsewhere(clips, folder), school, name="heard-elsewhere")
    train(made, *HEAD, *HALF, "--pack", "half", "--weights", school, "-o", folder / "run")
    return folder / "run"


@pytest.mark.parametrize("alone", [False, True])
def test_speakers_who_taught_the_encoder_count_as_training_speakers(
    clips: Path, school: Path, session: Path, tmp_path: Path, alone: bool
) -> None:
    model = session
    if alone:
        model = tmp_path / "alone.safetensors"
        model.write_bytes((session / "seed-0" / "model.safetensors").read_bytes())
    done = sertool("predict", "-m", model, clips, "-f", "csv")
    assert done.code == 0, done.err
    knew = speakers(school.parents[1])
    assert parts_by_speaker(done) == {who: {"train"} if who in knew else {""} for who in {*column(clips, "speaker")}}
    assert "trained on 8 of 16 clips" in done.err


def test_predictions_of_a_run_keep_its_own_split(clips: Path, school: Path) -> None:
    done = sertool("predict", "-m", school.parents[1], clips, "-f", "csv")
    for part in splits.PARTS:
        who = {who for who, parts in parts_by_speaker(done).items() if part in parts}
        assert who == speakers(school.parents[1], part)


def test_teacher_whose_encoder_learnt_from_held_out_speakers_is_refused(
    clips: Path, school: Path, session: Path, tmp_path: Path
) -> None:
    teacher = session / "seed-0" / "model.safetensors"
    table = manifest_io.read(str(clips))
    knew = np.array([who in speakers(school.parents[1]) for who in manifest.column(table, "speaker")])
    known = model_knowledge.of(table, teacher)
    assert (known.knows_speaker.tolist(), known.knows_clip.tolist()) == (knew.tolist(), knew.tolist())
    mlp = ("-m", "mlp", "--epochs", 1, "--where", "parent=")
    done = train(clips, *mlp, *HALF, "--seed", 1, "--teacher", session, "-o", tmp_path / "run", code=1)
    assert "it was trained on speakers or clips that are held out here" in done.err
