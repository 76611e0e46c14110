"""Asks ppi-python for what it says of seeded data, and keeps the answers: `python tests/estimate/ppi/store.py`.

Needs ppi-python 0.2.3 (Angelopoulos, Duchi, Zrnic 2023, arXiv:2311.01453), which the project's tests do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

STORED = Path(__file__).with_name("results.json")
LAMBDAS = (0.0, 0.35, 1.0)
ALPHA = 0.1


@dataclass(frozen=True)
class Labelled:
    """Labels of n of N creatives, a guess at each of the N, and weights of the n."""

    y_n: np.ndarray
    guess_N: np.ndarray
    at_n: np.ndarray
    weight_n: np.ndarray


def seeded_data() -> Labelled:
    """Draw 80 of 500 creatives, a guess that helps, and unequal weights."""
    generator = np.random.default_rng(5)
    latent_N = generator.normal(size=500)
    y_N = (latent_N + generator.normal(size=500) > 0.8).astype(float)
    at_n = np.sort(generator.choice(500, 80, replace=False))
    return Labelled(
        y_N[at_n], np.round(1 / (1 + np.exp(1 - 2 * latent_N)), 6), at_n, generator.integers(1, 6, 80) / 1.0
    )


def digest(data: Labelled) -> str:
    """Return a hash of the data."""
    parts = (data.y_n, data.guess_N, data.at_n.astype(np.int64), data.weight_n)
    return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def ask_ppi(data: Labelled) -> dict[str, Any]:
    """Return points and bounds of the mean, with equal and with unequal weights."""
    from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

    asked = {"Y": data.y_n, "Yhat": data.guess_N[data.at_n], "Yhat_unlabeled": data.guess_N}
    out: dict[str, Any] = {"data": digest(data), "answers": []}
    for weights in ("equal", "unequal"):
        w = None if weights == "equal" else data.weight_n
        for lam in LAMBDAS:
            point = float(np.squeeze(ppi_mean_pointestimate(**asked, lam=lam, w=w)))
            low, high = (float(np.squeeze(x)) for x in ppi_mean_ci(**asked, alpha=ALPHA, lam=lam, w=w))
            out["answers"].append({"weights": weights, "lambda": lam, "point": point, "low": low, "high": high})
    return out


if __name__ == "__main__":
    STORED.write_text(json.dumps(ask_ppi(seeded_data()), indent=1) + "\n")
