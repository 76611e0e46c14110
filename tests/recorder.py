"""A tracker for tests: it remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.track import Told


@dataclass
class Recorder:
    """A tracker that remembers what it was told, or does as it is bid instead."""

    instead: Any = None
    told: list[Told] = field(default_factory=list)
    package: str = "recorder"

    def send(self, told: Told) -> None:
        if self.instead is not None:
            self.instead()
        self.told.append(told)


def failing(fault: BaseException) -> Any:
    def fail() -> None:
        raise fault

    return fail
