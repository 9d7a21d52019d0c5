"""Workers take items ahead of their use: results come in order, and few items wait."""

import os
import signal
import threading
from pathlib import Path

import pytest

from sertool.errors import SertoolError
from sertool.system import cgroups, workers


@pytest.mark.parametrize("forked", [False, True])
def test_results_come_in_the_order_of_items(forked):
    with workers.pool(lambda number: (number * number, os.getpid()), 2, forked=forked) as pool:
        made = list(pool.map_ahead(range(20), weight=lambda number: number, heavy=15))
    assert [(number, square) for number, (square, _) in made] == [(number, number * number) for number in range(20)]
    assert {pid for number, (_, pid) in made if number > 15} == {os.getpid()}
    assert (os.getpid() in {pid for number, (_, pid) in made if number <= 15}) != (forked and workers.HAS_FORKS)


@pytest.mark.parametrize(("limit", "ahead"), [(1000, 5), (30, 3), (5, 1)])
def test_only_a_limited_number_of_items_is_taken_ahead(limit, ahead):
    taken = []
    with workers.pool(lambda item: item, 2) as pool:
        results = pool.map_ahead((taken.append(n) or n for n in range(50)), lambda _: 10, limit)
        for done, _ in enumerate(results):
            assert len(taken) <= done + ahead + 1
    assert len(taken) == 50


def test_closing_the_pool_waits_for_work_that_has_started():
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        may_end.wait(10)
        ended.append(item)

    with workers.pool(work, 1, finish=True) as pool:
        pool.submit(1)
        pool.submit(2)
        begun.wait(10)
        threading.Timer(0.05, may_end.set).start()
    assert ended == [1]


@pytest.mark.skipif(not workers.HAS_FORKS, reason="kills a fork")
@pytest.mark.parametrize("waits", [True, False])
def test_killed_worker_process_raises_a_clear_error(waits):
    with workers.pool(lambda _: os.kill(os.getpid(), signal.SIGKILL), 1, forked=True) as pool:
        pool.submit(0)
        if not waits:
            pool.pending[0].exception(10)
        with pytest.raises(SertoolError, match="a worker process was ended from outside"):
            pool.next_result() if waits else pool.submit(0)


def test_threads_work_where_no_more_processes_can_start(monkeypatch):
    start, started = threading.Thread.start, []

    def fail_at_last(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", fail_at_last)
        pool = workers.WorkerPool(lambda _: os.getpid(), 2)
        pool.fork()
    pool.submit(0)
    assert pool.next_result() == os.getpid()
    assert not any(thread.is_alive() for thread in started)
    pool.stop(finish=True)


# Containers.

V1 = "3:cpu,cpuacct:{0}\n2:memory:{0}\n0::/\n"
V2_MOUNT = "30 1 0:26 {0} {1} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
V1_MOUNT = "31 1 0:27 {0} {1} rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"


def processor_time(folder: Path, cgroup: str, mount: str, limits: dict[str, str]) -> int | None:
    """Lay out the files of a Linux system below a folder, and return the quota that they tell."""
    texts = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": f"23 1 0:4 / /proc rw - proc  rw\n{mount}"}
    for name, text in (texts | {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return cgroups.cores(folder)


@pytest.mark.parametrize(
    ("cgroup", "root", "limits", "cores"),
    [
        ("0::/", "/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", "/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", "/", {"cpu.max": "1000 100000"}, 1),
        ("0::/", "/", {"cpu.max": "max 100000"}, None),
        ("0::/", "/", {}, None),
        ("0::/", "/../..", {"cpu.max": "200000 100000"}, 2),
        ("0::/../job", "/", {"cpu.max": "200000 100000"}, 2),
        ("0::/slice/job", "/", {"slice/job/cpu.max": "300000 100000", "slice/cpu.max": "max 100000"}, 3),
        ("0::/slice/job", "/", {"slice/job/cpu.max": "max 100000", "slice/cpu.max": "100000 100000"}, 1),
        ("0::/docker/a", "/docker/a", {"cpu.max": "400000 100000"}, 4),
        ("0::/docker/a/b", "/docker/a", {"b/cpu.max": "200000 100000", "cpu.max": "400000 100000"}, 2),
        *[("0::/", "/", {"cpu.max": text}, None) for text in ("", "x", "0 0", "5 0", "200000", "-1 100000")],
        ("nonsense", "/", {"cpu.max": "200000 100000"}, None),
    ],
)  # fmt: skip
def test_quota_of_a_container_limits_the_cores(tmp_path, cgroup, root, limits, cores):
    assert processor_time(tmp_path, cgroup, V2_MOUNT.format(root, "/sys/fs/cgroup"), limits) == cores


@pytest.mark.parametrize(("quota", "cores"), [("250000", 3), ("-1", None), ("x", None)])
@pytest.mark.parametrize(("path", "root", "place"), [("/", "/", ""), ("/docker/a", "/docker/a", ""), ("/a", "/", "a/")])
def test_quota_of_an_older_container_limits_the_cores(tmp_path, quota, cores, path, root, place):
    folder = f"cpu/{place}"
    limits = {f"{folder}cpu.cfs_quota_us": f"{quota}\n", f"{folder}cpu.cfs_period_us": "100000\n"}
    mounts = V2_MOUNT.format("/", "/sys/fs/cgroup/unified") + V1_MOUNT.format(root, "/sys/fs/cgroup/cpu")
    assert processor_time(tmp_path, V1.format(path), mounts, limits) == cores


@pytest.mark.parametrize(
    ("quota", "own", "threads"), [("100000", None, "1"), ("100000", "7", "7"), ("max", None, None)]
)
def test_threads_of_libraries_follow_the_quota_unless_told_otherwise(tmp_path, monkeypatch, quota, own, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", str(own))
    if own is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    processor_time(tmp_path, "0::/", V2_MOUNT.format("/", "/sys/fs/cgroup"), {"cpu.max": f"{quota} 100000"})
    cgroups.limit_threads(tmp_path)
    assert os.environ.get("OMP_NUM_THREADS") == threads


def test_system_without_groups_of_processes_has_no_quota(tmp_path):
    assert cgroups.cores(tmp_path) is None


def test_no_more_cores_are_used_than_the_quota_allows(monkeypatch):
    own = workers.cores()
    for quota, cores in ((1, 1), (own + 5, own), (None, own)):
        monkeypatch.setattr(cgroups, "cores", lambda quota=quota: quota)
        assert workers.cores() == cores
