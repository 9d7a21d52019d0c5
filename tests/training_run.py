"""Short ways to train and to read what a run's folder holds."""

from pathlib import Path

from running import Outcome, sertool

from sertool.manifests import manifest_io

NET = ("-m", "cnn", "--set", "channels=4,8", "--set", "frames=40", "--set", "dense=8", "--batch", "8")
TINY = (*NET, "--epochs", "2")


def train(*words: object, code: int = 0) -> Outcome:
    done = sertool("train", *words)
    assert done.code == code, done.err
    return done


def table(folder: Path) -> dict[str, list]:
    return manifest_io.read(str(folder / "predictions.parquet")).to_pydict()


def said_of(run: Path) -> str:
    return sertool("eval", run / "predictions.parquet").out.decode()
