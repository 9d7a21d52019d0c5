"""Shared by the scripts of figures: score predictions, and keep README's tables up to date, which a test checks."""

import argparse
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PACKAGE = ROOT / "sertool" / "shipped"
Figure = dict[str, float]


def checksum(content: bytes) -> str:
    return f"{zlib.crc32(content):08x}"


def of_package(model: str) -> str:
    """Return a package model's checksum, so that figures of another version are not shown as its own."""
    return checksum((PACKAGE / f"{model}.safetensors").read_bytes())


def scored(predictions: Path, *words: str) -> dict[str, Any]:
    """Return the results of `sertool eval` for a file of predictions."""
    command = [sys.executable, "-m", "sertool", "eval", predictions, *words, "-f", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["runs"][0]


def per_cent(figure: Figure) -> Figure:
    return {side: round(100 * figure[side], 1) for side in ("value", "low", "high")}


def interval(figure: Figure) -> str:
    """Format a figure in per cent with its interval."""
    return f"{figure['value']:.1f} [{figure['low']:.1f}, {figure['high']:.1f}]"


def placed(text: str, script: str, tables: str) -> str:
    """Return the text with new tables in the script's marked block."""
    begin, end = f"<!-- {script}: python tests/bench/{script}.py --readme -->\n", f"<!-- end of {script} -->\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"README.md has no block that begins with {begin.strip()}")
    return f"{before}{begin}{tables}{end}{after}"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--readme", action="store_true", help="write README's table again, of what was measured")
    parser.add_argument("--check", action="store_true", help="with --readme: fail if it shows anything else")


def settle(asked: argparse.Namespace, renew: Callable[[str], str]) -> None:
    """Renew README's block, or with --check fail if it is out of date."""
    text = README.read_text(encoding="utf-8")
    fresh = renew(text)
    if asked.check and fresh != text:
        raise SystemExit("README.md shows other figures than were measured: write it again with --readme")
    if not asked.check:
        README.write_text(fresh, encoding="utf-8")


def keep(place: Path, held: dict[str, Any]) -> None:
    place.write_text(json.dumps(held, indent=1) + "\n")


def kept(place: Path) -> dict[str, Any]:
    return json.loads(place.read_text()) if place.exists() else {}
