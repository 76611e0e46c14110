"""What a bench leaves behind: hardware, versions, inputs, raw figures, and the bars with whether they hold."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_PACKAGES = (
    "duckdb",
    "numba",
    "numpy",
    "onnxruntime",
    "polars",
    "pyarrow",
    "ray",
    "scipy",
    "tokenizers",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Bar:
    """A bar of the design. value is None where it was not measured; then it does not hold."""

    name: str
    value: float | None
    bar: str
    holds: bool


def at_most(name: str, value: float | None, limit: float, unit: str = "") -> Bar:
    """Return a bar that a value must not exceed."""
    return Bar(name, value, f"<= {limit:g}{unit}", value is not None and value <= limit)


def at_least(name: str, value: float | None, limit: float, unit: str = "") -> Bar:
    """Return a bar that a value must reach."""
    return Bar(name, value, f">= {limit:g}{unit}", value is not None and value >= limit)


def within(name: str, value: float | None, low: float, high: float) -> Bar:
    """Return a bar that a value must lie within."""
    return Bar(name, value, f"{low:g} to {high:g}", value is not None and low <= value <= high)


@dataclass(frozen=True)
class Bench:
    """One bench's outcome. table: lines a person reads."""

    name: str
    inputs: dict[str, Any]
    raw: dict[str, Any]
    bars: list[Bar]
    table: list[str] = field(default_factory=list)

    def show(self) -> None:
        """Print the table and the bars."""
        for line in self.table:
            print(line)
        width = max(len(bar.name) for bar in self.bars)
        for bar in self.bars:
            value = "not measured" if bar.value is None else f"{bar.value:.4g}"
            print(f"{bar.name:<{width}}  {value:>12}  bar {bar.bar:<14} {'holds' if bar.holds else 'DOES NOT HOLD'}")

    def write(self, path: Path) -> None:
        """Write the JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "bench": self.name,
            "hardware": {"processor": _processor(), "cpus": os.cpu_count(), "machine": platform.machine()},
            "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
            "inputs": self.inputs,
            "raw": self.raw,
            "bars": [asdict(bar) for bar in self.bars],
        }
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"json: {path}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
