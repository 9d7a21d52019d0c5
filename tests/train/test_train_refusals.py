"""train refuses what cannot be trained, in one line."""

import json
from pathlib import Path

import pytest
from running import changed, column, sertool
from training_run import TINY, table, train

from sertool.manifests import manifest, manifest_io


@pytest.mark.parametrize(
    ("words", "partner"),
    [
        (("--momentum", 0.5), ("--optimizer", "sgd")),
        (("--plateau-factor", 0.5), ("--schedule", "plateau")),
        (("--plateau-patience", 2), ("--schedule", "plateau")),
        (("--restart-epochs", 3), ("--schedule", "restarts")),
        (("--restart-factor", 3), ("--schedule", "restarts")),
        (("--time-width", 5), ("--time-masks", 1)),
        (("--column-width", 5), ("--column-masks", 1)),
        (("--mask-share", 0.5), ("--column-masks", 1)),
        (("--shift-share", 0.5), ("--shift", 0.2)),
        (("--mixes", "summary"), ("--mixup", 0.3)),
        (("--metric", "wa", "--keep", "last"), ("--patience", 2)),
        (("--metric", "wa", "--keep", "last"), ("--schedule", "plateau")),
    ],
)
def test_options_without_their_required_companion_are_refused(mel: Path, words: tuple, partner: tuple) -> None:
    line = train(mel, *TINY, *words, "--dry-run", code=2).line
    assert line.startswith(f"sertool: {words[0]} goes with ")
    assert partner[0] in line
    train(mel, *TINY, *words, *partner, "--dry-run")


@pytest.mark.parametrize("words", [("--mixup", 0.3, "--mixes", "summary"), ("--imitate", "mfcc"), ("--steady", 0.5)])
def test_compile_is_refused_where_the_whole_network_is_never_called(statistics: Path, words: tuple) -> None:
    line = train(statistics, "-m", "mlp", "--compile", *words, "--dry-run", code=2).line
    assert line.startswith(f"sertool: --compile does nothing with {words[-2]}")


@pytest.mark.parametrize("model", ["acnt", "cnn", "cnn-transformer", "resnet18"])
def test_networks_that_pad_to_frames_refuse_statistics(statistics: Path, tmp_path: Path, model: str) -> None:
    line = train(statistics, "-m", model, "-o", tmp_path / "run", code=2).line
    assert line == f"sertool: {model} takes frames over time, and each clip has one row: featurize without --stats"


@pytest.mark.parametrize("words", [("mlp",), ("cnn1d", "--set", "along=columns"), ("cnn", "--set", "frames=1")])
def test_networks_that_do_not_pad_take_statistics(statistics: Path, words: tuple) -> None:
    train(statistics, "-m", *words, "--dry-run")


def test_deterministic_model_is_trained_with_one_seed_with_a_warning(statistics: Path, tmp_path: Path) -> None:
    warning = "draws nothing, so that every seed fits the same: trained with one\n"
    probe = ("--recipe", "whisper-probe", "--features", "rms")
    for words in (("-m", "logistic"), ("-m", "lda"), ("-m", "probe"), probe):
        assert warning in train(statistics, *words, "--seeds", 3, "--dry-run").err
        assert warning not in train(statistics, *words, "--seed", 3, "--dry-run").err
    for model in ("svm", "forest"):
        assert warning not in train(statistics, "-m", model, "--seeds", 3, "--dry-run").err
    for model in ("lda", "forest"):
        train(statistics, "-m", model, "--seeds", 2, "-o", tmp_path / model)
    assert [len([*(tmp_path / model).glob("seed-*")]) for model in ("lda", "forest")] == [1, 2]
    both = sertool("eval", tmp_path / "lda", tmp_path / "forest")
    assert (both.code, both.err) == (0, "")


def test_untrainable_input_is_refused_with_a_one_line_reason(
    mel: Path, statistics: Path, clips: Path, tmp_path: Path
) -> None:
    speakers = column(mel, "speaker")
    first = sorted(set(speakers))[0]
    split = ["test" if s == first else "train" for s in speakers]
    happy = changed(mel, tmp_path / "happy.parquet", split=split, emotion=["happy"] * 48)
    empty = changed(mel, tmp_path / "empty.parquet", split=["train"] * 48)
    odd = changed(mel, tmp_path / "odd.parquet", split=["trial"] * 48)
    one = tmp_path / "one.parquet"
    manifest_io.write(manifest.with_column(manifest_io.read(str(mel)), "split", split).slice(0, 1), str(one), "parquet")
    for words, says in {
        (mel, *TINY, "--optimizer", "sgd", "--lr", 1e30): "the loss is not finite in epoch 1",
        (mel, *TINY, "--epochs", 1, "--batch", 48, "--lr", 1e30): "what the trained model answers is not finite",
        (happy, *TINY): "the training clips have happy: two emotions are needed",
        (empty, *TINY): "leaves no clip to hold out (train 48, dev 0, test 0)",
        (odd, *TINY): "split 'trial' is none of train, dev, test: say which with `sertool index --parts trial=PART`",
        (one, *TINY): "leaves no clip to train",
        (mel, *TINY, "--where", "emotion=sad"): "in 48 rows, emotion is angry, happy, neutral",
        (mel, "-m", "svm"): "svm takes one row for each clip",
        (mel, *TINY, "--reduce", "lda"): "take one row for each clip",
        (statistics, *TINY, "--reduce", "pca"): "--reduce pca",
        (clips, *TINY): "the manifest has no features",
        (mel, *TINY, "--features", "mfcc"): "the manifest has no feature mfcc; it has mel",
        (mel, "-m", "cnn", "--set", "chanels=1"): "--set chanels=1: it takes NAME=VALUE",
        (
            mel,
            "-m",
            "cnn",
            "--set",
            "channels=a",
        ): "channels cannot be 'a': it is whole numbers such as 32,64 from 1 to 4096",
        (mel, "-m", "cnn", "--scratch"): "--scratch and --weights are for models",
        (mel, *TINY, "--soft", 0.5): "--soft needs the listeners' shares",
        (mel, "-m", "resnet50", "--weights", "none.pth"): "--weights none.pth: no such file",
        (mel, "-m", "resnet50", "--scratch"): "mel has 1 of 2 channels that the network looks at",
    }.items():
        done = sertool("train", *words, "-o", tmp_path / "run")
        assert done.code in (1, 2), words
        assert says in done.err.splitlines()[-1], done.err
        assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_features_with_different_numbers_of_rows_are_refused(mel: Path, tmp_path: Path) -> None:
    both = sertool("featurize", mel, "--rms", "--hop", 320, "-o", tmp_path / "f")
    assert both.code == 0, both.err
    done = train(tmp_path / "f" / "manifest.parquet", *TINY, "-o", tmp_path / "run", code=1)
    assert "its features have different numbers of rows (mel " in done.line


def test_emotion_missing_from_train_is_reported_and_never_predicted(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    first = sorted(set(speakers))[0]
    split = ["test" if s == first else "train" for s in speakers]
    sad = ["sad" if s == first and e == "angry" else e for s, e in zip(speakers, emotions, strict=True)]
    words = (changed(mel, tmp_path / "sad.parquet", split=split, emotion=sad), *TINY)
    done = train(*words, "-o", tmp_path / "run")
    assert "2 held-out clips of sad, which train lacks: left out of the figures here" in done.err
    held = table(tmp_path / "run")
    assert "sad" in held["emotion"]
    assert "sad" not in held["predicted"]
    assert "p_sad" not in held
    without = ("--where", "emotion!=sad")
    assert "--where 'emotion!=sad', here or there, leaves them out of both" in done.err
    assert "which train lacks" not in train(*words, *without, "-o", tmp_path / "other").err
    asked = ((tmp_path / "run", *without), (tmp_path / "other",))
    there, here = (json.loads(sertool("eval", *each, "-f", "json").out)["runs"][0] for each in asked)
    assert there["figures"]["uar"] == here["figures"]["uar"]
    assert f"test {100 * here['figures']['uar']['value']:.1f} " in done.err


def test_emotion_of_only_one_train_speaker_is_warned_about(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    first, *_, last = sorted(set(speakers))
    split = ["test" if s == first else "train" for s in speakers]
    fear = ["fear" if s == last and e == "angry" else e for s, e in zip(speakers, emotions, strict=True)]
    done = train(changed(mel, tmp_path / "fear.parquet", split=split, emotion=fear), *TINY, "-o", tmp_path / "run")
    assert "fear is of one speaker in train" in done.err


def test_emotions_of_one_voice_each_are_said_in_one_sentence(mel: Path, tmp_path: Path) -> None:
    speakers, emotions = column(mel, "speaker"), column(mel, "emotion")
    first, *_, last = sorted(set(speakers))
    split = ["test" if s == first else "train" for s in speakers]
    rare = {"angry": "fear", "happy": "surprise"}
    own = [rare.get(e, e) if s == last else e for s, e in zip(speakers, emotions, strict=True)]
    done = train(changed(mel, tmp_path / "rare.parquet", split=split, emotion=own), *TINY, "--dry-run")
    assert "fear, surprise are each of one speaker in train, and may be learnt as that voice" in done.err
