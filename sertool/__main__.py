"""The command `sertool`, and `python -m sertool`."""

import os
import sys


def main() -> None:
    """Run the command line, and exit with its code; an interrupt while it is being imported is one line, too."""
    if not os.path.isfile(__file__):  # commands, models and more are found as files of folders
        sys.exit("sertool: it does not run from a zip file: install it with pip")
    try:
        from sertool import cli

        cli.main()
    except KeyboardInterrupt:
        if sys.stderr:  # None if it is closed
            sys.stderr.write("sertool: interrupted\n")
        os._exit(130)


if __name__ == "__main__":
    main()
