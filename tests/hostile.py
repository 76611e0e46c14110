"""Made-up texts for `when`, from a seed: valid ones, valid ones with a few characters changed, and hostile ones."""

from __future__ import annotations

import random

COLUMNS = ("v1.scam", "v2.scam", "age", "region", "hour", "velocity(24)", "$t", "ünïcode", "漢字")
NUMBERS = ("0", "0.5", "-1", "1e-3", "1_000", "7.", ".5", "0x1f", "1e308", "$t")
CONSTANTS = (*NUMBERS, '"US"', "'GB'", "True", '"$t"')
TOKENS = (
    *(
        "x",
        "v1.scam",
        "$t",
        "$",
        "missing(",
        "min(",
        "max(",
        "abs(",
        "velocity(",
        "velocity(24)",
        "open(",
        "__import__",
    ),
    *("and", "or", "not", "in", "not in", "is", "lambda:", "await", "yield", "if", "else", "for", ":=", "None", "..."),
    *(
        ">=",
        "<",
        "==",
        "!=",
        "+",
        "-",
        "*",
        "/",
        "**",
        "//",
        "%",
        "@",
        "~",
        "&",
        "|",
        "^",
        "<<",
        "=",
        ",",
        ":",
        ";",
        ".",
    ),
    *("(", ")", "[", "]", "{", "}", "'", '"', '"""', "f'", "b'", "r'", "\\", "\n", "\r", "\t", "\0", "\x0c", "#", "`"),
    *(
        "0",
        "1",
        "0.5",
        "1e999",
        "1j",
        "9" * 400,
        "1_",
        "0777",
        "0b2",
        "\ud800",
        "\u202e",
        "\u200b",
        "é",
        "漢",
        "٣",
        "ｘ",
    ),
    *(
        "{x}",
        "{{",
        "${t}",
        "$$",
        "$1",
        "!",
        "?",
        "\ufeff",
        "\\N{DIGIT ONE}",
        "\\x41",
        "\\d",
        "-" * 40,
        "(" * 40,
        "not " * 40,
    ),
)


def written(generator: random.Random) -> str:
    """Write one text."""
    way = generator.random()
    if way < 0.4:
        return valid(generator, 4)
    return mutated(generator, valid(generator, 3)) if way < 0.75 else hostile(generator)


def valid(generator: random.Random, depth: int) -> str:
    """Write an expression of the language (that may still divide by 0, or be too deep)."""
    way = generator.random() if depth else 1.0
    if way < 0.25:
        joined = generator.choice([" and ", " or "])
        return "(" + joined.join(valid(generator, depth - 1) for _ in range(generator.randint(2, 4))) + ")"
    if way < 0.35:
        return f"not {valid(generator, depth - 1)}"
    left = _term(generator, depth)
    if generator.random() < 0.1:
        return f"missing({left})"
    if generator.random() < 0.2:
        inside = ", ".join(generator.choice(CONSTANTS) for _ in range(generator.randint(1, 4)))
        return f"{left} {generator.choice(['in', 'not in'])} [{inside}]"
    if generator.random() < 0.2:
        return f"{generator.choice(COLUMNS[:-1])} {generator.choice(['==', '!='])} {generator.choice(CONSTANTS)}"
    sides = [left] + [_term(generator, depth) for _ in range(generator.randint(1, 2))]
    return "".join(f"{side} {generator.choice(['>=', '>', '<=', '<', '==', '!='])} " for side in sides[:-1]) + sides[-1]


def mutated(generator: random.Random, text: str) -> str:
    """Change a few characters: lost, doubled, swapped, or a token in their place."""
    for _ in range(generator.randint(1, 4)):
        at = generator.randint(0, len(text))
        way = generator.randint(0, 3)
        middle = ("", text[at : at + 1] * 2, generator.choice(TOKENS), text[at : at + 2][::-1])[way]
        text = text[:at] + middle + text[at + (2 if way == 3 else 1) :]
    return text


def hostile(generator: random.Random) -> str:
    """Write tokens in any order, any characters at all, or one piece over and over, past every bound too."""
    way = generator.random()
    if way < 0.5:
        return generator.choice([" ", ""]).join(generator.choices(TOKENS, k=generator.randint(0, 15)))
    if way < 0.75:
        planes = ((32, 126), (0, 0x2FF), (0, 0xFFFF), (0, 0x10FFFF))
        return "".join(chr(generator.randint(*generator.choice(planes))) for _ in range(generator.randint(0, 40)))
    piece = generator.choice(
        [*TOKENS, "not ", "-", "x + ", "x and ", "x >= 1 or ", "abs(", "x if x else ", "lambda x:", "f("]
    )
    return mutated(generator, piece * generator.randint(1, 5000 // len(piece)) + generator.choice(["", "x >= 1", "1)"]))


def _term(generator: random.Random, depth: int) -> str:
    way = generator.random() if depth else 1.0
    if way < 0.2:
        return f"({_term(generator, depth - 1)} {generator.choice('+-*/')} {_term(generator, depth - 1)})"
    if way < 0.3:
        return f"{generator.choice(['min', 'max'])}({_term(generator, depth - 1)}, {_term(generator, depth - 1)})"
    if way < 0.4:
        return f"{generator.choice(['-', 'abs'])}({_term(generator, depth - 1)})"
    return generator.choice(COLUMNS if generator.random() < 0.75 else NUMBERS)
