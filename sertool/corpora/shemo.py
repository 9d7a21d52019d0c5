"""ShEMO: Persian from radio plays, 87 speakers, six emotions.

`female/F01A05.wav`: sex and number of the speaker, emotion (W is wonder), number of the clip. The folder
is checked, as other corpora may have such short names.
"""

import re
from pathlib import PurePath

TITLE = "Sharif Emotional Speech Database (ShEMO)"
HOMEPAGE = "https://github.com/mansourehk/ShEMO"
LICENCE = "free for academic use"
CITATION = """@article{mohamadnezami2019shemo,
  title = {{ShEMO}: a large-scale validated database for {Persian} speech emotion detection},
  author = {Mohamad Nezami, Omid and Jamshid Lou, Paria and Karami, Mansoureh},
  journal = {Language Resources and Evaluation},
  volume = {53},
  number = {1},
  pages = {1--16},
  year = {2019},
  doi = {10.1007/s10579-018-9427-x}
}"""
SOURCES = (
    {
        "kind": "git", "home": "https://github.com/mansourehk/ShEMO",
        "files": {
            "female.zip": {
                "size": 374368830, "sha256": "663d8d7dceb44adbbf87d84be3a080fb691d169fbd972f6941e6302bc39f71e6",
            },
            "male.zip": {
                "size": 496606401, "sha256": "747670d0d918e59d5e5020cf66610242890b093d42968c467c4f02eb5e6a6b1a",
            },
        },
        "into": True,  # the archive's name has the speakers' sex
    },
)  # fmt: skip
LANGUAGE = "fa"
SPEAKERS = 87
CLIPS = 3000
HOURS = 3.4
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")
LABELS = {"A": "angry", "F": "fear", "H": "happy", "N": "neutral", "S": "sad", "W": "surprise"}
EXAMPLES = {
    "/data/ShEMO/female/F01A05.wav": {
        "speaker": "F01", "sex": "female", "language": "fa", "emotion": "angry", "label": "A",
    },
    "/data/ShEMO/male/m56w01.wav": {
        "speaker": "M56", "sex": "male", "language": "fa", "emotion": "surprise", "label": "W",
    },
}  # fmt: skip
NAME = re.compile(r"([FM]\d\d)([AFHNSW])\d\d", re.ASCII | re.IGNORECASE)
SEXES = {"F": "female", "M": "male"}


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker, label = match[1].upper(), match[2].upper()
    sex = SEXES[speaker[0]]
    if path.parent.name.lower() != sex:
        return None
    return {"speaker": speaker, "sex": sex, "language": LANGUAGE, "emotion": LABELS[label], "label": label}
