"""The page of a run, from what its files hold, as HTML and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from engine.report.html import page_html
from engine.report.layout import build_page
from engine.report.markdown import page_markdown


def render_html(
    summary: Mapping[str, Any], estimates: pa.Table, truth: pa.Table | None, search: pa.Table | None = None
) -> str:
    """Lay the page out and write it as HTML; parameters as in `build_page`."""
    return page_html(build_page(summary, estimates, truth, search))


def render_markdown(summary: Mapping[str, Any], estimates: pa.Table, truth: pa.Table | None) -> str:
    """Lay the page out and write it as Markdown."""
    return page_markdown(build_page(summary, estimates, truth))
