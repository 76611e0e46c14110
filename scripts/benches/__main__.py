"""`scripts/bench NAME`: run one bench, print its table, write its JSON. `scripts/bench NAME --help`: its options."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from record import Bench

NAMES = ("ci", "coverage", "estimate", "labels", "replay", "report", "score")


def main() -> None:
    """Parse the command line and run one bench."""
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", type=Path, help="where the raw figures go (default: runs/bench-NAME.json)")
    known, rest = parser.parse_known_args()
    bench: Bench = importlib.import_module(f"{known.name}_bench").measure(rest)
    bench.show()
    bench.write(known.json or Path("runs") / f"bench-{known.name}.json")


if __name__ == "__main__":
    main()
