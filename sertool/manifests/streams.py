"""Write prediction rows as they come: CSV, TSV, JSON Lines, text for people, and annotation formats."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import PurePath
from typing import Any

import numpy as np

from sertool.errors import NothingThereError
from sertool.manifests.answer_kinds import AnswerKind
from sertool.manifests.columns import Row
from sertool.manifests.delimited import UNKNOWN
from sertool.system.talk import clean

CLIP, WHEN = ("clip", "path"), ("start", "end", "issue")  # in every row
MEASURED = ("start", "duration", "end", "confidence", "judged", "silent")  # rounded on output, as probabilities are
WORDS_FOR_UNKNOWN = {*UNKNOWN} - {""}
PART = re.compile(r"@\d+(\.\d+)?(:\d+)?$")  # the suffix of a part's clip id: its start, and its channel


def names_of(kind: AnswerKind, row: Row, extra: Iterable[str]) -> list[str]:
    """Return the columns of all rows, determined by the first row."""
    last = [*WHEN, *kind.verdicts, *extra, *kind.columns]
    return [*CLIP, *(name for name in row if name not in (*CLIP, *last)), *last]


def delimited(rows: Iterable[Row], kind: AnswerKind, extra: Sequence[str], separator: str) -> Iterator[str]:
    """Yield CSV or TSV, with a header even without rows."""
    names: list[str] = []
    for row in rows:
        if not names:
            names = names_of(kind, row, extra)
            yield line(names, separator)
        yield line([_cell(_rounded(name, row.get(name))) for name in names], separator)
    if not names:
        yield line(names_of(kind, {}, extra), separator)


def line(cells: Sequence[object], separator: str) -> str:
    """Format a row of cells so that readers recover it whatever the cells hold, such as a speaker called NA."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    return separator.join(_quoted(text) if _needs_quotes(text, separator) else text for text in texts) + "\n"


def _needs_quotes(text: str, separator: str) -> bool:
    return text in WORDS_FOR_UNKNOWN or any(mark in text for mark in (separator, '"', "\r", "\n"))


def _cell(value: object) -> object:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else repr(value).removesuffix(".0")


def json_lines(rows: Iterable[Row], *_: object) -> Iterator[str]:
    for row in rows:
        yield json_line({name: _rounded(name, value) for name, value in row.items()})


def _rounded(name: str, value: Any) -> Any:
    """Round measured values: fractions to six significant digits, others, such as times in long audio, to six decimals.

    Anything else stays as it is.
    """
    if not isinstance(value, float) or not (name in MEASURED or name.startswith(("p_", "share_", "predicted_"))):
        return value
    return float(f"{value:.6g}") if abs(value) < 1 else round(value, 6)


def json_line(row: Mapping[str, Any]) -> str:
    """Return a row as JSON, without missing and non-finite values."""
    known = {name: value for name, value in row.items() if value is not None}
    try:
        return json.dumps(known, ensure_ascii=False, default=plain, allow_nan=False) + "\n"
    except ValueError:
        return json_line({name: strict(value) for name, value in known.items()})


def plain(value: Any) -> str:
    """Convert a value that JSON has no type for."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def strict(value: Any) -> Any:
    """Convert a value to strict JSON: null for NaN and infinity, lists for arrays."""
    if isinstance(value, Mapping):
        return {name: strict(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return strict(value.tolist())
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def people(rows: Iterable[Row], kind: AnswerKind, _: object) -> Iterator[str]:
    """Yield one line per row: answer, time, clip."""
    for row in rows:
        answer = kind.text(row) if kind.is_answered(row) else f"({row.get('issue') or 'not sure'})"
        when = f"{row['start']:8.2f} {row['end']:8.2f}  " if "end" in row and row.get("start") is not None else ""
        side = f"channel {row['channel']}  " if row.get("channel") else ""
        best = f"  ({clean(row['top'])})" if row.get("top") else ""
        yield f"{answer:<{kind.width}}  {when}{side}{clean(row['clip'])}{best}\n"


def rttm(rows: Iterable[Row], *_: object) -> Iterator[str]:
    """Yield Rich Transcription Time Marked lines: file, channel, start, length, emotion."""
    file_of_name: dict[str, str] = {}  # files by their unique names
    for row in _answered(rows):
        where = _without_spaces(recording(row), file_of_name)
        span = f"{row['start']:.3f} {row['end'] - row['start']:.3f}"
        answer = f"{'_'.join(row['predicted'].split())} {row['confidence']:.3f}"
        yield f"SPEAKER {where} {row.get('channel') or 1} {span} <NA> <NA> {answer} <NA>\n"


def recording(row: Row) -> tuple[str, str]:
    """Return the file of a row, and its display name.

    The name is the clip id without the suffix of a part (`call.wav` for `call.wav@3.5`), or the file's name if the id
    does not contain it.
    """
    clip, path = str(row["clip"]), str(row.get("path") or "")
    whole = PART.sub("", clip)
    return path or whole, whole if PurePath(path).stem in whole else PurePath(path).name


def _without_spaces(recording: tuple[str, str], file_of_name: dict[str, str]) -> str:
    """Return a file's name without spaces, unique among files."""
    file, name = recording
    plain = "_".join(name.split())
    ways = chain([plain], (f"{plain}~{number}" for number in count(2)))
    return next(way for way in ways if file_of_name.setdefault(way, file) == file)


def srt(rows: Iterable[Row], *_: object) -> Iterator[str]:
    """Yield subtitles of one file; if channels are separate, each line says which."""
    for number, row in enumerate(_in_time(_answered(rows)), 1):
        yield f"{number}\n{_clock(row['start'])} --> {_clock(row['end'])}\n{_in_one_line(row)}\n\n"


def audacity(rows: Iterable[Row], *_: object) -> Iterator[str]:
    """Yield an Audacity label track of one file: start, end and emotion; if channels are separate, which of them."""
    for row in _in_time(_answered(rows)):
        yield f"{row['start']:.6f}\t{row['end']:.6f}\t{_in_one_line(row)}\n"


def _in_one_line(row: Row) -> str:
    side = f"channel {row['channel']}: " if row.get("channel") else ""
    return side + " ".join(row["predicted"].split())


def _in_time(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows of a single file as they come; sort those of parts, which may be in any order, by time."""
    parts = []
    for row in rows:
        if row["clip"] == row.get("path"):
            yield row
        else:
            parts.append(row)
    yield from sorted(parts, key=lambda row: row["start"])


def _clock(seconds: float) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d},{thousandths:03d}"


def textgrid(rows: Iterable[Row], *_: object) -> Iterator[str]:
    """Yield a Praat TextGrid in its short form: one tier for each file and channel, without gaps."""
    tiers: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if "end" in row:
            file, name = recording(row)
            tiers.setdefault((file, f"{name} {row['channel']}" if row.get("channel") else name), []).append(row)
    end = max((row["end"] for tier in tiers.values() for row in tier), default=0.0)
    if not end:
        raise NothingThereError("nothing could be heard, and a TextGrid without any time is none")
    yield f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{end}\n<exists>\n{len(tiers)}\n'
    for (_file, name), tier in tiers.items():
        intervals = list(_filled(sorted(tier, key=lambda row: row["start"]), end))
        yield f'"IntervalTier"\n{_quoted(name)}\n0\n{end}\n{len(intervals)}\n'
        for low, high, text in intervals:
            yield f"{low}\n{high}\n{_quoted(text)}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _filled(rows: Sequence[Row], end: float) -> Iterator[tuple[float, float, str]]:
    """Yield the rows' intervals, with empty ones between them."""
    at = 0.0
    for row in rows:
        if row["start"] > at:
            yield at, row["start"], ""
        if row["end"] > max(at, row["start"]):
            yield max(at, row["start"]), row["end"], row.get("predicted") or ""
            at = row["end"]
    if end > at:
        yield at, end, ""


def _answered(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.get("predicted"))


Writer = Callable[[Iterable[Row], AnswerKind, Sequence[str]], Iterator[str]]
WRITERS: dict[str, Writer] = {
    "csv": lambda rows, kind, extra: delimited(rows, kind, extra, ","),
    "tsv": lambda rows, kind, extra: delimited(rows, kind, extra, "\t"),
    "jsonl": json_lines,
    "table": people,
    "rttm": rttm,
    "srt": srt,
    "audacity": audacity,
    "textgrid": textgrid,
}
