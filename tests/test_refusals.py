"""What cannot be trained is said before anything is made for it, and `--dry-run` says the same."""

from pathlib import Path

import pytest
from running import sertool

from sertool import shipped
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import inference, modelfile
from sertool.sound import encoding, synth

PATTERN = "{corpus}/{speaker}/{emotion}_{}.wav"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    for speaker in range(4):
        for emotion in ("sad", "happy"):
            for take in range(2):
                place = folder / "sound" / "cremad" / f"s{speaker}" / f"{emotion}_{take}.wav"
                place.parent.mkdir(parents=True, exist_ok=True)
                encoding.write(place, synth.voice(speaker, emotion, take), 16_000)
    done = sertool(
        "index", folder / "sound", "--pattern", PATTERN, "--split", "speaker:50/25/25", "-o", folder / "m.parquet"
    )
    assert done.code == 0, done.err
    return folder / "m.parquet"


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(("words", "says"), [
    (("--recipe", "base", "--set", "foo=1"), "--set foo=1"),
    (("--recipe", "base", "--features", "mel"), "no feature mel; it has whisper"),
    (("--recipe", "base", "--select", 3, "--adapt", "speaker"), "do not go with --adapt"),
    (("--recipe", "cnn-a", "--select", 3), "one row for each clip"),
    (("--recipe", "cnn-a", "-m", "probe"), "probe takes one row for each clip"),
    (("--recipe", "base", "--reduce", "foo"), "--reduce foo: it is lda, none, or pca:N"),
    (("--recipe", "base", "--reduce", "pca:0"), "--reduce pca:0: it is lda, none, or pca:N"),
    (("--recipe", "base", "--reduce", "pca:9999"), "columns cannot be mapped to more"),
    (("--recipe", "base", "--select", 4, "--reduce", "pca:5"), "--reduce pca:5: 4 columns cannot be mapped to more"),
    (("--recipe", "base", "--reduce", "pca:20", "--set", "groups=3"), "20 columns are not 3 groups of one width"),
    (("--recipe", "cnn-a", "--imitate", "whisper"), "no clip has it"),
    (("--recipe", "cnn-a", "--soft", 0.5), "listeners' shares"),
    (("--recipe", "cnn-a", "--scratch"), "--scratch and --weights are for"),
    (("--recipe", "cnn-a", "--weights", __file__, "--steady", 0.5), "--scratch and --weights are for"),
    (("--recipe", "whisper-tuned", "--scratch", "--weights", __file__), "leave one of them out"),
    (("--recipe", "whisper-tuned", "--set", "pretrained=false", "--weights", __file__), "pretrained is set twice"),
    (("--recipe", "whisper-tuned", "--set", "layers=2", "--layers", 3), "layers is set twice"),
    (("--recipe", "cnn-a", "--set", "dense=8", "--set", "dense=16"), "dense is set twice"),
    (("--recipe", "cnn-a", "--steady", 0.5), "blocks of an encoder"),
    (("--recipe", "whisper-steady", "--steady", 1, "--teacher", "base"), "--steady 1 learns no emotion"),
    (("--recipe", "cnn-a", "--pack", "half"), "these features have none"),
    (("--recipe", "cnn-a", "--pack", "8-bit"), "these features have none"),
    (("--recipe", "densenet161-d",), "no ImageNet weights"),
    (("--recipe", "cnn-a", "--where", "emotion=sad"), "two emotions are needed"),
    (("-m", "cnn"), "has no features: run `sertool featurize --mel` on it"),
    (("-m", "svm"), "has no features: run `sertool featurize --mel --stats mean,std` on it"),
    (("--recipe", "cnn-a", "--set", "channels=4"), "skip connection joins what leaves the second convolution"),
    (("--recipe", "cnn-transformer-a", "--set", "heads=3"), "3 heads do not divide 256 columns"),
    (("--recipe", "cnn2d-c", "--set", "frames=8"), "at least 16 of both are needed"),
])  # fmt: skip
def test_untrainable_request_is_refused_in_one_line_and_leaves_no_files(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, says: str, dry: bool
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SERTOOL_CACHE", str(tmp_path / "cache"))
    done = sertool("train", clips, *words, "-o", tmp_path / "run", *["--dry-run"] * dry)
    assert done.code in (1, 2)
    assert says in done.line
    assert not (tmp_path / "cache").exists()
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_negative_vote_shares_are_refused_with_their_column(clips: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(clips))
    for word in ("sad", "happy"):
        table = manifest.with_column(table, f"soft_{word}", [-0.25, *[0.5] * (len(table) - 1)])
    manifest_io.write(table, str(tmp_path / "m.parquet"), "parquet")
    words = ("train", tmp_path / "m.parquet", "--recipe", "cnn-a", "--dry-run")
    done = sertool(*words, "--soft", 0.5)
    assert (done.code, "column soft_sad holds -0.25" in done.line) == (1, True)
    assert sertool(*words).code == 0


@pytest.mark.parametrize(("words", "says"), [
    (("cnn-gru", "--set", "channels=4"), "second convolution"), (("sertool", "--set", "heads=3"), "3 heads do not"),
    (("mlp", "--set", "groups=3"), "80 columns are not 3 groups"),
])  # fmt: skip
@pytest.mark.parametrize("dry", [False, True])
def test_network_settings_that_do_not_fit_the_features_leave_no_run(
    clips: Path, tmp_path: Path, words: tuple[str, ...], says: str, dry: bool
) -> None:
    assert sertool("featurize", clips, "--mel", "--mel-bands", 80, "-o", tmp_path / "f", "-q").code == 0
    place = tmp_path / "f/manifest.parquet", "-m", *words, "-o", tmp_path / "run", *["--dry-run"] * dry
    done = sertool("train", *place)
    assert (done.code, says in done.line) == (2, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("more", "odd"), [
    (("--remove-dc",), "(wave)"), (("--normalize", "z-score"), "(normalize)"), (("--dtype", "float32"), "(dtype)"),
    (("--stats", "mean"), "(stats)"),
])  # fmt: skip
def test_features_made_with_different_settings_are_refused_together(
    clips: Path, tmp_path: Path, more: tuple[str, ...], odd: str
) -> None:
    first = sertool("featurize", clips, "--mel", "-o", tmp_path / "features", "-q")
    second = sertool("featurize", "-", "--mfcc", *more, "-o", tmp_path / "features", "-q", stdin=first.out)
    assert second.code == 0, second.err
    done = sertool("train", tmp_path / "features" / "manifest.parquet", "-m", "cnn", "-o", tmp_path / "run")
    assert done.code == 1
    assert f"mel, mfcc were not made alike {odd}" in done.line
    assert not (tmp_path / "run").exists()


def test_features_with_different_default_dtypes_keep_their_dtypes(clips: Path, tmp_path: Path) -> None:
    made = sertool("featurize", clips, "--rms", "--mel", "-o", tmp_path / "features", "-q")
    small = ("-m", "gru", "--set", "width=8", "--set", "layers=1", "--set", "dense=8", "--epochs", 1)
    done = sertool("train", *small, "-o", tmp_path / "run", stdin=made.out)
    assert done.code == 0, done.err
    heard = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors").features
    assert {name: record["dtype"] for name, record in heard.items()} == {"mel": "float16", "rms": "float32"}
    assert inference.extraction_of(heard).dtype is None


def test_speakers_that_differ_only_by_case_are_reported_before_training(clips: Path, tmp_path: Path) -> None:
    table = manifest_io.read(str(clips))
    names = [name.upper() if row % 2 else name for row, name in enumerate(manifest.column(table, "speaker"))]
    manifest_io.write(manifest.with_column(table, "speaker", names), str(tmp_path / "m.parquet"), "parquet")
    done = sertool("train", tmp_path / "m.parquet", "--recipe", "cnn-a", "--split", "speaker:50/25/25", "--dry-run")
    assert done.err.count("differ only by case are taken for different people") == 1


def taught(clips: Path, place: Path, words: tuple[str, ...], rows: slice) -> Path:
    """A table of a teacher's answers for some of the clips."""
    names = manifest.column(manifest_io.read(str(clips)), "clip")[rows]
    table = manifest.from_columns({"clip": names, **{f"p_{word}": [1 / len(words)] * len(names) for word in words}})
    manifest_io.write(table, str(place), "parquet")
    return place


def test_useless_teacher_answers_are_refused_before_features_are_made(clips: Path, tmp_path: Path) -> None:
    split = manifest.column(manifest_io.read(str(clips)), "split")
    held = split.index("test")
    few = taught(clips, tmp_path / "few.parquet", ("sad", "happy"), slice(held, held + 1))
    less = taught(clips, tmp_path / "less.parquet", ("sad", "angry"), slice(None))
    for teacher, says in ((few, "answers for none of the training clips"), (less, "it knows no happy")):
        done = sertool("train", clips, "--recipe", "cnn-a", "--teacher", teacher, "-o", tmp_path / "run")
        assert (done.code, says in done.err.splitlines()[-1]) == (1, True)
        assert not (tmp_path / "run" / "features").exists()


def test_weights_option_is_refused_without_a_pretrained_part(clips: Path, tmp_path: Path) -> None:
    """`--weights` is not passed over where neither the model nor its features nor a teacher begin with any."""
    assert sertool("featurize", clips, "--mel", "-o", tmp_path / "f").code == 0
    done = sertool("train", tmp_path / "f/manifest.parquet", "-m", "cnn", "--weights", "base", "-o", tmp_path / "run")
    assert (done.code, "--scratch and --weights are for" in done.line) == (2, True)


def test_training_warns_of_flattered_scores_on_the_encoders_corpus(clips: Path, tmp_path: Path) -> None:
    done = sertool("train", clips, "--recipe", "base", "--dry-run")
    assert f"learnt without labels from clips of cremad: but for those that --protocol {shipped.DIVISION}" in done.err
    path = tmp_path / "other.parquet"
    table = manifest_io.read(str(clips))
    manifest_io.write(manifest.with_column(table, "corpus", ["mine"] * len(table)), str(path), "parquet")
    assert "flattered" not in sertool("train", path, "--recipe", "base", "--dry-run").err
    assert {*modelfile.read(shipped.place("base")).trained["corpora"]} == {"cremad"}
