"""Run sertool as a process that says when its steady work began: `ours.py FOLDER OUT THREADS index|featurize OPTIONS`.

For featurize the manifest is made before the clock starts, as the rivals are given a list of files.
"""

import contextlib
import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()


def main() -> None:
    folder, out, threads, command, *rest = sys.argv[1:]
    files = len(list(Path(folder).rglob("*.wav")))
    manifest = Path(folder).parent / f"{Path(folder).name}.bench.parquet"
    if command == "featurize":
        from sertool import features  # noqa: F401 (start-up: what the command imports)
        from sertool.featurize import extract, verify  # noqa: F401
        from sertool.numeric import dsp  # noqa: F401

        arguments = ["featurize", str(manifest), *rest, "-o", out, "-q", "-f", "jsonl", "-j", threads]
    else:
        from sertool.divisions import auditing, splitting  # noqa: F401
        from sertool.index import indexing  # noqa: F401

        arguments = ["index", folder, "-o", f"{out}/clips.parquet", "-q", "-j", threads]
    from sertool.cli import WithoutPandas, run

    sys.meta_path.insert(0, WithoutPandas())  # as the program's own entry point does

    if command == "featurize" and not manifest.exists():
        run(["index", folder, "-o", str(manifest), "-q"])
    started = time.perf_counter()
    with Path(out, "stdout").open("w") as sink, contextlib.redirect_stdout(sink):
        code = run(arguments)
    ended = time.perf_counter()
    print(json.dumps({"files": files, "steady": ended - started, "startup": started - BEGAN}))
    sys.exit(code)


if __name__ == "__main__":
    main()
