"""What was made, in figures and words: printed, and left as about.json."""

from collections.abc import Mapping

import numpy as np

from demo_world.arrays import F32, F64, I64, Bool
from demo_world.audit import Audit, effective_events
from demo_world.moderation import APPROVED, DECISIONS, FINALS, QUEUE_FROM, REJECT_FROM, LabelRows
from demo_world.packages import ORIGINS
from demo_world.world import World

REAL = "the texts, their labels, the encoder, both trained models and every score"
SIMULATED = (
    "advertisers, times, regions, verticals, tiers, near-copies, exposures, reviews, appeals, reports, "
    "and which creatives the audit drew; an appeal does not change the logged final decision"
)


def quality(score_n: F32, violating_n: Bool, weight_n: I64) -> dict[str, float]:
    """Weighted AUC, and the weighted shares missed below 0.5 and 0.9 and wrongly flagged from them on."""
    bad_n: F64 = np.where(violating_n, weight_n, 0).astype(np.float64)
    good_n: F64 = np.where(violating_n, 0, weight_n).astype(np.float64)
    found = {"auc": _auc(score_n, bad_n, good_n)}
    for threshold in (QUEUE_FROM, REJECT_FROM):
        at = f"{threshold:.1f}"
        found[f"missed_below_{at}"] = float(bad_n[score_n < threshold].sum() / bad_n.sum())
        found[f"flagged_from_{at}"] = float(good_n[score_n >= threshold].sum() / good_n.sum())
    return {name: round(value, 5) for name, value in found.items()}


def about(world: World, audit: Audit, sources: list[LabelRows]) -> dict[str, object]:
    """Counts and figures of the world, what is real in it, origins and licences."""
    used_C = np.bincount(world.creatives.content_N)
    model_quality = {
        name: quality(score_C, world.contents.violating_C, used_C)
        for name, score_C in zip(("v1", "v2"), world.score_MC, strict=True)
    }
    counts = {
        "creatives": len(world.id_N),
        "advertisers": len(world.actors.size_A),
        "largest_advertiser": int(np.bincount(world.creatives.advertiser_N).max()),
        "contents": len(world.contents.body_C),
        "near_copied_contents": int(world.contents.is_copy_C.sum()),
        "violating_creatives": int(world.violating_N.sum()),
        "decisions": _counted(DECISIONS, world.handling.decision_N),
        "finals": _counted(FINALS, world.handling.final_N),
        "labels": {rows.source: len(rows.creative_n) for rows in [*sources, audit.rows]},
    }
    return {
        "real": REAL,
        "simulated": SIMULATED,
        "origins": ORIGINS,
        "counts": counts,
        "quality_weighted_by_creatives": model_quality,
        "audit": audit_figures(audit, world.violating_N, world.handling.decision_N == APPROVED),
    }


def audit_figures(audit: Audit, violating_N: Bool, approved_N: Bool) -> dict[str, object]:
    """Per stratum its sizes and how many leaked; the effective events behind the logged leakage rate."""
    leaked_N = violating_N & approved_N
    leaked_H = np.bincount(audit.stratum_N, leaked_N, len(audit.plan.stratum_H)).astype(np.int64)
    columns = zip(audit.plan.stratum_H, audit.population_H, audit.sample_H, leaked_H, strict=True)
    return {
        "strata": {
            name: {"creatives": int(population), "drawn": int(sample), "leaked": int(leaked)}
            for name, population, sample, leaked in columns
        },
        "true_leakage_rate": round(float(leaked_N.sum() / violating_N.sum()), 5),
        "effective_events_of_leakage": round(effective_events(audit, leaked_N), 1),
    }


def outline(figures: Mapping[str, object], indent: str = "  ") -> str:
    """Figures as indented lines, innermost ones side by side; words are left out."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values()):
            lines += [f"{indent}{name}", outline(value, indent + "  ")]
        elif isinstance(value, Mapping):
            lines.append(f"{indent}{name}: " + ", ".join(f"{key} {inner}" for key, inner in value.items()))
        elif not isinstance(value, str):
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(lines)


def _counted(names: tuple[str, ...], code_N: I64) -> dict[str, int]:
    return dict(zip(names, np.bincount(code_N, minlength=len(names)).tolist(), strict=True))


def _auc(score_n: F32, bad_n: F64, good_n: F64) -> float:
    """Chance that a violating one scores above a compliant one, ties counted half."""
    _, place_n = np.unique(score_n, return_inverse=True)
    bad, good = np.bincount(place_n, bad_n), np.bincount(place_n, good_n)
    below = np.cumsum(good) - good
    return float((bad * (below + good / 2)).sum() / (bad.sum() * good.sum()))
