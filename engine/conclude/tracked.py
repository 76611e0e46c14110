"""A finished run, told to the trackers that the config names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from blake3 import blake3

from engine import store
from engine.config.sections import TrackSection
from engine.stages.run import Run
from engine.track import MlflowSink, Sink, Told, TrackioSink, tell

_FILES = ("report.html", "report.md", "summary.json")
_TRACKED = "tracked.json"
_REFUSED = re.compile(r"[^A-Za-z0-9_\-. ]+")
_SECRET = re.compile(r"(?<=://)[^/\s@]*@")  # user:password@ of an address
_LONGEST = 200  # characters of a name
_WORDS = {"machine": "", "after_review": ".after_review"}


def track_stage(run: Run, summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Tell the trackers of the config what they have not been told yet; return a warning for each that failed."""
    sinks = dict(_sinks(run.config.track))
    if not sinks:
        return ()
    told, known = told_of(run, summary), _read_tracked(run)
    warnings = []
    for name, sink in sinks.items():
        where = _SECRET.sub("", run.config.track.model_dump_json(include={name}))
        mark = store.fingerprint([where, told.content])
        if known.get(name) == mark:
            continue
        fault = tell(sink, told)
        if fault is not None:
            warnings.append(_SECRET.sub("", f"track.{name}: {fault}; the run itself is complete"))
            continue
        known[name] = mark
        run.directory.write_text(_TRACKED, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return tuple(warnings)


def told_of(run: Run, summary: Mapping[str, Any]) -> Told:
    """Return what trackers are told: the config, the numbers of this history by creatives, the pages."""
    path = run.directory.path
    return Told(
        name=run.config.run,
        fingerprint=run.identity,
        content=blake3(json.dumps(summary, sort_keys=True).encode()).hexdigest(),
        parameters=parameters(run.config.decided()),
        metrics=dict(_metrics(summary)),
        files=tuple(path / name for name in _FILES if (path / name).exists()),
    )


def parameters(decided: Mapping[str, object]) -> dict[str, str]:
    """Return a config key by key, as text; passwords in addresses left out."""
    return {_name(key): _SECRET.sub("", value) for key, value in _leaves(decided)}


def _sinks(track: TrackSection) -> Iterator[tuple[str, Sink]]:
    if track.mlflow is not None:
        yield "mlflow", MlflowSink(track.mlflow.uri, track.mlflow.experiment)
    if track.trackio is not None:
        yield "trackio", TrackioSink(track.trackio.project, track.trackio.space, track.trackio.server)


def _read_tracked(run: Run) -> dict[str, str]:
    """Return what each tracker was told last; a file that cannot be read says nothing, and a run is told again."""
    try:
        known = json.loads((run.directory.path / _TRACKED).read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _leaves(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield what was set of a config, key by key, as text."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{key}.{i}")
    elif value is not None:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _metrics(summary: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield estimates and their bounds: `live.leakage_rate`, `live.leakage_rate.low`, `candidate vs live.…`."""
    several = len(summary["policies"]) > 1
    for row in (*summary["headline"], *summary["paired"]):
        if row["weighting"] != "creatives" or row["inference"] != "history" or row["estimate"] is None:
            continue
        of = row["strategy"] if row["baseline"] is None else f"{row['strategy']} vs {row['baseline']}"
        policy = f"{row['policy']}." if several else ""
        name = _name(f"{policy}{of}.{row['metric']}{_WORDS[row['reading']]}")
        for part, value in (("", row["estimate"]), (".low", row["low"]), (".high", row["high"])):
            if value is not None:
                yield f"{name}{part}", float(value)


def _name(text: str) -> str:
    """Return a name that trackers take; one that had to change keeps apart from others by a hash."""
    safe = _REFUSED.sub("_", text)[:_LONGEST]
    return safe if safe == text else f"{safe}-{blake3(text.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"
