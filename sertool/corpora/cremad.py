"""CREMA-D: acted English, 91 speakers, six emotions, with listeners' votes.

`1001_IEO_ANG_HI.wav`: speaker, sentence, emotion, intensity (XX: unspecified). The audio of one clip is named
`1040_ITH_SAD_X`; the tables call it `1040_ITH_SAD_XX`.
"""

import re
from operator import itemgetter
from pathlib import Path, PurePath

from sertool.errors import SertoolError, reason

TITLE = "Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)"
HOMEPAGE = "https://github.com/CheyneyComputerScience/CREMA-D"
LICENCE = "ODbL 1.0, contents DbCL 1.0"
CITATION = """@article{cao2014cremad,
  title = {{CREMA-D}: Crowd-sourced Emotional Multimodal Actors Dataset},
  author = {Cao, Houwei and Cooper, David G. and Keutmann, Michael K. and Gur, Ruben C. and Nenkova, Ani and
            Verma, Ragini},
  journal = {IEEE Transactions on Affective Computing},
  volume = {5},
  number = {4},
  pages = {377--390},
  year = {2014},
  doi = {10.1109/TAFFC.2014.2336244}
}"""
SOURCES = (
    {
        "kind": "git", "home": "https://github.com/CheyneyComputerScience/CREMA-D", "about": 630_000_000,
        "files": {"CREMA-D.zip": {
            "url": "https://codeload.github.com/CheyneyComputerScience/CREMA-D/zip/refs/heads/master",
        }},
        "moving": True, "strip": True,
        "take": ("AudioWAV/*.wav", "*processedResults/*.csv", "*VideoDemographics.csv", "SentenceFilenames.csv",
                 "LICENSE*", "README*"),
    },
    {
        "kind": "git", "home": "https://gitlab.com/cs-cooper-lab/crema-d-mirror", "about": 630_000_000,
        "files": {
            "AudioWAV.tar.gz": {
                "url": "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/archive/main/crema-d-mirror-main.tar.gz"
                       "?path=AudioWAV",
            },
            "processedResults.tar.gz": {
                "url": "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/archive/main/crema-d-mirror-main.tar.gz"
                       "?path=processedResults",
            },
            "VideoDemographics.csv": {
                "url": "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main/VideoDemographics.csv",
            },
        },
        "moving": True, "strip": True, "take": ("AudioWAV/*.wav", "processedResults/*.csv"),
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 91
CLIPS = 7442
HOURS = 5.3
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad")
LABELS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}
SIDE_TABLES = ("VideoDemographics.csv", "tabulatedVotes.csv")
VOTES = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
MODALITIES = {"1": "voice", "2": "face", "3": "both"}  # by the first digit of a row's number in the table of votes
EXAMPLES = {
    "/data/crema-d/AudioWAV/1001_IEO_ANG_HI.wav": {
        "speaker": "1001", "language": "en", "emotion": "angry", "label": "ANG", "intensity": "high", "sentence": "IEO",
    },
    "/data/AudioMP3/1091_wsi_neu_xx.mp3": {
        "speaker": "1091", "language": "en", "emotion": "neutral", "label": "NEU", "sentence": "WSI",
    },
    "/data/AudioWAV/1040_ITH_SAD_X.wav": {
        "speaker": "1040", "language": "en", "emotion": "sad", "label": "SAD", "sentence": "ITH", "notes": ["odd-name"],
    },
}  # fmt: skip
NAME = re.compile(
    r"10(?:0[1-9]|[1-8]\d|9[01])_(?:DFA|IEO|IOM|ITH|ITS|IWL|IWW|MTI|TAI|TIE|TSI|WSI)"
    r"_(?:ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX?)",
    re.ASCII | re.IGNORECASE,
)


def parse(path: PurePath) -> dict[str, object] | None:
    stem = path.stem
    if not NAME.fullmatch(stem):
        return None
    speaker, sentence, label, level = stem.upper().split("_")
    row: dict[str, object] = {
        "speaker": speaker, "language": LANGUAGE, "emotion": LABELS[label], "label": label, "sentence": sentence,
    }  # fmt: skip
    if level in INTENSITIES:
        row["intensity"] = INTENSITIES[level]
    elif level == "X":
        row["notes"] = ["odd-name"]
    return row


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add the actors' sex, age, race and ethnicity, and listeners' votes from voice, face and both."""
    clips: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        stem = str(row["stem"]).upper()
        clips.setdefault(stem + "X" if stem.endswith("_X") else stem, []).append(row)
    for name, add in (("VideoDemographics.csv", _add_actors), ("tabulatedVotes.csv", _add_votes)):
        for path in tables.get(name, ())[:1]:
            try:
                add(clips, path)
            except (LookupError, ValueError):
                raise SertoolError(f"{path} is not the whole table of CREMA-D: get it again") from None


def _add_actors(clips: dict[str, list[dict[str, object]]], path: Path) -> None:
    actors = {}
    for actor, age, sex, race, ethnicity in _read(path, "ActorID", "Age", "Sex", "Race", "Ethnicity"):
        facts = {"sex": sex.lower(), "age": int(age), "race": race, "ethnicity": ethnicity}
        actors[actor] = {name: fact for name, fact in facts.items() if fact != "Unknown"}
    for clip, rows in clips.items():
        for row in rows:
            row.update(actors.get(clip[:4], {}))


def _add_votes(clips: dict[str, list[dict[str, object]]], path: Path) -> None:
    names = {digit: [f"votes_{word}_{emotion}" for emotion in VOTES.values()] for digit, word in MODALITIES.items()}
    for clip, number, *counts in _read(path, "fileName", "", *VOTES):
        for row in clips.get(clip, ()):
            row.update(zip(names[number[:1]], map(int, counts), strict=True))


def _read(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """Read some columns of a table, splitting at commas: no cell of CREMA-D's tables contains one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").replace('"', "").splitlines()
    except OSError as error:
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None
    places = [lines[0].split(",").index(column) for column in columns]
    pick, cuts = itemgetter(*places), max(places) + 1
    return [pick(line.split(",", cuts)) for line in lines[1:] if line]
