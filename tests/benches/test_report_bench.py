"""The bench of reports: the engine reads its made-up runs, and building them again gives the same bytes."""

from __future__ import annotations

import pytest
from report_build import build
from report_world import write_world


@pytest.mark.parametrize("settings", [0, 50])
def test_a_made_up_run_becomes_the_same_pages_again(tmp_path, settings):
    held = write_world(tmp_path, 5, 4, settings)
    assert held == {"strategies": 5, "segments": 4, "settings": settings, "estimates": 5 * 5 * 11 * 3 * 2 * 2}
    assert build(tmp_path) > 0
    first = [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")]
    build(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("report.html", "report.md")] == first
    said = f"Each dot is one of {settings} settings" if settings else "Each dot is one of 5 strategies"
    assert said in first[0].decode()
    assert "strategy 4" in first[1].decode()
