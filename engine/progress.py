"""How far a stage has come: one line that rewrites itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_EVERY_SECONDS = 10.0  # between plain lines


class Progress:
    """Counts shards and rows of each stage; keeps seconds and rows for the manifest."""

    def __init__(self, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str, shards: int) -> Iterator[Callable[[int], None]]:
        """Time a stage; the yielded function takes the rows of each finished shard."""
        start = shown = self._clock()
        done = rows = 0

        def step(count: int) -> None:
            nonlocal done, rows, shown
            done += 1
            rows += count
            now = self._clock()
            if self._terminal or now - shown >= _EVERY_SECONDS:
                shown = now
                self._show(
                    f"{name}: {done}/{shards} shards, {rows:,} rows{_pace(now - start, done, rows, shards)}", "\r"
                )

        yield step
        seconds = self._clock() - start
        before = self.stages.get(name, {"seconds": 0.0, "shards": 0, "rows": 0})
        now = {"seconds": seconds, "shards": done, "rows": rows}
        self.stages[name] = before | {key: round(before[key] + value, 3) for key, value in now.items()}
        what = f"{shards} shards, {rows:,} rows in {seconds:.1f} s" if shards else "nothing to do"
        self._show(f"{name}: {what}", "\n")

    def waited(self, name: str, seconds: float) -> None:
        """Add the seconds for which the workers of a stage waited for input."""
        stage = self.stages[name]
        stage["waited_seconds"] = round(stage.get("waited_seconds", 0.0) + seconds, 3)

    @property
    def _terminal(self) -> bool:
        return self._out is not None and self._out.isatty()

    def _show(self, line: str, end: str) -> None:
        if self._out is None:
            return
        clear = "\r\x1b[K" if self._terminal else ""
        self._out.write(f"{clear}{line}{'' if self._terminal and end == chr(13) else chr(10)}")
        self._out.flush()


def on_stderr() -> Progress:
    """Return progress that a person sees while results go to standard output."""
    return Progress(sys.stderr)


def _pace(seconds: float, done: int, rows: int, shards: int) -> str:
    if seconds <= 0 or not done:
        return ""
    left = seconds / done * (shards - done)
    return f", {rows / seconds:,.0f} rows/s, {left:.0f} s left"
