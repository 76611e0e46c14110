"""What to read from a lake of creatives, and whether the lake has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from engine.errors import DataError
from engine.expression import Expression
from engine.read.brought import BroughtScores
from engine.read.sampling import SampleRule
from engine.read.shards import require_columns
from engine.records import Reading


@dataclass(frozen=True)
class LoggedValue:
    """A value of history's decision columns. `delivered`: share of its exposure that was delivered, 0 if none."""

    value: str
    delivered: float


@dataclass(frozen=True)
class CreativesSpec:
    """What to read and how; the engine's names on the left of `columns`.

    columns : id, advertiser, submitted_at and, where mapped, impressions, spend, logged_decision, logged_final and
        propensity.
    readings : what models read, each with an identity of its own. sample : which creatives are scored, None for all.
    scores : score column such as `v1.scam` → column of the lake.
    stratum_when : the audit frame as expressions over attributes; framed : ids of a frame file; both empty: no audit.
    earlier : ids of creatives from before the period whose labels calibrate, None where nothing is calibrated.
    remembers : some strategy has state, which creatives submitted since `warm_up` move.
    warm_up, since, until : microseconds since 1970 UTC; numbers count creatives in [since, until).
    """

    columns: Mapping[str, str]
    readings: tuple[Reading, ...]
    attributes: tuple[str, ...]
    scores: Mapping[str, str]
    logged: tuple[LoggedValue, ...]
    refused_column: str | None
    spend_unit: float
    warm_up: int
    since: int
    until: int
    text_bytes: int
    missing_score_allowed: bool
    bad_image_allowed: bool = False
    stratum_when: tuple[Expression, ...] = ()
    framed: pa.Array | None = None
    brought: tuple[BroughtScores, ...] = ()
    sample: SampleRule | None = None
    earlier: pa.Array | None = None
    remembers: bool = False

    @property
    def text(self) -> tuple[str, ...]:
        """Every text column that some model reads, each once."""
        return self._read("text")

    @property
    def images(self) -> tuple[str, ...]:
        """Every column of pictures that some model reads, each once."""
        return self._read("images")

    def _read(self, kind: str) -> tuple[str, ...]:
        chosen = (reading for reading in self.readings if reading.kind == kind)
        return tuple(dict.fromkeys(column for reading in chosen for column in reading.columns))

    def lake_columns(self) -> list[str]:
        """Return every column of the lake that is read whole, each once; pictures are streamed."""
        extra = [self.refused_column] if self.refused_column else []
        wanted = [*self.columns.values(), *self.text, *self.attributes, *self.scores.values(), *extra]
        return list(dict.fromkeys(wanted))


@dataclass(frozen=True)
class _Kind:
    words: str
    fits: Callable[[pa.DataType], bool]


def check_schema(schema: pa.Schema, spec: CreativesSpec, source: str) -> None:
    """Refuse a lake whose columns are missing or of a kind that cannot be read.

    Raises
    ------
    DataError : one line per column.
    """
    wanted = list(_wanted(spec))
    faults = require_columns(schema, {key: column for key, column, _ in wanted}, source)
    for key, column, kind in wanted:
        if column in schema.names and not kind.fits(_plain(schema.field(column).type)):
            faults.append(f"{source}: column {column} ({key}) is {schema.field(column).type}; it must be {kind.words}")
    if faults:
        raise DataError(*faults)


def _wanted(spec: CreativesSpec) -> Iterator[tuple[str, str, _Kind]]:
    kinds = {"submitted_at": _TIME, "impressions": _NUMBER, "spend": _NUMBER, "propensity": _NUMBER}
    for key, column in spec.columns.items():
        yield f"creatives.columns.{key}", column, kinds.get(key, _WORD)
    for i, column in enumerate(spec.text):
        yield f"creatives.columns.text.{i}", column, _TEXT
    for i, column in enumerate(spec.images):
        yield f"creatives.columns.images.{i}", column, _IMAGES
    for i, column in enumerate(spec.attributes):
        yield f"creatives.attributes.{i}", column, _ATTRIBUTE
    for name, column in spec.scores.items():
        yield f"scores.{name}", column, _FLOAT
    if spec.refused_column:
        yield "exposure.refused", spec.refused_column, _NUMBER


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _listed(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind


def _is_picture(kind: pa.DataType) -> bool:
    return _is_binary(kind) or _is_text(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


_WORD = _Kind("text or integer", lambda t: _is_text(t) or pa.types.is_integer(t))
_NUMBER = _Kind("a number", _is_number)
_TIME = _Kind(
    "a timestamp with a time zone (a naive one does not say when)", lambda t: pa.types.is_timestamp(t) and bool(t.tz)
)
_TEXT = _Kind("text", lambda t: _is_text(t) or _is_binary(t))
_IMAGES = _Kind("binary, text (paths), or a list of either", lambda t: _is_picture(_listed(t)))
_FLOAT = _Kind("float32 or float64", lambda t: t in (pa.float32(), pa.float64()))
_ATTRIBUTE = _Kind("text, boolean or number", lambda t: _is_text(t) or pa.types.is_boolean(t) or _is_number(t))
