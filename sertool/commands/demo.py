"""Show the whole pipe on a small corpus of synthesised voices."""

from pathlib import Path

import click

from sertool import options

EPILOG = """\b
Examples:
  sertool demo
  sertool demo -o voices/

Needs no network and no audio. Every command line is printed before it runs, and can be run again by hand.
"""


@click.command(cls=options.Command, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@options.out("Folder for everything that is made. [default: sertool-demo]", folder=True)
@options.seed
def command(out: str | None, seed: int) -> None:
    """Synthesise speakers and emotions, index and augment them, compute features, train, judge and predict."""
    from sertool import demonstration

    demonstration.run(Path(out or "sertool-demo"), seed)
