"""Options of featurize, and a script that runs it."""

from sertool import catalogue

ALL = [f"--{name.replace('_', '-')}" for name, held in catalogue.entries("features").items()
       if not {"CHOICE", "FROM_FILE"} & held.facts.keys()]  # fmt: skip
FEW = ("--mel", "--rms")
DRIVER = """
from sertool.featurize import extract, shards
shards.CLIPS, extract.BATCH_CLIPS = 5, 2
from sertool.cli import main
main()
"""
