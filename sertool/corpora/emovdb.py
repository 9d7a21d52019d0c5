"""EmoV-DB: acted English, four speakers, five emotions, sentences of CMU Arctic.

`bea/Amused/amused_1-15_0002.wav` or, from OpenSLR, `bea_Amused/amused_1-15_0002.wav`: only the folder names the
speaker, and all speakers have the same file names. A file's name gives emotion, range of a recording, and sentence.
"""

import re
from pathlib import PurePath

TITLE = "Emotional Voices Database (EmoV-DB)"
HOMEPAGE = "https://www.openslr.org/115/"
LICENCE = "non-commercial use only, by the authors' own terms"
CITATION = """@article{adigwe2018emotional,
  title = {The emotional voices database: Towards controlling the emotion dimension in voice generation systems},
  author = {Adigwe, Adaeze and Tits, No{\\'e} and El Haddad, Kevin and Ostadabbas, Sarah and Dutoit, Thierry},
  journal = {arXiv preprint arXiv:1806.09514},
  year = {2018}
}"""
SOURCES = (
    {
        "kind": "https", "home": "https://www.openslr.org/115/",
        "bases": ("https://www.openslr.org/resources/115/", "https://openslr.trmal.net/resources/115/",
                  "https://openslr.elda.org/resources/115/"),
        "files": (
            "bea_Amused.tar.gz", "bea_Angry.tar.gz", "bea_Disgusted.tar.gz", "bea_Neutral.tar.gz", "bea_Sleepy.tar.gz",
            "jenie_Amused.tar.gz", "jenie_Angry.tar.gz", "jenie_Disgusted.tar.gz", "jenie_Neutral.tar.gz",
            "jenie_Sleepy.tar.gz", "josh_Amused.tar.gz", "josh_Neutral.tar.gz", "josh_Sleepy.tar.gz",
            "sam_Amused.tar.gz", "sam_Angry.tar.gz", "sam_Disgusted.tar.gz", "sam_Neutral.tar.gz", "sam_Sleepy.tar.gz",
        ),
        "into": True,  # the archive's name has the speaker
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 4
CLIPS = 6892
HOURS = 9.5
EMOTIONS = ("neutral", "amused", "angry", "disgust", "sleepy")
LABELS = {
    "neutral": "neutral", "amused": "amused", "anger": "angry", "angry": "angry", "disgust": "disgust",
    "disgusted": "disgust", "sleepiness": "sleepy", "sleepy": "sleepy",
}  # fmt: skip
VOICES = {
    "bea": {"sex": "female"}, "jenie": {"sex": "female"}, "josh": {"sex": "male"}, "sam": {"sex": "male"},
}  # fmt: skip
EXAMPLES = {
    "/data/EmoV-DB_sorted/bea/Amused/amused_1-28_0001.wav": {
        "speaker": "bea", "sex": "female", "language": "en", "emotion": "amused", "label": "amused", "sentence": "0001",
        "key": "bea/amused_1-28_0001",
    },
    "/data/sam/Disgusted/Disgust_169_196_0170.wav": {
        "speaker": "sam", "sex": "male", "language": "en", "emotion": "disgust", "label": "disgust", "sentence": "0170",
        "key": "sam/Disgust_169_196_0170",
    },
    "/data/openslr/josh_Sleepy/sleepiness_1-28_0003.flac": {
        "speaker": "josh", "sex": "male", "language": "en", "emotion": "sleepy", "label": "sleepiness",
        "sentence": "0003", "key": "josh/sleepiness_1-28_0003",
    },
}  # fmt: skip
NAME = re.compile(
    r"(neutral|amused|anger|angry|disgust|disgusted|sleepiness|sleepy)_\d+[-_]\d+_(\d{4})", re.ASCII | re.IGNORECASE
)
FOLDER = re.compile(
    r"(bea|jenie|josh|sam)(?:[_/](?:neutral|amused|angry|disgusted|sleepy))?", re.ASCII | re.IGNORECASE
)  # fmt: skip


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    match = NAME.fullmatch(stem)
    folder = match and (FOLDER.fullmatch(path.parent.name) or FOLDER.fullmatch("/".join(path.parts[-3:-1])))
    if not match or not folder:
        return None
    speaker, label = folder[1].lower(), match[1].lower()
    return {
        "speaker": speaker,
        **VOICES[speaker],
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": match[2],
        "key": f"{speaker}/{stem}",
    }
