"""train in two processes gives the figures of one."""

import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from running import changed
from training_run import NET, table, train

from sertool.manifests import manifest_io
from sertool.modelfiles import modelfile
from sertool.train import members, training


def by_two() -> list[str]:
    """torchrun with two processes, who meet where no other test's do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port]


def in_pairs(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    """`sertool train` by two processes."""
    log = ["--log-dir", tmp_path / "log", "--redirects", "2", "--no-python"]  # of torchrun: each one's stderr by itself
    return subprocess.run(
        [*by_two(), *log, sys.executable, "-m", "sertool", "train", *words], capture_output=True, check=False
    )


def said_by(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in sorted(tmp_path.glob("log/*/*/*/stderr.log"))]


@pytest.mark.slow
def test_two_processes_agree_on_when_to_stop_with_averaged_weights(mel: Path, tmp_path: Path) -> None:
    stops = ("--ema", "0.5", "--patience", "1", "--metric", "loss", "--epochs", "30", "-j", "1")
    done = in_pairs(tmp_path, mel, *NET, *stops, "-o", tmp_path / "run")
    assert done.returncode == 0, said_by(tmp_path)
    assert len((tmp_path / "run" / "seed-0" / "metrics.jsonl").read_text().splitlines()) < 30


@pytest.mark.slow
def test_only_the_first_of_two_processes_reports_an_error(mel: Path, tmp_path: Path) -> None:
    assert in_pairs(tmp_path, mel, "-m", "svm", "-o", tmp_path / "run").returncode
    first, second = said_by(tmp_path)
    assert "one row for each clip" in first
    assert not second


LATE = """
import os, sys, time
from sertool.train import checkpoint
from sertool.cli import main
restore = checkpoint.restore
def restored(*of):
    time.sleep(3 * int(os.environ["RANK"]))
    restore(*of)
checkpoint.restore = restored
sys.exit(main())
"""


@pytest.mark.slow
def test_two_processes_resume_from_the_same_epoch_if_one_is_late(
    mel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (mel, *NET, "--epochs", "3", "--seeds", "2", "-j", "1")
    train(*words, "-o", tmp_path / "whole")
    with monkeypatch.context() as killed_once_trained:
        killed_once_trained.setattr(training, "SAVING_SHARE", 1e9)
        killed_once_trained.setattr(members, "_predictions", Mock(side_effect=KeyboardInterrupt))
        train(*words, "-o", tmp_path / "run", code=130)
    (tmp_path / "late.py").write_text(LATE)
    run = [sys.executable, tmp_path / "late.py", "train", *words, "-o", tmp_path / "run"]
    done = subprocess.run([*by_two(), "--no-python", *run], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    whole, run = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("whole", "run"))
    assert all(np.array_equal(run.tensors[name], values) for name, values in whole.tensors.items())


@pytest.mark.slow
def test_concordance_of_a_batch_is_the_same_over_two_processes(mel: Path, tmp_path: Path) -> None:
    """Batches of five clips, some of which lack a rating: each process has two or three of them."""
    ratings = {name: [None if k % 7 == 3 else (k * step) % 9 for k in range(48)] for name, step in (("a", 4), ("b", 5))}
    rated = changed(mel, tmp_path / "rated.parquet", **ratings)
    words = ["train", str(rated), *NET[:-2], "--batch", "5", "--dimensions", "a,b", "--optimizer", "sgd", "--lr", ".05",
             "--epochs", "3", "--keep", "last", "-j", "1"]  # fmt: skip
    together = [*by_two(), "-m", "sertool", *words, "-o", tmp_path / "two"]
    done = subprocess.run(together, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    train(*words[1:], "-o", tmp_path / "one")
    one, two = (modelfile.read(tmp_path / name / "seed-0" / "model.safetensors") for name in ("one", "two"))
    for name, values in one.tensors.items():
        np.testing.assert_allclose(two.tensors[name], values, atol=1e-4)
    assert one.scores == pytest.approx(two.scores, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "net",
    [
        ("cnn", "channels=4,8", "frames=40", "dense=8"),
        ("sertool", "channels=4,8", "project=8", "width=8", "attention=8", "dropout=0"),
    ],
    ids=lambda net: net[0],
)
def test_two_processes_give_the_same_results_as_one(mel: Path, tmp_path: Path, net: tuple[str, ...]) -> None:
    """Without what differs between them (dropout, masks, gains, whom mixup mixes): gradients and batch statistics are
    those of whole batches."""
    chosen = ["-m", net[0], *(word for each in net[1:] for word in ("--set", each)), "--batch", "5", "-j", "1"]
    learning = ("--optimizer", "sgd", "--lr", ".05", "--epochs", "3", "--seeds", "2", "--clip", "1", "--keep", "last")
    alike = [word for name in ("time-masks", "column-masks", "gain", "mixup") for word in (f"--{name}", "0")]
    words = ["train", str(mel), *chosen, *learning, *alike, "--precision", "float32"]
    together = subprocess.run(
        [*by_two(), "-m", "sertool", *words, "-o", tmp_path / "two"], capture_output=True, check=False
    )
    assert together.returncode == 0, together.stderr.decode()
    assert together.stderr.decode().count("the run lies in") == 1
    (tmp_path / "out.parquet").write_bytes(together.stdout)
    both = manifest_io.read_table(str(tmp_path / "out.parquet"))
    assert len(both) == 2 * len(table(tmp_path / "two" / "seed-0")["clip"])
    train(*words[1:], "-o", tmp_path / "one")
    for seed in ("seed-0", "seed-1"):
        one, two = (modelfile.read(tmp_path / name / seed / "model.safetensors") for name in ("one", "two"))
        for name, values in one.tensors.items():
            np.testing.assert_allclose(two.tensors[name], values, atol=1e-4)  # sums in another order round otherwise
        assert one.scores == two.scores
