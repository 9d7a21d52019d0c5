"""CaFE: acted Canadian French, twelve speakers, seven emotions, two intensities.

`Colère/Faible/01-C-1-1.wav`: speaker, emotion, intensity, sentence; `Neutre/01-N-1.wav` has no intensity. The folder
is checked, as other corpora may have such short names.
"""

import re
from pathlib import PurePath

TITLE = "Canadian French Emotional speech dataset (CaFE)"
HOMEPAGE = "https://zenodo.org/records/1478765"
LICENCE = "CC BY-NC-SA 4.0"
CITATION = """@inproceedings{gournay2018cafe,
  title = {A {Canadian French} emotional speech dataset},
  author = {Gournay, Philippe and Lahaie, Olivier and Lefebvre, Roch},
  booktitle = {Proc. 9th ACM Multimedia Systems Conference (MMSys)},
  pages = {399--402},
  year = {2018},
  doi = {10.1145/3204949.3208121}
}"""
SOURCES = (
    {"kind": "zenodo", "home": "https://zenodo.org/records/1478765", "record": 1478765, "match": "CaFE_48k.zip"},
)
LANGUAGE = "fr"
SPEAKERS = 12
CLIPS = 936
HOURS = 1.2
EMOTIONS = ("angry", "disgust", "happy", "neutral", "fear", "surprise", "sad")
LABELS = {
    "C": "angry", "D": "disgust", "J": "happy", "N": "neutral", "P": "fear", "S": "surprise", "T": "sad",
}  # fmt: skip
INTENSITIES = {"1": "low", "2": "high"}
VOICES = {
    "01": {"sex": "male", "age": 46}, "02": {"sex": "female", "age": 64}, "03": {"sex": "male", "age": 18},
    "04": {"sex": "female", "age": 50}, "05": {"sex": "male", "age": 22}, "06": {"sex": "female", "age": 34},
    "07": {"sex": "male", "age": 15}, "08": {"sex": "female", "age": 25}, "09": {"sex": "male", "age": 42},
    "10": {"sex": "female", "age": 20}, "11": {"sex": "male", "age": 35}, "12": {"sex": "female", "age": 37},
}  # fmt: skip
EXAMPLES = {
    "/data/CaFE_48k/Colère/Faible/01-C-1-1.wav": {
        "speaker": "01", "sex": "male", "age": 46, "language": "fr", "emotion": "angry", "label": "C",
        "intensity": "low", "sentence": "1",
    },
    "/data/CaFE_192k_2/Tristesse/Fort/12-T-2-6.aiff": {
        "speaker": "12", "sex": "female", "age": 37, "language": "fr", "emotion": "sad", "label": "T",
        "intensity": "high", "sentence": "6",
    },
    "/data/CaFE_192k_1/Neutre/03-N-1.aiff": {
        "speaker": "03", "sex": "male", "age": 18, "language": "fr", "emotion": "neutral", "label": "N",
        "sentence": "1",
    },
}  # fmt: skip
NAME = re.compile(r"(0[1-9]|1[0-2])-(?:([CDJPST])-([12])|(N))-([1-6])", re.ASCII | re.IGNORECASE)
FOLDERS = {"1": "faible", "2": "fort", None: "neutre"}


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match or path.parent.name.lower() != FOLDERS[match[3]]:
        return None
    speaker, label = match[1], (match[2] or match[4]).upper()
    row = {"speaker": speaker, **VOICES[speaker], "language": LANGUAGE, "emotion": LABELS[label], "label": label}
    if match[3]:
        row["intensity"] = INTENSITIES[match[3]]
    row["sentence"] = match[5]
    return row
