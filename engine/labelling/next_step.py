"""The step after a label plan: the command that counts its labels, as it can be pasted."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from engine.config.sections import Config
from engine.labelling.table import Files

_BEYOND = (
    "gates: compare.looks is 1: once they were judged on the labels of now, new ones are a look beyond it and "
    "decide nothing; to label and judge again, declare compare.looks: 2 before the first comparison"
)
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]")


def next_step(asked: Sequence[str], config: Config, files: Files, use: Sequence[str]) -> list[str]:
    """Return, line by line, what to do with a plan, and last the command that counts its labels."""
    spent = config.gates and config.compare is not None and config.compare.looks == 1
    lines = [_BEYOND] if spent else []
    return [*lines, f"fill in `label` of {files.plan}, then", f"  {next_command(asked, config, files, use)}"]


def next_command(asked: Sequence[str], config: Config, files: Files, use: Sequence[str]) -> str:
    """Return the command that compares once the labels of a plan are filled in: a run of its own, with them as well.

    asked : the config and the overrides of the command line that asked for the plan. use : the audits to combine, the
    plan's last. Values are JSON, which YAML reads as it is: `1` and `no` stay names.
    """
    settings: dict[str, str | list[str]] = {
        "run": _NO_NAME.sub("-", f"{config.run}-{use[-1]}"),
        "labels.path": [*(config.labels.paths if config.labels else ()), str(files.plan)],
        "audits.path": str(files.audits),
        "audits.use": list(use),
    }
    sets = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    return shlex.join(["backtest", "compare", *asked, *sets])
