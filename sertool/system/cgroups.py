"""The quota of processor time of a Linux container, or of any group of processes that this one belongs to.

Its cores are all in the process's affinity, also where a group may use the time of two of them alone.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

MADE_OF = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))  # the files of a quota, in versions 2 and 1
CONTROLLERS = {"cgroup2": "", "cgroup": "cpu"}  # by which /proc/self/cgroup names the group, by type of file system


def cores(root: Path = Path("/")) -> int | None:
    """Return as how many cores' time the least quota is, rounded up; None if there is none."""
    quotas: list[int] = []
    with suppress(OSError, ValueError):
        for folder in _groups(root):
            quotas += _quotas(folder)
    return min(quotas, default=None)


def limit_threads(root: Path = Path("/")) -> None:
    """Let libraries that are imported later compute in as many threads as the quota has cores: they count all cores."""
    if quota := cores(root):
        os.environ.setdefault("OMP_NUM_THREADS", str(min(quota, len(os.sched_getaffinity(0)))))


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups, and of those above that can be seen."""
    paths: dict[str, PurePosixPath] = {}
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), PurePosixPath(path))
    for line in (root / "proc/self/mountinfo").read_text().splitlines():
        place, _, system = line.partition(" - ")
        top, point = place.split()[3:5]
        kind, _, options = system.split(" ")
        controller = CONTROLLERS.get(kind, "none")
        if controller in paths and controller in ("", *options.split(",")):
            yield from _upwards(root / point.lstrip("/"), paths[controller], PurePosixPath(top))


def _upwards(mounted: Path, path: PurePosixPath, top: PurePosixPath) -> Iterator[Path]:
    """Yield a group's folder and those above; a container's own may be the top, whatever the path is outside."""
    inside = path.relative_to(top) if path.is_relative_to(top) and ".." not in path.parts else PurePosixPath()
    for part in (inside, *inside.parents):
        yield mounted / part


def _quotas(folder: Path) -> Iterator[int]:
    """Yield a group's quota in cores, if it has one: `max` and -1 are none."""
    for names in MADE_OF:
        with suppress(OSError, ValueError):
            quota, period = map(int, " ".join((folder / name).read_text() for name in names).split())
            if quota > 0 and period > 0:
                yield -(-quota // period)
