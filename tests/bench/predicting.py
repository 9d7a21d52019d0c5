"""Measure how fast predict is, relative to a loop over files with librosa, torchaudio and the same model.

    python tests/bench/predicting.py FOLDER_OF_CREMA-D_WAV [--repeats 3] [--models sertool,base]

Models that are not in the package are trained for a moment, in float32 or as given, as their answers do not matter; the
loop runs them in float32. All take turns, each in a process of its own. Steady seconds begin once all is imported and,
for the loop, the model is loaded. The time to the first row counts from the start of the process.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHIPPED = ("base", "tiny")
PRESETS = {"sertool": ["--preset", "mel-64"]}


def trained(name: str, folder: Path, out: Path) -> str:
    """Return a model file trained on a few clips."""
    if name in SHIPPED:
        return name
    sertool, few = [sys.executable, "-m", "sertool"], out / "few.txt"
    few.write_text("\n".join(map(str, sorted(folder.rglob("*.wav"))[::10])))
    shards, run = str(out / f"{name}-shards"), str(out / name)
    kind, _, precision = name.partition(":")
    featurize = [*sertool, "featurize", str(few), *PRESETS.get(kind, ["--mel"]), "-o", shards, "-q"]
    train = [*sertool, "train", f"{shards}/manifest.parquet", "-m", kind, "--epochs", "1", "-o", run, "-q",
             "--precision", precision or "float32"]  # fmt: skip
    for command in (featurize, train):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(next(Path(run).rglob("model.safetensors")))


def ours(model: str, folder: Path, threads: int) -> dict[str, float]:
    """Return the command's steady seconds."""
    from sertool.cli import WithoutPandas, run
    from sertool.predict import predicting  # noqa: F401 (start-up: what the command imports)
    from sertool.system import talk  # noqa: F401

    sys.meta_path.insert(0, WithoutPandas())
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        run(["predict", "-m", model, str(folder), "-q", "-f", "csv", "-j", str(threads)])
    return {"rows": said.getvalue().count("\n") - 1, "steady": time.perf_counter() - began}


def theirs(model: str, folder: Path, threads: int) -> dict[str, float]:
    """Return the loop's steady seconds."""
    import librosa
    import torch
    import torchaudio

    from sertool.modelfiles import inference, modelfile, row_scaling

    torch.set_num_threads(threads)
    held = modelfile.read(Path(model))
    network, scaling = inference.network(held), row_scaling.kept(held, "cpu")
    settings = held.features["mel"]["settings"]
    mel = torchaudio.transforms.MelSpectrogram(
        16_000, settings["n_fft"], settings["win_length"], settings["hop"], n_mels=settings["bands"], power=2.0
    )
    decibels = torchaudio.transforms.AmplitudeToDB(top_db=80.0)
    librosa.load(next(folder.rglob("*.wav")), sr=16_000)  # triggers librosa's lazy imports
    began, sink = time.perf_counter(), io.StringIO()
    writer, rows = csv.writer(sink), 0
    for path in sorted(folder.rglob("*.wav")):
        samples, _ = librosa.load(path, sr=16_000)
        with torch.inference_mode():
            frames = decibels(mel(torch.from_numpy(samples))).T[None]
            lengths = torch.tensor([frames.shape[1]])
            shares = network(scaling.apply(frames, lengths), lengths)[0].softmax(0)
        writer.writerow([path.name, held.labels[int(shares.argmax())], *shares.tolist()])
        rows += 1
    return {"rows": rows, "steady": time.perf_counter() - began}


def first_row(model: str, folder: Path) -> float:
    """Return the seconds from the start of the process to its first answer."""
    command = [sys.executable, "-m", "sertool", "predict", "-m", model, str(folder), "-q", "-f", "csv"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # the header
        process.stdout.readline()
        spent = time.perf_counter() - began
        process.kill()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--models", default="cnn-transformer,sertool,sertool:bf16,base,tiny")
    parser.add_argument("--who", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.who:
        who = {"sertool": ours, "loop": theirs}[asked.who]
        print(json.dumps(who(asked.models, asked.folder, asked.threads)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {asked.threads} threads")
    with tempfile.TemporaryDirectory() as out:
        for name in asked.models.split(","):
            model = trained(name, asked.folder, Path(out))
            rivals = ["sertool"] if name in SHIPPED else ["sertool", "loop"]
            command = [sys.executable, __file__, asked.folder, "--models", model, "--threads", str(asked.threads)]
            runs = {who: [] for who in rivals}
            for _ in range(asked.repeats):
                for who, held in runs.items():
                    ended = subprocess.run([*command, "--who", who], check=True, capture_output=True, text=True)
                    held.append(json.loads(ended.stdout))
            steady = {who: statistics.median(run["steady"] for run in held) for who, held in runs.items()}
            rows = runs["sertool"][0]["rows"]
            first = statistics.median(first_row(model, asked.folder) for _ in range(asked.repeats))
            against = (
                f"  x{steady['loop'] / steady['sertool']:.2f} the loop ({steady['loop']:.2f} s)" if rivals[1:] else ""
            )
            seconds = steady["sertool"]
            print(f"{name:<16}{rows} files {seconds:7.2f} s {rows / seconds:6.0f}/s  first row {first:.2f} s{against}")


if __name__ == "__main__":
    main()
