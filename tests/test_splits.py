"""The laws of splits: speakers never cross, and copies never reach a test."""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import product

import numpy as np
import pytest
from invented import (
    EMOTIONS,
    Columns,
    Row,
    coded,
    crema,
    divisible,
    emobox_like,
    fold_column,
    needing,
    ravdess,
    table,
    tess,
    with_copies,
    words,
)

from sertool.divisions import dealing, leak_guard, own_division, protocols, splits
from sertool.divisions.protocols import PROTOCOLS
from sertool.divisions.splits import DEV, PARTS, TEST, TRAIN
from sertool.errors import UsageError
from sertool.manifests import manifest, provenance
from sertool.numeric import codes
from sertool.numeric.codes import Codes

SEEDED = [name for name, entry in PROTOCOLS.items() if entry.shares]


def anything(seed: int) -> list[Row]:
    """A table of speakers of very unequal sizes and tastes."""
    rng = np.random.default_rng(seed)
    rows = []
    for speaker in range(rng.integers(6, 60)):
        taste = rng.dirichlet(np.ones(5) * rng.choice([0.2, 5]))
        for _ in range(int(rng.lognormal(2.5, 1)) + 1):
            emotion = rng.choice([*EMOTIONS[:4], None], p=taste)
            clip = f"x/{len(rows):05}"
            rows.append(
                {"clip": clip, "speaker": f"x:{speaker}", "sentence": f"s{rng.integers(9)}", "emotion": emotion}
            )
    return rows


def shuffled(columns: Columns, seed: int) -> tuple[Columns, np.ndarray]:
    """The same rows in another order, their values numbered anew, with some that no row has."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(columns["clip"].index))
    found = {}
    for name, column in columns.items():
        values = [*column.values, "nobody", "nothing"]
        order = rng.permutation(len(values))
        place = np.append(np.argsort(order), -1)
        found[name] = Codes(place[column.index[rows]].astype(np.int32), [values[old] for old in order])
    return found, rows


def parts_by(columns: Columns, name: str, place: np.ndarray) -> dict[str, set[int]]:
    """The parts in which each group of a column lies."""
    found = defaultdict(set)
    for group, part in zip(words(columns[name]), place.tolist(), strict=True):
        if part >= 0 and group is not None:
            found[group].add(part)
    return found


def disjoint(columns: Columns, name: str, place: np.ndarray) -> bool:
    return all(len(parts) == 1 for parts in parts_by(columns, name, place).values())


def worst_shares(columns: Columns, place: np.ndarray, shares: Sequence[float]) -> tuple[float, float]:
    """How far parts are from their shares of clips and from the whole's emotions, in points."""
    emotion = columns["emotion"].index
    whole = np.bincount(emotion[place >= 0]) / (place >= 0).sum()
    size, mix = [], []
    for part, share in enumerate(shares):
        rows = place == part
        size.append(abs(rows.sum() / (place >= 0).sum() - share))
        if share:
            mix.append(np.abs(np.bincount(emotion[rows], minlength=len(whole)) / rows.sum() - whole).max())
    return 100 * max(size), 100 * max(mix)


# Speakers and sentences.


@pytest.mark.parametrize("seed", range(20))
def test_speakers_never_cross_splits(seed):
    columns = table(anything(seed))
    for asked in ("speaker", "speaker:80/20", "speaker:train=40/dev=60", "speaker+sentence"):
        assert disjoint(columns, "speaker", splits.divide(asked, columns, seed).places)
    for division in (splits.folds(5, columns, seed), splits.divide("loso", columns)):
        assert disjoint(columns, "speaker", division.places)


@pytest.mark.parametrize("seed", range(20))
def test_sentences_never_cross_splits_that_hold_them_out(seed):
    columns = table(anything(seed))
    for asked in ("sentence", "sentence:80/20", "speaker+sentence:60/20/20"):
        assert disjoint(columns, "sentence", splits.divide(asked, columns, seed).places)


@pytest.mark.parametrize(("text", "shares"), [("70/15/15", (0.7, 0.15, 0.15)), ("80/20", (0.8, 0, 0.2))])
def test_split_shares_and_emotions_are_accurate_on_crema_d_like_data(text, shares):
    columns = table(crema())
    for seed in range(20):
        assert max(worst_shares(columns, splits.divide(f"speaker:{text}", columns, seed).places, shares)) < 1


def test_split_shares_and_emotions_are_accurate_with_uneven_speakers():
    rng = np.random.default_rng(0)
    rows = [row for row in crema() if rng.random() < 0.2 + 0.8 * (int(row["speaker"][-2:]) % 7) / 6]
    columns = table(rows)
    for seed in range(20):
        place = splits.divide("speaker", columns, seed).places
        assert max(worst_shares(columns, place, (0.7, 0.15, 0.15))) < 2


def test_clip_counts_weigh_as_much_as_all_emotions_in_splits():
    """Of twelve emotions that speakers favour, each by itself would matter more than how many clips a part has."""
    off = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes, favourite = np.ceil(rng.lognormal(3, 0.8, 30)).astype(int), rng.integers(0, 12, 30)
        who = np.repeat(np.arange(30), sizes)
        emotion = np.where(rng.random(len(who)) < 0.7, favourite[who], rng.integers(0, 12, len(who)))
        columns = table([{"speaker": f"x:{a}", "emotion": f"{b}"} for a, b in zip(who, emotion, strict=True)])
        split = splits.divide("speaker", columns, seed).places
        off.append(max(abs((split == place).mean() - share) for place, share in enumerate((0.7, 0.15, 0.15))))
    assert np.mean(off) < 0.05


def test_folds_have_similar_sizes_and_emotions():
    columns = table(crema())
    for seed in range(5):
        assert max(worst_shares(columns, splits.folds(5, columns, seed).places, [0.2] * 5)) < 2


def test_emotions_stay_balanced_when_each_speaker_has_only_one():
    rows = [
        {"speaker": f"x:{who}", "emotion": EMOTIONS[who % 6]}
        for who in range(120)
        for _ in range(20 + who % 6 + who % 11)
    ]
    columns = table(rows)
    for seed in range(5):
        size, mix = worst_shares(columns, splits.divide("speaker", columns, seed).places, (0.7, 0.15, 0.15))
        assert size < 2
        assert mix < 5


def test_every_part_gets_a_speaker_if_enough_exist():
    for sizes in ([500, 1, 1], [100, 100, 100, 1], [1, 1, 1], [9] * 7, [1000, 900, 1, 1, 1]):
        columns = table(
            [{"speaker": f"x:{who}", "emotion": "sad"} for who, size in enumerate(sizes) for _ in range(size)]
        )
        for asked, parts in (("speaker:98/1/1", {0, 1, 2}), ("speaker:99/1", {0, 2})):
            assert set(splits.divide(asked, columns, 0).places) == parts
        assert set(splits.folds(3, columns).places) == {0, 1, 2}


def test_two_speakers_fill_train_and_test_and_one_fills_train():
    assert set(splits.divide("speaker", table(tess())).places) == {TRAIN, TEST}
    assert set(splits.divide("speaker", table(tess(["OAF"]))).places) == {TRAIN}


def test_speakers_are_placed_only_in_parts_that_have_sentences():
    """RAVDESS has two sentences: a third of the speakers would be lost to a part that no sentence fills."""
    columns = table(ravdess())
    division = splits.divide("speaker+sentence", columns)
    assert set(division.places) == {-1, TRAIN, TEST}
    assert division.bridging == (division.places < 0).sum()
    assert set(map(len, parts_by(columns, "speaker", division.places).values())) == {1}
    assert len(parts_by(columns, "speaker", division.places)) == 24


def test_clips_bridging_two_parts_are_left_out_and_counted():
    rows = crema()
    rows[5] = rows[5] | {"sentence": None}
    columns = table(rows)
    division = splits.divide("speaker+sentence", columns, 3)
    assert disjoint(columns, "speaker", division.places)
    assert disjoint(columns, "sentence", division.places)
    assert set(division.places) == {-1, TRAIN, DEV, TEST}
    assert division.outside == 1
    assert division.bridging + 1 == (division.places < 0).sum()
    assert (division.places >= 0).mean() > 0.45


def test_clip_without_a_sentence_is_left_out_of_sentence_splits():
    rows = [*crema(), {"speaker": "cremad:1001", "emotion": "sad"}]
    division = splits.divide("sentence", table(rows))
    assert division.places[-1] == -1
    assert division.outside == 1


def test_speakers_stay_whole_when_assigned_in_bundles(monkeypatch):
    monkeypatch.setattr(dealing, "BUNDLES", 32)
    columns = table(crema())
    place = splits.divide("speaker", columns, 1).places
    assert disjoint(columns, "speaker", place)
    assert max(worst_shares(columns, place, (0.7, 0.15, 0.15))) < 3


# Seeds and order.


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("seed", [0, 7])
def test_a_split_does_not_depend_on_row_order(name, seed):
    columns = divisible(name)
    other, rows = shuffled(columns, seed)
    one, two = splits.divide(name, columns, seed), splits.divide(name, other, seed)
    np.testing.assert_array_equal(one.parts.index[rows], two.parts.index)
    assert (one.absent, one.bridging, one.outside) == (two.absent, two.bridging, two.outside)


@pytest.mark.parametrize("seed", range(10))
def test_folds_do_not_depend_on_row_order(seed):
    columns = table(with_copies(anything(seed + 100)) if seed % 2 else anything(seed))
    other, rows = shuffled(columns, seed)
    one, two = splits.folds(4, columns, seed).places, splits.folds(4, other, seed).places
    np.testing.assert_array_equal(one[rows], two)
    for k in range(4):
        dev = splits.dev_of_fold(one, columns["speaker"], k, seed, labelled=True)
        np.testing.assert_array_equal(dev[rows], splits.dev_of_fold(two, other["speaker"], k, seed, labelled=True))


@pytest.mark.parametrize("name", SEEDED)
def test_seed_determines_the_split(name):
    columns = divisible(name)
    one, again, other = (splits.divide(name, columns, seed).places for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_protocol_with_its_own_seed_uses_it_by_default():
    columns = table(crema())
    own, told = (splits.divide("random-70-30", columns, seed).places for seed in (None, 42))
    np.testing.assert_array_equal(own, told)
    assert (own != splits.divide("random-70-30", columns, 0).places).any()


def test_split_assignments_are_stable_across_versions():
    columns = table(ravdess())
    place = splits.divide("speaker", columns, 0).places
    held = {part: sorted(who[8:] for who, parts in parts_by(columns, "speaker", place).items() if parts == {part})
            for part in (DEV, TEST)}  # fmt: skip
    assert held == {DEV: PINNED_DEV, TEST: PINNED_TEST}


PINNED_DEV = ["03", "09", "22", "24"]
PINNED_TEST = ["02", "07", "17"]


@pytest.mark.parametrize("seed", range(5))
def test_copies_of_some_speakers_do_not_change_where_anybody_goes(seed):
    rows = crema(range(1001, 1031))
    some = [row for row in rows if int(row["speaker"][-2:]) % 3 == 0]
    copies = [row | {"clip": f"{row['clip']}#{k}", "parent": row["clip"]} for row in some for k in range(1, 6)]
    bare, longer = table(rows), table(rows + copies)
    for divide in (partial(splits.divide, "speaker"), partial(splits.folds, 5)):
        one, two = (parts_by(columns, "speaker", divide(columns, seed).places) for columns in (bare, longer))
        assert one == two


# Updates.


@pytest.mark.parametrize("seed", range(10))
def test_known_speakers_keep_their_part_when_others_are_added(seed):
    before = table(crema(range(1001, 1073)))
    first = splits.divide("speaker", before, seed).places
    keep = splits.places_to_keep(before["speaker"], Codes(first, PARTS))
    after = table(crema())
    second = splits.divide("speaker", after, seed + 1, {"speaker": keep}).places
    assert {who: {PARTS.index(part)} for who, part in keep.items()}.items() <= parts_by(
        after, "speaker", second
    ).items()
    assert max(worst_shares(after, second, (0.7, 0.15, 0.15))) < 2


def test_new_speakers_go_where_kept_ones_left_room():
    columns = table(crema(range(1001, 1041)))
    keep = {f"cremad:{who}": "train" for who in range(1001, 1029)}  # 28 of 40 are all of train
    place = splits.divide("speaker", columns, 0, {"speaker": keep}).places
    assert {who for who, parts in parts_by(columns, "speaker", place).items() if parts == {TRAIN}} == {*keep}
    assert worst_shares(columns, place, (0.7, 0.15, 0.15))[0] < 2


def test_known_speakers_keep_their_folds_and_known_sentences_their_parts():
    before, after = table(crema(range(1001, 1041))), table(crema())
    first = splits.folds(5, before, 1)
    keep = splits.places_to_keep(before["speaker"], first.parts)
    held = parts_by(after, "speaker", splits.folds(5, after, 2, {"speaker": keep}).places)
    assert all(held[who] == {int(fold)} for who, fold in keep.items())
    sentences = splits.places_to_keep(before["sentence"], splits.divide("sentence", before, 1).parts)
    held = parts_by(after, "sentence", splits.divide("sentence", after, 9, {"sentence": sentences}).places)
    assert {name: {PARTS.index(part)} for name, part in sentences.items()} == held


def test_kept_split_is_unchanged_without_new_speakers():
    columns = table(crema())
    first = splits.divide("speaker", columns, 1)
    keep = {"speaker": splits.places_to_keep(columns["speaker"], first.parts)}
    np.testing.assert_array_equal(first.places, splits.divide("speaker", columns, 2, keep).places)


def test_assignments_that_cannot_be_kept_are_refused():
    columns = table(crema(range(1001, 1011)))
    with pytest.raises(UsageError, match=r"cremad:\d+ stands in train and in test"):
        splits.places_to_keep(columns["speaker"], splits.divide("random-80-20", columns).parts)
    with pytest.raises(
        UsageError, match="cremad:1001 stood in valid, which cannot be kept: there are train, dev, test"
    ):
        splits.divide("speaker", columns, 0, {"speaker": {"cremad:1001": "valid"}})


@pytest.mark.parametrize("order", [(TRAIN, TEST), (TEST, TRAIN), (TRAIN, TEST, TRAIN), (TEST, TRAIN, TEST)])
def test_a_speaker_in_two_parts_cannot_be_kept_in_whatever_order(order):
    with pytest.raises(UsageError, match="anna stands in train and in test"):
        splits.places_to_keep(coded(["anna"] * len(order)), Codes(np.array(order), PARTS))


# Published protocols.

WHO = {
    "cremad-nk": {
        DEV: "1005 1009 1013 1026 1030 1032 1036 1038 1041 1048 1051 1052 1069 1088 1089",
        TEST: "1004 1006 1007 1011 1016 1018 1029 1045 1049 1050 1055 1056 1058 1061 1066 1070 1074 1077 1091",
    },
    "ravdess-emobox": dict(
        enumerate(["1 11 20 21", "4 10 12 14", "8 9 19 23", "3 5 7 24", "2 15 16 18", "6 13 17 22"])
    ),
    "ravdess-luna": dict(
        enumerate(["2 5 14 15 16", "3 6 7 13 18", "10 11 12 19 20", "8 17 21 23 24", "1 4 9 22"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHO)
def test_published_protocols_hold_out_the_published_speakers(name):
    columns = divisible(name)
    division = splits.divide(name, columns)
    held = parts_by(columns, "speaker", division.parts.index)
    for part, numbers in WHO[name].items():
        assert {int(who.split(":")[1]) for who, parts in held.items() if parts == {part}} == set(
            map(int, numbers.split())
        )
    assert (division.absent, division.outside) == ((), 0)
    assert (division.parts.index[columns["parent"].index < 0] >= 0).all()


def test_cremad_nk_trains_on_all_remaining_speakers():
    columns = table(crema())
    sizes = Counter(
        next(iter(p)) for p in parts_by(columns, "speaker", splits.divide("cremad-nk", columns).places).values()
    )
    assert sizes == {TRAIN: 57, DEV: 15, TEST: 19}


def test_cremad_blocks_consist_of_consecutive_speakers():
    columns = table(crema())
    for who, folds in parts_by(columns, "speaker", splits.divide("cremad-blocks", columns).places).items():
        assert folds == {min((int(who[7:]) - 1001) // 18, 4)}


def test_tess_cross_tests_on_each_speaker_in_turn():
    columns = table(tess())
    fold = splits.divide("tess-cross", columns).places
    assert parts_by(columns, "speaker", fold) == {"tess:OAF": {0}, "tess:YAF": {1}}
    for k in (0, 1):
        split = splits.split_of_fold(fold, columns, k)
        assert set(split[fold == k]) == {TEST}
        assert set(split[fold != k]) == {TRAIN}


@pytest.mark.parametrize(("name", "first"), [("iemocap-sessions", "Ses01{}"), ("mspimprov-sessions", "{}01")])
def test_both_speakers_of_a_session_are_held_out_together(name, first):
    columns = divisible(name)
    division = splits.divide(name, columns)
    assert (division.absent, division.outside) == ((), 0)
    held = parts_by(columns, "speaker", division.places)
    assert {who.split(":")[1] for who, folds in held.items() if folds == {0}} == {first.format(sex) for sex in "FM"}
    assert all(len(folds) == 1 for folds in held.values())
    assert len(held) == 2 * len({*division.places.tolist()})


@pytest.mark.parametrize("name", ["msppodcast-published", "meld-published"])
def test_published_parts_of_clips_are_taken_over_and_numbered_tests_are_test(name):
    rows = [row for row in needing(name) if "parent" not in row]
    corpus = rows[0]["corpus"]
    odd = [{"corpus": corpus, "published": word} for word in (None, "test", "tests", "extra")]
    columns = table([*rows, *odd, {"corpus": "mine", "published": "train"}])
    division = splits.divide(name, columns)
    expected = {"train": TRAIN, "dev": DEV, "test1": TEST, "test2": TEST}
    assert division.places.tolist() == [expected[row["published"]] for row in rows] + [-1, TEST, -1, -1, -1]
    assert division.outside == 4
    with pytest.raises(UsageError, match=f"tables of {corpus}; the manifest has tess"):
        splits.divide(name, table(tess()))


def test_loso_makes_one_fold_per_speaker_in_name_order():
    columns = table(ravdess())
    assert parts_by(columns, "speaker", splits.divide("loso", columns).places) == {
        f"ravdess:{actor:02}": {actor - 1} for actor in range(1, 25)
    }
    with pytest.raises(UsageError, match="here are 1"):
        splits.divide("loso", table(tess(["OAF"])))


def test_missing_speakers_of_a_protocol_are_named():
    division = splits.divide("cremad-nk", table(crema(range(1001, 1073))))
    assert division.absent == tuple(f"cremad:{number}" for number in range(1073, 1092))
    assert splits.divide("tess-cross", table(tess(["OAF"]))).absent == ("tess:YAF",)


def test_clips_of_other_corpora_are_left_out_of_a_protocol():
    rows = ravdess() + tess() + [{"emotion": "sad"}]
    division = splits.divide("ravdess-luna", table(rows))
    assert (division.places[: len(ravdess())] >= 0).all()
    assert (division.places[len(ravdess()) :] == -1).all()
    assert division.outside == len(tess()) + 1


def test_protocol_without_its_corpus_lists_the_corpora_present():
    words = r"--split cremad-nk needs the speakers of cremad; the manifest has ravdess \(576 rows\), tess \(240 rows\)$"
    with pytest.raises(UsageError, match=words):
        splits.divide("cremad-nk", table(ravdess() + tess()))
    bare = [{name: row[name] for name in ("clip", "speaker")} for row in tess()]
    with pytest.raises(UsageError, match=r"has tess \(240 rows\)$"):
        splits.divide("cremad-nk", table(bare))
    nobody = [row | {"speaker": None} for row in crema([1001])]
    with pytest.raises(UsageError, match=r"has cremad \(\d+ rows\); \d+ rows have no speaker$"):
        splits.divide("cremad-nk", table(nobody))
    with pytest.raises(UsageError, match=r"has no corpus; 1 rows have no speaker$"):
        splits.divide("cremad-nk", table([{"emotion": "sad"}]))


@pytest.mark.parametrize("asked", ["speaker", "speaker+sentence", "loso", "folds"])
def test_clips_without_a_speaker_are_refused_with_a_suggested_fix(asked):
    columns = table([*tess(), {"emotion": "sad", "sentence": "w1"}, {"emotion": "sad", "sentence": "w2"}])
    with pytest.raises(
        UsageError, match=r"2 of 242 rows have no speaker.*`sertool index` --pattern, --table .*--protocol random-80-20"
    ) as e:
        splits.folds(2, columns) if asked == "folds" else splits.divide(asked, columns)
    assert "\n" not in str(e.value)


def test_clips_without_speakers_can_be_split_at_random_or_by_sentence():
    columns = table([{"emotion": "sad", "sentence": f"w{n % 7}"} for n in range(100)])
    assert (splits.divide("random-80-20", columns).places >= 0).all()
    assert disjoint(columns, "sentence", splits.divide("sentence", columns).places)
    with pytest.raises(UsageError, match="none of 2 rows has a sentence"):
        splits.divide("sentence", table([{"speaker": "x:1"}, {"speaker": "x:2"}]))


# At random.


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("random-80-20", (0.8, 0, 0.2)),
        ("random-70-30", (0.665, 0.035, 0.3)),
        ("random-60-20-20", (0.6, 0.2, 0.2)),
        ("random-70-15-15", (0.7, 0.15, 0.15)),
        ("random-92-8-leaky-copies", (0.92, 0, 0.08)),
        ("random", (0.7, 0.15, 0.15)),
        ("random:train=50/dev=50", (0.5, 0.5, 0)),
    ],
)
def test_random_splits_keep_their_shares_within_every_emotion(name, shares):
    columns = table(crema())
    place = splits.divide(name, columns, 3).places
    for emotion, part in product(range(6), range(3)):
        rows = columns["emotion"].index == emotion
        assert abs((place[rows] == part).sum() - shares[part] * rows.sum()) <= 2
    for part in range(3):
        assert abs((place == part).sum() - shares[part] * len(place)) <= 1
    assert not disjoint(columns, "speaker", place)


def test_only_the_random_splits_and_the_parts_of_meld_are_leaky():
    leaky = {name for name, entry in PROTOCOLS.items() if entry.is_leaky}
    assert leaky == {name for name in PROTOCOLS if name.startswith("random")} | {"meld-published"}


# Copies.


@pytest.mark.parametrize("name", [n for n, e in PROTOCOLS.items() if not e.folds and not e.copies])
def test_copies_train_only_if_their_parents_train(name):
    rows = needing(name)
    columns, bare = table(rows), table([row for row in rows if "parent" not in row])
    place = splits.divide(name, columns, 2).places
    half = len(rows) // 2
    np.testing.assert_array_equal(place[:half], splits.divide(name, bare, 2).places)
    np.testing.assert_array_equal(place[half:], np.where(place[:half] == TRAIN, TRAIN, -1))


def test_only_the_leaky_copies_protocol_puts_copies_in_test():
    columns = divisible("random-92-8-leaky-copies")
    place = splits.divide("random-92-8-leaky-copies", columns).places
    assert (place[columns["parent"].index >= 0] == TEST).any()
    kinds = {finding.kind for finding in leak_guard.audit(Codes(place, PARTS), columns)}
    assert {"speaker", "parent"} <= kinds


@pytest.mark.parametrize("name", [name for name, entry in PROTOCOLS.items() if entry.folds])
def test_copies_share_the_fold_of_their_parents_but_only_train(name):
    columns = divisible(name)
    fold = splits.divide(name, columns).places
    half, last = len(fold) // 2, int(fold.max())
    np.testing.assert_array_equal(fold[:half], fold[half:])
    for k in {0, last // 2, last}:
        split = splits.split_of_fold(fold, columns, k)
        np.testing.assert_array_equal(split[half:], np.where(split[:half] == TRAIN, TRAIN, -1))
        assert not [f for f in leak_guard.audit(Codes(split, PARTS), columns) if f.leak]


@pytest.mark.parametrize("name", ["speaker", "random-80-20"])
def test_copies_of_copies_follow_the_original_clip(name):
    rows = crema(range(1001, 1011))
    chain = [row | {"clip": f"{row['clip']}#1", "parent": row["clip"]} for row in rows]
    chain += [row | {"clip": f"{row['clip']}#1", "parent": row["clip"]} for row in chain]
    place = splits.divide(name, table(rows + chain)).places.reshape(3, -1)
    np.testing.assert_array_equal(place[1], np.where(place[0] == TRAIN, TRAIN, -1))
    np.testing.assert_array_equal(place[2], place[1])


def test_copies_without_their_parents_train_or_are_left_out():
    rows = with_copies(crema(range(1001, 1011)))
    gone = [row for place, row in enumerate(rows) if place % 7 or "parent" in row]
    columns = table(gone)
    place = splits.divide("speaker", columns).places
    assert not leak_guard.audit(Codes(place, PARTS), {"speaker": columns["speaker"]})
    copies = columns["parent"].index >= 0
    assert set(place[copies]) == {-1, TRAIN}
    clips = set(words(columns["clip"]))
    orphans = np.array([parent is not None and parent not in clips for parent in words(columns["parent"])])
    assert set(place[orphans]) == {-1, TRAIN}
    assert set(splits.divide("random-80-20", columns).places[orphans]) == {-1}


def test_table_of_copies_alone_is_left_without_parts():
    columns = table([row for row in with_copies(crema([1001, 1002])) if "parent" in row])
    for name in ("speaker", "speaker:80/20", "random-80-20"):
        assert set(splits.divide(name, columns).places) == {-1}


# Folds.


@pytest.mark.parametrize("seed", range(10))
def test_dev_of_a_fold_is_an_eighth_of_the_other_speakers(seed):
    columns = table(crema(range(1001, 1041)))
    fold = splits.folds(5, columns, seed).places
    for k in range(5):
        dev = splits.dev_of_fold(fold, columns["speaker"], k, seed, labelled=True)
        who = {name for name, row in zip(words(columns["speaker"]), dev, strict=True) if row}
        others = {name for name, row in zip(words(columns["speaker"]), fold != k, strict=True) if row}
        assert len(who) == round(len(others) / 8)
        assert who < others
        assert disjoint(columns, "speaker", splits.split_of_fold(fold, columns, k, seed))
    choices = {
        splits.dev_of_fold(fold, columns["speaker"], k, s, labelled=True).tobytes() for k in range(5) for s in range(4)
    }
    assert len(choices) > 15


def test_dev_of_a_fold_leaves_at_least_one_speaker_to_train():
    for speakers, size in ((2, 0), (3, 1), (4, 1), (12, 1), (13, 2)):
        columns = table([{"speaker": f"x:{who}"} for who in range(speakers) for _ in range(3)])
        fold = splits.divide("loso", columns).places
        split = splits.split_of_fold(fold, columns, 0)
        assert (split == DEV).sum() == 3 * size
        assert (split == TRAIN).any()


def test_dev_of_a_fold_has_a_labelled_speaker():
    columns = table([{"speaker": f"x:{who}", "emotion": "sad" if who < 3 else None} for who in range(8)])
    for seed in range(20):
        split = splits.split_of_fold(np.arange(8), columns, 0, seed)
        assert np.flatnonzero(split == DEV).tolist() in ([1], [2])


def test_fold_dev_shares_no_speaker_with_test_even_in_leaky_folds():
    columns = table(emobox_like(100))
    fold = fold_column(columns)
    for k in range(5):
        dev = splits.dev_of_fold(fold, columns["speaker"], k, 0, labelled=True)
        assert not set(columns["speaker"].index[dev]) & set(columns["speaker"].index[fold == k])


def test_invalid_number_of_folds_is_refused():
    columns = table(ravdess())
    for count in (0, 1, 25):
        with pytest.raises(UsageError, match=f"--folds {count}: at least 2, .* 24"):
            splits.folds(count, columns)
    assert set(splits.folds(24, columns).places) == set(range(24))


# Expressions.


@pytest.mark.parametrize(
    ("asked", "shares"),
    [
        ("speaker", (0.7, 0.15, 0.15)),
        ("speaker:80/20", (0.8, 0, 0.2)),
        ("sentence:80/10/10", (0.8, 0.1, 0.1)),
        ("speaker+sentence:0.5/0.25/0.25", (0.5, 0.25, 0.25)),
        ("speaker:test=30/train=70", (0.7, 0, 0.3)),
        ("speaker:train=90/dev=10", (0.9, 0.1, 0)),
        ("random-92-8-leaky-copies", (0.92, 0, 0.08)),
        ("cremad-nk", None),
        ("loso", None),
    ],
)
def test_split_expressions_are_parsed_into_name_and_shares(asked, shares):
    plan = protocols.parse(asked)
    assert plan.name == asked.partition(":")[0]
    assert plan.shares == (None if shares is None else pytest.approx(shares))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            "speker:70/15/15",
            r"choose from speaker, sentence, speaker\+sentence, loso, cremad-nk, .*random-92-8-leaky-copies",
        ),
        ("", "choose from speaker"),
        ("random-80-20:90/10", "random-80-20 takes no shares; speaker, sentence, speaker\\+sentence, random do"),
        ("cremad-nk:70/15/15", "takes no shares"),
        ("speaker:", "such as 70/15/15"),
        ("speaker:100", "such as 70/15/15"),
        ("speaker:70/15/10/5", "such as 70/15/15"),
        ("speaker:80/0/20", "such as 70/15/15"),
        ("speaker:120/-20", "such as 70/15/15"),
        ("speaker:nan/20", "such as 70/15/15"),
        ("speaker:a/b", "such as 70/15/15"),
        ("speaker:train=50/train=50", "such as 70/15/15"),
        ("speaker:dev=50/test=50", "such as 70/15/15"),
        ("speaker:train=80/valid=20", "such as 70/15/15"),
        ("speaker:train=80/20", "such as 70/15/15"),
        ("speaker:70/15/5", "add up to 90, not to 100"),
    ],
)
def test_invalid_split_expression_is_refused_with_valid_examples(asked, says):
    with pytest.raises(UsageError, match=says) as error:
        protocols.parse(asked)
    assert "\n" not in str(error.value)


# Codes.


def test_hash_agrees_with_a_naive_reference_implementation():
    def mix(number):
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
        return number ^ number >> 31

    def weight(place):
        return mix((place + 1) * 0x9E3779B97F4A7C15 % 2**64) | 1

    values = ["", "a", "ab", "ba", "cremad:1001", "Überraschung", "\udce4 undecodable", "x" * 3000, "a\0", "\0"]
    for salt in ((), (3,), (3, -1)):
        expected = [
            mix(sum(ord(letter) * weight(place) for place, letter in enumerate(word)) % 2**64) for word in values
        ]
        for number in salt:
            expected = [mix((one + mix(number % 2**64)) % 2**64) for one in expected]
        assert codes.hashes(values, salt).tolist() == expected


def test_hash_does_not_depend_on_container_type_or_chunking(monkeypatch):
    class OneByOne:
        def __init__(self, words):
            self.words = words

        def __len__(self):
            return len(self.words)

        def __getitem__(self, place):
            return self.words[int(place)]

    values = [f"corpus/{n:04}" * (n % 5) + str(n) for n in range(1000)]
    expected = codes.hashes(values)
    monkeypatch.setattr(codes, "SLICE", 7)
    for held in (values, OneByOne(values), np.array(values), np.array(values, dtype=object)):
        np.testing.assert_array_equal(codes.hashes(held), expected)
    assert len(set(expected.tolist())) == 1000
    assert len(codes.hashes([])) == 0


def test_find_gives_the_position_of_each_string():
    assert codes.find(["b", "x", "a"], ["a", "b", "c"]).tolist() == [1, -1, 0]
    assert codes.find([], ["a"]).tolist() == []
    assert codes.find(["a"], ()).tolist() == [-1]


def test_codes_can_be_selected_by_row_and_counted():
    column = coded(["b", "a", None, "b"])
    assert words(codes.take(column, np.array([3, 2]))) == ["b", None]
    assert codes.counts(column).tolist() == [1, 2]
    assert codes.counts(column, np.array([True, False, True, False])).tolist() == [0, 1]


def test_splitting_imports_no_heavy_modules():
    heavy = "torch", "pyarrow", "scipy", "sklearn", "click", "soundfile"
    program = f"import sys, sertool.divisions.leak_guard; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


# Three million rows.

MANY = """
import json, sys, time
import numpy as np, pyarrow as pa
from sertool.divisions import leak_guard, splits
from sertool.numeric.codes import Codes

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1e6

def names(pattern, many):
    return pa.array([pattern % number for number in many])

rows, rng, parents = 3_000_000, np.random.default_rng(0), 2_000_000
every = np.arange(rows, dtype=np.int32)
clips = pa.concat_arrays([names("corpus/speaker/utterance-%07d", range(start, start + 100_000))
                          for start in range(0, rows, 100_000)])
speakers = int(sys.argv[1])
who = rng.integers(0, speakers, rows).astype(np.int32)
parent = np.where(every < parents, -1, every - parents).astype(np.int32)
who[parents:] = who[: rows - parents]
columns = {
    "clip": Codes(every, clips),
    "speaker": Codes(who, names("corpus:%07d", range(speakers))),
    "sentence": Codes(rng.integers(-1, 50_000, rows).astype(np.int32), names("sentence %d", range(50_000))),
    "emotion": Codes(rng.integers(0, 7, rows).astype(np.int32), list("abcdefg")),
    "digest": Codes(every, clips),
    "parent": Codes(parent, clips.slice(0, parents)),
}
seconds, leaks = {}, {}
for name in sys.argv[2:]:
    begin = time.process_time()
    division = splits.folds(5, columns) if name == "folds" else splits.divide(name, columns)
    seconds[name] = time.process_time() - begin
    begin = time.process_time()
    leaks[name] = [found.kind for found in leak_guard.audit(division.parts, columns, False) if found.leak]
    seconds["audit of " + name] = time.process_time() - begin
print(json.dumps({"seconds": seconds, "leaks": leaks, "gigabytes": peak()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads its peak from /proc")
@pytest.mark.parametrize("speakers", [100, 100_000, 2_000_000])
def test_three_million_rows_are_split_within_seconds_and_little_memory(speakers):
    pytest.importorskip("pyarrow")
    asked = ["speaker", "speaker+sentence", "folds", "random-80-20"]
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(speakers), *asked], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["leaks"] == {"speaker": [], "speaker+sentence": [], "folds": [], "random-80-20": ["speaker"]}
    assert max(found["seconds"].values()) < 30, found  # one or two; rows against rows would be hours
    assert found["gigabytes"] < 1.2, found


@pytest.mark.parametrize("how", ["speaker:70/15/15", "speaker:train=80/test=20", "cremad-nk", "random-80-20"])
def test_split_expression_is_recorded_as_typed(how):
    table = manifest.from_columns({"clip": ["a"]})
    for said in (f"--split {how}", f"--split={how}"):
        told = provenance.made_by(table, f"sertool index x {said} -o y.parquet", None)
        assert own_division.protocol(told) == how


def test_the_latest_command_that_divides_says_how_clips_are_divided():
    table = manifest.from_columns({"clip": ["a"], "split": ["test"]})
    for how in ("--split random", "--split speaker", "--where x=1"):
        table = provenance.made_by(table, f"sertool index a.parquet {how}", 0, table)
    assert own_division.protocol(table) == "speaker"
