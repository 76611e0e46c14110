"""What some creatives say and show, as a report may hold it: texts cut, pictures encoded anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from engine.prepare import picture_limits
from engine.read.identity import content_id
from engine.read.images import ROWS, UNREAD, picture_rows
from engine.read.text import as_contents, raw_fields
from engine.records import Reading, Shard
from engine.score.pictures import PictureLimits
from engine.score.thumbnail import thumbnail
from engine.stages.read import Creatives, creatives_plan
from engine.stages.run import Run
from engine.tasks.owned import Portions, stream_owned

MOST_CHARACTERS = 500  # of a text field
MOST_PICTURES = 3  # of a creative
ANOTHER = "is not the picture that the run read"


@dataclass(frozen=True)
class Exhibit:
    """The content of a creative. texts : field → text or null. pictures : JPEG files. notes : what is not shown."""

    texts: tuple[tuple[str, str | None], ...]
    pictures: tuple[bytes, ...]
    notes: tuple[str, ...]


def read_exhibits(run: Run, creatives: Creatives, ids: Sequence[str]) -> dict[str, Exhibit]:
    """Read what some creatives of the period say and show, under the limits of the config, a few rows at a time."""
    plan, wanted = creatives_plan(run, creatives), pa.array(ids, pa.string())
    texts, images = _columns(run, "text"), _columns(run, "images")
    found: dict[str, Exhibit] = {}
    for shard in run.shards:
        table = plan.read(shard.number)
        owned = table.filter(pc.is_in(table["creative_id"], wanted))
        if owned.num_rows:
            found |= _exhibits(run, shard, owned, texts, images)
    return found


def _exhibits(
    run: Run, shard: Shard, owned: pa.Table, texts: Sequence[str], images: Sequence[str]
) -> dict[str, Exhibit]:
    """Read some creatives of a shard; nothing is read past the last of them."""
    found: dict[str, Exhibit] = {}
    for lake, rows in stream_owned(shard, owned, [*texts, *images], Portions(1, ROWS, ROWS)):
        for i, name in enumerate(rows["creative_id"].to_pylist()):
            found[name] = _exhibit(run, texts, images, lake.slice(i, 1), rows.slice(i, 1))
        if len(found) == owned.num_rows:
            break
    return found


def _columns(run: Run, kind: str) -> list[str]:
    """Return the columns of a kind that the config names or a model reads, and that the lake has as such."""
    columns, spec = run.config.creatives.columns, run.prepared.spec
    named = [*columns.text, *spec.text] if kind == "text" else [*columns.images, *spec.images]
    schema = run.prepared.source.schema
    return [name for name in dict.fromkeys(named) if name in schema.names and _shows(schema.field(name).type, kind)]


def _shows(kind: pa.DataType, wanted: str) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if wanted == "images" and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        kind = kind.value_type
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(is_kind(kind) for is_kind in kinds)


def _exhibit(run: Run, texts: Sequence[str], images: Sequence[str], lake: pa.Table, row: pa.Table) -> Exhibit:
    said: tuple[str | None, ...] = ()
    if texts:
        (said,) = as_contents(raw_fields(lake, texts), run.prepared.spec.text_bytes).fields
    notes = [f"{name} is cut" for name, text in zip(texts, said, strict=True) if text and len(text) > MOST_CHARACTERS]
    cut = [text[:MOST_CHARACTERS] if text else text for text in said]
    pictures: list[bytes] = []
    limits = picture_limits(run.config)
    if images and (changed := _changed(run, lake, row, limits)):
        notes += changed
    elif images:
        for shown in _thumbnails(lake, images, limits):
            if isinstance(shown, bytes):
                pictures.append(shown)
            else:
                notes.append(shown)
    return Exhibit(tuple(zip(texts, cut, strict=True)), tuple(pictures), tuple(notes))


def _thumbnails(lake: pa.Table, images: Sequence[str], limits: PictureLimits) -> Iterator[bytes | str]:
    """Yield the first pictures of a creative, each small or with the reason why it is not shown."""
    (files,) = picture_rows(lake, images, limits.bytes)
    for file in files[:MOST_PICTURES]:
        yield UNREAD if file is None else thumbnail(file, limits)
    if len(files) > MOST_PICTURES:
        yield f"{len(files) - MOST_PICTURES} more pictures"


def _changed(run: Run, lake: pa.Table, row: pa.Table, limits: PictureLimits) -> list[str]:
    """Say where a file at a path is another one than the run read: what is shown is what was decided on."""
    readings: list[Reading] = [each for each in run.prepared.spec.readings if each.kind == "images"]
    return [
        f"{', '.join(reading.columns)} {ANOTHER}"
        for reading in readings
        if content_id(picture_rows(lake, reading.columns, limits.bytes)[0]) != row[reading.id_column][0].as_py()
    ]
