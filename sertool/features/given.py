"""Features that another program made, such as openSMILE's functionals or embeddings, from a file of them.

Nothing is computed of sound: the rows of each clip are in a table or in arrays, which `featurize.given_files` reads.
"""

from dataclasses import dataclass, field
from typing import Any

from sertool.errors import UsageError

DTYPE = "float32"
FROM_FILE = True


@dataclass(frozen=True)
class Settings:
    columns: list[str] = field(default_factory=list)  # their names, in order
    over_time: bool = False  # whether clips have rows over time, rather than one


def settings(values: dict[str, Any]) -> Settings:
    """Return the settings with some values set and checked."""
    columns, over_time = values.get("columns", []), values.get("over_time", False)
    are_names = isinstance(columns, list) and columns and all(isinstance(name, str) for name in columns)
    if not are_names or type(over_time) is not bool or values.keys() - {"columns", "over_time"}:
        raise UsageError("given: a list of columns is needed, and whether they have rows over time")
    return Settings(columns, over_time)
