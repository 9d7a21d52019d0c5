"""Workers take items ahead of their use: results come in order, and few items wait."""

import os
import signal
import threading

import pytest

from sertool.errors import SertoolError
from sertool.system import workers


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
