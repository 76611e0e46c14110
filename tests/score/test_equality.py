"""A score is a function of content, model and settings: bytes, not tolerances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engine.records import Contents
from engine.score.device import Device
from engine.score.exact import Exact
from engine.score.folder import inspect_folder
from engine.score.packed import Packed
from engine.score.probe import probe_equality
from engine.score.quantized import why_no_int8
from engine.score.shapes import Shapes
from engine.score.text import HuggingFaceText, open_text_scorer
from engine.score.tokens import as_tokens

OUTPUTS = {"tiny": {"scam": "SCAM", "adult": "ADULT"}, "wide": {"scam": "LABEL_0"}, "padless": {"scam": "LABEL_1"}}


has_path = pytest.mark.skipif(bool(why_no_int8()), reason=why_no_int8() or "it has one")
WHOLE = tuple(pytest.param(f"{name} in int8", marks=has_path) for name in ("tiny", "wide"))


@pytest.fixture(params=[*OUTPUTS, *WHOLE])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scorer(name: str, request: pytest.FixtureRequest) -> HuggingFaceText:
    return open_with(name, request, threads=1)


def open_with(name: str, request: pytest.FixtureRequest, threads: int) -> HuggingFaceText:
    model, _, dtype = name.partition(" in ")
    folder = inspect_folder(request.getfixturevalue(model), OUTPUTS[model])
    device = Device("cpu", "int8" if dtype else "float32")
    return open_text_scorer(folder, device=device, threads=threads)


def contents(texts: list[str]) -> Contents:
    return Contents(tuple((text,) for text in texts))


def test_order_batch_mates_positions_and_tails_change_no_byte(scorer: HuggingFaceText, texts: list[str]) -> None:
    score_UP = scorer.score(contents(texts))
    random = np.random.default_rng(11)
    for size in (len(texts), 40, 17, 5, 3, 2, 1, 1, 1):
        some = random.permutation(len(texts))[:size]
        assert scorer.score(contents([texts[u] for u in some])).tobytes() == score_UP[some].tobytes()


def test_two_threads_change_no_byte(
    scorer: HuggingFaceText, name: str, request: pytest.FixtureRequest, texts: list[str]
) -> None:
    score_UP = scorer.score(contents(texts))
    double = open_with(name, request, threads=2)
    assert double.facts().threads == 2
    assert double.score(contents(texts)).tobytes() == score_UP.tobytes()
    alone_UP = np.concatenate([double.score(contents([text])) for text in texts[:20]])
    assert alone_UP.tobytes() == score_UP[:20].tobytes()


def test_the_tile_and_filled_tails_change_no_byte(scorer: HuggingFaceText, texts: list[str]) -> None:
    score_UP = scorer.score(contents(texts))
    for path in other_tiles(scorer):
        scorer._path = path
        assert scorer.score(contents(texts)).tobytes() == score_UP.tobytes()


def other_tiles(scorer: HuggingFaceText) -> Iterator[Packed | Exact]:
    if isinstance(scorer._path, Packed):
        for tile in (1, 40, 100, 333, 5000):
            yield Packed(scorer._path._encoder, threads=1, tile=tile)
    else:
        for shapes in (Shapes(1, ragged=True), Shapes(100, ragged=True), Shapes(300, ragged=False)):
            scorer._path.shapes = shapes
            yield scorer._path


@pytest.mark.parametrize("length", [1, 3, 5, 11, 16, 23, 40])
def test_every_number_of_rows_gives_the_same_bytes_with_one_thread_and_two(
    scorer: HuggingFaceText, name: str, request: pytest.FixtureRequest, length: int
) -> None:
    ids = np.random.default_rng(length).integers(0, scorer.folder.vocabulary, (24, length)).tolist()
    whole = scorer.score_tokens(as_tokens(ids, [False] * 24))
    for some in (scorer, open_with(name, request, threads=2)):
        for rows in (1, 2, 3, 5, 9, 17):
            first, last = (some.score_tokens(as_tokens(part, [False] * rows)) for part in (ids[:rows], ids[-rows:]))
            assert first.tobytes() == whole[:rows].tobytes()
            assert last.tobytes() == whole[-rows:].tobytes()


def test_the_probe_agrees_on_this_machine_and_leaves_no_trace(scorer: HuggingFaceText) -> None:
    assert probe_equality(scorer)
    assert scorer.facts().contents == 0


def test_the_probe_notices_a_score_that_depends_on_its_position(scorer: HuggingFaceText) -> None:
    def positional(tokens: object) -> np.ndarray:
        honest = HuggingFaceText.score_tokens(scorer, tokens)  # type: ignore[arg-type]
        return honest + np.arange(len(honest), dtype=np.float32)[:, None] * np.float32(1e-6)

    scorer.score_tokens = positional  # type: ignore[method-assign]
    assert not probe_equality(scorer)
