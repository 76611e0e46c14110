"""Peak memory of one replay, in a process of its own that has made its inputs before."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sweeps import World, as_creatives, as_table, make_sweep, make_world, replay_sweep


@dataclass(frozen=True)
class Peak:
    """Bytes of all arrays of the creatives, of the totals, and how far the process grew at its peak."""

    inputs: int
    outputs: int
    grown: int

    @property
    def ratio(self) -> float:
        """Inputs and all that is held beside them, but for the totals, over the inputs."""
        return (self.inputs + self.grown - self.outputs) / self.inputs


def measure_peak(kind: str, rows: int, strategies: int, threads: int) -> Peak | None:
    """Replay a sweep in a new process; None where /proc does not say."""
    command = [sys.executable, __file__, kind, str(rows), str(strategies), str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return None if found is None else Peak(**found)


def main() -> None:
    """Print the figures as JSON."""
    kind, rows, strategies, threads = sys.argv[1], *map(int, sys.argv[2:])
    sweep = make_sweep(kind, strategies, seed=2)  # type: ignore[arg-type]
    table = as_table(sweep)
    warm = make_world(1000, seed=3)
    replay_sweep(table, as_creatives(sweep, warm), sweep, threads)  # kernels are compiled or loaded
    world: World = make_world(rows, seed=1)
    creatives = as_creatives(sweep, world)
    arrays = [column.values_N for column in creatives.columns]
    arrays += [creatives.cell_N, creatives.frame_N, creatives.weight_NW]
    before = _kilobytes("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    except OSError:
        before = None
    replayed = replay_sweep(table, creatives, sweep, threads)
    peak = _kilobytes("VmHWM")
    if before is None or peak is None:
        print("null")
        return
    totals = replayed.totals
    outputs = sum(array.nbytes for array in (totals.sum_SOFCW, totals.swap_OQCW, totals.whole_FCW))
    inputs = sum(array.nbytes for array in arrays)
    print(json.dumps({"inputs": inputs, "outputs": outputs, "grown": 1024 * (peak - before)}))


def _kilobytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


if __name__ == "__main__":
    main()
