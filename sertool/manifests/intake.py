"""Convert others' tables to manifests: our types and words and an id for each clip, or an error saying why not."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sertool.errors import SertoolError
from sertool.manifests import casting, columns, labels, manifest
from sertool.manifests.manifest import Table
from sertool.system import talk
from sertool.system.files import listed

POINT_ZERO = r"^\d+[.,]0$"  # an integer as pandas writes it if the column has an empty cell
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)
PLAINER = {"string_view": pa.string(), "binary_view": pa.binary(), "halffloat": pa.float32()}
IN_NANOSECONDS = {
    pa.lib.Type_TIMESTAMP: lambda kind, unit: pa.timestamp(unit, kind.tz),
    pa.lib.Type_TIME64: lambda _, unit: pa.time64(unit),
    pa.lib.Type_DURATION: lambda _, unit: pa.duration(unit),
}
CALENDAR = (-719_162, 2_932_896)  # days from 1970 to the first of the year 1, and to the last of 9999
PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
BAND = r"^\s*([<>≤≥]=?\s*\d+|\d+\s*(\+|[-–—]\s*\d+))\s*$"  # ages such as 20-29, 65+ or <18
TIMES = ("start", "end", "duration")
WHOLE_DAYS = r"^\s*(\d+ days?)\s*$"  # as pandas writes a column of durations without hours
CLOCK = r"^\s*(?:NaT|(?:(?P<days>\d+) days? )?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:[.,]\d+)?))\s*$"
IN_SECONDS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
BLANK_ENDS = r"^[\s\p{Z}]|[\s\p{Z}]$"  # tested first: trimming holds a column twice


def check(table: Table, where: str) -> Table:
    """Convert a table to a manifest; raise SertoolError if it names no clips, or null or repeated ones."""
    names = table.column_names
    refuse_repeated(names, where)
    if "path" not in names and "clip" not in names:
        paths = {name.strip().lower() for name in names} & {*columns.PATH_NAMES, *columns.ID_NAMES}
        hint = f": where {min(paths)} names audio, give it to index as --table {where}" if paths else ""
        raise SertoolError(f"{where}: no column named path or clip; it has {listed(names)}{hint}")
    table = manifest.ordered(typed(table, where))
    if is_made := "clip" not in names:
        table = table.add_column(0, "clip", table.column("path"))
    table = with_durations(table, where)
    if is_made and "start" in table.column_names:
        table = _with_parts_named(table)
    if missing := table.column("clip").null_count:
        raise SertoolError(f"{where}: {talk.counted(missing, 'row')} without a {'path' if is_made else 'clip id'}")
    if manifest.repeats(table):
        clips = manifest.hashed_codes(table, "clip")
        twice = int(np.argmax(np.bincount(clips.index) > 1))
        raise SertoolError(f"{where}: clip {clips.values[twice]} stands twice; clip ids must be unique")
    return table


def refuse_repeated(names: Sequence[str], where: str) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise SertoolError(f"{where}: more than one column is named {listed(sorted(repeated))}")


def typed(table: Table, where: str, *, exact: bool = False) -> Table:
    """Cast the columns to our types; raise SertoolError if one of ours cannot be cast.

    With `exact`, numbers keep double precision where our type is single.
    """
    table = with_whole_years(_spelt_out(in_seconds(with_bands_named(table, where))), where)
    table = casting.as_ours(table, f"{where}: ", exact=exact)
    return _without_point_zero(_without_blanks(_with_our_words(_composed(_with_known_ends(table)))))


def with_bands_named(table: Table, where: str) -> Table:
    """Rename an `age` column that holds bands, not years, to `age_band`, by which one can group and filter."""
    names = table.column_names
    if "age" not in names or "age_band" in names:
        return table
    column = _in_plain_types(table.column("age")).drop_null()
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not len(column) or not is_text or not casting.all_match(BAND, column):
        return table
    talk.say(f"{where}: column age holds bands, such as {column[0].as_py()!r}: it is called age_band here")
    return table.rename_columns(["age_band" if name == "age" else name for name in names])


def with_whole_years(table: Table, where: str) -> Table:
    """Round ages with a fraction down, as people do, and as they come from days: 31.5 becomes 31."""
    if "age" not in table.column_names:
        return table
    ages = casting.as_numbers(table.select(["age"]), ["age"], where).column("age")
    whole = pc.floor(ages)
    cut = pc.less(whole, ages)  # not so for NaN
    if not pc.any(cut).as_py():
        return table
    example = ages[pc.index(cut, True).as_py()].as_py()
    talk.say_once(f"{where}: column age holds fractions, such as {example:g}: whole years are kept")
    return manifest.with_column(table, "age", whole)


def _spelt_out(table: Table) -> Table:
    """Cast other columns to types that all formats can hold and show; NaN becomes null."""
    for index, field in enumerate(table.schema):
        original = table.column(index)
        column = _in_plain_types(original)
        column = casting.nulled(column, pc.is_nan(column)) if pa.types.is_floating(column.type) else column
        column = _of_the_calendar(column) if str(column.type).partition("[")[0] in ("timestamp", "date32") else column
        if column is not original:
            table = table.set_column(index, field.name, column)
    return table


def _in_plain_types(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Cast a column to a plain type: dictionaries, views and extensions to their values, nanoseconds to microseconds.

    Python's datetime has no nanoseconds; times that would lose digits become text.
    """
    if str(column.type) == "extension<arrow.uuid>":
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    for times in ("us", None):
        kind = _plain(column.type, times)
        with suppress(pa.ArrowException):
            return column if kind == column.type else column.cast(kind)
    return column


def _plain(kind: pa.DataType, times: str | None) -> pa.DataType:
    """Return the plain type for another; `times` is the unit that replaces nanoseconds, None for text."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type, times)
    if pa.types.is_dictionary(kind):  # pandas' categories
        return _plain(kind.value_type, times)
    if pa.types.is_nested(kind):
        return _plain_within(kind, times)
    plainer = IN_NANOSECONDS.get(kind.id)
    if plainer and kind.unit == "ns":
        return plainer(kind, times) if times else pa.string()
    return PLAINER.get(str(kind), kind)


def _plain_within(kind: pa.DataType, times: str | None) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_plain(part.type, times)) for part in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type, times), _plain(kind.item_type, times))
    if not (pa.types.is_fixed_size_list(kind) or any(test(kind) for test in LISTS)):
        return kind
    value_field = kind.value_field.with_type(_plain(kind.value_type, times))
    return pa.list_(value_field, kind.list_size) if pa.types.is_fixed_size_list(kind) else pa.list_(value_field)


def _of_the_calendar(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Set to null the dates and times outside Python's calendar, such as DuckDB's infinity."""
    whole = pa.types.is_date32(column.type)
    numbers = (column.cast(pa.int32()) if whole else column).cast(pa.int64())
    a_day = 1 if whole else PER_DAY[column.type.unit]
    odd = pc.or_(pc.less(numbers, CALENDAR[0] * a_day), pc.greater_equal(numbers, CALENDAR[1] * a_day))
    return casting.nulled(column, odd)


def _composed(table: Table) -> Table:
    """Normalise words and names to Unicode NFC, as `labels.composed` does: else one speaker could count as two."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if field.name in (*columns.WORDS, "predicted") and pc.any(pc.invert(pc.string_is_ascii(column))).as_py():
            coded = manifest.coded(column)  # not pc.utf8_normalize: that of Arrow 25 decomposes
            words = [labels.composed(word) for word in coded.values]
            table = table.set_column(index, field.name, manifest.from_codes(coded.index, words))
    return table


def _with_our_words(table: Table) -> Table:
    """Translate the values of `split` and `sex` to ours, so that "val" is held out and "F" is female."""
    for index, field in enumerate(table.schema):
        if ours_of := {"split": labels.part_named, "sex": labels.sex_named}.get(field.name):
            coded = manifest.coded(table.column(index))
            ours = [ours_of(word) for word in coded.values]
            if ours != [*coded.values]:
                table = table.set_column(index, field.name, manifest.from_codes(coded.index, ours))
    return table


def _without_blanks(table: Table) -> Table:
    """Set empty strings in our text columns to null, as in CSV, and trim blanks around speakers."""
    names = table.column_names  # looked up once: each lookup takes time in proportion to their number
    for index, field in enumerate(table.schema):
        column = original = table.column(index)
        if field.name == "speaker" and pc.any(pc.match_substring_regex(column, BLANK_ENDS)).as_py():
            column = pc.utf8_trim_whitespace(column)
        if columns.kind_of(field.name, names) == "string":
            column = casting.nulled(column, pc.equal(column, ""))
        if column is not original:
            table = table.set_column(index, field.name, column)
    return table


def _without_point_zero(table: Table) -> Table:
    """Turn 1.0, as pandas writes 1 in a column with gaps, into 1 in columns of ids.

    Otherwise a speaker of two tables would count as two, and the leak guard would miss it. A column with any other
    value is unchanged.
    """
    for index, field in enumerate(table.schema):
        if field.name in columns.DESCRIBED and casting.kind(field.name) == pa.string():
            column = table.column(index)
            if casting.all_match(POINT_ZERO, column):
                table = table.set_column(index, field.name, pc.replace_substring_regex(column, r"[.,]0$", ""))
    return table


# Times.


def in_seconds(table: Table) -> Table:
    """Convert times of the clock, such as `00:01:30.5` and pandas' `0 days 00:01:30.5`, and durations, to seconds."""
    for index, field in enumerate(table.schema):
        if field.name in TIMES:
            column = table.column(index)
            if pa.types.is_duration(field.type):
                table = table.set_column(index, field.name, _of_durations(column))
            elif str(field.type) in ("string", "large_string"):
                column = pc.replace_substring_regex(column, WHOLE_DAYS, r"\1 00:00:00")
                is_clock = pc.match_substring_regex(column, CLOCK)
                if pc.any(is_clock).as_py():
                    column = pc.if_else(is_clock, _of_clock(column), column.cast(pa.string()))
                    table = table.set_column(index, field.name, column)
    return table


def _of_durations(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(column.cast(pa.int64()).cast(pa.float64()), PER_DAY[column.type.unit] / PER_DAY["s"])


def _of_clock(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times that match CLOCK as seconds in text; others, and pandas' NaT, are null."""
    found = pc.extract_regex(pc.replace_substring(column.cast(pa.string()), ",", "."), CLOCK)
    total: Any = 0.0
    for unit, seconds in IN_SECONDS.items():
        text = pc.struct_field(found, unit)
        nothing = pa.scalar("0" if unit == "days" else None, pa.string())
        number = pc.if_else(pc.equal(text, ""), nothing, text).cast(pa.float64())
        total = pc.add(total, pc.multiply(number, float(seconds)))
    return pc.round(total, 9).cast(pa.string())


def with_durations(table: Table, where: str) -> Table:
    """Replace `start` and `end`, as predict and most tables of segments have them, by `start` and `duration`.

    `end` takes precedence over a duration in the same row, which may be that of the whole clip, as in predict's output
    with --window. Several parts of one clip get ids of their own, with the start of each. An `end` without a `start`
    column is left alone.
    """
    if not {"start", "end"} <= {*table.column_names}:
        return table
    end = _finite_or_null(casting.seconds(table.column("end"), "end", f"{where}: "))
    start = pc.fill_null(table.column("start"), 0.0)
    length = pc.round(pc.subtract(end, start), 9)
    if pc.any(wrong := pc.fill_null(pc.less_equal(length, 0.0), False)).as_py():
        row = pc.index(wrong, True).as_py()
        says = f"row {row + 1:,} ends at {end[row]} and starts at {start[row]}"
        raise SertoolError(f"{where}: {says}: an end, in seconds of the file, comes after its start")
    ended = end.is_valid()
    if "duration" in table.column_names:
        length = pc.coalesce(length, table.column("duration"))
    table = manifest.with_column(table.drop_columns(["end"]), "start", pc.if_else(ended, start, table.column("start")))
    return _with_parts_named(manifest.with_column(table, "duration", length))


def _with_parts_named(table: Table) -> Table:
    """Make the ids of repeated clips unique by their start, `talk@1.5`, and if still equal by channel, `talk@1.5:2`."""
    table = _with_unique_ids(table, named_by_start)
    return _with_unique_ids(table, _named_by_channel) if "channel" in table.column_names else table


def _with_unique_ids(table: Table, new_names: Callable[[Table], pa.ChunkedArray]) -> Table:
    """Rename the rows whose clip id is repeated."""
    if "clip" not in table.column_names or table.column("clip").null_count or not manifest.repeats(table):
        return table
    clips = manifest.hashed_codes(table, "clip").index
    several = pa.array((np.bincount(clips) > 1)[clips])
    return manifest.with_column(table, "clip", pc.if_else(several, new_names(table), table.column("clip")))


def named_by_start(table: Table) -> pa.ChunkedArray:
    """Return names of parts of files, such as `talk@1.5`; a missing start is 0."""
    starts = pc.fill_null(table.column("start"), 0.0).cast(pa.string())
    return pc.binary_join_element_wise(table.column("clip"), starts, "@")


def _named_by_channel(table: Table) -> pa.ChunkedArray:
    channels = table.column("channel").cast(pa.string())
    return pc.coalesce(pc.binary_join_element_wise(table.column("clip"), channels, ":"), table.column("clip"))


def _with_known_ends(table: Table) -> Table:
    """Set `start` and `duration` to null where they are not finite: the clip then begins or ends with its file."""
    for index, field in enumerate(table.schema):
        if field.name in ("start", "duration"):
            table = table.set_column(index, field.name, _finite_or_null(table.column(index)))
    return table


def _finite_or_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Set numbers that are not finite to null."""
    return casting.nulled(column, pc.invert(pc.is_finite(column)))
