"""`python report_build.py FOLDER`: build both pages of a folder; print the seconds it took, and of the processor."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq


def build(folder: Path) -> float:
    """Write report.md and report.html; return the seconds from reading the first file, imports included."""
    start = time.perf_counter()
    from engine.report.html import page_html
    from engine.report.layout import build_page
    from engine.report.markdown import page_markdown

    summary = json.loads((folder / "summary.json").read_text())
    estimates, found = pq.read_table(folder / "estimates.parquet"), folder / "search.parquet"
    search = pq.read_table(found) if found.exists() else None
    page = build_page(summary, estimates, None, search)
    (folder / "report.md").write_text(page_markdown(page))
    (folder / "report.html").write_text(page_html(page))
    return time.perf_counter() - start


if __name__ == "__main__":
    print(build(Path(sys.argv[1])), time.process_time())
