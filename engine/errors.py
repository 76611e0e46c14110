"""What can go wrong, and the exit code that says so.

    BacktestError                 carries every fault found, one line each
    ├── UsageError       2        a config or a command that cannot mean anything
    ├── DataError        3        data, labels, a model folder or a path that cannot be used
    └── MachineError     4        a worker, a disk or a cluster that failed

Anything else that escapes is a bug in the engine (exit code 70).
A line names the file, the column or config key, the value, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BacktestError(Exception):
    """A fault a user can act on. `faults` holds one line each, most important first."""

    exit_code = 70

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type[BacktestError], tuple[str, ...]]:
        return type(self), self.faults


class UsageError(BacktestError):
    """The config or the command line asks for something that cannot be."""

    exit_code = 2


class DataError(BacktestError):
    """Input on disk breaks a rule of the engine."""

    exit_code = 3


class MachineError(BacktestError):
    """The machine or the cluster failed; a rerun resumes."""

    exit_code = 4


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean "x"?)` for the nearest known word, else the known words, else nothing."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f' (did you mean "{near[0]}"?)'
    return f" (known: {', '.join(names)})" if names else ""
