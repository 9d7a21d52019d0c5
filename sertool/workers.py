"""Workers that process clips ahead of their use: threads or, on Linux, forks of this process.

A short clip takes a few dozen small steps, between which two threads contend for Python's lock: together they are no
faster than one. Forks have a lock each, share what was loaded before, and start in milliseconds. Threads are used on
other systems, for few clips, and for long ones, whose rows would have to be copied from process to process.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from sertool import talk
from sertool.errors import SertoolError

HAS_FORKS = sys.platform == "linux"
NO_LOCKS = (ImportError, NotImplementedError, OSError)  # where the system has none for processes, as without /dev/shm
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_work: Callable[[Any], Any] | None = None  # what this process does for each item, where it is a fork


class FromFork(NamedTuple):
    """What a fork made of an item, and what it had to say meanwhile, which its parent says for it."""

    result: Any
    said: list[talk.Said]


class WorkerPool:
    """Workers that apply `work` to items; `initializer` is called with 1 in each before its first item."""

    def __init__(
        self, work: Callable[[Any], Any], jobs: int, initializer: Callable[[int], Any], *, forked: bool = False
    ) -> None:
        self.work, self.jobs, self.initializer = work, jobs, initializer
        self.threads = ThreadPoolExecutor(jobs, initializer=initializer, initargs=(1,))
        self.forks: ProcessPoolExecutor | None = None
        if forked:
            self.fork()

    def fork(self) -> None:
        """From now on use forks, where the system has these and locks for them.

        No thread may be at work meanwhile: a fork would keep the locks that it holds, and wait for them for ever.
        """
        begin = (self.work, self.initializer)
        with suppress(*NO_LOCKS):
            if HAS_FORKS:
                context = multiprocessing.get_context("fork")
                forks = ProcessPoolExecutor(self.jobs, context, initializer=_begin_fork, initargs=begin)
                for _ in range(self.jobs):
                    forks.submit(os.getpid)  # they start as work comes, and have to start now
                self.forks = forks

    def submit(self, item: Any, *, in_process: bool = False) -> Future[Any]:
        """The future result for an item; with `in_process` a thread computes it, whatever the workers are."""
        if self.forks is None or in_process:
            return self.threads.submit(self.work, item)
        return self.forks.submit(_in_fork, item)

    def shutdown(self) -> None:
        """Stop without waiting for work that has begun, and drop what has not."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self.forks is not None:
            self.forks.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def lock() -> Any:
    """A lock that threads and forks share; where there are no forks, of threads."""
    with suppress(*NO_LOCKS):
        if HAS_FORKS:
            return multiprocessing.get_context("fork").Lock()
    return threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, torch uses one thread, as there are several workers; afterwards as many as before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def result(future: Future[Any]) -> Any:
    """A future's result; where the system ended the worker, one clear error."""
    try:
        made = future.result()
    except BrokenProcessPool:
        raise SertoolError(
            "a worker process was ended from outside, perhaps for want of memory: use fewer --jobs"
        ) from None
    if not isinstance(made, FromFork):
        return made
    talk.repeat(made.said)
    return made.result


def _begin_fork(work: Callable[[Any], Any], initializer: Callable[[int], Any]) -> None:
    """Prepare a fork: it ends when its parent ends, however that happens, and leaves Ctrl-C to it."""
    global _work  # noqa: PLW0603 (a fork does one piece of work)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    initializer(1)
    _work = work


def _in_fork(item: Any) -> FromFork:
    with talk.recorded() as said:
        return FromFork(_work(item), said)
