"""MSP-IMPROV: improvised, read and natural English of pairs of actors, twelve speakers, four emotions, with votes.

`session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav`: target sentence and the emotion it was to have, speaker, scenario,
and turn. Only in the scenarios R (read) and T (improvised) is the target sentence what is said; S are the other turns
of improvisations, P those between recordings. Labels are what most evaluators perceived, in `Evalution.txt` (so
spelled); O (other) and X (no agreement) are no emotion. Activation, valence and dominance there are the evaluators'
means, from 1 to 5; 1 is the highest activation there, and the lowest arousal here. Some turns have no dominance.
"""

import re
from collections import Counter
from pathlib import Path, PurePath

from sertool.errors import SertoolError, reason

TITLE = "MSP-IMPROV: acted corpus of dyadic interactions"
HOMEPAGE = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html"
LICENCE = "research only, by signed agreement"
CITATION = """@article{busso2017mspimprov,
  title = {{MSP-IMPROV}: An acted corpus of dyadic interactions to study emotion perception},
  author = {Busso, Carlos and Parthasarathy, Srinivas and Burmania, Alec and AbdelWahab, Mohammed and Sadoughi, Najmeh
            and Mower Provost, Emily},
  journal = {IEEE Transactions on Affective Computing},
  volume = {8},
  number = {1},
  pages = {67--80},
  year = {2017},
  doi = {10.1109/TAFFC.2016.2515617}
}"""
SOURCES = (
    {
        "kind": "ask", "home": "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
        "who": "have your institution sign the licence at "
               "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
    },
)  # fmt: skip
LANGUAGE = "en"
SPEAKERS = 12
CLIPS = 8438
HOURS = 9.0
EMOTIONS = ("angry", "happy", "neutral", "sad")
LABELS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
VOTES = {"Angry": "angry", "Happy": "happy", "Neutral": "neutral", "Sad": "sad", "Other": "other"}
STYLES = {"P": "natural", "R": "read", "S": "improvised", "T": "improvised"}
EVALUATIONS = "Eval*tion.txt"
SIDE_TABLES = (EVALUATIONS,)
EXAMPLES = {
    "/data/MSP-IMPROV/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav": {
        "speaker": "F01", "sex": "female", "language": "en", "style": "natural",
    },
    "/data/Audio/session6/S20N/T/MSP-IMPROV-S20N-M06-T-FM01.wav": {
        "speaker": "M06", "sex": "male", "language": "en", "style": "improvised", "sentence": "S20",
    },
    "/data/MSP-IMPROV-S08H-F02-R-FF01.flac": {
        "speaker": "F02", "sex": "female", "language": "en", "style": "read", "sentence": "S08",
    },
}  # fmt: skip
NAME = re.compile(
    r"MSP-IMPROV-(S(?:0[1-9]|1\d|20))[AHNS]-([FM]0[1-6])-([PRST])-[FM][FM]\d\d", re.ASCII | re.IGNORECASE
)  # fmt: skip
SEXES = {"F": "female", "M": "male"}
TURN = re.compile(r"(IMPROV-\S+)\.avi *; *(\w)\b(.*)", re.ASCII)
RATED = {"A": "arousal", "V": "valence", "D": "dominance"}
ENDS, DIGITS = 1 + 5, 6  # of the scale, added; of a mean
RATING = re.compile(r"\b([AVD]): *([\d.]+)")
CHOICE = re.compile(rf"^([^;\n]+); *({'|'.join(VOTES)}) *;", re.MULTILINE)  # an evaluator, and what they chose


def parse(path: PurePath) -> dict[str, object] | None:
    match = NAME.fullmatch(path.stem)
    if not match:
        return None
    sentence, speaker, scenario = match.group(1, 2, 3)
    row: dict[str, object] = {
        "speaker": speaker.upper(), "sex": SEXES[speaker[0].upper()], "language": LANGUAGE,
        "style": STYLES[scenario.upper()],
    }  # fmt: skip
    if scenario.upper() in "RT":
        row["sentence"] = sentence.upper()
    return row


def enrich(rows: list[dict[str, object]], tables: dict[str, list[Path]]) -> None:
    """Add each turn's emotion, and the votes of those who saw and heard it."""
    path = tables[EVALUATIONS][0]
    try:
        blocks = path.read_text(encoding="utf-8", errors="replace").split("UTD-")[1:]
    except OSError as error:
        raise SertoolError(f"cannot read {path}: {reason(error)}") from None
    heads = ((TURN.match(block), block) for block in blocks)
    facts = {f"MSP-{head[1].upper()}": _evaluation(head[2], head[3], block) for head, block in heads if head}
    if not facts:
        raise SertoolError(f"{path} holds no evaluations of MSP-IMPROV: get it again")
    for row in rows:
        row.update(facts.get(str(row["stem"]).upper(), {}))


def _evaluation(label: str, means: str, lines: str) -> dict[str, object]:
    chosen = Counter(dict(CHOICE.findall(lines)).values())  # some evaluators stand there twice
    votes = {f"votes_both_{emotion}": chosen[word] for word, emotion in VOTES.items()}
    rated = {RATED[letter]: float(number) for letter, number in RATING.findall(means)}
    if "arousal" in rated:
        rated["arousal"] = round(ENDS - rated["arousal"], DIGITS)
    return {"emotion": LABELS.get(label), "label": label, **rated, **votes}
