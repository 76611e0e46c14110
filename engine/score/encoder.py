"""The weights of a BERT-like classifier, and the reading of them from a model of transformers.

The knowledge of each family (names of its weights, its head, its numbering of places) is in this file alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.records import F32
from engine.score.loops import GELU, GELU_TANH, RELU, SILU, TANH

if TYPE_CHECKING:
    from torch import Tensor, nn

# Names that transformers gives to activations; others take the general path.
ACTIVATIONS = {
    **dict.fromkeys(("gelu", "gelu_python"), GELU),
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh"), GELU_TANH),
    **dict.fromkeys(("silu", "swish"), SILU),
    "relu": RELU,
}


class Product(Protocol):
    """A linear layer as the packed forward pass computes it: a product, then a bias, which loops add."""

    @property
    def bias_O(self) -> F32:
        """The bias, float32, one per output."""
        ...

    def multiply(self, x_TI: F32, y_TO: F32) -> None:
        """Set y to x times the weight, without the bias."""
        ...

    def columns(self, first: int, last: int) -> Product:
        """Return a part of the outputs."""
        ...


@dataclass(frozen=True, eq=False)
class Linear:
    """weight_IO : float32; as products read it, which MKL does 3 % faster than the transpose. bias_O : float32."""

    weight_IO: Tensor
    bias_O: F32

    def multiply(self, x_TI: F32, y_TO: F32) -> None:
        """Set y to x times the weight, without the bias."""
        import torch

        torch.mm(torch.from_numpy(x_TI), self.weight_IO, out=torch.from_numpy(y_TO))

    def columns(self, first: int, last: int) -> Linear:
        """Return a part of the outputs, sharing memory."""
        return Linear(self.weight_IO[:, first:last], self.bias_O[first:last])


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer norm: weight_H, shift_H, float32, and epsilon."""

    weight_H: F32
    shift_H: F32
    epsilon: np.float32


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer. mix : queries, keys and values side by side, three times as wide as the layer."""

    mix: Product
    out: Product
    out_norm: Norm
    up: Product
    down: Product
    down_norm: Norm


@dataclass(frozen=True, eq=False)
class Encoder:
    """A classifier that reads the first token.

    word_VE, place_PE : embeddings; that of token type 0 is part of place_PE. project : None where E = H.
    unplaced : the token id that has no place of its own and by which the others are shifted, -1 for none.
    activation, head_activation : numbers of `loops`.
    """

    word_VE: F32
    place_PE: F32
    embedding_norm: Norm
    project: Linear | None
    layers: tuple[Layer, ...]
    heads: int
    activation: int
    unplaced: int
    head: Linear
    head_activation: int
    classifier: Linear

    @property
    def width(self) -> int:
        return int(self.head.weight_IO.shape[0])

    @property
    def inner_width(self) -> int:
        return int(self.layers[0].up.bias_O.shape[0])


@dataclass(frozen=True)
class _Family:
    """Where a family of transformers keeps its weights. names : of the parts of a layer, in _PARTS order."""

    trunk: str
    layers: str
    names: tuple[str, ...]
    head: str
    head_activation: int
    classifier: str
    shifts_places: bool = False


_PARTS = ("query", "key", "value", "out", "out_norm", "up", "down", "down_norm")
_BERT_NAMES = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
)
_DISTILBERT_NAMES = (
    *("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm"),
    *("ffn.lin1", "ffn.lin2", "output_layer_norm"),
)


def _roberta() -> _Family:
    return _Family("roberta", "encoder.layer", _BERT_NAMES, "classifier.dense", TANH, "classifier.out_proj", True)


FAMILIES = {
    "BertForSequenceClassification": _Family(
        "bert", "encoder.layer", _BERT_NAMES, "bert.pooler.dense", TANH, "classifier"
    ),
    "RobertaForSequenceClassification": _roberta(),
    "XLMRobertaForSequenceClassification": _roberta(),
    "CamembertForSequenceClassification": _roberta(),
    "ElectraForSequenceClassification": _Family(
        "electra", "encoder.layer", _BERT_NAMES, "classifier.dense", GELU, "classifier.out_proj"
    ),
    "DistilBertForSequenceClassification": _Family(
        "distilbert", "transformer.layer", _DISTILBERT_NAMES, "pre_classifier", RELU, "classifier"
    ),
}


def read_encoder(model: nn.Module) -> Encoder | str:
    """Return the weights of a model of a known family, or why it has to run as it is."""
    kind = type(model).__name__
    config: Any = model.config
    family = FAMILIES.get(kind)
    if family is None:
        return f"{kind} is not known"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return "it is a decoder"
    name = str(config.activation if kind.startswith("Distil") else config.hidden_act)
    if name not in ACTIVATIONS:
        return f"activation {name} is not known"
    reader = _Reader(model)
    encoder = _read(reader, family, ACTIVATIONS[name])
    left = [name for name, parameter in model.named_parameters() if id(parameter) not in reader.seen]
    return f"weight {left[0]} is not known" if left else encoder


def _read(reader: _Reader, family: _Family, activation: int) -> Encoder:
    trunk = reader.model.get_submodule(family.trunk)
    config: Any = reader.model.config
    embeddings: Any = trunk.embeddings
    place = reader.table(embeddings.position_embeddings)
    if hasattr(embeddings, "token_type_embeddings"):
        place = place + reader.table(embeddings.token_type_embeddings)[0]
    return Encoder(
        word_VE=reader.table(embeddings.word_embeddings),
        place_PE=place,
        embedding_norm=reader.norm(embeddings.LayerNorm),
        project=reader.linear(trunk.embeddings_project) if hasattr(trunk, "embeddings_project") else None,
        layers=tuple(_layers(reader, trunk.get_submodule(family.layers), family.names)),
        heads=int(config.num_attention_heads),
        activation=activation,
        unplaced=int(config.pad_token_id) if family.shifts_places else -1,
        head=reader.linear(reader.model.get_submodule(family.head)),
        head_activation=family.head_activation,
        classifier=reader.linear(reader.model.get_submodule(family.classifier)),
    )


def _layers(reader: _Reader, modules: Any, names: tuple[str, ...]) -> Iterator[Layer]:
    for module in modules:
        part = {part: module.get_submodule(name) for part, name in zip(_PARTS, names, strict=True)}
        yield Layer(
            mix=reader.linear(part["query"], part["key"], part["value"]),
            out=reader.linear(part["out"]),
            out_norm=reader.norm(part["out_norm"]),
            up=reader.linear(part["up"]),
            down=reader.linear(part["down"]),
            down_norm=reader.norm(part["down_norm"]),
        )


class _Reader:
    """Reads weights and notes which it has seen, so that none can be forgotten."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seen: set[int] = set()

    def array(self, parameter: Any) -> F32:
        self.seen.add(id(parameter))
        array: F32 = parameter.detach().numpy()
        return array

    def table(self, module: Any) -> F32:
        return self.array(module.weight)

    def norm(self, module: Any) -> Norm:
        return Norm(self.array(module.weight), self.array(module.bias), np.float32(module.eps))

    def linear(self, *modules: Any) -> Linear:
        """Return one linear layer, or several side by side as one."""
        import torch

        weights = [self.array(module.weight) for module in modules]
        biases = [self.array(module.bias) for module in modules]
        weight_IO = torch.from_numpy(np.concatenate(weights)).t().contiguous()
        return Linear(weight_IO, np.concatenate(biases))
