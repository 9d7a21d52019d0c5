"""The guard: what leaks from one part into another is found, and nothing else."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from invented import coded, crema, divisible, emobox_like, fold_column, table, tess, words

from sertool.divisions import auditing, leak_guard, splits
from sertool.divisions.protocols import PROTOCOLS
from sertool.divisions.splits import PARTS
from sertool.manifests import manifest
from sertool.numeric.codes import Codes


def test_folds_that_share_speakers_are_caught():
    columns = table(emobox_like(100))
    (found,) = leak_guard.audit(columns["fold"], {"speaker": columns["speaker"]})
    assert (found.kind, found.groups, found.rows, found.leak) == ("speaker", 91, len(columns["clip"].index), True)
    name, parts = found.examples[0]
    assert set(parts) == set("01234")
    assert sum(parts.values()) == words(columns["speaker"]).count(name)
    assert len(found.examples) == 3
    assert str(found).startswith("speaker: 91 in more than one part, 7,442 rows: cremad:1")
    assert not leak_guard.audit(
        splits.Division("fold", fold_column(table(emobox_like(0)))).parts, {"speaker": table(crema())["speaker"]}
    )


def test_single_clip_of_a_speaker_in_another_fold_is_caught():
    rows = emobox_like(0)
    rows[4000]["fold"] = "4" if rows[4000]["fold"] != "4" else "3"
    columns = table(rows)
    (found,) = leak_guard.audit(columns["fold"], {"speaker": columns["speaker"]})
    ((name, parts),) = found.examples
    assert (found.groups, name) == (1, rows[4000]["speaker"])
    assert parts[rows[4000]["fold"]] == 1


@pytest.mark.parametrize("seed", range(30))
def test_audit_agrees_with_a_naive_reference_implementation(seed):
    rng = np.random.default_rng(seed)
    rows, groups, parts = rng.integers(1, 200), rng.integers(1, 80), rng.integers(1, 12)
    group = Codes(rng.integers(-1, groups, rows).astype(np.int32), [f"g{n}" for n in range(groups)])
    place = Codes(rng.integers(-1, parts, rows).astype(np.int8), [f"p{n}" for n in range(parts)])
    lies = defaultdict(Counter)
    for g, p in zip(words(group), words(place), strict=True):
        if g is not None and p is not None:
            lies[g][p] += 1
    crossing = {g: dict(sizes) for g, sizes in lies.items() if len(sizes) > 1}
    found = leak_guard.audit(place, {"digest": group})
    assert len(found) == bool(crossing)
    for finding in found:
        assert finding.groups == len(crossing)
        assert finding.rows == sum(sum(sizes.values()) for sizes in crossing.values())
        assert len(finding.examples) == min(3, len(crossing))
        assert all(crossing[name] == sizes for name, sizes in finding.examples)
        shown = [sum(sizes.values()) for _, sizes in finding.examples]
        assert shown == sorted((sum(sizes.values()) for sizes in crossing.values()), reverse=True)[:3]


def test_identical_audio_in_two_parts_is_a_leak():
    columns = table([{"digest": "d1"}, {"digest": "d1"}, {"digest": "d2"}, {"digest": None}, {"digest": None}])
    parts = Codes(np.array([0, 2, 1, 0, 2], dtype=np.int8), PARTS)
    (found,) = leak_guard.audit(parts, {"digest": columns["digest"]})
    assert (found.examples, found.leak) == ((("d1", {"train": 1, "test": 1}),), True)


def test_shared_sentences_are_a_leak_only_in_strict_mode():
    columns = table(crema())
    parts = splits.divide("speaker", columns).parts
    for strict in (False, True):
        (found,) = leak_guard.audit(parts, {"sentence": columns["sentence"]}, strict_sentences=strict)
        assert (found.kind, found.groups, found.leak) == ("sentence", 12, strict)


@pytest.mark.parametrize("shared", [True, False])
def test_copies_separated_from_their_parent_or_each_other_are_a_leak(shared):
    names = {
        "a": None, "a#1": "a", "b": None, "b#1": "b", "gone#1": "gone", "gone#2": "gone", "c": None, "c#1": "c",
        "c#1#1": "c#1", "d": None, "d#1": "d",
    }  # fmt: skip
    clip, parent = coded(list(names)), coded(list(names.values()))
    if shared:  # both columns over one list of values
        values = sorted({*names, "gone"})
        clip, parent = (
            Codes(np.array([values.index(w) if w else -1 for w in words(c)]), values) for c in (clip, parent)
        )
    place = np.array([0, 2, 0, 0, 0, 1, 0, 0, 2, 2, -1], dtype=np.int8)
    (found,) = leak_guard.audit(Codes(place, PARTS), {"clip": clip, "parent": parent})
    assert (found.kind, found.groups, found.rows, found.leak) == ("parent", 3, 7, True)
    assert dict(found.examples) == {
        "c": {"train": 2, "test": 1}, "a": {"train": 1, "test": 1}, "gone": {"train": 1, "dev": 1},
    }  # fmt: skip


def test_a_finding_is_one_line_however_many_folds_there_are():
    columns = table(crema())
    (found,) = leak_guard.audit(splits.divide("loso", columns).parts, {"sentence": columns["sentence"]})
    assert len(str(found)) < 200
    assert "IEO (0 16, 1 16, 2 16, 3 15, 4 16, ...)" in str(found)


def test_finding_lists_parts_in_canonical_order_whatever_the_row_order():
    group = coded(["a", "a", "a"])
    for values in (["test", "train", "dev"], ["10", "2", "0"]):
        (found,) = leak_guard.audit(Codes(np.arange(3, dtype=np.int32), values), {"digest": group})
        assert list(found.examples[0][1]) in (["train", "dev", "test"], ["0", "2", "10"])


def test_rows_without_a_part_produce_no_findings():
    columns = table(tess())
    parts = Codes(np.full(240, -1, dtype=np.int8), PARTS)
    assert leak_guard.audit(parts, {"speaker": columns["speaker"], "sentence": columns["sentence"]}) == []
    assert leak_guard.audit(Codes(np.zeros(0, np.int8), PARTS), {"speaker": Codes(np.zeros(0, np.int32), ())}) == []
    assert leak_guard.audit(parts, {}) == []


@pytest.mark.parametrize("name", [name for name, entry in PROTOCOLS.items() if not entry.is_leaky])
def test_protocols_not_marked_leaky_pass_the_audit(name):
    columns = divisible(name)
    held = PROTOCOLS[name].by
    found = leak_guard.audit(
        splits.divide(name, columns).parts, {each: columns[each] for each in [*held, "clip", "parent"]}, True
    )
    assert found == []


def test_audit_reads_only_the_group_names_it_reports():
    class Counted(list):
        reads = 0

        def __getitem__(self, place):
            self.reads += 1
            return super().__getitem__(place)

    group = Codes(np.arange(20_000, dtype=np.int32) % 5000, Counted(f"speaker {n}" for n in range(5000)))
    (found,) = leak_guard.audit(Codes((np.arange(20_000) // 10_000).astype(np.int8), PARTS), {"speaker": group})
    assert found.groups == 5000
    assert group.values.reads == 3


def test_audit_ignores_sounds_that_were_set_aside():
    columns = {"clip": ["a", "b", "c"], "digest": ["1", "1", "2"], "split": ["train", "test", "test"]}
    for issue, leaks in ((None, 1), ("duplicate-of:a", 0)):
        rows = manifest.from_columns(columns | {"issue": [None, issue, None]})
        assert auditing.report(rows, strict_sentences=False) == leaks
