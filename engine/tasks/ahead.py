"""Input that is made in another thread while the model works on what came before."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """Iterate over some items, the next one always under way. waited : seconds for which the consumer stood still."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.waited = 0.0

    def __iter__(self) -> Iterator[Item]:
        items = iter(self._items)
        with ThreadPoolExecutor(1, "ahead") as thread:
            coming = thread.submit(_next, items)
            while True:
                start = time.monotonic()
                item = coming.result()
                self.waited += time.monotonic() - start
                if not item:
                    return
                coming = thread.submit(_next, items)
                yield item[0]


def _next(items: Iterator[Item]) -> tuple[Item] | None:
    """Return the next item, wrapped, or None at the end."""
    for item in items:
        return (item,)
    return None
