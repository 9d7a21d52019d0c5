"""RAVDESS: acted North American English, 24 speakers, eight emotions, speech and song.

`Actor_12/03-01-06-01-02-01-12.wav`: modality, vocal channel, emotion, intensity, statement, repetition, actor. The
figures are of the speech; song adds 1,012 clips of 23 actors. Files without sound (modality 02) are left out.
"""

import re
from pathlib import PurePath

TITLE = "Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)"
HOMEPAGE = "https://zenodo.org/records/1188976"
LICENCE = "CC BY-NC-SA 4.0"
CITATION = """@article{livingstone2018ravdess,
  title = {The {Ryerson} Audio-Visual Database of Emotional Speech and Song ({RAVDESS}): A dynamic, multimodal set of
           facial and vocal expressions in {North American English}},
  author = {Livingstone, Steven R. and Russo, Frank A.},
  journal = {PLoS ONE},
  volume = {13},
  number = {5},
  pages = {e0196391},
  year = {2018},
  doi = {10.1371/journal.pone.0196391}
}"""
SOURCES = (
    {
        "kind": "zenodo", "home": "https://zenodo.org/records/1188976", "record": 1188976,
        "files": {"Audio_Speech_Actors_01-24.zip": {"size": 208468073, "md5": "bc696df654c87fed845eb13823edef8a"}},
    },
)  # fmt: skip
PARTS = {
    "song": {
        "TITLE": "Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), song",
        "SPEAKERS": 23, "CLIPS": 1012, "HOURS": None, "EMOTIONS": ("neutral", "calm", "happy", "sad", "angry", "fear"),
        "SOURCES": (
            {
                "kind": "zenodo", "home": "https://zenodo.org/records/1188976", "record": 1188976,
                "files": {"Audio_Song_Actors_01-24.zip": {
                    "size": 225505317, "md5": "5411230427d67a21e18aa4d466e6d1b9",
                }},
            },
        ),
    },
}  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 24
CLIPS = 1440
HOURS = 1.5
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
LABELS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust",
    "08": "surprise",
}  # fmt: skip
INTENSITIES = {"01": "medium", "02": "high"}  # called normal and strong in the corpus
STYLES = {"01": "speech", "02": "song"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
EXAMPLES = {
    "/data/ravdess/Actor_12/03-01-06-01-02-01-12.wav": {
        "speaker": "12", "sex": "female", "language": "en", "emotion": "fear", "label": "06", "intensity": "medium",
        "sentence": "Dogs are sitting by the door", "style": "speech",
    },
    "/data/Audio_Song_Actors_01-24/Actor_01/03-02-05-02-01-02-01.flac": {
        "speaker": "01", "sex": "male", "language": "en", "emotion": "angry", "label": "05", "intensity": "high",
        "sentence": "Kids are talking by the door", "style": "song",
    },
}  # fmt: skip
NAME = re.compile(r"0[13]-0[12]-0[1-8]-0[12]-0[12]-0[12]-(?:0[1-9]|1\d|2[0-4])", re.ASCII)


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    if not NAME.fullmatch(stem):
        return None
    _, channel, label, intensity, statement, _, actor = stem.split("-")
    return {
        "speaker": actor,
        "sex": "male" if int(actor) % 2 else "female",
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "intensity": INTENSITIES[intensity],
        "sentence": STATEMENTS[statement],
        "style": STYLES[channel],
    }
