"""What tokenizer.json and config.json say about tokens: how many there are, and how many a text may have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DataError
from engine.score.faults import TOKENIZER

_POSITIONS = ("max_position_embeddings", "n_positions")
# Position 0 of a text is padding_idx + 1 in these, so their tables hold that many positions more than tokens.
_OFFSET_POSITIONS = {"camembert", "data2vec-text", "ibert", "longformer", "mpnet", "roberta", "xlm-roberta"}
_NO_LIMIT = 1_000_000  # transformers writes 1e30 where a tokenizer knows no limit
_DEFAULT_LENGTH = 512  # tokens, where neither tokenizer nor model sets a limit


@dataclass(frozen=True)
class Lengths:
    """Tokens: what the model has positions for (None: no limit), and the length where the user gives none."""

    positions: int | None
    default: int


def read_vocabulary(folder: Path, tokenizer: dict[str, Any]) -> int:
    """Return the highest token id of a tokenizer.json plus 1.

    Raises
    ------
    DataError : it has no vocabulary.
    """
    try:
        vocab = tokenizer["model"]["vocab"]
        # Unigram writes a list of (token, log probability), the others a map from token to id.
        ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
        added = [token["id"] for token in tokenizer.get("added_tokens") or []]
        return int(max([-1, *ids, *added])) + 1
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: {TOKENIZER} has no vocabulary; save the tokenizer again") from error


def read_lengths(config: dict[str, Any], settings: dict[str, Any]) -> Lengths:
    """Return the limits that config.json and tokenizer_config.json set."""
    positions = next((n for key in _POSITIONS if (n := whole_number(config, key))), None)
    if positions and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= whole_number(config, "pad_token_id") + 1
    given = settings.get("model_max_length")
    limit = int(given) if isinstance(given, int | float) and 0 < given < _NO_LIMIT else None
    return Lengths(positions, min((n for n in (positions, limit) if n), default=_DEFAULT_LENGTH))


def whole_number(config: dict[str, Any], key: str) -> int:
    """Return a whole number of the config, 0 where it has none."""
    value = config.get(key)
    return value if isinstance(value, int) else 0
