"""Keep a table's provenance, the chain of commands that made it, as JSON in its schema's metadata."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sertool import __version__
from sertool.errors import SertoolError
from sertool.manifests import manifest
from sertool.manifests.manifest import Table

FORMAT_VERSION = 1
KEY = b"sertool"


def of(table: Table) -> dict[str, Any]:
    """Return a table's format version, the commands that made it, and its feature settings."""
    try:
        record = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    except ValueError:
        record = {}
    record = record if isinstance(record, dict) else {}
    version, chain, features = (record.get(name) for name in ("version", "chain", "features"))
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise SertoolError("the manifest was written by a newer sertool: upgrade with `pip install -U sertool`")
    steps = [step for step in chain if isinstance(step, dict)] if isinstance(chain, list) else []
    return {"version": FORMAT_VERSION, "chain": steps, "features": features if isinstance(features, dict) else {}}


def attached(table: Table, record: Mapping[str, Any]) -> Table:
    """Return the table with its provenance replaced."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: text.encode()})


def corpora(table: Table) -> list[str]:
    """Return the corpora of a table's clips, in order; "" stands for clips of none."""
    unnamed = bool(manifest.lacking(table, "corpus").any())
    return [""] * unnamed + sorted(manifest.present(table, "corpus"))


def told_of(record: Mapping[str, Any], own: Sequence[str]) -> dict[str, Any]:
    """Return a record whose commands say of which corpora they are, where they do not say it yet."""
    return {**record, "chain": [{"corpora": [*own], **step} for step in record["chain"]]}


def is_about(step: Mapping[str, Any], corpus: str) -> bool:
    """Whether a command of a chain made the rows of a corpus, for all that it says."""
    named = step.get("corpora")
    return not isinstance(named, list) or corpus in named


def made_by(table: Table, command: str, seed: int | None, before: Table | None = None, **facts: Any) -> Table:
    """Append a command to the table's provenance.

    `before` is the table that the command read. `facts` are what the command line does not say: `protocol`, how it
    divided the clips, `reading`, the options by which it read audio, and `selection`, those by which it chose among the
    rows of manifests.
    """
    record = of(table if before is None else before)
    step = {
        "command": command,
        "sertool": __version__,
        "input": manifest.digest(before) if before is not None else None,
        "seed": seed,
    } | {name: value for name, value in facts.items() if value is not None}
    features = of(table)["features"]
    return attached(table, record | {"features": features, "chain": [*record["chain"], step]})
