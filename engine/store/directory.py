"""The folder of one run: whom it belongs to, its manifest, its readable files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import DataError, UsageError
from engine.store.commit import fingerprint, mark_path, write_whole

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class RunDirectory:
    """The folder of one run. It belongs to one fingerprint: what decides the numbers, and the inputs."""

    path: Path

    def claim(self, decided: Mapping[str, object], inputs: Mapping[str, str]) -> str:
        """Make the folder this run's own, or find that it is; return the fingerprint.

        Raises
        ------
        UsageError : the folder belongs to another config or other inputs; names the first key that differs.
        """
        mine = {"config": decided, "inputs": inputs}
        if (self.path / MANIFEST).exists() and not self._holds_nothing():
            manifest = self.read_manifest()
            theirs = {"config": manifest.get("config"), "inputs": manifest.get("inputs")}
            if fingerprint(theirs) != fingerprint(mine):
                key = _first_difference(theirs, mine)
                raise UsageError(
                    f"{self.path}: belongs to another run: {key} differs; choose another `run` or remove it"
                )
        return fingerprint(mine)

    def _holds_nothing(self) -> bool:
        """Return whether a run that never finished left no score and no number: then the folder is free."""
        unfinished = self.read_manifest().get("state") == "running"
        return unfinished and not any(self.path.glob("scores/*.done")) and not any(self.path.glob("cells/*.done"))

    def read_manifest(self) -> dict[str, object]:
        """Read manifest.json.

        Raises
        ------
        DataError : not there, or not one of ours.
        """
        path = self.path / MANIFEST
        try:
            manifest = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); is {self.path} a run directory?") from None
        if not isinstance(manifest, dict):
            raise DataError(f"{path}: is no manifest")
        return manifest

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Replace manifest.json in one step."""
        write_whole(self.path / MANIFEST, (json.dumps(manifest, indent=1, default=str) + "\n").encode())

    def remove(self, name: str) -> None:
        """Remove an output of an earlier run that this one does not make."""
        mark_path(self.path / name).unlink(missing_ok=True)
        (self.path / name).unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> Path:
        """Write one of the run's readable files in one step."""
        write_whole(self.path / name, text.encode())
        return self.path / name


def _first_difference(theirs: object, mine: object, key: str = "") -> str:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for name in sorted({*theirs, *mine}, key=str):
            if theirs.get(name) != mine.get(name):
                return _first_difference(theirs.get(name), mine.get(name), f"{key}.{name}" if key else str(name))
    return f"{key.removeprefix('config.')} (was {_short(theirs)}, is {_short(mine)})"


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
