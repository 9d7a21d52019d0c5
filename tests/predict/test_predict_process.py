"""predict in batches, processes and pipes: the same rows, in order, as they come."""

import errno
import io
import json
import multiprocessing.synchronize
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from predicted_rows import probabilities, rows_of
from running import piped, sertool

from sertool.featurize.engine import Engine, TooLarge
from sertool.manifests import manifest_io
from sertool.predict import predicting
from sertool.predict.ensemble import Ensemble
from sertool.sound import encoding
from sertool.system import talk


def test_clip_gets_the_same_probabilities_alone_and_in_a_batch(run: Path) -> None:
    together = rows_of(sertool("predict", "-m", run / "model", run / "voices").out)
    alone = rows_of(sertool("predict", "-m", run / "model", together[5]["path"]).out)
    assert probabilities(alone[0]) == pytest.approx(probabilities(together[5]), abs=1e-5)


def test_bf16_probabilities_are_the_same_alone_and_in_a_batch(run: Path) -> None:
    clips = sorted((run / "voices").rglob("*.wav"))[:3]
    together = rows_of(sertool("predict", "-m", "tiny", *clips).out)
    alone = [rows_of(sertool("predict", "-m", "tiny", clip).out)[0] for clip in clips]
    assert [probabilities(row) for row in alone] == [probabilities(row) for row in together]


def test_batched_feature_extraction_gives_the_same_probabilities(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    clips = [*sorted((run / "voices").rglob("*.wav"))[:3], tmp_path / "silent.wav", tmp_path / "gone.wav"]
    soundfile.write(clips[3], np.zeros(8000), 16_000)
    asked = ("-m", run / "model", "--window", ".5", *clips)
    apart = rows_of(sertool("predict", *asked).out)
    sizes: list[int] = []
    packed = Engine.packed
    monkeypatch.setattr(Ensemble, "batches_on_device", True)
    monkeypatch.setattr(Engine, "packed", lambda self, waves: (sizes.append(len(waves)), packed(self, waves))[1])
    together = rows_of(sertool("predict", *asked).out)
    assert max(sizes) > 3
    assert [(row["clip"], row["start"], row["issue"]) for row in together] == [
        (row["clip"], row["start"], row["issue"]) for row in apart
    ]
    for one, other in zip(together, apart, strict=True):
        if not one["issue"]:
            assert probabilities(one) == pytest.approx(probabilities(other), abs=1e-4)


def test_non_finite_clip_does_not_affect_others_in_its_batch(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    good = sorted((run / "voices").rglob("*.wav"))[:2]
    soundfile.write(tmp_path / "huge.wav", 1e30 * soundfile.read(good[0])[0], 16_000, subtype="DOUBLE")
    monkeypatch.setattr(Ensemble, "batches_on_device", True)
    held = rows_of(sertool("predict", "-m", run / "model", good[0], tmp_path / "huge.wav", good[1]).out)
    assert [row["issue"] for row in held] == ["", "not-finite", ""]


def test_first_answer_is_printed_before_all_input_is_read(run: Path) -> None:
    clip = next((run / "voices").rglob("*.wav"))
    with piped("predict", "-m", run / "model", "-f", "jsonl", "-") as (stdin, stdout):
        stdin.write(f"{clip}\n".encode())
        stdin.flush()
        first = json.loads(stdout.readline())
        stdin.write(b"gone.wav\n")
        stdin.close()
        rest = stdout.read()
    assert first["path"] == str(clip)
    assert json.loads(rest)["issue"] == "vanished"


@pytest.mark.parametrize("words", [(), ("--window", 0.2, "--hop", 0.1), ("--channel", "each")])
def test_output_does_not_depend_on_the_number_of_workers(run: Path, tmp_path: Path, words: tuple[object, ...]) -> None:
    for name in range(3 * predicting.BATCH):
        noise = np.random.default_rng(name).normal(0, 0.1, 9_000)
        sides = [noise, -noise] if name % 5 == 0 else [noise, noise]
        (tmp_path / "clips").mkdir(exist_ok=True)
        encoding.write(tmp_path / "clips" / f"{name:03d}.wav", np.stack(sides, axis=1), 16_000)
    for name in ("010", "070"):
        (tmp_path / "clips" / f"{name}.wav").write_bytes(b"RIFF")
    asked = ("predict", "-m", run / "model", *words, "-v", tmp_path / "clips", "-f", "csv")
    alone, together = (sertool(*asked, "-j", jobs) for jobs in (1, 4))
    assert together.out == alone.out
    assert sorted(together.err.splitlines()) == sorted(alone.err.splitlines())
    assert alone.err.count("010.wav: unreadable") == 1


def test_predict_works_where_process_locks_are_unavailable(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    for name in range(2 * predicting.BATCH):
        encoding.write(tmp_path / f"{name}.wav", np.random.default_rng(name).normal(0, 0.1, 9_000), 16_000)
    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", none)
    done = sertool("predict", "-m", run / "model", tmp_path, "-j", 2)
    assert (done.code, len(rows_of(done.out))) == (0, 2 * predicting.BATCH), done.err


def test_progress_is_shown_only_if_stderr_alone_is_a_terminal(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, table = ("predict", "-m", run / "model"), run / "features" / "manifest.parquet"
    clips, count = sorted((run / "voices").rglob("*.wav")), len(manifest_io.read(str(table)))
    assert "predicting" not in sertool(*words, table).err
    monkeypatch.setattr("sertool.system.talk._is_terminal", lambda stream: stream is sys.stderr)
    assert f"| 0/{count} [" in sertool(*words, table).err
    assert f"| 0/{count + 2} [" in sertool(*words, clips[0], table, clips[1]).err
    seen = sertool(*words, run / "voices", clips[0], "--window", 1).err
    assert re.search(rf"\| \d+/{len(clips) + 1} \[", seen)
    assert f"| 0/{count} [" in sertool(*words, table, "--window", 1).err
    assert "predicting: 0 clips [" in sertool(*words, stdin="\n".join(map(str, clips)).encode()).err
    assert "predicting" not in sertool(*words, table, "-q").err
    monkeypatch.setattr("sertool.system.talk._is_terminal", lambda stream: True)
    assert "predicting" not in sertool(*words, table).err
    assert f"| 0/{count} [" in sertool(*words, table, "-o", tmp_path / "rows.csv").err


def test_progress_is_hidden_while_rows_stream_into_a_pipe(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", "-m", run / "model", run / "voices")
    monkeypatch.setattr("sertool.system.talk._is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setattr("sertool.system.talk.to_pipe", lambda: True)
    assert "predicting" not in sertool(*words).err
    assert "predicting" in sertool(*words, "-o", tmp_path / "rows.csv").err
    assert "predicting" in sertool(*words, "-f", "parquet").err  # which comes at the end


def test_progress_counts_all_windows_of_a_clip_as_one_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    total = iter([None, None, 3])
    clips = iter("aaabb")
    rows = ({"clip": clip, "at": time.sleep(0.11)} for clip in clips)
    assert len([*talk.progress_of_answers(rows, lambda: next(total))]) == 5
    shown = re.findall(r"predicting:.*?(\d+(?:/3| clips)) .*?(\d answers)?\]", stream.getvalue())
    assert shown[0] == ("0 clips", "")
    assert shown[-1] == ("1/3", "5 answers")


def test_predict_restores_thread_count_and_switch_interval(run: Path) -> None:
    before = torch.get_num_threads(), sys.getswitchinterval()
    try:
        torch.set_num_threads(3)
        assert sertool("predict", "-m", run / "model", run / "voices").code == 0
        assert (torch.get_num_threads(), sys.getswitchinterval()) == (3, before[1])
    finally:
        torch.set_num_threads(before[0])


def test_clips_that_cannot_be_stored_together_are_computed_one_by_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("predict", "-m", run / "model", *sorted((run / "voices").rglob("*.wav"))[:3])
    wanted, compute = rows_of(sertool(*words).out), Ensemble.features_of

    def refused(ensemble: Ensemble, sounds: Any) -> Any:
        if len(sounds) > 1:
            raise TooLarge("one of them has values that float16 cannot hold")
        return compute(ensemble, sounds)

    monkeypatch.setattr(Ensemble, "batches_on_device", True)
    monkeypatch.setattr(Ensemble, "features_of", refused)
    found = rows_of(sertool(*words).out)
    assert [row["clip"] for row in found] == [row["clip"] for row in wanted]
    for row, expected in zip(found, wanted, strict=True):
        assert probabilities(row) == pytest.approx(probabilities(expected), abs=1e-4)
