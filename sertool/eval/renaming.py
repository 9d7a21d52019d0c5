"""Give the columns of anybody's table of answers our names."""

from collections.abc import Iterable, Mapping, Sequence

from sertool.errors import UsageError
from sertool.manifests import columns, labels, manifest, provenance
from sertool.manifests.manifest import Table
from sertool.system.files import listed

# Other names that tables of answers use for our columns, the likeliest first; ratings have theirs only if scored.
NAMES = {ours: others for ours, others in columns.OTHER_NAMES.items() if ours not in columns.DIMENSIONS} | {
    "emotion": ("truth", "true", "y_true", "ground_truth", "gold", "actual", "reference", "target", "true_label",
                "true_emotion", "label_true", "emotion_true", "expected", "label", *columns.OTHER_NAMES["emotion"]),
    "predicted": ("prediction", "y_pred", "pred", "predicted_label", "predicted_emotion", "pred_label", "pred_emotion",
                  "label_pred", "emotion_pred", "hypothesis", "output"),
    "clip": ("path", "id", "file", "filename", "utterance", "utt", "key"),
}  # fmt: skip


def renamed(table: Table, asked: Mapping[str, str | None], dimensions: Iterable[str]) -> Table:
    """Rename a table's columns to ours, as `translation` says; those of these names that it replaces are dropped."""
    ours = translation(table.column_names, asked, dimensions)
    replaced = set(ours.values())
    columns_kept = [name for name in table.column_names if name in ours or name not in replaced]
    in_ours = table.select(columns_kept).rename_columns([ours.get(name, name) for name in columns_kept])
    names = [_in_small(name, in_ours) for name in in_ours.column_names]
    return provenance.attached(in_ours.rename_columns(names), provenance.of(table))


def _in_small(name: str, table: Table) -> str:
    """Return `P_Angry` as `p_Angry` if it names an emotion; others, such as `P_ID`, stay."""
    label = labels.plain(name[2:])
    if not name.startswith("P_") or f"p_{name[2:]}" in table.column_names:
        return name
    words = (str(word) for column in ("emotion", "predicted") for word in manifest.codes(table, column).values)
    return f"p_{name[2:]}" if labels.canonical(label) or label in map(labels.plain, words) else name


def of_ratings(dimensions: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the other names of some ratings, and of the predictions of each."""
    names = {}
    for dimension in dimensions:
        words = [dimension.lower(), *columns.OTHER_NAMES.get(dimension, ())]
        names[dimension] = tuple(form for word in words for form in (word, f"true_{word}", f"{word}_true"))
        ways = ("predicted_{}", "{}_predicted", "prediction_{}", "{}_prediction", "pred_{}", "{}_pred")
        names[columns.predicted(dimension)] = tuple(way.format(word) for word in words for way in ways)
    return names


def dimension_called(name: str) -> str:
    """Return the column of a rating that may be called by another name: `EmoAct` is arousal."""
    ours = columns.ours(name)
    return ours if ours in columns.DIMENSIONS else name


def translation(
    names: Sequence[str], asked: Mapping[str, str | None], dimensions: Iterable[str] = ()
) -> dict[str, str]:
    """Map a table's column names to ours: those asked for, by our name, else the usual synonyms, of ratings first."""
    found: dict[str, str] = {}
    lowered = {name.lower(): name for name in reversed(names) if name not in asked.values()}
    ratings = of_ratings(dimensions)
    for ours, others in (ratings | NAMES | ratings).items():  # in the order of the first, and as the last has them
        request = asked.get(ours)
        if request and request not in names:
            raise UsageError(f"no column {request}; there are {listed(names, 20)}")
        usual = next((word for word in (ours, *others) if word in lowered), None)
        name = request or (lowered.pop(usual) if usual else None)
        if name and name != ours:
            found[name] = ours
    return found
