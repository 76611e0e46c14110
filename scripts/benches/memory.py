"""Peak memory of each contestant, in a process of its own.

VmHWM, for it belongs to the process image: ru_maxrss of a child also holds the peak of the parent it came from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from peers import Model, Name, as_model, open_contestant
from texts import Texts


def peak_megabytes(name: Name, variant: str, model: Model, texts: Texts, graphs: Path, folder: Path) -> float | None:
    """Load one contestant in a new process, score the texts once, return its peak resident memory.

    None where /proc does not say. folder : for the texts, which the process reads from disk.
    """
    job = folder / "memory.json"
    given = {"texts": texts.texts, "length_U": texts.length_U.tolist()}
    where = {"path": str(model.folder.path), "device": model.device, "threads": model.threads}
    job.write_text(json.dumps({"name": name, "variant": variant, "graphs": str(graphs), **where, **given}))
    done = subprocess.run([sys.executable, __file__, str(job)], check=True, capture_output=True, text=True)
    peak = json.loads(done.stdout.splitlines()[-1])
    return None if peak is None else float(peak)


def main() -> None:
    """Score as the job file says; print this process's peak."""
    job = json.loads(Path(sys.argv[1]).read_bytes())
    model = as_model(Path(job["path"]), job["device"], job["threads"])
    variants = open_contestant(job["name"], model, Path(job["graphs"]))
    chosen = next(variant for variant in variants if variant.label == job["variant"])
    chosen.score(Texts("", tuple(job["texts"]), np.array(job["length_U"], np.int64)))
    print(json.dumps(peak_of_this_process()))


def peak_of_this_process() -> float | None:
    """Return the most megabytes this process ever held, None where /proc does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if kilobytes is None else int(kilobytes) / 1000


if __name__ == "__main__":
    main()
