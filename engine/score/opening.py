"""How a run opens a model, and the identity of the scores that come of it. Loads neither torch nor transformers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Literal

from blake3 import blake3

from engine.score.device import Dtype
from engine.score.fields import FieldRule
from engine.score.folder import ModelFolder
from engine.score.frames import FrameRule
from engine.score.kernel import KERNEL_VERSION
from engine.score.pictures import DECODE_VERSION, PictureLimits

# Part of every image fingerprint. Raise it with any change in image.py or classifier.py that may change a bit of
# some score; what decodes a picture has DECODE_VERSION.
IMAGE_VERSION = 1
BACKEND = "transformers"


@dataclass(frozen=True)
class Opening:
    """A model folder and its settings.

    columns : how many columns of a creative it reads. fields : of texts. text_bytes : a field is cut there.
    limits, frames : of pictures.
    dtype : what it computes in. device, threads : where; no part of the fingerprint.
    """

    folder: ModelFolder
    columns: int = 1
    fields: FieldRule = field(default_factory=FieldRule)
    text_bytes: int = 100_000
    limits: PictureLimits = field(default_factory=PictureLimits)
    frames: FrameRule = field(default_factory=FrameRule)
    dtype: Dtype = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns of the shared score store that hold the outputs: positions of the model's labels."""
        return tuple(str(position) for _, position in self.folder.outputs)

    def fingerprint(self) -> str:
        """Return the identity of the model's scores as hex: equal ones mean equal scores of equal contents.

        Which label stands for which policy is no part of it: scores are kept by label.
        """
        folder = self.folder
        made_of = [folder.kind, folder.files, folder.activation, self.columns, self.dtype, BACKEND]
        texts = [folder.max_length, asdict(self.fields), self.text_bytes, KERNEL_VERSION]
        pictures = [asdict(self.limits), asdict(self.frames), DECODE_VERSION, IMAGE_VERSION]
        settings = texts if folder.kind == "text" else pictures
        return blake3(json.dumps([made_of, settings]).encode()).hexdigest()
