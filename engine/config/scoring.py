"""The sections of a config that say where scores come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.config.values import Instant, Names, Section, Word


class Trained(Section):
    until: Instant


class CalibrationSection(Section):
    """Strategies read the model's scores through a map that is fitted on audit labels known before the period."""

    method: Literal["temperature", "platt", "isotonic"]


class FramesSection(Section):
    """How the pictures of one creative make one score. most : frames read of one animated picture."""

    combine: Literal["max", "top_mean"] = "max"
    top: Annotated[int, Field(ge=1)] = 3
    most: Annotated[int, Field(ge=1, le=1000)] = 8


class ModelSection(Section):
    """A classifier of texts, or of pictures where `images` names the columns it reads.

    text : the columns it reads, by default all of creatives.columns.text. They are joined by `separator` (a line
        break) or by a `template` such as {title} [SEP] {body}, or scored `apart`: the highest or mean score counts.
    dtype : what it computes in; bfloat16 and float16 need a GPU that is fast in them, int8 a CPU and a classifier of
        texts of the BERT family.
    """

    path: str
    outputs: dict[Word, str] = Field(min_length=1)
    text: Annotated[Names, Field(min_length=1)] | None = None
    images: Annotated[Names, Field(min_length=1)] | None = None
    frames: FramesSection | None = None
    max_length: Annotated[int, Field(ge=8)] | None = None
    separator: str | None = None
    template: str | None = None
    apart: Literal["max", "mean"] | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = "float32"
    trained: Trained | None = None
    calibration: CalibrationSection | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ModelSection:
        texts = ("text", "max_length", "separator", "template", "apart")
        given = [name for name in texts if getattr(self, name) is not None]
        if self.images and given:
            raise ValueError(f"reads pictures, and {given[0]} belongs to texts")
        if self.images and self.dtype == "int8":
            raise ValueError("reads pictures, and dtype int8 belongs to texts; use float32")
        if sum(getattr(self, name) is not None for name in ("separator", "template", "apart")) > 1:
            raise ValueError("joins its fields by `separator` or by `template`, or scores them `apart`; choose one")
        if self.frames and not self.images:
            raise ValueError("`frames` belongs to a model that reads pictures; name them in `images`")
        return self


class ScoresSection(Section):
    """Scores somebody else computed: a file keyed by creative, or columns of the creatives."""

    path: str | None = None
    key: str = "creative_id"
    columns: dict[Word, str] = Field(default_factory=dict)
    creatives: dict[Word, str] = Field(default_factory=dict)
    trained: Trained | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ScoresSection:
        if bool(self.path) == bool(self.creatives) or bool(self.path) != bool(self.columns):
            raise ValueError("needs either `path` with `columns: {policy: column}` or `creatives: {policy: column}`")
        return self

    @property
    def policies(self) -> dict[str, str]:
        return self.creatives or self.columns
