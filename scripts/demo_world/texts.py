"""Real texts with real labels: read, split into trained and scored, and copied lightly."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo_world.arrays import Bool

DIGIT = re.compile(r"\d")
COPY_TRIES = 50


@dataclass(frozen=True)
class Texts:
    """Distinct texts (after whitespace and case folding) and whether each violates the policy."""

    body_T: tuple[str, ...]
    violating_T: Bool


def fold(text: str) -> str:
    """Two texts with equal folds count as the same text."""
    return " ".join(text.split()).casefold()


def read_texts(path: Path) -> Texts:
    """Read `label<TAB>text` lines, keeping the first of every set of equal folds (none has two labels)."""
    lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: texts hold other line separators
    first: dict[str, tuple[str, bool]] = {}
    for line in lines:
        label, _, body = line.partition("\t")
        if body.strip():
            first.setdefault(fold(body), (body, label == "spam"))
    bodies, violating = zip(*first.values(), strict=True)
    return Texts(tuple(bodies), np.array(violating, dtype=np.bool_))


def split(texts: Texts, trained: int, rng: np.random.Generator) -> tuple[Texts, Texts]:
    """Cut the texts at random into `trained` ones for training and the rest, which are scored."""
    order = rng.permutation(len(texts.body_T))
    return _take(texts, order[:trained].tolist()), _take(texts, np.sort(order[trained:]).tolist())


def near_copy(text: str, taken: set[str], rng: np.random.Generator) -> str:
    """Copy a text lightly: other digits, or a short reference at the end; its fold enters `taken`.

    Raises
    ------
    RuntimeError
        No copy with a fold of its own was found.
    """
    change_digits = DIGIT.search(text) is not None and rng.random() < 0.7
    for _ in range(COPY_TRIES):
        copy = _with_other_digits(text, rng) if change_digits else _with_reference(text, rng)
        if fold(copy) not in taken:
            taken.add(fold(copy))
            return copy
        change_digits = False
    raise RuntimeError(f"no near-copy found in {COPY_TRIES} tries: {text!r}")


def _with_other_digits(text: str, rng: np.random.Generator) -> str:
    return DIGIT.sub(lambda _: str(rng.integers(10)), text)


def _with_reference(text: str, rng: np.random.Generator) -> str:
    """Long references would make compliant texts look like scam to the models; these are short."""
    mark = ("({})", "v{}", "/{}")[rng.integers(3)].format(rng.integers(2, 100))
    return f"{text.rstrip()} {mark}"


def _take(texts: Texts, rows: list[int]) -> Texts:
    return Texts(tuple(texts.body_T[row] for row in rows), texts.violating_T[rows])
