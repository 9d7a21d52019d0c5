"""Batch what arrives one by one, at its own pace, without waiting for a batch to fill."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

Some = TypeVar("Some")
MOMENT = 0.05  # seconds


@dataclass
class _End:
    """Marks the end of the input, or the error that ended it."""

    error: BaseException | None = None


def gathered(coming: Iterable[Some], most: int, fetch_lock: Any) -> Iterator[list[Some]]:
    """Yield batches of the items that are there already, up to `most` each.

    An empty batch is yielded whenever nothing came for a moment, so that the caller can give out finished results. A
    thread fetches the items, and holds `fetch_lock` while it waits for the next one.
    """
    waiting: queue.Queue[Any] = queue.Queue(4 * most)

    def fill() -> None:
        try:
            for one in _each(coming, fetch_lock):
                waiting.put(one)
            waiting.put(_End())
        except BaseException as error:  # raised again by the reader
            waiting.put(_End(error))

    threading.Thread(target=fill, daemon=True).start()
    end: _End | None = None
    while end is None:
        batch: list[Any] = []
        with suppress(queue.Empty):
            batch.append(waiting.get(timeout=MOMENT))
            while len(batch) < most and not isinstance(batch[-1], _End):
                batch.append(waiting.get_nowait())
        end = batch.pop() if batch and isinstance(batch[-1], _End) else None
        yield batch
    if end.error is not None:
        raise end.error


def _each(coming: Iterable[Some], fetch_lock: Any) -> Iterator[Some]:
    """Yield items one by one, holding the lock while waiting for the next one."""
    items = iter(coming)
    while True:
        with fetch_lock:
            try:
                one = next(items)
            except StopIteration:
                return
        yield one
