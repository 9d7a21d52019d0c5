"""Workers that process clips ahead of their use: threads or, on Linux, forks of this process.

Two threads that process short clips contend for Python's lock, and are no faster than one. Forks have a lock each,
share what was loaded before, and start in milliseconds. Threads are used on other systems, for few clips, and for long
ones, whose rows would have to be copied from process to process.
"""

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from sertool.errors import SertoolError
from sertool.system import cgroups, talk

HAS_FORKS = sys.platform == "linux"
NO_LOCKS = (ImportError, NotImplementedError, OSError)  # without locks for processes, as without /dev/shm
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
EXECUTOR_THREADS = 2  # of an executor of forks; where these cannot start, it waits for ever
AHEAD = 2  # items submitted ahead per worker
Item = TypeVar("Item")
_work: Callable[[Any], Any]  # this process' work on each item, if it is a fork


class FromFork(NamedTuple):
    """A fork's result for an item, and its messages, which the parent repeats."""

    result: Any
    said: list[talk.Said]


class WorkerPool:
    """Workers that apply `work` to items, each with one torch thread; results are taken in the items' order."""

    def __init__(self, work: Callable[[Any], Any], jobs: int) -> None:
        self.work, self.jobs = work, jobs
        self.threads = ThreadPoolExecutor(jobs, initializer=_take_one_thread)
        self.forks: ProcessPoolExecutor | None = None
        self.pending: deque[Future[Any]] = deque()  # whose results were not taken yet

    def fork(self) -> None:
        """Switch to forks, if the system has these and locks for them, and lets as many start.

        No thread may be working: a fork would inherit the locks that it holds, and wait for them for ever.
        """
        with suppress(*NO_LOCKS):
            if HAS_FORKS and _can_start(self.jobs + EXECUTOR_THREADS):
                context = multiprocessing.get_context("fork")
                forks = ProcessPoolExecutor(self.jobs, context, initializer=_begin_fork, initargs=(self.work,))
                for _ in range(self.jobs):
                    forks.submit(os.getpid)  # forks start with the first work, but must start now
                self.forks = forks

    def submit(self, item: Any, *, in_process: bool = False) -> None:
        """Hand an item to the workers; with `in_process` a thread computes it even if there are forks."""
        if self.forks is None or in_process:
            self.pending.append(self.threads.submit(self.work, item))
        else:
            with _explained():
                self.pending.append(self.forks.submit(_in_fork, item))

    @property
    def is_full(self) -> bool:
        """Whether no more items should be submitted before a result is taken."""
        return len(self.pending) > AHEAD * self.jobs

    def next_result(self) -> Any:
        """Return the next result, in the items' order."""
        return _result(self.pending.popleft())

    def map_ahead(
        self,
        items: Iterable[Item],
        weight: Callable[[Item], float] = lambda _: 0,
        limit: float = math.inf,
        heavy: float = math.inf,
    ) -> Iterator[tuple[Item, Any]]:
        """Yield items with their results, in order, computing some ahead.

        The weights of items ahead add up to at most `limit`, unless a single one exceeds it; items above `heavy` stay
        in this process.
        """
        ahead: deque[tuple[Item, float]] = deque()
        for item in items:
            own = weight(item)
            while ahead and (self.is_full or sum(each for _, each in ahead) + own > limit):
                yield ahead.popleft()[0], self.next_result()
            self.submit(item, in_process=own > heavy)
            ahead.append((item, own))
        while ahead:
            yield ahead.popleft()[0], self.next_result()

    def stop(self, *, finish: bool) -> None:
        """Cancel work that has not begun; with `finish`, wait for work that has."""
        begun = [future for future in self.pending if not future.cancel()]
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self.forks is not None:
            self.forks.shutdown(wait=False, cancel_futures=True)
        if finish:
            wait(begun)


@contextmanager
def pool(work: Callable[[Any], Any], jobs: int, *, forked: bool = False, finish: bool = False) -> Iterator[WorkerPool]:
    """Provide workers within a context, where torch uses one thread; with `finish`, wait at its end for begun work."""
    with one_thread():
        made = WorkerPool(work, jobs)
        if forked:
            made.fork()
        try:
            yield made
        finally:
            made.stop(finish=finish)


def cores() -> int:
    """Return the number of cores that this process may use, or the time of so many in its container."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(own, cgroups.cores() or own)


def lock() -> Any:
    """Return a lock shared by threads and forks, or by threads alone if forks are not supported."""
    with suppress(*NO_LOCKS):
        if HAS_FORKS:
            return multiprocessing.get_context("fork").Lock()
    return threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, as there are several workers; restore the number afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _can_start(count: int) -> bool:
    """Whether so many threads can start, beside which systems count processes."""
    enough = threading.Event()
    threads = [threading.Thread(target=enough.wait) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError:
        return False
    finally:
        enough.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    return True


@contextmanager
def _explained() -> Iterator[None]:
    """Raise SertoolError if the system killed a fork, which its executor notices at any call."""
    try:
        yield
    except BrokenProcessPool:
        raise SertoolError(
            "a worker process was ended from outside, perhaps for want of memory: use fewer --jobs"
        ) from None


def _result(future: Future[Any]) -> Any:
    """Return a future's result and repeat its messages."""
    with _explained():
        made = future.result()
    if not isinstance(made, FromFork):
        return made
    talk.replay(made.said)
    return made.result


def _take_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _begin_fork(work: Callable[[Any], Any]) -> None:
    """Prepare a fork: it dies with its parent, however that ends, and leaves Ctrl-C to it."""
    global _work  # noqa: PLW0603 (a fork does one kind of work)
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _take_one_thread()
    _work = work


def _in_fork(item: Any) -> FromFork:
    with talk.recorded() as said:
        return FromFork(_work(item), said)
