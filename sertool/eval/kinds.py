"""Read what runs answer: emotions or ratings."""

from collections.abc import Sequence

from sertool.errors import UsageError
from sertool.eval import emotions, predictions, ratings
from sertool.eval.answers import Answers
from sertool.eval.predictions import Reading


def read(sources: Sequence[str], reading: Reading) -> Sequence[Answers]:
    """Read the runs in files and stdin, all of which answer the same."""
    runs = predictions.read(sources, reading)
    if not runs[0].dimensions:
        return emotions.read(runs, reading.mapping, reading.by)
    if reading.mapping:
        raise UsageError(f"--map says what labels of emotions mean, and {runs[0].name} predicts ratings")
    return ratings.read(runs, reading.by)
