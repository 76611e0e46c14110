"""Two finished runs over the same data → one config that compares a strategy of the first with one of the second.

Pairing needs both strategies on the same creatives and labels, so the runs are not subtracted but joined: their scores
are in the store already and nothing is scored anew. Everything but models, scores, strategies, sweep, gates and what is
compared has to be equal in both, and so do the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config.loading import check_config
from engine.config.sections import Config
from engine.errors import UsageError, did_you_mean
from engine.manifest import finished_config
from engine.records import LOGGED
from engine.store import RunDirectory

_OWN = ("models", "scores", "strategies", "sweep", "compare", "gates")
_DATA = ("creatives", "labels", "audits")


def joined_config(run_a: Path, run_b: Path, baseline: str | None = None, candidate: str | None = None) -> Config:
    """Return the config that compares two runs, in a run of its own beside the first.

    baseline, candidate : strategies of the first and the second run; default: each run's only strategy, or the
    candidate of its own comparison. Gates and their terms are those of the second run, else of the first.

    Raises
    ------
    DataError : one of them is no finished run. UsageError : they differ in what must be equal, or name no strategy.
    """
    a, b = finished_config(run_a), finished_config(run_b)
    _check_equal(run_a, run_b, a, b)
    mine, theirs = _plain(a), _plain(b)
    moved = _moved_sources(run_a, run_b, mine, theirs)
    first, second = _chosen(a, run_a, baseline), _chosen(b, run_b, candidate)
    labels = (
        (f" of {run_a.name}", f" of {run_b.name}") if run_a.name != run_b.name else (" of the first", " of the second")
    )
    strategies = _family(mine["strategies"], first, labels[0], {})
    strategies |= _family(theirs["strategies"], second, labels[1], moved)
    names = [name if name == LOGGED else name + label for name, label in zip((first, second), labels, strict=True)]
    terms = next((c.compare.model_dump(mode="json") for c in (b, a) if c.compare and c.gates), {})
    tree = {name: value for name, value in mine.items() if name not in _OWN}
    tree |= {"run": f"{run_a.name}-and-{run_b.name}", "gates": theirs["gates"] or mine["gates"]}
    tree |= {"strategies": strategies, "compare": {**terms, "baseline": names[0], "candidate": names[1]}}
    for part in ("models", "scores"):
        renamed = {moved.get(name) or name: section for name, section in theirs[part].items()}
        tree[part] = {**mine[part], **renamed}
    tree |= {name: getattr(b, name).model_dump(mode="json", by_alias=True) for name in ("execute", "report")}
    tree["store"] = {**a.store.model_dump(mode="json"), "path": str(run_a.parent)}
    return check_config(tree, f"{run_a} and {run_b}")


def _check_equal(run_a: Path, run_b: Path, a: Config, b: Config) -> None:
    mine, theirs = _plain(a), _plain(b)
    faults = [
        f"compare: {name} differs between {run_a} and {run_b}: nothing of theirs can be paired"
        for name in mine
        if name not in _OWN and mine[name] != theirs[name]
    ]
    inputs = [_mapping(RunDirectory(path).read_manifest(), "inputs") for path in (run_a, run_b)]
    faults += [
        f"compare: the {name} of {run_a} and of {run_b} are not the same files any more"
        for name in _DATA
        if inputs[0].get(name) != inputs[1].get(name)
    ]
    if faults:
        raise UsageError(*faults)


def _moved_sources(run_a: Path, run_b: Path, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Return new names for models and scores of the second run whose name means another thing in the first.

    Raises
    ------
    UsageError : the folder of a model that both name was changed between the runs.
    """
    every = {**mine["models"], **mine["scores"]}
    prints = [_mapping(RunDirectory(path).read_manifest(), "models") for path in (run_a, run_b)]
    taken, moved = {*every, *theirs["models"], *theirs["scores"]}, {}
    for name, section in {**theirs["models"], **theirs["scores"]}.items():
        if name in every and every[name] != section:
            moved[name] = next(new for i in range(2, 1000) if (new := f"{name}_{i}") not in taken)
            taken.add(moved[name])
        elif name in prints[0] and name in prints[1] and prints[0][name] != prints[1][name]:
            raise UsageError(
                f"models.{name}: its folder changed between {run_a} and {run_b}: the first is not there now"
            )
    return moved


def _chosen(config: Config, path: Path, name: str | None) -> str:
    """Return which strategy of a run is compared."""
    known = [*config.strategies, *([LOGGED] if config.creatives.columns.logged_decision else [])]
    if name is None and len(config.strategies) == 1:
        return next(iter(config.strategies))
    if name is None and config.compare is not None:
        name = config.compare.candidate
    if name is None:
        raise UsageError(f"compare: {path} holds several strategies; name one: {', '.join(known)}")
    if name not in known:
        picked = config.sweep is not None and name in config.sweep.picked()
        hint = " (a sweep's pick: write its setting as a strategy)" if picked else did_you_mean(name, known)
        raise UsageError(f"compare: {path} has no strategy {name}{hint}")
    return name


def _family(strategies: Mapping[str, Any], name: str, label: str, moved: Mapping[str, str]) -> dict[str, Any]:
    """Return a strategy and those it is like, each under its name and a label, reading models by their new names.

    `replace` renames what a section writes itself, in old names, and what it inherits, in new ones.
    """
    out: dict[str, Any] = {}
    while name != LOGGED:
        section = strategies[name]
        stands_for = {old: moved.get(new, new) for old, new in section["replace"].items()}
        later = {moved.get(old, old): new for old, new in stands_for.items()}
        parent = section["like"]
        out[name + label] = {
            **section,
            "like": parent + label if parent else None,
            "replace": {**moved, **later, **stands_for},
        }
        if parent is None:
            break
        name = parent
    return out


def _plain(config: Config) -> dict[str, Any]:
    return dict(config.decided())


def _mapping(manifest: Mapping[str, object], key: str) -> Mapping[str, Any]:
    found = manifest.get(key)
    return found if isinstance(found, dict) else {}
