"""How often a comparison has been looked at: a small file beside the runs, one for each comparison.

A comparison is two strategies, with the scores they read, over the creatives of a period, whatever they are called and
whichever run asks. A look is one state of its labels: judged again on the same labels, it is the same look.
What was declared at the first look holds. Two runs that look at the same moment may be counted as one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import store
from engine.errors import DataError
from engine.stages.run import Run, compared
from engine.verdict.verdict import Look, Verdict

_LABEL_INPUTS = ("labels", "audits")


@dataclass(frozen=True)
class Register:
    """The looks at one comparison. path : its file. labels : identity of what is looked at now."""

    path: Path
    labels: str
    declared: int
    looks: tuple[Mapping[str, Any], ...]

    @property
    def look(self) -> Look:
        """This look, and what the earlier ones knew."""
        seen = [look["labels"] for look in self.looks]
        at = seen.index(self.labels) if self.labels in seen else len(seen)
        keys = {key for look in self.looks[:at] for key in look["information"]}
        earlier = {key: [look["information"].get(key) for look in self.looks[:at]] for key in keys}
        return Look(at + 1, self.declared, earlier)

    def note(self, verdict: Verdict, run: str) -> None:
        """Write down that this look was made, and what it knew."""
        found = {finding.key: finding.information for finding in verdict.findings}
        at = verdict.look.number - 1
        known: Mapping[str, Any] = self.looks[at] if at < len(self.looks) else {"labels": self.labels, "run": run}
        mine = {**known, "information": {**known.get("information", {}), **found}}
        looks = [*self.looks[:at], mine, *self.looks[at + 1 :]]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = {"declared": self.declared, "looks": looks}
        store.write_whole(self.path, (json.dumps(written, indent=1) + "\n").encode())


def open_register(run: Run) -> Register:
    """Return the looks at the run's comparison.

    Raises
    ------
    DataError : the file that counts them cannot be read.
    """
    assert run.config.compare is not None
    path = Path(run.config.store.path) / "_looks" / f"{_comparison(run)[:32]}.json"
    declared, looks = run.config.compare.looks, ()
    if path.exists():
        try:
            known = json.loads(path.read_bytes())
            declared, looks = int(known["declared"]), tuple(known["looks"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); it counts the looks at this comparison") from None
    return Register(path, _labels(run), declared, looks)


def _comparison(run: Run) -> str:
    """Return the identity of what is compared, labels and names left out."""
    pair = compared(run)
    assert pair is not None
    strategies = [repr(replace(run.prepared.table.strategies[s], name="", words="")) for s in pair]
    inputs = {name: identity for name, identity in run.prepared.inputs.items() if name not in _LABEL_INPUTS}
    decided = run.config.decided()
    about = {name: decided[name] for name in ("period", "policies", "exposure")}
    return store.fingerprint([strategies, inputs, about])


def _labels(run: Run) -> str:
    """Return the identity of the labels that a look sees."""
    inputs = {name: run.prepared.inputs.get(name) for name in _LABEL_INPUTS}
    decided = run.config.decided()
    return store.fingerprint([inputs, {name: decided[name] for name in _LABEL_INPUTS}])
