"""What lies in a folder of runs, and how two of them differ: read from their files alone, nothing is run."""

from engine.runs.difference import diff_runs
from engine.runs.listing import list_runs

__all__ = ["diff_runs", "list_runs"]
