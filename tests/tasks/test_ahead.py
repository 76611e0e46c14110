"""Input made in another thread: same items, same faults, never more than one ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engine.tasks.ahead import Ahead


def test_items_come_in_order_and_all_of_them() -> None:
    assert list(Ahead(iter(range(50)))) == list(range(50))
    assert list(Ahead(())) == []
    assert list(Ahead([None, 0, ""])) == [None, 0, ""], "an item may be false"


def test_a_fault_of_the_maker_reaches_the_consumer() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken file")

    coming = iter(Ahead(items()))
    assert next(coming) == 1
    with pytest.raises(ValueError, match="broken file"):
        next(coming)


def test_the_next_item_is_made_elsewhere_while_one_is_used_and_no_more_than_that() -> None:
    made, threads = [], set()
    started = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for n in range(5):
            threads.add(threading.get_ident())
            made.append(n)
            started.release()
            yield n

    for n in Ahead(items()):
        for _ in range(2 if n == 0 else 1 if n < 4 else 0):
            assert started.acquire(timeout=10), "the next one is under way"
        assert made == list(range(min(n + 2, 5)))
    assert threads and threading.get_ident() not in threads  # noqa: PT018


def test_waiting_is_counted_in_seconds() -> None:
    hold = threading.Event()

    def items() -> Iterator[int]:
        hold.wait(0.05)
        yield 1

    ahead = Ahead(items())
    assert list(ahead) == [1]
    assert ahead.waited >= 0.04
