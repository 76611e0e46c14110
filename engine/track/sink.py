"""What a tracker is told, and how: one seam of one method. A tracker that fails, or never answers, fails no run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Protocol

PATIENCE = 60.0  # seconds that a tracker has to answer


@dataclass(frozen=True)
class Told:
    """A finished run. content : hash of what it concluded. metrics : estimates, each with its bounds beside it.

    Names hold ASCII letters, digits, `_`, `-`, `.` and spaces only: trackers refuse others.
    """

    name: str
    fingerprint: str
    content: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    files: tuple[Path, ...]


class Sink(Protocol):
    """A tracker. package : what has to be installed for it."""

    @property
    def package(self) -> str: ...

    def send(self, told: Told) -> None:
        """Write a run down; whatever goes wrong is raised."""


def tell(sink: Sink, told: Told, patience: float = PATIENCE) -> str | None:
    """Tell a tracker of a run; return why that failed, None where it did not. Never raises.

    What the tracker prints goes to standard error: standard output belongs to the run's own results.
    """
    faults: list[BaseException] = []
    thread = Thread(target=_send, args=(sink, told, faults), daemon=True)
    with redirect_stdout(sys.stderr):
        thread.start()
        thread.join(patience)
    if thread.is_alive():
        return f"did not answer within {patience:g} s"
    if not faults:
        return None
    if isinstance(faults[0], ModuleNotFoundError):
        return f"{faults[0].name} is not installed: pip install 'ad-backtest[{sink.package}]'"
    return f"{type(faults[0]).__name__}: {' '.join(str(faults[0]).split())[:300]}"


def _send(sink: Sink, told: Told, faults: list[BaseException]) -> None:
    try:
        sink.send(told)
    except BaseException as fault:  # another's code, on the way to another's machine: reported, never raised
        faults.append(fault)
