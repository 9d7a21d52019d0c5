"""MSP-Podcast: English podcasts, 2,100 speakers, eight emotions, with listeners' votes and published parts.

`Audios/MSP-PODCAST_0001_0008.wav`; all else is in `Labels/labels_consensus.csv` (or .json) and the votes in
`labels_detailed.csv`. O (other) and X (no agreement) are no emotion; activation, valence and dominance are listeners'
means, from 1 to 7. The parts stand in the column `published`
(`--protocol msppodcast-published`): train, dev, test1, test2 and, without labels, test3. The figures are of release
1.11: train, dev and test1 share no speakers, and have 2,100. Speakers who are unknown there are so here.
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from sertool.errors import SertoolError, reason

TITLE = "MSP-Podcast corpus"
HOMEPAGE = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html"
LICENCE = "research only, by signed agreement"
CITATION = """@article{lotfian2019msppodcast,
  title = {Building naturalistic emotionally balanced speech corpus by retrieving emotional speech from existing podcast
           recordings},
  author = {Lotfian, Reza and Busso, Carlos},
  journal = {IEEE Transactions on Affective Computing},
  volume = {10},
  number = {4},
  pages = {471--483},
  year = {2019},
  doi = {10.1109/TAFFC.2017.2736999}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
        "who": "have your institution sign the licence at "
               "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 2100
CLIPS = 151654
HOURS = 237.9
EMOTIONS = ("angry", "sad", "happy", "surprise", "fear", "disgust", "contempt", "neutral")
LABELS = {
    "A": "angry", "S": "sad", "H": "happy", "U": "surprise", "F": "fear", "D": "disgust", "C": "contempt",
    "N": "neutral",
}  # fmt: skip
VOTES = {
    "Angry": "votes_voice_angry", "Sad": "votes_voice_sad", "Happy": "votes_voice_happy",
    "Surprise": "votes_voice_surprise", "Fear": "votes_voice_fear", "Disgust": "votes_voice_disgust",
    "Contempt": "votes_voice_contempt", "Neutral": "votes_voice_neutral",
}  # fmt: skip
OTHER = "votes_voice_other"  # which listeners may put into words
RATED = {"EmoAct": "arousal", "EmoVal": "valence", "EmoDom": "dominance"}
PUBLISHED = {
    "Train": "train", "Development": "dev", "Validation": "dev", "Test": "test", "Test1": "test1", "Test2": "test2",
    "Test3": "test3",
}  # fmt: skip
CONSENSUS = ("labels_con[cs]ensus.csv", "labels_con[cs]ensus.json")  # older releases spell it concensus
DETAILED = "labels_detailed.csv"
SIDE_TABLES = (*CONSENSUS, DETAILED)
EXAMPLES = {
    "/data/MSP-PODCAST-Publish-1.11/Audios/MSP-PODCAST_0001_0008.wav": {"language": "en"},
    "/data/Audios/MSP-PODCAST_1495_0163_0018.flac": {"language": "en"},
    "/data/Audios/MSP-PODCAST_test3_0001.wav": {"language": "en", "published": "test3"},
}
NAME = re.compile(r"MSP-PODCAST_(\d{4}|test3)_\d{4}(?:_\d{4})?", re.ASCII)
SEXES = {"Female": "female", "Male": "male"}


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    row: dict[str, object] = {"language": LANGUAGE}
    if match[1] == "test3":
        row["published"] = match[1]
    return row


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add each clip's emotion, speaker, sex and published part, and listeners' votes."""
    rows_of = defaultdict(list)
    for row in rows:
        rows_of[f"{row['stem']}.wav"].append(row)
    consensus = [path for pattern in CONSENSUS for path in tables.get(pattern, ())]
    for paths, facts_of in ((consensus, _labels), (tables.get(DETAILED, ()), _votes)):
        for path in paths[:1]:
            try:
                facts = facts_of(_read(path))
            except (LookupError, TypeError, ValueError, AttributeError):
                raise SertoolError(f"{path} is not the whole table of MSP-Podcast: get it again") from None
            for name in facts.keys() & rows_of.keys():
                for row in rows_of[name]:
                    row.update(facts[name])


def _labels(lines: Iterable[dict[str, str]]) -> dict[str, dict[str, object]]:
    return {line["FileName"]: _label(line) for line in lines}


def _label(line: dict[str, str]) -> dict[str, object]:
    label, speaker = line["EmoClass"], line["SpkrID"]
    rated = {name: float(line[column]) for column, name in RATED.items() if line.get(column)}
    row: dict[str, object] = {"emotion": LABELS.get(label), "label": label, **rated}
    if speaker != "Unknown":
        row["speaker"] = speaker
    known = {"sex": SEXES.get(line["Gender"]), "published": PUBLISHED.get(line["Split_Set"])}
    return row | {name: word for name, word in known.items() if word}


def _votes(lines: Iterable[dict[str, str]]) -> dict[str, dict[str, object]]:
    """Count what listeners chose: in a column or, in some releases, after the listener in a text."""
    chosen: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        word = line["EmoClass_Major"] if "EmoClass_Major" in line else line["EmoDetail"].split(";")[1]
        chosen[line["FileName"]][VOTES.get(word.strip(), OTHER)] += 1
    return {name: {column: votes[column] for column in (*VOTES.values(), OTHER)} for name, votes in chosen.items()}


def _read(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table; in JSON it is an object for each name of a file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            if path.suffix.lower() == ".json":
                yield from ({"FileName": name, **facts} for name, facts in json.load(stream).items())
            else:
                yield from csv.DictReader(stream)
    except OSError as error:
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None
