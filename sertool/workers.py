"""Who works ahead: threads, or on Linux processes that are forks of this one.

A short clip takes a few dozen small steps, and two threads that take them hand Python's lock to and fro more often than
they work: together they are no faster than one. Forks have a lock each, share what was loaded before, and start in
milliseconds. Elsewhere, and for few clips or for long ones, whose rows would be copied from one to the other, threads
serve.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from sertool.errors import SertoolError

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_work: Callable[[Any], Any] | None = None  # of a fork


class Crew:
    """Workers for one piece of work; `settle` is called with 1 in each before its first."""

    def __init__(
        self, work: Callable[[Any], Any], jobs: int, settle: Callable[[int], Any], *, forked: bool = False
    ) -> None:
        self.work = work
        self.threads = ThreadPoolExecutor(jobs, initializer=settle, initargs=(1,))
        self.forks: ProcessPoolExecutor | None = None
        if forked and sys.platform == "linux":
            context = multiprocessing.get_context("fork")
            self.forks = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(work, settle))

    def submit(self, item: Any, *, near: bool = False) -> Future[Any]:
        """The future result for an item, made in this process if it is to stay `near`."""
        if self.forks is None or near:
            return self.threads.submit(self.work, item)
        return self.forks.submit(_in_fork, item)

    def leave(self) -> None:
        """Stop without waiting for what nobody wants any more."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self.forks is not None:
            self.forks.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread, for there are several workers, and afterwards with as many as before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def result(future: Future[Any]) -> Any:
    """What came of it; a worker that the system ended is one clear error."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise SertoolError(
            "a worker process was ended from outside, perhaps for want of memory: use fewer --jobs"
        ) from None


def _begin(work: Callable[[Any], Any], settle: Callable[[int], Any]) -> None:
    """In a fork: end when the parent ends, however it ends, and leave Ctrl-C to it."""
    global _work  # noqa: PLW0603 (a fork does one piece of work)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle(1)
    _work = work


def _in_fork(item: Any) -> Any:
    return _work(item)
