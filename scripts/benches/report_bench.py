"""How long a large report takes to build and to open, its size, and whether equal input gives equal bytes."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record import Bar, Bench, at_most
from report_world import write_world

WORLDS = {"strategies": (1000, 20, 0), "settings": (6, 20, 10_000)}
_BUILD = Path(__file__).with_name("report_build.py")
_OPENED = "() => Math.max(...['navigation', 'paint'].flatMap((kind) => performance.getEntriesByType(kind)" + (
    ".map((entry) => entry.loadEventEnd || entry.startTime)))"
)


def measure(arguments: Sequence[str]) -> Bench:
    """Build each world twice under different hash seeds, and open its page in fresh contexts."""
    parser = argparse.ArgumentParser(prog="scripts/bench report")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args(arguments).repeats
    raw: dict[str, Any] = {}
    bars: list[Bar] = []
    table: list[str] = []
    inputs: dict[str, Any] = {"repeats": repeats}
    for world, size in WORLDS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            inputs[world] = write_world(folder, *size)
            built, worked, pages = zip(*(_built(folder, seed) for seed in ("0", "1")), strict=True)
            opened = _opened(folder / "report.html", repeats)
        size_mb, same = max(map(len, pages[0])) / 1e6, float(pages[0] == pages[1])
        raw[world] = {
            "build_s": built,
            "build_cpu_s": worked,
            "open_s": opened,
            "html_mb": len(pages[0][0]) / 1e6,
            "same_bytes": same,
        }
        bars += [
            at_most(f"report.{world}.build_s", max(built), 10, " s"),
            at_most(f"report.{world}.open_s", statistics.median(opened) if opened else None, 2, " s"),
            at_most(f"report.{world}.mb", size_mb, 6, " MB"),
            Bar(f"report.{world}.same_bytes", same, "= 1", same == 1),
        ]
        said = f"opened in {min(opened):.2f} to {max(opened):.2f} s" if opened else "not opened: no Chromium here"
        took = f"{min(built):.1f} to {max(built):.1f} s ({max(worked):.1f} s of processor time)"
        table.append(f"{world}: built in {took}, {size_mb:.2f} MB, {said}")
    return Bench("report", inputs, raw, bars, table)


def _built(folder: Path, seed: str) -> tuple[float, float, tuple[bytes, bytes]]:
    """Build in a process of its own; return its seconds, those of the processor, and both pages."""
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, str(_BUILD), str(folder)], check=True, capture_output=True, text=True, env=environment
    )
    seconds, worked = map(float, done.stdout.split())
    return seconds, worked, ((folder / "report.html").read_bytes(), (folder / "report.md").read_bytes())


def _opened(page: Path, repeats: int) -> list[float]:
    """Return the seconds until the page is loaded, drawn and answers; nothing where there is no browser."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    if chromium is None:
        return []
    found = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(repeats):
            context = browser.new_context(viewport={"width": 1400, "height": 900})
            opened = context.new_page()
            opened.goto(page.as_uri())
            opened.wait_for_selector("#answer:not([hidden])")
            opened.wait_for_function("performance.getEntriesByType('paint').length > 0")
            found.append(opened.evaluate(_OPENED) / 1000)
            context.close()
        browser.close()
    return found
