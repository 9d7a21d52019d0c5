"""MELD: English of a television series, 304 speakers, seven emotions, with published parts.

`train/train_splits/dia0_utt0.wav`: number of the dialogue, and of the utterance in it. Each part numbers its own, so a
folder must name it: train, dev or test, as in `dev_splits_complete`. The publisher has videos, which are read where
ffmpeg is installed; or extract their sound, with `ffmpeg -i dia0_utt0.mp4 dia0_utt0.wav`. All else is in
`train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`. The parts stand in the column `published`; the six
main characters are in all of them. Utterances of several people at once name no speaker.
"""

import csv
import re
from pathlib import Path, PurePath

from sertool.errors import SertoolError, reason

TITLE = "Multimodal EmotionLines Dataset (MELD)"
HOMEPAGE = "https://affective-meld.github.io/"
LICENCE = "GPL-3.0, by its repository"
CITATION = """@inproceedings{poria2019meld,
  title = {{MELD}: A multimodal multi-party dataset for emotion recognition in conversations},
  author = {Poria, Soujanya and Hazarika, Devamanyu and Majumder, Navonil and Naik, Gautam and Cambria, Erik and
            Mihalcea, Rada},
  booktitle = {Proc. Annual Meeting of the Association for Computational Linguistics (ACL)},
  pages = {527--536},
  year = {2019},
  doi = {10.18653/v1/P19-1050}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "https://affective-meld.github.io/",
        "who": "get the videos from https://affective-meld.github.io/ (if ffmpeg is not installed, extract their sound "
               "into folders of the same names), and pack these with the tables, *_sent_emo.csv",
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 304
CLIPS = 13706
HOURS = 12.1
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
LABELS = {
    "anger": "angry", "disgust": "disgust", "fear": "fear", "joy": "happy", "neutral": "neutral", "sadness": "sad",
    "surprise": "surprise",
}  # fmt: skip
SIDE_TABLES = ("train_sent_emo.csv", "dev_sent_emo.csv", "test_sent_emo.csv")
EXAMPLES = {
    "/data/MELD.Raw/train/train_splits/dia0_utt0.wav": {
        "language": "en", "published": "train", "key": "train/dia0_utt0",
    },
    "/data/MELD/dev_splits_complete/dia113_utt17.flac": {
        "language": "en", "published": "dev", "key": "dev/dia113_utt17",
    },
    "/data/output_repeated_splits_test/wav/dia279_utt3.wav": {
        "language": "en", "published": "test", "key": "test/dia279_utt3",
    },
}  # fmt: skip
NAME = re.compile(r"dia\d{1,4}_utt\d{1,2}", re.ASCII)
PART = re.compile(r"(?:^|[\W_])(train|dev|test)(?:[\W_]|$)", re.IGNORECASE)
SEXES = {
    "Monica": "female", "Phoebe": "female", "Rachel": "female", "Chandler": "male", "Joey": "male", "Ross": "male",
}  # fmt: skip
SEVERAL = re.compile(r"\b(?:all|and|both)\b|[,/&]", re.IGNORECASE)


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    part = PART.search(path.parent.name) or PART.search(path.parent.parent.name)
    if not NAME.fullmatch(stem) or not part:
        return None
    name = part[1].lower()
    return {"language": LANGUAGE, "published": name, "key": f"{name}/{stem}"}


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add each utterance's emotion, speaker and words, and the sex of the main characters."""
    facts: dict[tuple[object, object], dict[str, object]] = {}
    for table, paths in tables.items():
        try:
            with paths[0].open(encoding="utf-8-sig", errors="replace", newline="") as stream:
                for line in csv.DictReader(stream):
                    stem = f"dia{int(line['Dialogue_ID'])}_utt{int(line['Utterance_ID'])}"
                    facts[table.partition("_")[0], stem] = _labelled(line)
        except OSError as error:
            raise SertoolError(f"cannot read {paths[0]}: {reason(error)}") from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise SertoolError(f"{paths[0]} is not the whole table of MELD: get it again") from None
    for row in rows:
        row.update(facts.get((row["published"], row["stem"]), {}))


def _labelled(line: dict[str, str]) -> dict[str, object]:
    label, speaker = line["Emotion"].strip(), line["Speaker"].strip()
    row: dict[str, object] = {"emotion": LABELS.get(label), "label": label, "sentence": line["Utterance"].strip()}
    if not SEVERAL.search(speaker):
        row["speaker"] = speaker
    if speaker in SEXES:
        row["sex"] = SEXES[speaker]
    return row
