"""Give the columns of anybody's table of answers our names."""

from collections.abc import Mapping, Sequence
from itertools import combinations

from sertool.errors import UsageError
from sertool.manifests import columns, labels, manifest, provenance
from sertool.manifests.manifest import Table
from sertool.system.files import listed

OPTIONS = {"emotion": "--truth", "predicted": "--predicted", "speaker": "--speaker"}  # that name a column
# Other names that tables of answers use for our columns, the likeliest first.
NAMES = columns.OTHER_NAMES | {
    "emotion": ("truth", "true", "y_true", "ground_truth", "gold", "actual", "reference", "target", "true_label",
                "true_emotion", "label_true", "emotion_true", "expected", "label", *columns.OTHER_NAMES["emotion"]),
    "predicted": ("prediction", "y_pred", "pred", "predicted_label", "predicted_emotion", "pred_label", "pred_emotion",
                  "label_pred", "emotion_pred", "hypothesis", "output"),
    "clip": ("path", "id", "file", "filename", "utterance"),
}  # fmt: skip


def renamed(table: Table, asked: Mapping[str, str | None]) -> Table:
    """Rename a table's columns to ours, as `translation` says; those of these names that it replaces are dropped."""
    ours = translation(table.column_names, asked)
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


def translation(names: Sequence[str], asked: Mapping[str, str | None]) -> dict[str, str]:
    """Map a table's column names to ours: those asked for, by our name, else the usual synonyms."""
    found: dict[str, str] = {}
    for first, second in combinations(OPTIONS, 2):
        if asked.get(first) and asked.get(first) == asked.get(second):
            raise UsageError(f"{OPTIONS[first]} and {OPTIONS[second]} both name the column {asked[first]}")
    lowered = {name.lower(): name for name in reversed(names) if name not in asked.values()}
    for ours in NAMES:
        request = asked.get(ours)
        if request and request not in names:
            raise UsageError(f"no column {request}; there are {listed(names, 20)}")
        usual = next((lowered[name] for name in (ours, *NAMES[ours]) if name in lowered), None)
        if (name := request or usual) and name != ours:
            found[name] = ours
    return found
