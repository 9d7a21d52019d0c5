"""Read what runs answer."""

from collections.abc import Sequence

from sertool.eval import emotions, predictions
from sertool.eval.answers import Answers
from sertool.eval.predictions import Reading


def read(sources: Sequence[str], reading: Reading) -> Sequence[Answers]:
    """Read the runs in files and stdin."""
    return emotions.read(predictions.read(sources, reading), reading.mapping, reading.by)
