"""EMOVO: acted Italian, six speakers, seven emotions, fourteen sentences.

`f1/dis-f1-b1.wav`: the Italian word's first letters (neutrale, disgusto, gioia, paura, rabbia, sorpresa, tristezza),
speaker, sentence.
"""

import re
from pathlib import PurePath

TITLE = "EMOVO: an Italian Emotional Speech Database"
HOMEPAGE = "http://voice.fub.it/activities/corpora/emovo/index.html"
LICENCE = "free for research"
CITATION = """@inproceedings{costantini2014emovo,
  title = {{EMOVO} Corpus: an {Italian} Emotional Speech Database},
  author = {Costantini, Giovanni and Iaderola, Iacopo and Paoloni, Andrea and Todisco, Massimiliano},
  booktitle = {Proc. Ninth International Conference on Language Resources and Evaluation (LREC'14)},
  publisher = {European Language Resources Association (ELRA)},
  address = {Reykjavik, Iceland},
  year = {2014}
}"""
SOURCES = (
    {
        "kind": "https", "home": "https://drive.google.com/file/d/1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo/view",
        "files": {"emovo.zip": {
            "url": "https://drive.usercontent.google.com/download?id=1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo"
                   "&export=download&confirm=t",
        }},
    },
    {
        "kind": "ask", "home": "http://voice.fub.it/activities/corpora/emovo/index.html",
        "who": "get emovo.zip with a browser from where that page links to, or ask costantini@uniroma2.it",
    },
)  # fmt: skip
LANGUAGE = "it"
SPEAKERS = 6
CLIPS = 588
HOURS = 0.5
EMOTIONS = ("neutral", "disgust", "happy", "fear", "angry", "surprise", "sad")
LABELS = {
    "neu": "neutral", "dis": "disgust", "gio": "happy", "pau": "fear", "rab": "angry", "sor": "surprise", "tri": "sad",
}  # fmt: skip
VOICES = {
    "f1": {"sex": "female", "age": 28}, "f2": {"sex": "female", "age": 23}, "f3": {"sex": "female", "age": 25},
    "m1": {"sex": "male", "age": 30}, "m2": {"sex": "male", "age": 27}, "m3": {"sex": "male", "age": 30},
}  # fmt: skip
EXAMPLES = {
    "/data/EMOVO/f1/dis-f1-b1.wav": {
        "speaker": "f1", "sex": "female", "age": 28, "language": "it", "emotion": "disgust", "label": "dis",
        "sentence": "b1",
    },
    "/data/EMOVO/M3/GIO-M3-N5.WAV": {
        "speaker": "m3", "sex": "male", "age": 30, "language": "it", "emotion": "happy", "label": "gio",
        "sentence": "n5",
    },
}  # fmt: skip
NAME = re.compile(
    r"(?:neu|dis|gio|pau|rab|sor|tri)-[fm][123]-(?:b[123]|l[1-4]|n[1-5]|d[12])", re.ASCII | re.IGNORECASE
)  # fmt: skip


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    if not NAME.fullmatch(stem):
        return None
    label, speaker, sentence = stem.lower().split("-")
    return {
        "speaker": speaker,
        **VOICES[speaker],
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": sentence,
    }
