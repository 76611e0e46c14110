"""Backtest moderation strategies: what would they have leaked, and what wrongly refused?

creatives ─ read → contents ─ score → scores ─ replay → totals ┐
labels, audits ──────────────────────────────────── estimate ──┴→ rates with intervals ─ report → files

from engine import load_config, run
run(load_config("configs/demo.yaml"))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.config import Config, load_config
    from engine.pipeline import Finished, run

__version__ = "0.1.0"
_HOMES = {
    "Config": "engine.config",
    "load_config": "engine.config",
    "Finished": "engine.pipeline",
    "run": "engine.pipeline",
}
__all__ = ["Config", "Finished", "__version__", "load_config", "run"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `import engine` stays light."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
