"""featurize --given: features that another program made."""

import csv
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from running import ages, rows, sertool

from sertool.errors import SertoolError
from sertool.featurize import shards
from sertool.manifests import manifest, manifest_io
from sertool.modelfiles import inference
from sertool.networks import tensorfile

WIDTH = 3
HEADER = ["loudness", "f0", "hnr"]


def values_of(clips: Sequence[str], width: int = WIDTH) -> dict[str, np.ndarray]:
    """Numbers of each clip that float32 holds as they are written."""
    drawn = np.random.default_rng(0).integers(-1000, 1000, (len(clips), width)) / 8
    return dict(zip(clips, drawn.astype(np.float32), strict=True))


def clips_of(voices: Path) -> list[str]:
    return manifest.column(manifest_io.read(str(voices)), "clip")


def paths_of(voices: Path) -> dict[str, Path]:
    table = manifest_io.read(str(voices))
    return dict(zip(manifest.column(table, "clip"), map(Path, manifest.column(table, "path")), strict=True))


def written(path: Path, header: Sequence[object], lines: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])
    return path


def table_of(voices: Path, path: Path, left_out: int = 0) -> Path:
    """A table of all clips by name, but for the last few."""
    clips = clips_of(voices)
    held = list(values_of(clips).items())[: len(clips) - left_out]
    return written(path, ["clip", *HEADER], [[clip, *numbers.tolist()] for clip, numbers in held])


def stored(folder: Path, feature: str = "given") -> dict[str, np.ndarray]:
    return {clip: held[0] for clip, held in rows(folder, feature).items()}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[clip], expected[clip]) for clip in found)


@pytest.mark.parametrize(
    ("column", "named"),
    [
        ("clip", lambda clip, _: clip),
        ("file", lambda _, path: path),
        ("Filename", lambda _, path: f"D:\\corpus\\{path.parent.name}\\{path.with_suffix('.flac').name}"),
        ("path", lambda _, path: f"{path.parent.name}/{path.stem}"),
    ],
)
def test_rows_are_stored_for_the_clips_that_their_names_mean(voices, tmp_path, column, named):
    paths = paths_of(voices)
    expected = values_of(clips_of(voices))
    lines = [[named(clip, paths[clip]), *expected[clip].tolist()] for clip in reversed(expected)]
    done = sertool(
        "featurize", voices, "--given", written(tmp_path / "x.csv", [column, *HEADER], lines), "-o", tmp_path
    )
    assert done.code == 0, done.err
    assert done.line == f"given of 24 clips in {tmp_path} (24 made now)"
    assert same(stored(tmp_path), expected)
    assert shards.head_of(tmp_path / "given" / "00000.safetensors").columns == HEADER


def test_several_named_tables_lie_beside_computed_features(voices, tmp_path):
    table = table_of(voices, tmp_path / "x.csv")
    given = ("--given", f"egemaps={table}", "--given", f"x-vector={table}")
    done = sertool(
        "featurize", voices, *given, "--rms", "--stats", "mean,std", "--values", tmp_path / "v.csv", "-o", tmp_path
    )
    assert done.code == 0, done.err
    expected = values_of(clips_of(voices))
    assert same(stored(tmp_path, "given_egemaps"), expected)
    assert same(stored(tmp_path, "given_x-vector"), expected)
    alone = sertool("featurize", voices, "--rms", "--stats", "mean,std", "-o", tmp_path / "alone")
    assert alone.code == 0
    assert same(stored(tmp_path, "rms"), stored(tmp_path / "alone", "rms"))
    held = manifest_io.read_table(str(tmp_path / "v.csv"))
    assert {"rms_mean", "given_egemaps_loudness", "given_x-vector_hnr"} < {*held.column_names}
    assert np.array_equal(held.column("given_egemaps_f0").to_numpy(), [numbers[1] for numbers in expected.values()])


@pytest.mark.parametrize("kind", ["text", "numbers", "durations"])
def test_frames_come_in_the_order_of_their_starts_and_take_statistics(voices, tmp_path, kind):
    paths = paths_of(voices)
    frames = {
        clip: np.float32([[place, place * place] for place in range(5)]) + turn for turn, clip in enumerate(paths)
    }
    lines = [(paths[clip], place / 100, (place + 2) / 100, *own[place].tolist()) for clip, own in frames.items()
             for place in (3, 0, 4, 1, 2)]  # fmt: skip
    columns = dict(zip(("file", "start", "end", "a", "b"), zip(*lines, strict=True), strict=True))
    columns["file"] = [*map(str, columns["file"])]
    if kind == "text":
        for name in ("start", "end"):
            columns[name] = ["0 days" if not time else f"0 days 00:00:{time:09.6f}" for time in columns[name]]
    if kind == "durations":
        for name in ("start", "end"):
            columns[name] = pa.array([round(time * 1e9) for time in columns[name]], pa.duration("ns"))
    table = tmp_path / "lld.parquet"
    parquet.write_table(pa.table(columns), table)
    done = sertool("featurize", voices, "--given", table, "-o", tmp_path / "frames")
    assert done.code == 0, done.err
    found = rows(tmp_path / "frames", "given")
    assert all(np.array_equal(found[clip], own) for clip, own in frames.items())
    sertool("featurize", voices, "--given", table, "--stats", "mean,max", "-o", tmp_path / "stats")
    summed = stored(tmp_path / "stats")
    assert all(np.allclose(summed[clip], [*own.mean(axis=0), *own.max(axis=0)]) for clip, own in frames.items())


def test_parts_of_one_file_have_the_rows_within_them(voices, tmp_path):
    path = next(iter(paths_of(voices).values()))
    parts = [("first", 0.0, 0.4), ("second", 0.4, 0.8), ("across", 0.2, 0.6)]
    written(tmp_path / "parts.csv", ["clip", "path", "start", "end"], [[name, path, *span] for name, *span in parts])
    lines = [[path, *span, turn] for turn, (_, *span) in enumerate(parts)]
    table = written(tmp_path / "x.csv", ["file", "start", "end", "number"], lines)
    done = sertool("featurize", tmp_path / "parts.csv", "--given", table, "-o", tmp_path / "f")
    assert done.code == 0, done.err
    assert {clip: held.tolist() for clip, held in stored(tmp_path / "f").items()} == {
        "first": [0.0], "second": [1.0], "across": [2.0],
    }  # fmt: skip
    whole = written(tmp_path / "whole.csv", ["file", "number"], [[path, 1]])
    refused = sertool("featurize", tmp_path / "parts.csv", "--given", whole, "-o", tmp_path / "g")
    assert refused.code == 1
    assert "is the file of 3 clips" in refused.line


@pytest.mark.usefixtures("small_shards")
def test_a_changed_row_remakes_only_its_shard(voices, tmp_path):
    table = table_of(voices, tmp_path / "x.csv")
    sertool("featurize", voices, "--given", table, "-o", tmp_path / "f")
    before = ages(tmp_path / "f")
    assert "(0 made now)" in sertool("featurize", voices, "--given", table, "-o", tmp_path / "f").line
    lines = table.read_text().splitlines()
    lines[7] = f"{lines[7].split(',')[0]},1,2,3"
    table.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert "(5 made now)" in sertool("featurize", voices, "--given", table, "-o", tmp_path / "f").line
    after = ages(tmp_path / "f")
    assert [name for name in before if before[name] != after[name] and name.endswith("tensors")] == [
        "given/00001.safetensors"
    ]
    assert stored(tmp_path / "f")[clips_of(voices)[6]].tolist() == [1, 2, 3]


@pytest.mark.usefixtures("small_shards")
def test_clips_without_a_row_are_set_aside_until_they_have_one(voices, tmp_path):
    table = table_of(voices, tmp_path / "x.csv", left_out=2)
    done = sertool("featurize", voices, "--rms", "--given", table, "-o", tmp_path / "f")
    assert done.code == 0
    assert "2 not-given" in done.err
    assert "no row in the file of --given" in done.err
    held = manifest_io.read(str(tmp_path / "f" / "manifest.parquet"))
    assert manifest.column(held, "issue")[-3:] == [None, "not-given", "not-given"]
    assert len(rows(tmp_path / "f", "rms")) == 24  # which does not depend on the other file
    table_of(voices, table)
    done = sertool("featurize", voices, "--rms", "--given", table, "-o", tmp_path / "f")
    assert done.line == f"rms, given of 24 clips in {tmp_path / 'f'} (4 made now)"


def test_clips_with_missing_or_infinite_numbers_are_set_aside_and_their_columns_named(voices, tmp_path):
    clips = clips_of(voices)
    lines = [[clip, 1, 2, 3] for clip in clips]
    lines[1][2], lines[2][2], lines[3][3] = "", "nan", "-inf"
    table = written(tmp_path / "x.csv", ["clip", *HEADER], lines)
    done = sertool("featurize", voices, "--given", table, "-o", tmp_path / "f")
    assert done.code == 0
    assert f"{table}: f0, hnr: a number is missing or infinite in 3 clips, such as {clips[1]}" in done.err
    assert [clip for clip in clips if clip not in stored(tmp_path / "f")] == clips[1:4]
    assert "3 not-finite" in done.err


def test_what_is_known_of_clips_is_never_a_feature(voices, tmp_path):
    known = ["label", "fold", "age", "Duration", "class", "channel", "p_angry", ""]
    lines = [[clip, *[turn] * (len(known) - 1), turn, "words", turn] for turn, clip in enumerate(clips_of(voices))]
    table = written(tmp_path / "x.csv", ["clip", *known, "remark", "loudness"], lines)
    done = sertool("featurize", voices, "--given", table, "-o", tmp_path / "f")
    assert shards.head_of(tmp_path / "f" / "given" / "00000.safetensors").columns == ["loudness"]
    assert (
        "1 column of numbers taken as features, but not label, fold, age, Duration, class, channel, p_angry" in done.err
    )


def test_statistics_that_were_exported_come_back_as_they_were(voices, tmp_path):
    exported = ("--stats", "mean", "--values", tmp_path / "v.csv")
    sertool("featurize", voices, "--rms", "--zcr", *exported, "-o", tmp_path / "f")
    done = sertool("featurize", voices, "--given", tmp_path / "v.csv", "-o", tmp_path / "g")
    assert done.code == 0
    expected = [stored(tmp_path / "f", name) for name in ("rms", "zcr")]
    assert all(
        held.tolist() == [*expected[0][clip], *expected[1][clip]] for clip, held in stored(tmp_path / "g").items()
    )


def arrays(path: Path, named: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **named)
    else:
        with path.open("wb") as stream:
            tensorfile.write(stream, {}, {name: (own.dtype.name, own.shape, [own]) for name, own in named.items()})
    return path


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_arrays_by_clip_or_file_are_stored(voices, tmp_path, ending):
    paths, expected = paths_of(voices), values_of(clips_of(voices), 5)
    named = {str(paths[clip]) if turn % 2 else clip: own for turn, (clip, own) in enumerate(expected.items())}
    done = sertool("featurize", voices, "--given", f"x={arrays(tmp_path / f'a{ending}', named)}", "-o", tmp_path)
    assert done.code == 0, done.err
    assert same(stored(tmp_path, "given_x"), expected)
    frames = {clip: np.stack([own] * (2 + turn % 3)) for turn, (clip, own) in enumerate(expected.items())}
    done = sertool("featurize", voices, "--given", arrays(tmp_path / f"b{ending}", frames), "-o", tmp_path / "frames")
    assert same(rows(tmp_path / "frames", "given"), frames)
    assert shards.head_of(tmp_path / "frames" / "given" / "00000.safetensors").columns[-1] == "given_4"


def test_damaged_or_nameless_arrays_are_refused_in_one_line(voices, tmp_path):
    whole = arrays(tmp_path / "a.npz", values_of(clips_of(voices))).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.npz").touch()
    with (tmp_path / "nameless.npz").open("wb") as stream:
        np.save(stream, np.zeros((24, 3)))
    for name in ("cut", "empty", "nameless"):
        done = sertool("featurize", voices, "--given", tmp_path / f"{name}.npz", "-o", tmp_path / "f")
        assert done.code == 1
        assert "numpy.savez" in done.line


def test_lists_in_a_table_are_columns(voices, tmp_path):
    expected = values_of(clips_of(voices))
    table = pa.table({"clip": [*expected], "embedding": [own.tolist() for own in expected.values()]})
    parquet.write_table(table, tmp_path / "x.parquet")
    done = sertool("featurize", voices, "--given", tmp_path / "x.parquet", "-o", tmp_path)
    assert done.code == 0, done.err
    assert same(stored(tmp_path), expected)


def test_copies_to_be_made_have_no_rows_of_their_original(voices, tmp_path):
    augmented = tmp_path / "copies.parquet"
    assert sertool("augment", voices, "--copies", 1, "--noise", 10, "-o", augmented).code == 0
    paths, expected = paths_of(voices), values_of(clips_of(voices))
    lines = [[paths[clip], *own.tolist()] for clip, own in expected.items()]
    table = written(tmp_path / "x.csv", ["path", *HEADER], lines)
    done = sertool("featurize", augmented, "--given", table, "-o", tmp_path / "f")
    assert "24 not-given" in done.err
    assert same(stored(tmp_path / "f"), expected)


class _Trap:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("opened"),)


def test_pickles_are_never_loaded(voices, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", a=np.array([_Trap()], dtype=object))
    Path("plain.npz").write_bytes(pickle.dumps(_Trap()))
    for name in ("objects.npz", "plain.npz"):
        done = sertool("featurize", voices, "--given", name, "-o", "f")
        assert done.code == 1
        assert "numpy.savez" in done.line
    assert not Path("opened").exists()


BAD = {
    "no column of clips or paths": "id,a\n1,2\n",
    "no column of numbers": "clip,emotion\nx,angry\n",
    "stands in 2 rows, and no column start": "clip,a\nx,1\nx,2\n",
    "has two rows that start at 0.5 s": "clip,start,a\nx,0.5,1\nx,0.5,2\n",
    "none of its 1 names, such as 'x', is a clip or file here": "clip,a\nx,1\n",
    "column a holds 'high' in row 2, and numbers elsewhere": "clip,a\nx,1\ny,high\n",
    "column start holds 'soon'": "clip,start,a\nx,soon,1\n",
    "more than one column is named a": "clip,a,a\nx,1,2\n",
    "empty input": "",
}


@pytest.mark.parametrize(("says", "text"), BAD.items())
def test_unusable_tables_are_refused_in_one_line(voices, tmp_path, says, text):
    (tmp_path / "x.csv").write_text(text)
    done = sertool("featurize", voices, "--given", tmp_path / "x.csv", "-o", tmp_path / "f")
    assert done.code in (1, 2)
    assert done.line.startswith(f"sertool: --given {tmp_path / 'x.csv'}: ")
    assert says in done.line
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--stats", "mean"), "each clip has one row"),
        (("--trim", "40", "--rate", 8000), "--rate, --trim: nothing is computed of sound"),
        (("--hop", 160), "--hop"),
        (("--given", "x.csv"), "another file has its name"),
        (("--plot", "x.png"), "leave out --given"),
        (("--mel", "--verify", 2), "leave out --given"),
        (("--given", "y=missing.csv"), "no such file"),
    ],
)
def test_options_that_given_features_cannot_take_are_refused(voices, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    table_of(voices, Path("x.csv"))
    done = sertool("featurize", voices, "--given", "x.csv", *words)
    assert done.code == 2
    assert says in done.line
    assert not Path("features").exists()


def test_other_columns_do_not_replace_shards_unasked(voices, tmp_path):
    sertool("featurize", voices, "--given", table_of(voices, tmp_path / "x.csv"), "-o", tmp_path / "f")
    lines = [[clip, 1, 2] for clip in clips_of(voices)]
    table = written(tmp_path / "y.csv", ["clip", *HEADER[:2]], lines)
    done = sertool("featurize", voices, "--given", table, "-o", tmp_path / "f")
    assert done.code == 2
    assert "was made with other settings (columns" in done.line
    assert sertool("featurize", voices, "--given", table, "-o", tmp_path / "f", "--overwrite").code == 0


@pytest.fixture(scope="module")
def trained(voices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shards of given features and of one computed feature, and a run on the former."""
    folder = tmp_path_factory.mktemp("given")
    table = table_of(voices, folder / "x.csv")
    made = sertool("featurize", voices, "--given", f"voice={table}", "--rms", "--stats", "mean", "-o", folder / "f")
    words = ("-m", "lda", "--split", "speaker:50/25/25", "--features", "given_voice")
    done = sertool("train", *words, "-o", folder / "run", stdin=made.out)
    assert done.code == 0, done.err
    return folder


def test_model_answers_for_a_manifest_of_given_features(trained, voices):
    done = sertool("predict", "-m", trained / "run", trained / "f" / "manifest.parquet", "-f", "jsonl")
    assert done.code == 0, done.err
    assert done.out.count(b'"predicted"') == 24
    shard = sertool("predict", "-m", trained / "run", trained / "f" / "given_voice" / "00000.safetensors")
    assert shard.code == 0, shard.err


def test_model_of_given_features_refuses_sound(trained, voices):
    path = next(iter(paths_of(voices).values()))
    for jobs in (1, 2):
        done = sertool("predict", "-m", trained / "run", "-j", jobs, path)
        assert done.code == 2
        assert "the model takes given_voice (loudness, f0 and 1 more), which a file gave" in done.line
        assert "featurize --given" in done.line
    done = sertool("predict", "-m", trained / "run", "--window", 1, trained / "f" / "manifest.parquet")
    assert done.code == 2
    assert "--window needs sound" in done.line


def test_model_refuses_other_columns_than_it_was_trained_on(trained, voices, tmp_path):
    lines = [[clip, *own.tolist()] for clip, own in values_of(clips_of(voices)).items()]
    table = written(tmp_path / "x.csv", ["clip", *reversed(HEADER)], lines)
    sertool("featurize", voices, "--given", f"voice={table}", "-o", tmp_path / "f")
    done = sertool("predict", "-m", trained / "run", tmp_path / "f" / "manifest.parquet")
    assert done.code == 2
    assert "of the same columns" in done.err.splitlines()[-1]


def test_model_card_names_the_columns(trained):
    done = sertool("predict", "-m", trained / "run", "--model-card")
    assert "features: given_voice (3 columns given in a file: loudness, f0, hnr)" in done.out.decode()


def test_given_features_train_beside_computed_ones(trained):
    source = trained / "f" / "manifest.parquet"
    done = sertool("train", source, "-m", "lda", "--split", "speaker:50/25/25", "-o", trained / "both")
    assert done.code == 0, done.err
    answered = sertool("predict", "-m", trained / "both", source)
    assert answered.code == 0, answered.err
    assert "read from the manifest's shards, not made of the sound: given_voice, rms" in answered.err
    refused = sertool("train", source, "-m", "lda", "--features", "given_other", "-o", trained / "other")
    assert refused.code == 2
    assert "no feature given_other" in refused.line


@pytest.mark.parametrize(
    "settings", [{}, {"columns": []}, {"columns": "ab"}, {"columns": [1]}, {"columns": ["a"], "x": 1}]
)
def test_model_file_with_unsound_columns_is_refused(settings):
    record = {"settings": settings, "wave": {}, "normalize": [], "stats": [], "dtype": "float32"}
    with pytest.raises(SertoolError, match="does not say how its features are made"):
        inference.extraction_of({"given": record})
