"""The packed forward pass against transformers, for every family that it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.records import F32
from engine.score.encoder import ACTIVATIONS, FAMILIES, Encoder, read_encoder
from engine.score.packed import Packed
from engine.score.quantized import quantize_layers, why_no_int8
from engine.score.tokens import Tokens, as_tokens

SIZE = {"vocab_size": 50, "max_position_embeddings": 72, "pad_token_id": 1, "initializer_range": 0.15}
USUAL = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
DISTIL = {"dim": 48, "n_layers": 3, "n_heads": 4, "hidden_dim": 96, "max_position_embeddings": 72}
CONFIGS: dict[str, dict[str, Any]] = dict.fromkeys(FAMILIES, SIZE | USUAL) | {
    "DistilBertForSequenceClassification": SIZE | DISTIL,
    "ElectraForSequenceClassification": SIZE | USUAL | {"embedding_size": 32},
}

has_path = pytest.mark.skipif(bool(why_no_int8()), reason=why_no_int8() or "it has one")
DTYPES = ("float32", pytest.param("int8", marks=has_path))


def build(kind: str, **settings: Any) -> Any:
    """A tiny model of a family, with seeded random weights, biases and norms."""
    import torch
    import transformers

    config = getattr(transformers, kind.replace("ForSequenceClassification", "Config"))
    torch.manual_seed(7)
    model = getattr(transformers, kind)(config(**CONFIGS[kind] | {"num_labels": 3} | settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def some_tokens(seed: int, contents: int) -> Tokens:
    """Contents of 1 to 70 tokens, padding tokens among them."""
    random = np.random.default_rng(seed)
    return as_tokens([random.integers(0, 50, n).tolist() for n in random.integers(1, 71, contents)], [False] * contents)


def part(tokens: Tokens, some: Any) -> Tokens:
    ids = [tokens.id_T[a : a + n].tolist() for a, n in zip(tokens.start_U, tokens.length_U, strict=True)]
    return as_tokens([ids[u] for u in some], [False] * len(some))


def plain_logits(model: Any, tokens: Tokens) -> F32:
    """What transformers says of each content alone."""
    import torch

    rows = []
    for a, n in zip(tokens.start_U, tokens.length_U, strict=True):
        ids = torch.from_numpy(tokens.id_T[a : a + n].astype(np.int64))[None]
        with torch.no_grad():
            rows.append(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].numpy())
    return np.stack(rows)


def known(model: Any) -> Encoder:
    encoder = read_encoder(model)
    assert isinstance(encoder, Encoder), encoder
    return encoder


def in_dtype(encoder: Encoder, dtype: str) -> Encoder:
    return quantize_layers(encoder) if dtype == "int8" else encoder


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_agrees_with_transformers(kind: str) -> None:
    model, tokens = build(kind), some_tokens(1, 40)
    logits = plain_logits(model, tokens)
    assert logits.std(axis=0).min() > 0.1
    assert np.abs(Packed(known(model)).logits(tokens) - logits).max() < 1e-5


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_agrees_with_transformers(name: str) -> None:
    model, tokens = build("BertForSequenceClassification", hidden_act=name), some_tokens(2, 10)
    assert np.abs(Packed(known(model)).logits(tokens) - plain_logits(model, tokens)).max() < 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", FAMILIES)
def test_batch_mates_order_tiles_and_threads_change_no_byte(kind: str, dtype: str) -> None:
    encoder, tokens = in_dtype(known(build(kind)), dtype), some_tokens(3, 60)
    whole = Packed(encoder).logits(tokens)
    random = np.random.default_rng(4)
    for threads, tile in ((1, 512), (1, 1), (1, 100), (2, 64), (2, 333), (2, 4096)):
        packed = Packed(encoder, threads, tile)
        assert packed.logits(tokens).tobytes() == whole.tobytes()
        for size in (60, 31, 7, 2, 1, 1):
            some = random.permutation(60)[:size]
            assert packed.logits(part(tokens, some)).tobytes() == whole[some].tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "heads", "inner"), [(384, 12, 1536), (768, 12, 3072), (36, 3, 50)])
def test_widths_of_real_models_and_odd_ones_keep_bytes_equal(width: int, heads: int, inner: int, dtype: str) -> None:
    size = {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": inner, "num_hidden_layers": 2}
    encoder = in_dtype(known(build("BertForSequenceClassification", **size, num_labels=1)), dtype)
    tokens = some_tokens(5, 50)
    whole = Packed(encoder).logits(tokens)
    for tile in (16, 77, 400, 2000):
        assert Packed(encoder, tile=tile).logits(tokens).tobytes() == whole.tobytes()
    alone = np.concatenate([Packed(encoder).logits(part(tokens, [u])) for u in range(12)])
    assert alone.tobytes() == whole[:12].tobytes()


@has_path
@pytest.mark.parametrize("kind", FAMILIES)
def test_every_family_in_int8_is_near_itself_in_float32(kind: str) -> None:
    encoder, tokens = known(build(kind)), some_tokens(1, 40)
    plain, whole = (Packed(some).logits(tokens) for some in (encoder, quantize_layers(encoder)))
    away, spread = np.abs(whole - plain), plain.std(axis=0).min()
    assert 0 < away.max() < 0.4 * spread
    assert away.mean() < 0.15 * spread


def test_one_layer_is_enough() -> None:
    model, tokens = build("BertForSequenceClassification", num_hidden_layers=1), some_tokens(6, 20)
    assert np.abs(Packed(known(model)).logits(tokens) - plain_logits(model, tokens)).max() < 1e-5


def test_a_weight_that_is_not_a_number_is_not_hidden() -> None:
    import torch

    model = build("BertForSequenceClassification")
    with torch.no_grad():
        model.bert.encoder.layer[1].attention.self.value.bias[3] = float("nan")
    assert np.isnan(Packed(known(model)).logits(some_tokens(1, 5))).all()


def test_what_is_not_known_says_so() -> None:
    from transformers import AlbertConfig, AlbertForSequenceClassification

    small = {"embedding_size": 8, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    albert = AlbertForSequenceClassification(AlbertConfig(vocab_size=50, **small))
    assert read_encoder(albert) == "AlbertForSequenceClassification is not known"
    assert read_encoder(build("BertForSequenceClassification", is_decoder=True)) == "it is a decoder"
    odd = build("RobertaForSequenceClassification", hidden_act="mish")
    assert read_encoder(odd) == "activation mish is not known"


def test_a_model_with_a_weight_more_than_its_family_has_is_not_packed() -> None:
    import torch

    model = build("BertForSequenceClassification")
    model.bert.encoder.layer[0].adapter = torch.nn.Linear(4, 4)
    assert read_encoder(model) == "weight bert.encoder.layer.0.adapter.weight is not known"


def test_tokens_that_no_tokenizer_of_the_model_made_are_refused_before_memory_is_read() -> None:
    roberta = Packed(known(build("RobertaForSequenceClassification")))
    assert np.isfinite(roberta.logits(as_tokens([[5] * 70], [False]))).all()
    for ids, reason in (([5] * 71, "70 places"), ([50], "the 50 of the model"), ([-1], "the 50 of the model")):
        with pytest.raises(ValueError, match=reason):
            roberta.logits(as_tokens([ids], [False]))


def test_no_contents_give_no_logits() -> None:
    assert Packed(known(build("BertForSequenceClassification"))).logits(as_tokens([], [])).shape == (0, 3)
