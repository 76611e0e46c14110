"""Image classifiers of Hugging Face as a Scorer.

On a CPU a forward pass reads one picture and computes on one thread; `threads` of them run at a time. So a score
depends on neither batch-mates nor threads by construction, and small models lose little (README). On a GPU the rows
are fixed and zeros fill the tail. Pictures are decoded and preprocessed beside the model, a bounded way ahead.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np

from engine.records import F32, Contents
from engine.score.classifier import ImageClassifier, forward, load_classifier, preprocess
from engine.score.device import Device
from engine.score.folder import ModelFolder
from engine.score.frames import FrameRule, combine_frames
from engine.score.kernel import activate
from engine.score.pictures import PictureLimits, Reason, read_picture

ROWS = 32  # frames between reader and model; the rows of a forward pass on a GPU


@dataclass(frozen=True)
class ImageFacts:
    """What the manifest records of a scorer beside its fingerprint.

    contents, pictures, frames, unread : since it was opened. unread : (reason, pictures) of those without a frame.
    """

    torch: str
    pillow: str
    device: str
    dtype: str
    threads: int
    instruction_set: str
    attention: str
    shape: tuple[int, ...]
    contents: int
    pictures: int
    frames: int
    unread: tuple[tuple[Reason, int], ...]


class HuggingFaceImage:
    """An image classifier in memory. Open one with `open_image_scorer`."""

    def __init__(
        self,
        folder: ModelFolder,
        classifier: ImageClassifier,
        device: Device,
        threads: int,
        limits: PictureLimits,
        frames: FrameRule,
    ) -> None:
        self._folder = folder
        self._classifier = classifier
        self._device = device
        self._threads = threads
        self._limits = limits
        self._rule = frames
        self._column_P = [column for _, column in folder.outputs]
        self._contents = self._pictures = self._frames = 0
        self._unread: Counter[Reason] = Counter()

    @property
    def policies(self) -> tuple[str, ...]:
        return self._folder.policies

    @property
    def folder(self) -> ModelFolder:
        return self._folder

    @property
    def shape(self) -> tuple[int, ...]:
        """The (channels, height, width) of a frame once it is preprocessed."""
        return self._classifier.shape

    @property
    def prepare_key(self) -> object:
        """Nothing is prepared that another scorer could share: pictures are decoded while the model runs."""
        return id(self)

    def prepare(self, contents: Contents) -> Contents:
        """Return the contents as they are."""
        return contents

    def score_prepared(self, prepared: Contents) -> F32:
        """Return the scores of contents."""
        return self.score(prepared)

    def score(self, contents: Contents) -> F32:
        """Return float32 scores, shape (U, P), in [0, 1]; NaN where no picture of a content could be read.

        NaN of the model itself passes through too. `facts()` counts the pictures that could not be read.
        """
        owner: list[int] = []
        score_FP = [np.empty((0, len(self._column_P)), np.float32)]
        with self._pool() as readers, self._pool() as runners:
            framed = self._read(contents, readers)
            while batch := list(islice(framed, ROWS)):
                owner += [u for u, _ in batch]
                score_FP.append(self._score_batch([pixels for _, pixels in batch], runners))
        self._contents += len(contents)
        self._frames += len(owner)
        return combine_frames(np.concatenate(score_FP), np.array(owner, np.int64), len(contents), self._rule)

    def score_pixels(self, frames: list[F32]) -> F32:
        """Return the scores, shape (F, P), of preprocessed frames, each of `shape`."""
        with self._pool() as runners:
            return np.concatenate(
                [self._score_batch(frames[i : i + ROWS], runners) for i in range(0, len(frames), ROWS)]
            )

    def facts(self) -> ImageFacts:
        """Return what the manifest records."""
        import PIL
        import torch

        return ImageFacts(
            torch=str(torch.__version__),
            pillow=PIL.__version__,
            device=torch.cuda.get_device_name() if self._device.name == "cuda" else "cpu",
            dtype=self._device.dtype,
            threads=self._threads,
            instruction_set=torch.backends.cpu.get_cpu_capability(),
            attention=self._classifier.attention,
            shape=self.shape,
            contents=self._contents,
            pictures=self._pictures,
            frames=self._frames,
            unread=tuple(sorted(self._unread.items())),
        )

    def _read(self, contents: Contents, readers: ThreadPoolExecutor) -> Iterator[tuple[int, F32]]:
        """Yield the content and the pixels of every frame, in order, while later pictures are being read."""
        pictures = ((u, data) for u, images in enumerate(contents.images) for data in images)
        for u, frames in _ahead(((u, readers.submit(self._preprocess, data)) for u, data in pictures), self._threads):
            self._pictures += 1
            if isinstance(frames, str):
                self._unread[frames] += 1
                continue
            yield from ((u, pixels) for pixels in frames)

    def _preprocess(self, data: bytes | None) -> list[F32] | Reason:
        """Read one picture; a full-size frame lives until it is preprocessed."""
        frames = read_picture(data, self._limits, self._rule.most)
        if isinstance(frames, str):
            return frames
        return [preprocess(self._classifier.processor, frame) for frame in frames]

    def _score_batch(self, frames: list[F32], runners: ThreadPoolExecutor) -> F32:
        """Score at most ROWS frames."""
        if self._device.name == "cpu":
            logit_FK = np.concatenate(list(runners.map(self._forward, (pixels[None] for pixels in frames))))
        else:
            dummies = [np.zeros(self.shape, np.float32)] * (ROWS - len(frames))
            logit_FK = self._forward(np.stack(frames + dummies))[: len(frames)]
        return activate(logit_FK, self._folder.activation)[:, self._column_P]

    def _forward(self, pixel_BCHW: F32) -> F32:
        return forward(self._classifier.model, pixel_BCHW, self._device)

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        """Open threads that compute on one core each, whatever torch is set to elsewhere in the process."""
        import torch

        with ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool


def open_image_scorer(
    folder: ModelFolder,
    *,
    device: Device,
    threads: int = 1,
    limits: PictureLimits | None = None,
    frames: FrameRule | None = None,
) -> HuggingFaceImage:
    """Load an image classifier. threads : pictures that are read, and on a CPU scored, at a time.

    Raises
    ------
    DataError : the folder cannot be loaded whole (see `load_classifier`).
    """
    import torch

    torch.set_float32_matmul_precision("highest")  # no TF32: a GPU stays within 1e-6 of a CPU
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    classifier = load_classifier(folder, device)
    return HuggingFaceImage(folder, classifier, device, threads, limits or PictureLimits(), frames or FrameRule())


def _ahead(
    futures: Iterable[tuple[int, Future[list[F32] | Reason]]], threads: int
) -> Iterator[tuple[int, list[F32] | Reason]]:
    """Yield results in order; at most twice as many as there are threads are under way or wait."""
    waiting: deque[tuple[int, Future[list[F32] | Reason]]] = deque()
    for u, future in futures:
        waiting.append((u, future))
        if len(waiting) > 2 * threads:
            first, done = waiting.popleft()
            yield first, done.result()
    while waiting:
        first, done = waiting.popleft()
        yield first, done.result()
