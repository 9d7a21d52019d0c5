"""Measure how fast an epoch is, relative to an idiomatic PyTorch loop with the same clips, model and batch size.

    python tests/bench/training.py FOLDER_OF_16KHZ_WAV [--clips 4000] [--epochs 2] [--model cnn-transformer]

The rival has one .npy of log-mel for each clip, a Dataset that loads, cuts or pads and scales it, a DataLoader with two
workers that shuffles, and Adam. All take turns, each in a process of its own. The first epoch warms up and is not
counted, nor is start-up; of the others the fastest counts, as other work on the machine disturbed it least. Waiting is
the share of an epoch in which no batch was ready to compute on.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH, FRAMES, CLASSES = 32, 160, 6
WHO = ("sertool fp32", "sertool bf16", "DataLoader fp32", "DataLoader bf16")


def prepare(folder: Path, count: int, out: Path) -> None:
    """Featurize some clips, and write each one's rows as the rival needs them."""
    import numpy as np

    from sertool.featurize import shards
    from sertool.manifests import manifest, manifest_io

    paths = sorted(folder.glob("*.wav"))
    chosen = paths[:: max(1, len(paths) // count)][:count]
    (out / "paths.txt").write_text("\n".join(map(str, chosen)))
    command = [sys.executable, "-m", "sertool", "featurize", out / "paths.txt", "--mel", "-o", out / "features"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    table = manifest_io.read(str(out / "features" / "manifest.parquet"))
    columns = [manifest.column(table, name) for name in ("clip", "mel_shard", "mel_offset", "mel_rows")]
    reader = shards.Reader("mel")
    (out / "npy").mkdir()
    for index, (clip, *place) in enumerate(zip(*columns, strict=True)):
        np.save(out / "npy" / f"{index:05d}.npy", reader.rows(clip, *place).astype(np.float32))


def network(name: str, columns: int) -> Any:
    import torch

    from sertool import models

    torch.manual_seed(0)
    module = models.load(name)
    return module.Model(module.Settings(), columns, CLASSES)


def ours(out: Path, name: str, precision: str, epochs: int) -> Iterator[dict[str, float]]:
    """Yield seconds and waiting of each epoch."""
    import numpy as np
    import torch

    from sertool.manifests import manifest_io
    from sertool.manifests.answer_kinds import Emotions
    from sertool.modelfiles import batches, row_scaling
    from sertool.system import device
    from sertool.train import emotion_aim, training, training_data, training_settings

    store = batches.load(manifest_io.read(str(out / "features" / "manifest.parquet")), ["mel"], device.pick("auto"))
    clips = np.arange(len(store))
    targets = torch.nn.functional.one_hot(torch.from_numpy(clips % CLASSES), CLASSES).float().to(store.device)
    scaling = row_scaling.of_clips(store, clips, "corpus")
    lesson = emotion_aim.EmotionLesson(Emotions([*map(str, range(CLASSES))]), targets, clips % CLASSES)
    data = training_data.Data(store, lesson, clips, clips[:0], scaling)
    settings = training_settings.Settings(epochs=epochs, batch=BATCH, optimizer="adam", lr=1e-4, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        yield from training.fit(network(name, store.columns), data, settings, 0, Path(folder))


def theirs(out: Path, name: str, precision: str, epochs: int) -> Iterator[dict[str, float]]:
    """Yield seconds and waiting of each of the rival's epochs."""
    import numpy as np
    import torch

    class Clips(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.paths = sorted((out / "npy").glob("*.npy"))

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            rows = torch.from_numpy(np.load(self.paths[index]))[:FRAMES]
            rows = torch.nn.functional.pad(rows, (0, 0, 0, FRAMES - len(rows)))
            return (rows + 40) / 20, index % CLASSES

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = network(name, np.load(out / "npy" / "00000.npy").shape[1]).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    loader = torch.utils.data.DataLoader(
        Clips(), BATCH, shuffle=True, num_workers=2, persistent_workers=True, pin_memory=device == "cuda"
    )
    lengths = torch.full((BATCH,), FRAMES)
    for _ in range(epochs):
        began, waited, asked = time.perf_counter(), 0.0, time.perf_counter()
        for rows, emotion in loader:
            waited += time.perf_counter() - asked
            rows, truth = rows.to(device), emotion.to(device)  # noqa: PLW2901
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                loss = torch.nn.functional.cross_entropy(model(rows, lengths[: len(rows)]), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            asked = time.perf_counter()
        spent = time.perf_counter() - began
        yield {"seconds": spent, "waiting": waited / spent}


def work(who: str, out: Path, name: str, epochs: int, threads: int) -> None:
    """Run one contender in its own process, and print its fastest epoch as a JSON line."""
    import torch

    torch.set_num_threads(threads)
    loop = ours if who.startswith("sertool") else theirs
    seen = list(loop(out, name, "bf16" if who.endswith("bf16") else "float32", epochs + 1))[1:]
    best = min(seen, key=lambda epoch: epoch["seconds"])
    print(json.dumps({key: best[key] for key in ("seconds", "waiting")}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", default="cnn-transformer")
    parser.add_argument("--who", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.who:
        return work(asked.who, asked.folder, asked.model, asked.epochs, asked.threads)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {asked.threads} threads")
    with tempfile.TemporaryDirectory() as out:
        prepare(asked.folder, asked.clips, Path(out))
        options = ["--model", asked.model, "--epochs", str(asked.epochs), "--threads", str(asked.threads)]
        runs: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
        for _ in range(asked.repeats):
            for who, held in runs.items():
                command = [sys.executable, __file__, out, *options, "--who", who]
                held.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    best = {who: min(held, key=lambda epoch: epoch["seconds"]) for who, held in runs.items()}
    rival = best["DataLoader fp32"]["seconds"]
    print(f"{asked.model}, {asked.clips} clips, batch {BATCH}: an epoch")
    for who, epoch in best.items():
        seconds, waiting = epoch["seconds"], epoch["waiting"]
        rate = asked.clips / seconds
        print(
            f"  {who:<16}{seconds:8.2f} s {rate:8.0f} clips/s  waiting {100 * waiting:5.1f} %  x{rival / seconds:.2f}"
        )
    return None


if __name__ == "__main__":
    main()
