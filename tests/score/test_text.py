from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.records import F32, Contents
from engine.score.device import Device
from engine.score.fields import FieldRule
from engine.score.folder import inspect_folder
from engine.score.scorer import Scorer
from engine.score.text import HuggingFaceText, open_text_scorer

OUTPUTS = {"adult": "ADULT", "scam": "SCAM"}
CPU = Device("cpu")


def open_tiny(tiny: Path, **settings: Any) -> HuggingFaceText:
    return open_text_scorer(inspect_folder(tiny, OUTPUTS), device=CPU, **settings)


def contents(texts: list[str]) -> Contents:
    return Contents(tuple((text,) for text in texts))


def plain_logits(folder: Path, texts: list[str]) -> F32:
    """What transformers says of each text alone, by its shortest path."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=40, padding=False, return_tensors="pt")
        with torch.no_grad():
            rows.append(model(**encoded).logits[0].numpy())
    return np.stack(rows)


def test_scores_equal_those_of_the_plain_forward_pass(tiny: Path, texts: list[str]) -> None:
    logits = plain_logits(tiny, texts).astype(np.float64)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scorer: Scorer = open_tiny(tiny)
    score_UP = scorer.score(contents(texts))
    assert scorer.policies == ("adult", "scam")
    assert score_UP.dtype == np.float32
    assert np.abs(score_UP - softmax[:, [2, 1]]).max() < 1e-6
    assert score_UP.std(axis=0).min() > 0.05  # the tiny model tells its texts apart


def test_one_output_is_a_sigmoid(wide: Path, texts: list[str]) -> None:
    logits = plain_logits(wide, texts[:20]).astype(np.float64)
    folder = inspect_folder(wide, {"scam": "LABEL_0"})
    score_UP = open_text_scorer(folder, device=CPU).score(contents(texts[:20]))
    assert folder.activation == "sigmoid"
    assert np.abs(score_UP - 1 / (1 + np.exp(-logits))).max() < 3e-6  # its weights are 15 times a real model's


def test_labels_judged_apart_are_sigmoids(broken: Path, rewrite: Callable[..., None], texts: list[str]) -> None:
    rewrite(broken / "config.json", problem_type="multi_label_classification")
    logits = plain_logits(broken, texts[:9]).astype(np.float64)
    score_UP = open_tiny(broken).score(contents(texts[:9]))
    assert np.abs(score_UP - 1 / (1 + np.exp(-logits[:, [2, 1]]))).max() < 1e-6


def test_no_contents_give_no_scores(tiny: Path) -> None:
    assert open_tiny(tiny).score(Contents(())).shape == (0, 2)


def test_none_reads_as_an_empty_field_and_fields_are_joined_by_the_separator(tiny: Path) -> None:
    scorer = open_tiny(tiny, fields=FieldRule(" now "))
    joined = scorer.score(contents(["free now money", " now money", "free now ", " now "]))
    apart = scorer.score(Contents((("free", "money"), (None, "money"), ("free", ""), (None, None))))
    assert apart.tobytes() == joined.tobytes()


def test_giant_text_is_cut_and_counted(tiny: Path) -> None:
    scorer = open_tiny(tiny)
    cut, whole, giant = ["money"] * 39, ["money"] * 38, ["money"] * 1_000_000
    spaces = " " * 1_000_000 + "money"
    score_UP = scorer.score(contents([" ".join(cut), " ".join(whole), " ".join(giant), spaces, ""]))
    assert score_UP[0].tobytes() == score_UP[1].tobytes() == score_UP[2].tobytes()
    assert score_UP[3].tobytes() == score_UP[4].tobytes()
    assert (scorer.facts().contents, scorer.facts().cut) == (5, 3)


def test_a_missing_pad_token_is_replaced_by_eos_and_recorded(padless: Path, texts: list[str]) -> None:
    folder = inspect_folder(padless, {"scam": "LABEL_1"})
    scorer = open_text_scorer(folder, device=CPU)
    texts = [text for text in texts if text]  # transformers itself fails on a text without tokens
    logits = plain_logits(padless, texts).astype(np.float64)
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    assert scorer.facts().pad_adopted
    assert np.abs(scorer.score(contents(texts))[:, 0] - expected).max() < 1e-6


def test_a_text_without_any_token_has_a_score(padless: Path) -> None:
    scorer = open_text_scorer(inspect_folder(padless, {"scam": "LABEL_1"}), device=CPU)
    score_UP = scorer.score(Contents(((None,), ("",), ("[EOS]",))))
    assert np.isfinite(score_UP).all()
    assert len(set(score_UP[:, 0].tolist())) == 1


def test_models_with_the_same_tokenizer_share_tokens(tiny: Path, broken: Path, texts: list[str]) -> None:
    ours, theirs = open_tiny(tiny), open_tiny(broken)
    assert ours.folder.tokenizer_files == theirs.folder.tokenizer_files
    tokens = ours.tokens(contents(texts))
    assert theirs.score_tokens(tokens).tobytes() == ours.score(contents(texts)).tobytes()


def test_facts_tell_what_computed_the_scores(tiny: Path) -> None:
    facts = open_tiny(tiny, threads=2).facts()
    assert (facts.device, facts.dtype, facts.threads, facts.attention) == ("cpu", "float32", 2, "sdpa")
    assert (facts.path, facts.why_not_packed, facts.halvings) == ("packed", "", 0)
    assert facts.torch
    assert facts.instruction_set
    assert not facts.pad_adopted


def test_facts_tell_why_a_model_is_not_packed(padless: Path) -> None:
    facts = open_text_scorer(inspect_folder(padless, {"scam": "LABEL_1"}), device=CPU).facts()
    assert (facts.path, facts.why_not_packed) == ("exact lengths", "GPT2ForSequenceClassification is not known")


def test_a_workload_tells_how_many_tokens_are_computed(tiny: Path, padless: Path, texts: list[str]) -> None:
    scorer = open_tiny(tiny)
    tokens = scorer.tokens(contents(texts))
    assert scorer.workload(tokens).real == tokens.length_U.sum()
    assert 0 <= scorer.workload(tokens).padding < 16 / tokens.length_U.sum() * (tokens.length_U.sum() // 400 + 1)
    assert scorer.workload(scorer.tokens(contents([]))).padding == 0
    exact = open_text_scorer(inspect_folder(padless, {"scam": "LABEL_1"}), device=CPU)
    assert exact.workload(exact.tokens(contents(texts))).padding == 0


def test_loading_prints_nothing(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_tiny(tiny)
    assert capfd.readouterr() == ("", "")


def test_loading_and_scoring_open_no_connection(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert open_tiny(tiny).score(contents(["free money"])).shape == (1, 2)
