"""One run as its directory tells it: the manifest, and what the manifest vouches for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine import store
from engine.errors import DataError
from engine.report.run_summary import RunSummary, read_summary
from engine.schema import ESTIMATES

SECTIONS = ("execute", "report", "store")  # of the config; they decide no number


@dataclass(frozen=True)
class RunRecord:
    """A run that began at some time. manifest : manifest.json as it stands."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state(self) -> str:
        """Say how far it came: running (or killed), scored, complete."""
        return str(self.manifest.get("state"))

    @property
    def config(self) -> dict[str, Any]:
        """The whole config but for the run's name."""
        sections = {name: self.manifest[name] for name in SECTIONS if name in self.manifest}
        return {**self.manifest.get("config", {}), **sections}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json holds, empty where the run came to no numbers.

        Raises
        ------
        DataError : it is not the file of the finished run.
        """
        if self.state != "complete":
            return {}
        path = self.path / "summary.json"
        try:
            summary: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); run it again") from None
        return summary | {"run": self.name}

    @cached_property
    def headline(self) -> RunSummary | None:
        """The summary as pages read it, None where the run came to no numbers.

        Raises
        ------
        DataError : another version of the engine wrote it.
        """
        if not self.summary:
            return None
        try:
            return read_summary(self.summary)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.path / 'summary.json'}: another engine wrote it ({error!r}); run it again"
            ) from None

    def estimates(self) -> pa.Table:
        """Read estimates.parquet; no rows where the run came to no numbers.

        Raises
        ------
        DataError : it is not the file of the finished run, or lacks a column.
        """
        if self.state != "complete":
            return ESTIMATES.empty_table()
        path = self.path / "estimates.parquet"
        found = store.find_committed(path, str(self.manifest.get("fingerprint")))
        if found is None:
            raise DataError(f"{path}: is not the file of the finished run; run it again")
        table = store.read_committed(found)
        missing = [name for name in ESTIMATES.names if name not in table.column_names]
        if missing:
            raise DataError(f"{path}: column {missing[0]} is missing, another engine wrote it; run it again")
        return table


def read_record(path: Path) -> RunRecord:
    """Read the manifest of a run directory.

    Raises
    ------
    DataError : it holds none.
    """
    return RunRecord(path, store.RunDirectory(path).read_manifest())
