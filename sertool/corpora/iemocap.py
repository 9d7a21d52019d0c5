"""IEMOCAP: improvised and scripted English dialogues of two, ten actors, nine emotions, with evaluators' votes.

`Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M003.wav`: session, whose markers were filmed, dialogue, who
speaks and number of the turn. Labels lie in `Session1/dialog/EmoEvaluation/`; xxx (no agreement) and oth are no
emotion; valence, activation and dominance are the evaluators' means, from 1 to 5. `--map exc=happy --emotions
angry,happy,neutral,sad` makes the usual four classes. The recordings of whole dialogues, `Session1/dialog/wav/`, are
left out: their turns are the clips.
"""

import re
from collections import Counter
from pathlib import Path, PurePath

from sertool.errors import SertoolError, reason

TITLE = "Interactive Emotional Dyadic Motion Capture database (IEMOCAP)"
HOMEPAGE = "https://sail.usc.edu/iemocap/"
LICENCE = "research only, by signed agreement"
CITATION = """@article{busso2008iemocap,
  title = {{IEMOCAP}: interactive emotional dyadic motion capture database},
  author = {Busso, Carlos and Bulut, Murtaza and Lee, Chi-Chun and Kazemzadeh, Abe and Mower, Emily and Kim, Samuel and
            Chang, Jeannette N. and Lee, Sungbok and Narayanan, Shrikanth S.},
  journal = {Language Resources and Evaluation},
  volume = {42},
  number = {4},
  pages = {335--359},
  year = {2008},
  doi = {10.1007/s10579-008-9076-6}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "https://sail.usc.edu/iemocap/",
        "who": "ask for it at https://sail.usc.edu/iemocap/iemocap_release.htm and sign the licence that you are sent",
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 10
CLIPS = 10039
HOURS = 12.0
EMOTIONS = ("angry", "happy", "sad", "neutral", "frustrated", "excited", "fear", "surprise", "disgust")
LABELS = {
    "ang": "angry", "hap": "happy", "sad": "sad", "neu": "neutral", "fru": "frustrated", "exc": "excited",
    "fea": "fear", "sur": "surprise", "dis": "disgust",
}  # fmt: skip
VOTES = {
    "Anger": "angry", "Happiness": "happy", "Sadness": "sad", "Neutral": "neutral", "Frustration": "frustrated",
    "Excited": "excited", "Fear": "fear", "Surprise": "surprise", "Disgust": "disgust", "Other": "other",
}  # fmt: skip
STYLES = {"impro": "improvised", "script": "scripted"}
EVALUATIONS, TRANSCRIPTS = SIDE_TABLES = ("EmoEvaluation/Ses*.txt", "transcriptions/Ses*.txt")
EXAMPLES = {
    "/data/IEMOCAP_full_release/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M003.wav": {
        "speaker": "Ses01M", "sex": "male", "language": "en", "style": "improvised",
    },
    "/data/Ses05M_script01_1b_F012.flac": {
        "speaker": "Ses05F", "sex": "female", "language": "en", "style": "scripted",
    },
    "/data/IEMOCAP/Session3/dialog/wav/Ses03M_impro08a.wav": {},
}  # fmt: skip
NAME = re.compile(r"(Ses0[1-5])[FM]_(impro|script)0\d(?:_\d)?[ab]?(?:_([FM])\d{3})?", re.ASCII)
SEXES = {"F": "female", "M": "male"}
RATED = ("valence", "arousal", "dominance")  # in the order of the file
RATINGS = r"\[([\d.]+), *([\d.]+), *([\d.]+)\]"
TURN = re.compile(  # with its ratings and evaluations
    rf"^\[[^\]\n]*\]\s+(Ses\S+)\s+(\w+)\s+(?:{RATINGS})?.*\n((?:[AC]-.*\n?)*)", re.MULTILINE
)
CHOICE = re.compile(r"^C-E\d+:([^(\n]*)", re.MULTILINE)  # of an evaluator; the actors' own are C-F1 and C-M1
SAID = re.compile(r"^(Ses\S+) \[[^\]\n]*\]:? *(.*)", re.MULTILINE)


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    session, kind, sex = match.groups()
    if not sex:
        return {}
    return {"speaker": session + sex, "sex": SEXES[sex], "language": LANGUAGE, "style": STYLES[kind]}


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add each turn's emotion, the votes of those who saw and heard it, and what is said."""
    facts: dict[str, dict[str, object]] = {}
    for path in tables.get(EVALUATIONS, ()):
        turns = TURN.findall(_read(path))
        if not turns:
            raise SertoolError(f"{path} holds no evaluations of IEMOCAP: get it again")
        facts |= {turn: _evaluation(label, ratings, lines) for turn, label, *ratings, lines in turns}
    for path in tables.get(TRANSCRIPTS, ()):
        for turn, text in SAID.findall(_read(path)):
            facts.setdefault(turn, {})["sentence"] = text.strip()
    for row in rows:
        row.update(facts.get(str(row["stem"]), {}))


def _evaluation(label: str, ratings: list[str], lines: str) -> dict[str, object]:
    chosen = Counter(word for choice in CHOICE.findall(lines) for word in re.findall(r"\w+", choice))
    votes = {f"votes_both_{emotion}": chosen[word] for word, emotion in VOTES.items()}
    rated = {name: float(number) for name, number in zip(RATED, ratings, strict=True) if number}
    return {"emotion": LABELS.get(label), "label": label, **rated, **votes}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None
