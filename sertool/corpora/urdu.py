"""URDU: Urdu from television talk shows, 38 speakers, four emotions.

`Angry/SM1_F10_A010.wav`: sex and number of the speaker, number of the speaker's file, emotion and number in it.
"""

import re
from pathlib import PurePath

TITLE = "URDU dataset"
HOMEPAGE = "https://github.com/siddiquelatif/URDU-Dataset"
LICENCE = "research only"
CITATION = """@inproceedings{latif2018cross,
  title = {Cross lingual speech emotion recognition: {Urdu} vs. {Western} languages},
  author = {Latif, Siddique and Qayyum, Adnan and Usman, Muhammad and Qadir, Junaid},
  booktitle = {Proc. International Conference on Frontiers of Information Technology (FIT)},
  pages = {88--93},
  year = {2018},
  note = {arXiv:1812.10411}
}"""
SOURCES = (
    {
        "kind": "git", "home": "https://github.com/siddiquelatif/URDU-Dataset",
        "files": {"URDU-Dataset.zip": {
            "url": "https://codeload.github.com/siddiquelatif/URDU-Dataset/zip/refs/heads/master",
        }},
        "moving": True, "strip": True, "take": ("*.wav", "README*", "LICENSE*"),
    },
)  # fmt: skip
LANGUAGE = "ur"
SPEAKERS = 38
CLIPS = 400
HOURS = 0.3
EMOTIONS = ("angry", "happy", "neutral", "sad")
LABELS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
EXAMPLES = {
    "/data/URDU-Dataset/Angry/SM1_F10_A010.wav": {
        "speaker": "SM1", "sex": "male", "language": "ur", "emotion": "angry", "label": "A",
    },
    "/data/Sad/SF11/SF11_F4_S06.wav": {
        "speaker": "SF11", "sex": "female", "language": "ur", "emotion": "sad", "label": "S",
    },
}  # fmt: skip
NAME = re.compile(r"(S[FM]\d{1,2})_F\d{1,2}_([AHNS])0\d{1,3}", re.ASCII | re.IGNORECASE)


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, label = match[1].upper(), match[2].upper()
    return {
        "speaker": speaker,
        "sex": "female" if speaker[1] == "F" else "male",
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
    }
