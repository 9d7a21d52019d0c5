"""Three million clips go through the command line in the memory that DESIGN promises."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from running import ON_LINUX, measured

ROWS = 3_000_000
LIMIT = 1.2e9  # bytes that a process may ever hold
WORDS = ("angry", "happy", "sad", "neutral", "fear", "disgust")


def half(number: int) -> pa.Table:
    """One half of a manifest, as an index of a large corpus would leave it."""
    rows = np.arange(ROWS // 2) + number * (ROWS // 2)
    rng = np.random.default_rng(number)

    def text(*parts: object) -> pa.Array:
        return pc.binary_join_element_wise(*(pc.cast(part, pa.string()) for part in parts), "")

    def one_of(words: tuple[str | None, ...], which: np.ndarray) -> pa.Array:
        return pa.array(words, pa.string()).take(pa.array(which))

    name, who = pa.array(rows), pa.array(rows % 5_000)
    return pa.table({
        "clip": text("large/s", who, "/clip", name), "path": text("/data/corpora/large/s", who, "/clip", name, ".wav"),
        "start": np.zeros(len(rows)), "duration": rng.uniform(1, 9, len(rows)), "corpus": one_of(("large",), rows * 0),
        "speaker": text("large:s", who), "sex": one_of(("female", "male"), rows % 2),
        "emotion": one_of(WORDS, rows % 6), "label": one_of(WORDS, rows % 6),
        "sentence": text("text ", pa.array(rows % 997)),
        "sample_rate": np.full(len(rows), 16_000, np.int32), "channels": np.ones(len(rows), np.int16),
        "samples": rng.integers(1, 99_999, len(rows)), "size": rng.integers(1, 99_999, len(rows)),
        "digest": text(*(pa.array(rng.integers(10**15, 10**16, len(rows))) for _ in range(2))),
        "modified": rng.integers(1, 2**60, len(rows)),
        "issue": one_of((None, "silent"), (rows % 1000 == 7).astype(int)),
    })  # fmt: skip


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("large")
    for number in range(2):
        pq.write_table(half(number), folder / f"{number}.parquet", compression="zstd")
    return [folder / "0.parquet", folder / "1.parquet"]


def sertool(*arguments: object) -> tuple[int, str, str]:
    """Exit code, data and talk of a process that kept within the limit."""
    done, peak = measured(*arguments)
    assert peak < LIMIT, f"{arguments} held {peak / 1e9:.2f} GB"
    return done.code, done.out.decode(), done.err


@ON_LINUX
@pytest.mark.slow
def test_three_million_rows_are_merged_split_and_audited_within_the_memory_limit(halves):
    whole, parted = halves[0].with_name("whole.parquet"), halves[0].with_name("parted.parquet")
    code, _, said = sertool("index", *halves, "-o", whole)
    assert (code, said.splitlines()[0].startswith("3,000,000 clips, 5,000 speakers, ")) == (0, True)
    assert "3,000 silent         large/s7/clip7: nothing above -66 dBFS; " in said
    code, _, said = sertool("index", whole, "--split", "speaker:70/15/15", "-o", parted)
    assert (code, "split: train 2," in said) == (0, True)
    assert pq.ParquetFile(parted).metadata.num_rows == ROWS
    code, found, _ = sertool("index", "--audit", parted)
    assert (code, found.splitlines()[-1]) == (0, "no leak between 3 parts of 2,997,000 clips")
    code, _, said = sertool("index", *halves, "--split", "speaker:70/15/15", "-o", parted)
    assert (code, said.splitlines()[0]) == (0, f"{parted} is up to date")


@ON_LINUX
@pytest.mark.slow
def test_duplicate_clip_is_found_among_three_million_rows(halves):
    table = half(0)
    twice = table.column("clip").to_numpy(zero_copy_only=False)
    twice[-1] = twice[17]
    pq.write_table(table.set_column(0, "clip", pa.array(twice)), halves[0].with_name("twice.parquet"))
    code, _, said = sertool("index", halves[0].with_name("twice.parquet"), "-o", halves[0].with_name("never.parquet"))
    assert (code, "clip large/s17/clip17 stands twice" in said) == (1, True)
