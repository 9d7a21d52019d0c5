"""EMO-DB: acted German, ten speakers, seven emotions, with how well listeners recognised each clip.

`03a01Fa.wav`: speaker, text, the German word's letter (Wut, Langeweile, Ekel, Angst, Freude, Trauer, neutral), version.
"""

import re
from pathlib import Path, PurePath

from sertool.errors import SertoolError

TITLE = "Berlin Database of Emotional Speech (EMO-DB)"
HOMEPAGE = "http://emodb.bilderbar.info/"
LICENCE = "CC BY 4.0, by its record on Zenodo"
CITATION = """@inproceedings{burkhardt2005database,
  title = {A database of {German} emotional speech},
  author = {Burkhardt, Felix and Paeschke, Astrid and Rolfes, Miriam and Sendlmeier, Walter F. and Weiss, Benjamin},
  booktitle = {Proc. Interspeech},
  pages = {1517--1520},
  year = {2005},
  doi = {10.21437/Interspeech.2005-446}
}"""
SOURCES = (
    {
        "kind": "zenodo", "home": "https://zenodo.org/records/7447302", "record": 7447302,
        "files": {"emodb.zip": {"size": 39981818, "md5": "9d21362dbc5676ef3ab4745d83ced0db"}},
    },
    {
        "kind": "https", "home": "http://emodb.bilderbar.info", "about": 40_000_000,
        "files": {"download.zip": {"url": "http://emodb.bilderbar.info/download/download.zip"}},
    },
)  # fmt: skip
LANGUAGE = "de"
SPEAKERS = 10
CLIPS = 535
HOURS = 0.4
EMOTIONS = ("angry", "boredom", "disgust", "fear", "happy", "sad", "neutral")
LABELS = {
    "W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral",
}  # fmt: skip
VOICES = {
    "03": {"sex": "male", "age": 31}, "08": {"sex": "female", "age": 34}, "09": {"sex": "female", "age": 21},
    "10": {"sex": "male", "age": 32}, "11": {"sex": "male", "age": 26}, "12": {"sex": "male", "age": 30},
    "13": {"sex": "female", "age": 32}, "14": {"sex": "female", "age": 35}, "15": {"sex": "male", "age": 25},
    "16": {"sex": "female", "age": 31},
}  # fmt: skip
SIDE_TABLES = ("erkennung.txt",)
EXAMPLES = {
    "/data/emodb/wav/03a01Fa.wav": {
        "speaker": "03", "sex": "male", "age": 31, "language": "de", "emotion": "happy", "label": "F",
        "sentence": "a01",
    },
    "/data/wav/16b10lb.flac": {
        "speaker": "16", "sex": "female", "age": 31, "language": "de", "emotion": "boredom", "label": "L",
        "sentence": "b10",
    },
    "/data/wav/13a05W.wav": {
        "speaker": "13", "sex": "female", "age": 32, "language": "de", "emotion": "angry", "label": "W",
        "sentence": "a05",
    },
}  # fmt: skip
NAME = re.compile(
    r"(03|08|09|1[0-6])(a0[12457]|b0[1239]|b10)([WLEAFTN])[a-z]?", re.ASCII | re.IGNORECASE
)  # fmt: skip


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, sentence, label = match[1], match[2].lower(), match[3].upper()
    return {
        "speaker": speaker,
        **VOICES[speaker],
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": sentence,
    }


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add `recognised` and `natural`: percent of listeners who named the emotion, and who found it natural."""
    path = tables["erkennung.txt"][0]
    try:
        lines = path.read_bytes().replace(b"\xa0", b"").replace(b",", b".").lower().splitlines()
        cells = [line.split(b"\t") for line in lines[1:] if line.strip()]
        scores_of = {name.decode().strip().removesuffix(".wav"): (float(a), float(b)) for _, name, a, b in cells}
    except (OSError, ValueError):
        raise SertoolError(f"{path} is not EMO-DB's table of recognition: get it again") from None
    for row in rows:
        if scores := scores_of.get(str(row["stem"]).lower()):
            row["recognised"], row["natural"] = scores
