"""`python -m sertool`."""

from sertool.cli import main

main()
