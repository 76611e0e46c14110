"""YAML text → Config, with every fault named at once."""

from __future__ import annotations

import io
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from engine.config.names import name_faults
from engine.config.sections import Config
from engine.errors import UsageError, did_you_mean


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file, apply `a.b=value` overrides, check everything.

    Raises
    ------
    UsageError : the file cannot be read, or one line per fault in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    tree = _parse(text, str(path))
    if not isinstance(tree, dict):
        raise UsageError(f"{path}: a config is a mapping of sections")
    for override in overrides:
        _set(tree, override)
    return check_config(tree, str(path))


def check_config(tree: dict[str, object], source: str) -> Config:
    """Turn a parsed tree into a Config.

    Raises
    ------
    UsageError : one line per fault.
    """
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise UsageError(*(f"{source}: {line}" for line in _lines(error.errors()))) from None
    faults = name_faults(config)
    if faults:
        raise UsageError(*(f"{source}: {fault}" for fault in faults))
    return config


def dump_yaml(tree: object) -> str:
    """Write plain values as YAML 1.2 text, keys in the order given."""
    out = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(tree, out)
    return out.getvalue()


def _parse(text: str, source: str) -> object:
    yaml = YAML(typ="safe", pure=True)  # YAML 1.2: `no` is text, `1e-3` a number, a repeated key an error
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise UsageError(f"{source}:{line} {getattr(error, 'problem', None) or error}".replace("\n", " ")) from None


def _set(tree: dict[str, object], override: str) -> None:
    key, found, value = override.partition("=")
    if not found or not key.strip():
        raise UsageError(f"--set {override}: write key=value, as in execute.where=ray")
    node: dict[str, object] = tree
    *parents, last = key.strip().split(".")
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise UsageError(f"--set {override}: {parent} is no section")
        node = child
    node[last] = _parse(value, f"--set {key}")


def _lines(errors: Iterable[ErrorDetails]) -> list[str]:
    return list(dict.fromkeys(_line(error) for error in errors))


def _line(error: ErrorDetails) -> str:
    where = [str(part) for part in error["loc"]]
    key = ".".join(where)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(where[-1], _siblings(where[:-1]))}"
    if error["type"] == "missing":
        return f"{key}: is required"
    value = repr(error["input"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (found {value if len(value) <= 80 else value[:77] + '...'})"


def _siblings(where: list[str]) -> list[str]:
    """Return the keys that the section at `where` knows."""
    section: object = Config
    for part in where:
        if isinstance(section, type) and issubclass(section, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in section.model_fields.items()}
            section = fields.get(part)
        else:
            section = next(iter(typing.get_args(section)[-1:]), None)
        if typing.get_origin(section) is types.UnionType:
            section = next((x for x in typing.get_args(section) if x is not type(None)), None)
        elif typing.get_origin(section) is typing.Annotated:
            section = typing.get_args(section)[0]
    if not _is_section(section):
        return []
    assert isinstance(section, type)
    assert issubclass(section, BaseModel)
    return [field.alias or name for name, field in section.model_fields.items()]


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
