"""SAVEE: acted British English, four men, seven emotions.

`DC_a01.wav` in one folder, or `DC/a01.wav` in a folder for each speaker: emotion and number of the sentence. The
numbers start anew in each emotion, so equal numbers are not equal sentences.
"""

import re
from pathlib import PurePath

TITLE = "Surrey Audio-Visual Expressed Emotion database (SAVEE)"
HOMEPAGE = "http://kahlan.eps.surrey.ac.uk/savee/"
LICENCE = "free for research, on registration"
CITATION = """@inproceedings{haq2009speaker,
  title = {Speaker-dependent audio-visual emotion recognition},
  author = {Haq, Sanaul and Jackson, Philip J. B.},
  booktitle = {Proc. Int. Conf. on Auditory-Visual Speech Processing (AVSP)},
  pages = {53--58},
  year = {2009}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "http://kahlan.eps.surrey.ac.uk/savee/",
        "who": "register at https://cvssp.org/savee/Register.html and get AudioData.zip with what you are sent",
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 4
CLIPS = 480
HOURS = 0.5
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
LABELS = {
    "a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise",
}  # fmt: skip
EXAMPLES = {
    "/data/ALL/DC_a01.wav": {
        "speaker": "DC", "sex": "male", "language": "en", "emotion": "angry", "label": "a", "sentence": "a01",
        "key": "DC_a01",
    },
    "/data/AudioData/KL/su15.wav": {
        "speaker": "KL", "sex": "male", "language": "en", "emotion": "surprise", "label": "su", "sentence": "su15",
        "key": "KL_su15",
    },
    "/data/savee/JK_N30.flac": {
        "speaker": "JK", "sex": "male", "language": "en", "emotion": "neutral", "label": "n", "sentence": "n30",
        "key": "JK_n30",
    },
}  # fmt: skip
NAME = re.compile(
    r"(?:(DC|JE|JK|KL)_)?((?:(a|d|f|h|sa|su)(?:0[1-9]|1[0-5]))|(n)(?:0[1-9]|[12]\d|30))", re.ASCII | re.IGNORECASE
)
SPEAKER_FOLDERS = ("DC", "JE", "JK", "KL")


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    speaker = (match[1] or path.parent.name).upper()
    if speaker not in SPEAKER_FOLDERS:
        return None
    sentence, label = match[2].lower(), (match[3] or match[4]).lower()
    return {
        "speaker": speaker,
        "sex": "male",
        "language": LANGUAGE,
        "emotion": LABELS[label],
        "label": label,
        "sentence": sentence,
        "key": f"{speaker}_{sentence}",
    }
