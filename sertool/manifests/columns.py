"""The manifest's columns: their names, types and meanings. Help, completions and man pages read them from here."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Row = dict[str, Any]  # a row of a manifest, by column

CLIP = {
    "clip": ("string", "unique, stable name: corpus/stem; a copy is parent#k"),
    "path": ("string", "the audio file"),
    "start": ("double", "where the clip starts in the file, in seconds"),
    "duration": ("double", "how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff"),
}
SPEAKER_COLUMNS = {
    "corpus": ("string", "the corpus it belongs to"),
    "speaker": ("string", "who speaks, qualified by the corpus: cremad:1001; null when unknown"),
    "sex": ("string", "female or male"),
    "age": ("int16", "in years; bands such as 20-29 become a column age_band"),
    "race": ("string", "as the corpus has it"),
    "ethnicity": ("string", "as the corpus has it"),
    "language": ("string", "ISO 639-1 code"),
}
SPEECH_COLUMNS = {
    "emotion": ("string", "canonical word, as listed below, or one of your own (--map)"),
    "label": ("string", "the corpus' own code for it"),
    "intensity": ("string", "low, medium or high"),
    "sentence": ("string", "identity or text of what was said"),
    "style": ("string", "speech, song or non-speech; scripted, improvised, read or natural"),
}
# How listeners rate a clip, in numbers.
DIMENSIONS = {
    "arousal": ("double", "how active the voice is, also called activation, in the corpus' own scale"),
    "valence": ("double", "how pleasant what it expresses is, in that scale"),
    "dominance": ("double", "how much in control the speaker is, in that scale"),
}
FILE = {
    "sample_rate": ("int32", "of the file, in Hz"),
    "channels": ("int16", "in the file"),
    "samples": ("int64", "in each channel of the file"),
    "digest": ("string", "of the decoded sound: equal samples have equal digests, in any bit depth"),
    "size": ("int64", "of the file, in bytes"),
    "modified": ("int64", "when the file last changed, in nanoseconds"),
    "issue": ("string", "null, or why the clip is unusable; such clips are skipped"),
    "notes": ("list", "what is odd but usable"),
}
SPLIT_COLUMNS = {
    "split": ("string", "train, dev or test, once decided"),
    "fold": ("int16", "the fold that holds it out, once decided"),
}
COPY = {
    "parent": ("string", "the clip that a copy was made from"),
    "augmentation": ("string", "the drawn numbers of a copy, as JSON"),
    "seed": ("int64", "what they were drawn with; of a prediction, the seed of the training"),
}
OUTCOME = {
    "run": ("string", "the run that predicted"),
    "predicted": ("string", "the most probable emotion"),
    "confidence": ("float", "its probability"),
}

ANSWERS = (*OUTCOME, "top", "protocol", "adapted")  # found only in predictions, like `p_*`

OF_WINDOWS = {"end": "double", "channel": "int64", "top": "string"}  # in predictions; anything elsewhere

CHANNEL_DIGITS = 4  # most digits of a channel's number: longer numbers are ids

# Columns of some manifests only, which may be anything in others.
ELSEWHERE = {
    "end": "where the window that was answered for ends in the file, in seconds; start is where it starts",
    "channel": "which was answered for, or is asked for, from 1: as predict --channel left, right or each says",
    "top": "the most probable emotions and their probabilities, with --top",
    "judged": "how many seconds predict --summary judged",
    "silent": "how many seconds it found too quiet to be judged",
    "share_angry": "an emotion's share of the judged seconds, such as that of angry",
    "predicted_arousal": "the answer of a model of dimensions, such as of arousal, in the scale of its training",
    "protocol": "how the clips were divided, after train and predict",
    "adapted": "how the model was adapted to the speaker: transductive, enrolled, or as one voice",
    "published": "the part that its corpus publishes for the clip: train, dev, test, or test1 to test3",
    "recognised": "percent of the listeners who named the emotion; of emodb",
    "natural": "percent of the listeners who found it natural; of emodb",
}

DESCRIBED = SPEAKER_COLUMNS | SPEECH_COLUMNS | DIMENSIONS  # what people say of a clip

FROM_NAMES = DESCRIBED | SPLIT_COLUMNS  # a file name may tell these; those in FILE are measured

MEANINGS: dict[str, tuple[str, str]] = CLIP | DESCRIBED | FILE | SPLIT_COLUMNS | COPY | OUTCOME

WORDS = [name for name, (kind, _) in DESCRIBED.items() if kind == "string"]  # text about people and speech

# Families of columns, one for each emotion, modality or feature: name pattern, type and meaning.
FAMILIES = {
    "votes_*": ("int32", "listeners' votes by modality and emotion: votes_voice_angry"),
    "soft_*": ("float", "share of the votes for an emotion: soft_angry"),
    "p_*": ("float", "predicted probability of an emotion: p_angry"),
    "*_shard": ("string", "the shard that holds a feature's rows: mel_shard"),
    "*_offset": ("int64", "its first row in the shard"),
    "*_rows": ("int64", "how many rows it has"),
}

# Other names of our columns, the likeliest first, which every command that reads others' tables accepts.
PATH_NAMES = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "wav", "wav_path", "audio", "audio_path",
)  # fmt: skip
ID_NAMES = ("utterance", "utt", "key", "id")  # of files, where no column has paths or clips
CLIP_NAMES = ("clip", *PATH_NAMES)  # a row of others has one of these, which names its clip
SPLIT_NAMES = ("partition", "subset", "set", "split_set", "data_split", "part")  # of splits, if they hold parts
OTHER_NAMES = {
    "emotion": ("emo", "class"),
    "speaker": ("speaker_id", "spk", "actor", "subject"),
    "sex": ("gender",),
    "duration": ("dur",),
    "language": ("lang",),
    "sentence": ("text", "transcript"),
    "arousal": ("activation", "act", "emoact"),
    "valence": ("val", "emoval"),
    "dominance": ("dom", "emodom"),
}
OURS = {other: name for name, others in OTHER_NAMES.items() for other in others}

FEATURE = ("_shard", "_offset", "_rows")

ISSUES = {
    "unreadable": "not audio that can be decoded",
    "empty": "no bytes, or no samples where it lies",
    "lfs-pointer": "a Git LFS pointer: run `git lfs pull` in the corpus, or download the audio itself",
    "truncated": "the file was cut off: copy or download it again",
    "not-finite": "values, or features of them, that are no numbers: export the audio, or the file of --given, again",
    "not-given": "no row in the file of --given: add one, or leave the clip out",
    "silent": "nothing above -66 dBFS; to predict, nothing as loud as --silence",
    "too-short": "under 50 ms, or over before --offset",
    "no-channel": "the file lacks the channel asked for: predict it with --channel mix",
    "vanished": "the file is not there: restore it, name where it lies now with --root, or index again",
    "changed": "the file is another than was indexed: index again, with --update",
    "label-conflict": "the same sound under two labels: name the right one to index --correct, or leave all out",
    "duplicate-of": "the same sound as another clip",
}
NOTES = {
    "clipped": "three or more neighbouring samples at full scale",
    "quiet": "a peak under -40 dBFS",
    "dc": "an offset over a tenth of the level",
    "over-scale": "values far over full scale, as of integers kept as floats: divide those of 16 bits by 32,768",
    "antiphase": "channels that cancel when they are mixed: take one, with --channels left",
    "stereo": "more than one channel",
    "odd-rate": "another sample rate than the rest of its corpus",
    "odd-name": "not named as its corpus names files",
    "wrong-duration": "not as long as the table says",
    "unread-end": "data follows the length given in the header, perhaps more sound; it is not read",
}


def kind_of(name: str, beside: Collection[str] | None = None) -> str | None:
    """Return the type of one of our columns; None for any other column.

    With the names `beside` it, a feature's columns are ours only if all three are there: `speech_offset` alone is not.
    """
    if name in MEANINGS:
        return MEANINGS[name][0]
    for pattern, (kind, _) in FAMILIES.items():
        if re.fullmatch(pattern.replace("*", r"[\w -]+"), name):
            feature, _, end = name.rpartition("_")
            points = f"_{end}" in FEATURE and pattern.startswith("*")
            return None if points and beside is not None and not _is_feature(feature, beside) else kind
    return None


def channel_numbers(words: Sequence[str]) -> list[int]:
    """Return the numbers of channels that a column `channel` holds; none if it holds something else."""
    texts = [word.removesuffix(".0") for word in words]
    are_numbers = all(text.isdecimal() and len(text) <= CHANNEL_DIGITS for text in texts)
    return [*map(int, texts)] if are_numbers else []


def of_rows(rows: Collection[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Convert rows to columns, in the order of first appearance; a missing value is None."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def features(names: Collection[str]) -> list[str]:
    """Return the features in some columns: those with all three columns."""
    shard = FEATURE[0]
    return [name.removesuffix(shard) for name in names if name.endswith(shard) and kind_of(name, names)]


def of_feature(feature: str) -> list[str]:
    """Return the columns that locate the rows of a feature: shard, first row and number of rows."""
    return [feature + end for end in FEATURE]


def predicted(rating: str) -> str:
    """Return the column of the predictions of a rating."""
    return f"predicted_{rating}"


def ours(name: str) -> str:
    """Return our name for a column: `Gender` becomes sex; an unknown name becomes lower case."""
    word = name.strip().lower()
    return OURS.get(word, word)


def named(name: str) -> str:
    """Return a column with its other names: `speaker (or spk, actor)`."""
    return f"{name} (or {', '.join(OTHER_NAMES[name])})"


def _is_feature(name: str, beside: Collection[str]) -> bool:
    return all(column in beside for column in of_feature(name))
