"""Matplotlib set up for our pictures (its only importer), and the colours of pictures and pages."""

import logging
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from sertool.system.files import atomic_write

FORMATS = (".png", ".pdf", ".svg")
INK, SOFT, RULE = "#17202a", "#55616d", "#e2e6ea"
TONES = ("#1d6fab", "#c25a10", "#1d8757", "#8349b0", "#b3295c", "#66750f")  # of runs; cycled if there are more


@cache
def pyplot() -> Any:
    """Import matplotlib.pyplot for writing files, in our style; journals refuse its usual Type 3 fonts in PDF."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs about its caches if there is no home folder
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": SOFT,
                         "axes.labelcolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT, "font.size": 9,
                         "axes.titlesize": 10, "axes.titlelocation": "left", "axes.titlecolor": INK,
                         "text.parse_math": False, "pdf.fonttype": 42})  # fmt: skip
    return plt


def save(figure: Any, path: Path) -> None:
    """Save a figure in the format of the extension, and close it."""
    with atomic_write(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as of characters that the font lacks
        figure.savefig(stream, format=path.suffix[1:].lower(), dpi=150)
    pyplot().close(figure)
