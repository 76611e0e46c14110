"""Threads over compiled loops that release the interpreter's lock. Callers see to it that no two write one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def work_off(jobs: Iterable[Callable[[], None]], threads: int) -> None:
    """Run all jobs, on this thread alone where there is but one."""
    if threads == 1:
        for job in jobs:
            job()
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def parts(count: int, threads: int) -> list[slice]:
    """Cut 0..count into one stretch per thread."""
    bounds = [count * part // threads for part in range(threads + 1)]
    return [slice(first, last) for first, last in pairwise(bounds)]
