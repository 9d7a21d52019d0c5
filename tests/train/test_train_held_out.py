"""train holds out whole speakers, and never learns from them."""

import re
from pathlib import Path

import numpy as np
import pytest
from running import changed, column, rows, sertool
from training_run import NET, TINY, said_of, table, train

from sertool.divisions import heldout, own_division, splits
from sertool.manifests import manifest, manifest_io, merging, provenance
from sertool.modelfiles import modelfile
from sertool.models import lda


def test_speakers_of_train_dev_and_test_are_disjoint_in_every_fold(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--folds", 4, "-o", tmp_path)
    seen = []
    for path in sorted(tmp_path.rglob("split.parquet")):
        held = manifest_io.read(str(path)).to_pydict()
        parts = {
            part: {s for s, p in zip(held["speaker"], held["split"], strict=True) if p == part} for part in splits.PARTS
        }
        assert not parts["train"] & parts["dev"]
        assert not (parts["train"] | parts["dev"]) & parts["test"]
        assert all(parts.values())
        seen += sorted(parts["test"])
    assert sorted(seen) == sorted(set(column(mel, "speaker")))


def parts_of(member: Path) -> dict[str, set[str]]:
    """The speakers of each part of a training."""
    held = manifest_io.read(str(member / "split.parquet")).to_pydict()
    pairs = list(zip(held["split"], held["speaker"], strict=True))
    return {part: {who for place, who in pairs if place == part} for part in {place for place, _ in pairs}}


def test_classical_model_learns_from_all_speakers_outside_its_fold(statistics: Path, tmp_path: Path) -> None:
    train(statistics, "-m", "logistic", "--folds", 4, "-o", tmp_path / "run")
    train(statistics, "-m", "logistic", "--folds", 4, "--no-dev", "-o", tmp_path / "bare")
    names = [path.parent.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("split.parquet")]
    assert len(names) == 4
    for name in names:
        assert {part: len(who) for part, who in parts_of(tmp_path / "run" / name).items()} == {"train": 6, "test": 2}
        learnt, bare = (modelfile.read(tmp_path / run / name / "model.safetensors") for run in ("run", "bare"))
        assert all(np.array_equal(bare.tensors[key], values) for key, values in learnt.tensors.items())
        assert bare.temperature == 1.0 != learnt.temperature
        assert {name.partition("_")[0] for name in learnt.scores} == {"train", "test"}


@pytest.mark.parametrize(("words", "fits"), [((), 4), (("--no-dev",), 2)])
def test_classical_model_is_fitted_twice_only_if_dev_calibrates_it(
    statistics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], fits: int
) -> None:
    fitted, seen = lda.Model.fit, []
    monkeypatch.setattr(lda.Model, "fit", lambda *given: (seen.append(len(given[1])), fitted(*given)))
    train(statistics, "-m", "lda", "--folds", 2, *words, "-o", tmp_path)
    assert len(seen) == fits


def test_no_dev_moves_dev_speakers_into_train(mel: Path, statistics: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--epochs", 1, "--folds", 2, "--no-dev", "-o", tmp_path / "folds")
    for path in (tmp_path / "folds").glob("fold-*/seed-0"):
        assert {part: len(who) for part, who in parts_of(path).items()} == {"train": 4, "test": 4}
    train(statistics, "-m", "svm", "--no-dev", "-o", tmp_path / "split")
    assert parts_of(tmp_path / "split" / "seed-0").keys() == {"train", "test"}
    speakers = column(mel, "speaker")
    own = changed(mel, tmp_path / "own.parquet", split=["dev" if s == speakers[0] else "train" for s in speakers])
    assert (
        "--no-dev: the split holds out dev, and no test" in train(own, *TINY, "--no-dev", "-o", tmp_path, code=2).line
    )
    all_train = changed(mel, tmp_path / "all.parquet", split=["train"] * len(speakers))
    assert "no clip to hold out" in train(all_train, *TINY, "--no-dev", "-o", tmp_path / "all", code=1).line
    assert "no dev to choose" in train(mel, *TINY, "--no-dev", "--patience", 2, "-o", tmp_path / "p", code=2).line


def test_older_predictions_in_the_manifest_are_not_kept(mel: Path, tmp_path: Path) -> None:
    clips = len(column(mel, "clip"))
    stale = {name: ["x"] * clips for name in ("run", "predicted", "protocol", "adapted", "top")}
    numbers = {name: [0.5] * clips for name in ("confidence", "p_boredom")}
    train(changed(mel, tmp_path / "stale.parquet", **stale, **numbers), *TINY, "-o", tmp_path / "run")
    train(mel, *TINY, "-o", tmp_path / "fresh")
    assert table(tmp_path / "run").keys() == table(tmp_path / "fresh").keys()


def test_own_columns_named_like_predictions_of_ratings_are_kept_beside_emotions(
    statistics: Path, tmp_path: Path
) -> None:
    clips = len(column(statistics, "clip"))
    own = {"predicted_emotion": ["sad"] * clips, "snr": [9.5] * clips, "predicted_snr": [8.5] * clips}
    held = changed(statistics, tmp_path / "own.parquet", **own)
    for _ in ("trained", "found trained"):
        train(held, "-m", "svm", "--no-dev", "-o", tmp_path / "run")
        kept = table(tmp_path / "run")
        assert {name: {*kept[name]} for name in own} == {name: {*values} for name, values in own.items()}


@pytest.mark.slow
def test_each_fold_and_seed_has_a_folder_and_all_rows_are_joined(mel: Path, tmp_path: Path) -> None:
    done = train(mel, *TINY, "--folds", 2, "--seeds", 2, "--seed", 5, "-o", tmp_path / "run")
    names = sorted(path.parent.relative_to(tmp_path / "run").as_posix() for path in tmp_path.rglob("model.safetensors"))
    assert names == [f"fold-{fold}/seed-{seed}" for fold in (0, 1) for seed in (5, 6)]
    for name in names:
        files = {path.name for path in (tmp_path / "run" / name).iterdir()}
        assert files == {"settings.json", "split.parquet", "metrics.jsonl", "curves.png", "model.safetensors",
                         "predictions.parquet"}  # fmt: skip
    (tmp_path / "out.parquet").write_bytes(done.out)
    held = manifest.column(manifest_io.read_table(str(tmp_path / "out.parquet")), "clip")
    joined = manifest_io.read_table(str(tmp_path / "out.parquet")).to_pydict()
    assert len(held) == 2 * 48
    assert " to test), mean over 2 folds and 2 seeds; 96 held-out rows" in done.err
    assert {*zip(joined["fold"], joined["seed"], strict=True)} == {(0, 5), (0, 6), (1, 5), (1, 6)}
    assert set(joined["run"]) == {str(tmp_path / "run")}
    assert sertool("eval", stdin=done.out).code == 0


@pytest.mark.slow
def test_seeds_of_one_run_share_folds_and_another_first_seed_changes_them(mel: Path, tmp_path: Path) -> None:
    run = (mel, *NET, "--epochs", 1, "--folds", 3)
    train(*run, "--seeds", 2, "-o", tmp_path / "both")
    train(*run, "--seed", 1, "-o", tmp_path / "second")
    first, second, other = (
        column(tmp_path / place / "split.parquet", "split")
        for place in ("both/fold-0/seed-0", "both/fold-0/seed-1", "second/fold-0/seed-1")
    )
    assert first == second != other
    words = " ".join(sertool("train", "--help").out.decode().split())
    assert "All share the split or the folds that are drawn with --seed." in words


def test_test_is_held_out_if_it_has_clips_and_dev_otherwise(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    last = sorted(set(speakers))[-1]
    for part, rest in (("test", "train"), ("dev", "train")):
        own = changed(mel, tmp_path / f"{part}.parquet", split=[part if s == last else rest for s in speakers])
        train(own, *TINY, "-o", tmp_path / part)
        held = table(tmp_path / part / "seed-0")
        assert set(held["speaker"]) == {last}
        assert set(held["split"]) == {part}


def test_model_selection_never_uses_the_test_split(mel: Path, tmp_path: Path) -> None:
    """With every emotion of test exchanged for another, the same weights are chosen and kept."""
    train(mel, *TINY, "--split", "speaker:50/25/25", "-o", tmp_path / "one")
    split = column(tmp_path / "one" / "seed-0" / "split.parquet", "split")
    turned = {"neutral": "happy", "happy": "angry", "angry": "neutral"}
    emotions = [turned[e] if part == "test" else e for e, part in zip(column(mel, "emotion"), split, strict=True)]
    other = changed(mel, tmp_path / "other.parquet", split=split, emotion=emotions)
    train(other, *TINY, "-o", tmp_path / "two")
    one, two = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert one.temperature == two.temperature
    assert one.scores["dev_uar"] == two.scores["dev_uar"]


def test_scaling_uses_only_train_rows(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--split", "speaker:50/25/25", "-o", tmp_path)
    held = modelfile.read(tmp_path / "seed-0" / "model.safetensors")
    split = column(tmp_path / "seed-0" / "split.parquet", "split")
    frames = rows(mel.parent, "mel")
    mine = [frames[clip] for clip, part in zip(column(mel, "clip"), split, strict=True) if part == "train"]
    packed = np.concatenate(mine).astype(np.float64)
    np.testing.assert_allclose(held.tensors["scaling.mean"][0], packed.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(held.tensors["scaling.deviation"][0], packed.std(axis=0), rtol=1e-4)


def test_adaptation_requires_speakers_marks_answers_and_stores_no_speaker(mel: Path, tmp_path: Path) -> None:
    train(mel, *TINY, "--adapt", "speaker", "-o", tmp_path / "run")
    held = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors")
    assert (held.scaling, held.prior_clips) == ("speaker", 3.0)
    scaling = {name: held.tensors[name].shape for name in held.tensors if name.startswith("scaling")}
    assert scaling == {"scaling.mean": (1, 16), "scaling.deviation": (1, 16), "scaling.offsets": (3, 16)}
    assert set(table(tmp_path / "run")["adapted"]) == {"transductive"}
    seen = sertool("eval", tmp_path / "run" / "predictions.parquet").out.decode()
    assert "adapted to each speaker (transductive)" in seen.splitlines()[0]
    train(mel, *TINY, "--adapt", "speaker", "--scale", "none", "-o", tmp_path / "moved")
    assert modelfile.read(tmp_path / "moved" / "seed-0" / "model.safetensors").scaling == "moved"
    speakers = column(mel, "speaker")
    nobody = changed(mel, tmp_path / "nobody.parquet", speaker=[None, *speakers[1:]],
                     split=["test" if s == speakers[-1] else "train" for s in speakers])  # fmt: skip
    refused = train(nobody, *TINY, "--adapt", "speaker", "-o", tmp_path / "other", code=2)
    assert "--adapt speaker: 1 clip without a speaker" in refused.err


def test_adapted_scores_match_the_predictions_despite_unlabelled_clips(statistics: Path, tmp_path: Path) -> None:
    tested = sorted(set(column(statistics, "speaker")))[-3:]
    split = ["test" if who in tested else "train" for who in column(statistics, "speaker")]
    pairs = zip(split, column(statistics, "emotion"), strict=True)
    emotions = [word if part == "train" or word == "happy" else None for part, word in pairs]
    bare = changed(statistics, tmp_path / "bare.parquet", emotion=emotions, split=split)
    train(bare, "-m", "lda", "--adapt", "speaker", "-o", tmp_path / "run")
    held = table(tmp_path / "run")
    pairs = [pair for pair in zip(held["emotion"], held["predicted"], strict=True) if pair[0]]
    scores = modelfile.read(tmp_path / "run" / "seed-0" / "model.safetensors").scores
    assert scores["test_clips"] == len(pairs) < len(held["clip"])
    assert scores["test_wa"] == pytest.approx(np.mean([emotion == predicted for emotion, predicted in pairs]))


def test_speaker_leak_is_refused_unless_the_protocol_is_named_as_leaky(mel: Path, tmp_path: Path) -> None:
    torn = changed(mel, tmp_path / "torn.parquet", split=["train", "test"] * 24)
    assert "the split leaks: speaker" in train(torn, *TINY, "-o", tmp_path / "no", code=1).line
    done = train(mel, *TINY, "--split", "random-80-20", "-o", tmp_path / "yes")
    assert "random-80-20" in done.err
    assert "LEAKY: random-80-20" in sertool("eval", stdin=done.out).out.decode()
    told = sertool("index", "-", "-f", "csv", stdin=done.out).out  # which has no room for how it was made
    assert "LEAKY: random-80-20" in sertool("eval", stdin=told).out.decode()


def test_leaks_and_unknown_speakers_are_stated_in_the_report_and_card(mel: Path, tmp_path: Path) -> None:
    nobody = changed(mel, tmp_path / "nobody.parquet", speaker=[None] * len(column(mel, "clip")))
    said = train(nobody, *TINY, "--split", "random-80-20", "-o", tmp_path / "leaky").err
    assert "(speakers unknown), LEAKY: random-80-20; " in said
    assert "0 speakers" not in said
    card = sertool("predict", "--model-card", "-m", tmp_path / "leaky").out.decode()
    assert "- LEAKY: random-80-20 puts clips of one speaker on both sides" in card
    train(mel, *TINY, "-o", tmp_path / "honest")
    card = sertool("predict", "--model-card", "-m", tmp_path / "honest").out.decode()
    assert "- divided by: speaker:70/15/15" in card
    assert "LEAKY" not in card


def test_manifest_split_by_a_named_leaky_protocol_is_accepted(clips: Path, tmp_path: Path) -> None:
    made = sertool("index", clips, "--split", "random-80-20", "-o", tmp_path / "leaky.parquet")
    assert made.code == 0, made.err
    assert sertool("featurize", tmp_path / "leaky.parquet", "--mel", "--mel-bands", 16, "-o", tmp_path / "f").code == 0
    train(tmp_path / "f" / "manifest.parquet", *TINY, "-o", tmp_path / "run")


def test_folds_option_is_refused_for_a_manifest_with_a_split(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    own = changed(mel, tmp_path / "own.parquet", split=["test" if s == speakers[0] else "train" for s in speakers])
    for words in (("--folds", 3), ("--loso",)):
        assert "the manifest has a split already" in train(own, *TINY, *words, "-o", tmp_path / "run", code=2).line


def test_fold_column_beside_a_split_is_ignored_with_a_warning(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    split = ["test" if who == speakers[0] else "train" for who in speakers]
    both = changed(mel, tmp_path / "both.parquet", split=split, fold=[place % 3 for place in range(len(speakers))])
    said = train(both, *TINY, "-o", tmp_path / "run").err
    assert "the manifest has a split and folds: the split decides, and the folds are passed over" in said
    assert "mean over" not in said
    assert "fold" not in table(tmp_path / "run")
    audit = sertool("index", "--audit", both)
    assert b"not checked: the folds, as a split stands beside them" in audit.out


def test_empty_fold_column_does_not_count_as_a_division(mel: Path, tmp_path: Path) -> None:
    half = len(column(mel, "clip")) // 2
    corpora, folds = ["a"] * half + ["b"] * half, [place % 2 for place in range(half)] + [None] * half
    both = changed(mel, tmp_path / "both.parquet", corpus=corpora, fold=folds)
    for words in ((), ("--split", "speaker:50/25/25"), ("--folds", 2)):
        train(both, *TINY, "--where", "corpus=b", *words, "--dry-run")
    bare = changed(both, tmp_path / "bare.parquet", fold=[None] * 2 * half, split=[None] * 2 * half)
    assert "speaker:70/15/15" in train(bare, *TINY, "--dry-run").line


def test_manifest_with_only_negative_folds_is_refused_in_one_line(mel: Path, tmp_path: Path) -> None:
    below = changed(mel, tmp_path / "below.parquet", fold=[-1] * (len(column(mel, "clip")) - 1) + [None])
    for dry in ((), ("--dry-run",)):
        line = train(below, *TINY, *dry, "-o", tmp_path / "run", code=1).line
        assert "no clip has a fold of 0 or more" in line


def test_conflicting_split_options_are_both_named_as_typed(mel: Path) -> None:
    for words, says in {
        ("--folds", 3, "--split", "speaker"): "--split and --folds exclude each other",
        ("--loso", "--folds", 3): "--folds and --loso exclude each other",
        ("--loso", "--protocol", "loso"): "--loso and --protocol exclude each other",
    }.items():
        assert says in train(mel, *TINY, *words, code=2).line


def test_common_split_names_in_a_manifest_are_recognised(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    word = {speakers[0]: "Testing", speakers[-1]: " VAL "}
    own = changed(mel, tmp_path / "own.parquet", split=[word.get(speaker, "Training") for speaker in speakers])
    train(own, *TINY, "-o", tmp_path / "run")
    held = table(tmp_path / "run")
    assert ({*held["split"]}, {*held["speaker"]}) == ({"test"}, {speakers[0]})


def test_loso_leaves_one_speaker_out_per_fold(mel: Path, tmp_path: Path) -> None:
    four = "|".join(sorted(set(column(mel, "speaker")))[:4])
    train(mel, *TINY, "--epochs", 1, "--loso", "--where", f"speaker={four}", "-o", tmp_path)
    held = table(tmp_path)
    assert len(set(zip(held["fold"], held["speaker"], strict=True))) == 4
    assert len(set(held["clip"])) == len(held["clip"]) == 24


def test_refused_training_leaves_no_folder_behind(mel: Path, tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    assert "no corpus three" in train(mel, *TINY, "--test-on", "three", "-o", run, code=2).line
    train(mel, *TINY, "--where", "emotion=sad", "-o", run, code=1)
    assert not run.parent.exists()


def test_recordings_shared_by_two_manifests_never_leak(mel: Path, tmp_path: Path) -> None:
    same = {"clip": [f"again/{clip}" for clip in column(mel, "clip")], "corpus": ["again"] * len(column(mel, "clip"))}
    same["speaker"] = [f"again:{speaker}" for speaker in column(mel, "speaker")]
    again = changed(mel, tmp_path / "again.parquet", **same)
    done = train(mel, again, *TINY, "--folds", 2, "-o", tmp_path / "run")
    assert f"{len(same['clip'])} clips set aside that several manifests have, such as again/" in done.err
    assert {clip.split("/")[0] for clip in table(tmp_path / "run")["clip"]} == {column(mel, "clip")[0].split("/")[0]}
    half = ["train" if place % 2 else "test" for place in range(len(same["clip"]))]
    digest = [f"{max(place, 1)}" for place in range(len(half))]
    torn = changed(mel, tmp_path / "torn.parquet", split=half, digest=digest, speaker=half, duration=[1.0] * len(half))
    told = train(torn, *TINY, "-o", tmp_path / "torn", code=1).line
    assert "the split leaks: equal sounds" in told
    assert "`sertool index` on the manifest sets equal sounds aside" in told
    assert sertool("index", torn, "-o", tmp_path / "single.parquet").code == 0
    train(tmp_path / "single.parquet", *TINY, "-o", tmp_path / "single")


def test_split_separating_overlapping_segments_is_refused(mel: Path, tmp_path: Path) -> None:
    places = range(len(column(mel, "clip")))
    half = ["train" if place % 2 else "test" for place in places]
    torn = changed(
        mel, tmp_path / "torn.parquet", split=half, speaker=half, digest=["talk"] * len(half),
        start=[float(place // 2) for place in places], duration=[0.9 + place % 2 / 20 for place in places],
    )  # fmt: skip
    assert "the split leaks: overlapping segments: 24" in train(torn, *TINY, "-o", tmp_path / "run", code=1).line


@pytest.mark.parametrize("way", [("--split", "speaker:50/25/25"), ("--folds", "2")])
def test_clips_added_to_train_must_not_overlap_held_out_clips(mel: Path, tmp_path: Path, way: tuple[str, str]) -> None:
    count = len(column(mel, "clip"))
    free = [place % 2 == 0 for place in range(count)]
    recorded = {
        "digest": ["talk"] * count,
        "start": [float(place // 2) for place in range(count)],
        "duration": [0.9 + place % 2 / 20 for place in range(count)],
        "speaker": [f"s{place % 8}" for place in range(count)],
    }
    corpora = ["b" if one else "a" for one in free]
    both = changed(mel, tmp_path / "both.parquet", corpus=corpora, **recorded)
    line = train(both, *TINY, *way, "--always-train", "b", "-o", tmp_path / "run", code=1).line
    assert "the split leaks: overlapping segments: " in line
    recorded["speaker"] = [None if one else who for who, one in zip(recorded["speaker"], free, strict=True)]
    emotions = [None if one else word for word, one in zip(column(mel, "emotion"), free, strict=True)]
    bare = changed(mel, tmp_path / "bare.parquet", emotion=emotions, **recorded)
    words = {f"p_{word}": [1 / 3] * count for word in ("neutral", "happy", "angry")}
    answers = manifest.from_columns({"clip": column(mel, "clip"), **words})
    manifest_io.write(answers, str(tmp_path / "answers.parquet"), "parquet")
    done = train(bare, *TINY, *way, "--teacher", tmp_path / "answers.parquet", "-o", tmp_path / "run", code=1)
    assert "the split leaks: overlapping segments: " in done.err.splitlines()[-1]
    assert not list((tmp_path / "run").rglob("model.safetensors"))


def test_train_on_and_test_on_select_corpora_by_name(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    half = sorted(set(speakers))[4]
    both = changed(mel, tmp_path / "both.parquet", corpus=["one" if s < half else "two" for s in speakers])
    done = train(both, *TINY, "--train-on", "one", "--test-on", "two", "-o", tmp_path / "run")
    assert "from one to two" in done.err
    assert set(table(tmp_path / "run")["corpus"]) == {"two"}
    divided = manifest_io.read(str(tmp_path / "run" / "seed-0" / "split.parquet")).to_pydict()
    assert {c for c, part in zip(divided["corpus"], divided["split"], strict=True) if part != "test"} == {"one"}
    assert "no corpus three" in train(both, *TINY, "--test-on", "three", "-o", tmp_path / "no", code=2).line
    assert "both want one" in train(both, *TINY, "--train-on", "one", "--test-on", "one", "-o", tmp_path, code=2).line
    assert "leave out" in train(both, *TINY, "--test-on", "one", "--folds", 2, "-o", tmp_path, code=2).line


def test_seed_draws_the_dev_speakers_of_a_run_across_corpora() -> None:
    who = [f"a:{number}" for number in range(24)] + ["b:1", "b:2"]
    columns = {"clip": who, "corpus": [name[0] for name in who], "speaker": who, "emotion": ["sad", "happy"] * 13}
    table, drawn = manifest.from_columns(columns), set()
    for seed in range(5):
        options = heldout.HeldOutOptions(train_on=["a"], seed=seed)
        (way,) = heldout.ways(table, options, None)
        drawn.add(tuple(manifest.column(heldout.divided(table, way, options), "split")))
    assert len(drawn) > 1


def test_corpus_outside_train_gets_its_own_figures(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    named = sorted(set(speakers))
    part = dict.fromkeys(named, "train") | dict.fromkeys(named[-4:-2], "dev") | dict.fromkeys(named[-2:], "test")
    corpus = ["one" if part[s] == "train" or s in named[-4::2] else "two" for s in speakers]
    both = changed(mel, tmp_path / "both.parquet", corpus=corpus, split=[part[s] for s in speakers])
    done = train(both, *TINY, "-o", tmp_path / "run")
    assert re.fullmatch(r"  two: UAR dev [\d.]+, test [\d.]+", done.err.splitlines()[-1])


def test_always_train_corpus_is_in_train_of_every_fold(two_corpora: Path, tmp_path: Path) -> None:
    done = train(two_corpora, *TINY, "--always-train", "one", "--folds", 2, "-o", tmp_path / "run")
    assert set(table(tmp_path / "run")["corpus"]) == {"two"}
    assert len(table(tmp_path / "run")["clip"]) == 24
    for fold in ("fold-0", "fold-1"):
        split = manifest_io.read(str(tmp_path / "run" / fold / "seed-0" / "split.parquet")).to_pydict()
        parts = {"one": set(), "two": set()}
        for corpus, part in zip(split["corpus"], split["split"], strict=True):
            parts[corpus].add(part)
        assert parts == {"one": {"train"}, "two": {"train", "dev", "test"}}
    assert "2 folds, one in train" in sertool("eval", stdin=done.out).out.decode()


def test_clips_unused_for_lack_of_a_split_are_reported(two_corpora: Path, tmp_path: Path) -> None:
    done = train(two_corpora, *TINY, "--dry-run")
    assert "24 of 48 clips, of two, have no part and are not used: name --always-train two, or divide" in done.err
    assert "would train cnn on 24 clips" in done.err
    folds = [None if part else 1 for part in column(two_corpora, "split")]
    both = changed(two_corpora, tmp_path / "folded.parquet", fold=folds, corpus=["one"] * 48)
    done = train(both, *TINY, "--dry-run")
    assert "24 of 48 clips, of one, have no part and are not used: divide all manifests alike" in done.err
    for words in (("--always-train", "two"), ("--split", "speaker:50/25/25"), ("--train-on", "one")):
        assert "have no part" not in train(two_corpora, *TINY, *words, "--dry-run").err


def test_always_train_is_refused_if_no_speakers_remain_to_hold_out(
    two_corpora: Path, mel: Path, tmp_path: Path
) -> None:
    assert "no corpus three" in train(two_corpora, *TINY, "--always-train", "three", code=2).line
    assert "no clip to hold out" in train(two_corpora, *TINY, "--always-train", "one,two", code=2).line
    assert "leave out" in train(two_corpora, *TINY, "--always-train", "one", "--test-on", "two", code=2).line
    mixed = changed(mel, tmp_path / "mixed.parquet", corpus=["one", "two"] * (len(column(mel, "clip")) // 2))
    assert "would be in train" in train(mixed, *TINY, "--always-train", "one", code=1).line


@pytest.mark.slow
def test_speakers_missing_from_a_protocol_are_reported_once(mel: Path, tmp_path: Path) -> None:
    clips = len(column(mel, "clip"))
    names = [f"ravdess:{1 + place // 6:02}" for place in range(clips)]
    known = changed(mel, tmp_path / "known.parquet", corpus=["ravdess"] * clips, speaker=names)
    done = train(known, *TINY, "--protocol", "ravdess-luna", "-o", tmp_path / "run")
    assert done.err.count("ravdess-luna: 16 of its speakers are not here") == 1


def test_predictions_record_the_split_of_their_own_run(mel: Path, tmp_path: Path) -> None:
    """Whatever the command line asked for besides, and however the manifest was divided before."""
    train(mel, *TINY, "--gap", "--split", "speaker:60/20/20", "-o", tmp_path / "gap")
    leaky, disjoint = (said_of(tmp_path / "gap" / side) for side in ("leaky", "disjoint"))
    assert "random:62.5/25/12.5" in leaky  # of eight speakers
    assert "LEAKY" in leaky
    assert "speaker:60/20/20" in disjoint
    assert "LEAKY" not in disjoint
    half = sorted(set(column(mel, "speaker")))[4]
    corpora = changed(
        mel, tmp_path / "both.parquet", corpus=["one" if s < half else "two" for s in column(mel, "speaker")]
    )
    assert sertool("index", corpora, "--split", "random-80-20", "-o", tmp_path / "leaky.parquet").code == 0
    train(tmp_path / "leaky.parquet", *TINY, "--train-on", "one", "--test-on", "two", "-o", tmp_path / "across")
    assert "from one to two" in said_of(tmp_path / "across")
    assert "LEAKY" not in said_of(tmp_path / "across")


def test_file_named_after_a_leaky_protocol_excuses_no_leak(mel: Path, tmp_path: Path) -> None:
    parts = ["train", "test"] * (len(column(mel, "clip")) // 2)
    leaky = provenance.made_by(
        manifest_io.read(str(changed(mel, tmp_path / "own.parquet", split=parts))), "index sentence", 0
    )
    manifest_io.write(leaky, str(tmp_path / "sentence.parquet"), "parquet")
    assert "the split leaks" in train(tmp_path / "sentence.parquet", *TINY, "-o", tmp_path / "run", code=1).line


def test_several_manifests_are_trained_on_together(mel: Path, tmp_path: Path) -> None:
    speakers = column(mel, "speaker")
    middle = sorted(set(speakers))[4]
    halves = []
    for name, test in (("low", lambda s: s < middle), ("high", lambda s: s >= middle)):
        held = manifest_io.read(str(mel))
        manifest_io.write(
            manifest.keep(held, np.array([test(s) for s in speakers])), str(tmp_path / f"{name}.parquet"), "parquet"
        )
        halves.append(tmp_path / f"{name}.parquet")
    train(*halves, *TINY, "-o", tmp_path / "both")
    train(mel, *TINY, "-o", tmp_path / "whole")
    both, whole = (tmp_path / name / "seed-0" / "split.parquet" for name in ("both", "whole"))
    assert dict(zip(column(both, "clip"), column(both, "split"), strict=True)) == dict(
        zip(column(whole, "clip"), column(whole, "split"), strict=True)
    )


def test_copies_train_only_where_their_parent_trains(mel: Path) -> None:
    held = manifest_io.read(str(mel))
    copies = manifest.with_column(held, "parent", manifest.column(held, "clip"))
    copies = manifest.with_column(copies, "clip", [f"{clip}#0" for clip in manifest.column(held, "clip")])
    both = merging.stacked([manifest.with_column(held, "parent", [None] * len(held)), copies])
    names = manifest.column(both, "parent")
    way = heldout.Way("", "speaker:50/25/25", "x")
    ((_, split),) = heldout.fold_splits(
        heldout.divided(both, way, heldout.HeldOutOptions()), way, heldout.HeldOutOptions()
    )
    of_clip = dict(zip(manifest.column(both, "clip"), split.tolist(), strict=True))
    for clip, parent in zip(manifest.column(both, "clip"), names, strict=True):
        if parent is not None:
            assert of_clip[clip] == (splits.TRAIN if of_clip[parent] == splits.TRAIN else -1)
    own = manifest.with_column(both, "split", ["test"] * 12 + ["train"] * 36 + ["test"] * 12 + ["train"] * 36)
    ((_, split),) = heldout.fold_splits(own, heldout.Way("", None, own_division.UNNAMED), heldout.HeldOutOptions())
    assert (split[48:60] == -1).all()
