"""A pytest plugin with a folder in which the examples in the help find their files."""

import os
import shutil
from pathlib import Path

import pytest
from helptexts import epilog
from running import sertool

from sertool.manifests import manifest, manifest_io
from sertool.sound import encoding, synth


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory) -> Path:
    """Make a folder with the files that the examples name: three corpora, files of one's own, manifests, a call."""
    folder = tmp_path_factory.mktemp("example_folder")
    for actor in range(6):
        for code, number, emotion in (("ANG", "05", "angry"), ("SAD", "04", "sad")):  # few: whole networks learn them
            voice = synth.voice(actor, emotion, 0)
            encoding.write(folder / "cremad" / "AudioWAV" / f"{1001 + actor}_IEO_{code}_HI.wav", voice, 16_000)
            name = f"03-01-{number}-01-01-01-{actor + 1:02d}.wav"
            encoding.write(folder / "ravdess" / f"Actor_{actor + 1:02d}" / name, synth.voice(actor, emotion, 1), 16_000)
        for emotion in ("angry", "sad", "neutral", "happy"):
            encoding.write(folder / "mine" / f"s{actor}" / f"{emotion}_1.wav", synth.voice(actor, emotion, 2), 16_000)
    labels = ""
    for number, (code, emotion) in enumerate({"ang": "angry", "sad": "sad", "neu": "neutral", "exc": "happy"}.items()):
        name = f"Ses01F_impro01_F{number:03d}"
        encoding.write(folder / "iemocap" / "wav" / f"{name}.wav", synth.voice(0, emotion, 5), 16_000)
        labels += f"[0.0 - 1.0]\t{name}\t{code}\t[3.0, 3.0, 3.0]\n"
    (folder / "iemocap" / "EmoEvaluation").mkdir()
    (folder / "iemocap" / "EmoEvaluation" / "Ses01F_impro01.txt").write_text(labels)
    shutil.copytree(folder / "cremad", folder / "corpora" / "cremad")
    shutil.copytree(folder / "ravdess", folder / "corpora" / "ravdess")
    numbers = [
        f"{path.name},{turn},{turn % 5}" for turn, path in enumerate(sorted((folder / "corpora").rglob("*.wav")))
    ]
    (folder / "egemaps.csv").write_text("\n".join(["file,loudness,f0", *numbers]))
    encoding.write(folder / "calls" / "monday.wav", synth.voice(0, "angry", 3), 16_000)
    (folder / "turns.rttm").write_text("SPEAKER monday 1 0.10 0.50 <NA> <NA> SPEAKER_00 <NA> <NA>\n")
    rows = [f"{path.relative_to(folder / 'mine')},{'ps' if 'happy' in path.name else path.stem[:-2]}"
            for path in sorted((folder / "mine").rglob("*.wav"))]  # fmt: skip
    (folder / "mine" / "labels.csv").write_text("\n".join(["path,emotion", *rows]))
    shutil.copy(folder / "mine" / "labels.csv", folder)
    (folder / "fixes.csv").write_text("clip,emotion\ncremad/1001_IEO_SAD_HI,disgust\n")
    (folder / "speakers.csv").write_text("speaker,split\n1001,train\n1002,train\n1003,test\n")
    for path in ("voice.wav", "noises/street.wav"):
        encoding.write(folder / path, synth.voice(7, "sad", 4), 16_000)
    recipe = epilog("augment").partition("mine.toml; ")[2].splitlines()[1:]
    (folder / "mine.toml").write_text("\n".join(line.strip() for line in recipe))
    here = Path.cwd()
    os.chdir(folder)
    for line in ("index corpora/ --split speaker:70/15/15 -o clips.parquet", "index cremad/ -o a.parquet",
                 "index ravdess/ -o b.parquet"):  # fmt: skip
        done = sertool(*line.split())
        assert done.code == 0, done.err
    clips = manifest_io.read("a.parquet")
    for name in ("arousal", "valence"):
        clips = manifest.with_column(clips, name, [float(turn * len(name) % 9) for turn in range(len(clips))])
    manifest_io.write(clips, "rated.parquet", "parquet")
    os.chdir(here)
    return folder
