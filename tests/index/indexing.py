"""Short ways to run index and read its rows."""

import json
from pathlib import Path

from running import Outcome, sertool


def index(*arguments: object, stdin: bytes = b"") -> list[dict]:
    """The rows of a manifest, each with what it knows."""
    return rows(sertool("index", *arguments, "-f", "jsonl", stdin=stdin))


def rows(done: Outcome) -> list[dict]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def by_clip(*arguments: object, stdin: bytes = b"") -> dict[str, dict]:
    return {row["clip"]: row for row in index(*arguments, stdin=stdin)}


def refused(*arguments: object, says: str, code: int = 2, stdin: bytes = b"") -> None:
    done = sertool("index", *arguments, stdin=stdin)
    assert (done.code, done.out) == (code, b"")
    assert says in done.line


def emotions(held: dict[str, dict]) -> dict[str, str | None]:
    return {clip: row.get("emotion") for clip, row in held.items()}


def table(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


EMOBOX = {"key": "cremad-{0}", "dataset": "cremad", "wav": "downloads/cremad/AudioWAV/{0}.wav", "type": "raw",
          "sample_rate": 16000, "num_frame": 36837.0, "task": "category", "length": 2.3,
          "emo": "ANG", "channel": 1}  # fmt: skip


def emobox(folder: Path, name: str, clips: list[str]) -> str:
    lines = (json.dumps(EMOBOX).replace("{0}", clip) for clip in clips)
    return str(table(folder, name, "\n".join(lines)))
