"""A data set on Kaggle: `dataset`, requested with the user's own token if there is one."""

import base64
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from sertool.internet.downloading import Item, Link
from sertool.sources import Plan, Source, item

HOST = "https://www.kaggle.com"
NEEDS = "make a token at kaggle.com/settings and put it in ~/.kaggle/kaggle.json or $KAGGLE_API_TOKEN"


def plan(source: Source, _get: Callable[[Item], Path]) -> Plan:
    dataset = source["dataset"]
    url = f"{source.get('host', HOST)}/api/v1/datasets/download/{dataset}"

    def locate(requested: Item, renew: bool) -> Link | None:
        return None if renew else (requested.url, _headers())

    return Plan((item(f"{dataset.rpartition('/')[2]}.zip", url, {}, source),), locate, NEEDS)


def _headers() -> Mapping[str, str]:
    """Return the headers with Kaggle's token: from the environment, or from the user's files."""
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or os.path.expanduser("~/.kaggle"))
    if token := os.environ.get("KAGGLE_API_TOKEN") or _text(folder / "access_token"):
        return {"Authorization": f"Bearer {token}"}
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    with suppress(ValueError, LookupError, TypeError):
        if not (user and key):
            account = json.loads(_text(folder / "kaggle.json"))
            user, key = account["username"], account["key"]
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}
    return {}


def _text(path: Path) -> str:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8").strip()
    return ""
