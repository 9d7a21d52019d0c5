"""Read what runs answer: emotions or ratings."""

from collections.abc import Sequence

from sertool.errors import UsageError
from sertool.eval import emotions, predictions, ratings
from sertool.eval.answers import Answers
from sertool.eval.predictions import Coverage, Reading, Run
from sertool.manifests.manifest import Table


def read(sources: Sequence[str], reading: Reading) -> Sequence[Answers]:
    """Read the runs in files and stdin, all of which answer the same."""
    runs = predictions.read(sources, reading)
    if not runs[0].dimensions:
        return emotions.read(runs, reading.mapping, reading.by)
    if reading.mapping:
        raise UsageError(f"--map says what labels of emotions mean, and {runs[0].name} predicts ratings")
    return ratings.read(runs, reading.by)


def of_table(table: Table, dimensions: Sequence[str] = ()) -> Answers:
    """Return the answers of rows that were all held out and answered; `dimensions` are ratings, else emotions."""
    run = Run("", "", table, None, Coverage(len(table), len(table), 0, 0, {}), (), None, None, tuple(dimensions))
    return (ratings.read([run], ()) if dimensions else emotions.read([run], {}, ()))[0]
