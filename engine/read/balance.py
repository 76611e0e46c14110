"""Whether a draw adds up: what an audit drew against the audits table and the frame.

Σ 1/π over the drawn creatives of a stratum must be its size: exactly for srs, else within 5 standard errors. Where a
frame lists everybody (always for pps and cluster) the standard error is that of the whole frame, not one that a handful
of units estimates; of a draw of fixed size by the approximation of Hájek (1964, Ann. Math. Stat. 35, 1491–1523), and
Σ π of the frame must be the number of units drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from engine.errors import DataError
from engine.read.audits import Audit
from engine.read.frame import SAME, Frame
from engine.records import F64, I32, I64, Flags

_STANDARD_ERRORS = 5.0
_SUM = 1e-6  # relative, of sums of many probabilities


def check_draw(audit: Audit, creative_id: pa.Array, chance_d: F64, stratum_d: I32) -> I64:
    """Return the cluster of every drawn creative, -1 where creatives are drawn one by one.

    creative_id : every drawn creative once, answered or not.

    Raises
    ------
    DataError : one line per stratum that does not add up, or the first creative that contradicts the frame.
    """
    cluster_d = np.full(len(chance_d), -1, np.int64)
    at_d = _check_frame(audit, creative_id, chance_d, stratum_d)
    faults = []
    for h, method in enumerate(audit.method_H):
        mine = stratum_d == h
        if method in ("pps", "cluster"):
            assert audit.frame is not None
            frame_h = np.flatnonzero(audit.frame.stratum_F == h)
            unit_F = audit.frame.cluster_F if method == "cluster" else np.arange(len(audit.frame.chance_F))
            faults += _fixed_size(audit, h, frame_h, unit_F, at_d[mine])
            if method == "cluster":
                cluster_d[mine] = audit.frame.cluster_F[at_d[mine]]
        else:
            faults += _one_by_one(audit, h, chance_d[mine])
    if faults:
        raise DataError(*faults)
    return cluster_d


def _check_frame(audit: Audit, creative_id: pa.Array, chance_d: F64, stratum_d: I32) -> I64:
    """Return where drawn creatives stand in the frame; each must stand there, in its stratum, with its probability."""
    if audit.frame is None:
        return np.zeros(len(chance_d), np.int64)

    def refuse(off_d: Flags, told: Callable[[int], str]) -> None:
        if off_d.any():
            i = int(np.flatnonzero(off_d)[0])
            raise DataError(f"audit {audit.audit_id}: creative {creative_id[i].as_py()!r} {told(i)}")

    at_d = audit.frame.places(creative_id)
    refuse(at_d < 0, lambda _: "was drawn and is not in the frame file")
    framed_d = audit.frame.chance_F[at_d]
    refuse(
        np.abs(framed_d - chance_d) > SAME,
        lambda i: f"has π = {chance_d[i]} in the labels and {framed_d[i]} in the frame file; they must agree",
    )
    refuse(
        audit.frame.stratum_F[at_d] != stratum_d,
        lambda i: f"was drawn from stratum {audit.strata[stratum_d[i]]}; the frame file has it in another",
    )
    return at_d


def _one_by_one(audit: Audit, h: int, chance_d: F64) -> list[str]:
    """Return what is wrong with a simple random or Poisson draw of one stratum."""
    where = f"audit {audit.audit_id}, stratum {audit.strata[h]}"
    error = 0.0
    if audit.method_H[h] == "poisson":
        if not len(chance_d):
            return []  # Poisson sampling may draw nobody; the estimators say that nothing stands for the stratum
        error = float(np.sqrt(((1 - chance_d) / chance_d**2).sum()))
        if audit.frame is not None and (audit.frame.stratum_F == h).any():
            chance_F = audit.frame.chance_F[audit.frame.stratum_F == h]
            error = float(np.sqrt(((1 - chance_F) / chance_F).sum()))
    elif len(chance_d) and float(np.ptp(chance_d)) > SAME:
        return [
            f"{where}: srs drew {len(chance_d)} creatives with π from {chance_d.min()} to {chance_d.max()}; it has one "
            "π per stratum (unequal ones are poisson or pps)"
        ]
    return _sum_fault(audit, h, chance_d, error)


def _fixed_size(audit: Audit, h: int, frame_h: I64, unit_F: I64, at_d: I64) -> list[str]:
    """Return what is wrong with a draw of a fixed number of units (creatives, or clusters) of one stratum."""
    where = f"audit {audit.audit_id}, stratum {audit.strata[h]}"
    frame = audit.frame
    assert frame is not None
    if (unit_F[frame_h] < 0).any():
        name = frame.creative_id[int(frame_h[unit_F[frame_h] < 0][0])].as_py()
        return [f"{where}: creative {name!r} has no cluster in the frame file"]
    unit_U, first_U, of_F = np.unique(unit_F[frame_h], return_index=True, return_inverse=True)
    chance_U = frame.chance_F[frame_h][first_U]
    if (np.abs(chance_U[of_F] - frame.chance_F[frame_h]) > SAME).any():
        i = int(frame_h[np.flatnonzero(np.abs(chance_U[of_F] - frame.chance_F[frame_h]) > SAME)[0]])
        return [f"{where}: creative {frame.creative_id[i].as_py()!r} has another π than the rest of its cluster"]
    drawn_U = np.isin(unit_U, unit_F[at_d])
    faults = _missed(frame, where, frame_h, drawn_U[of_F], at_d)
    kind, size = ("clusters" if audit.method_H[h] == "cluster" else "creatives"), int(audit.sample_H[h])
    if int(drawn_U.sum()) != size:
        faults.append(
            f"{where}: {int(drawn_U.sum())} {kind} were drawn, sample_size says {size}; bring every drawn creative, "
            "answered or not"
        )
    if abs(float(chance_U.sum()) - size) > _SUM * max(size, 1):
        faults.append(
            f"{where}: π of the frame's {len(unit_U)} {kind} add up to {float(chance_U.sum()):.6g}; a draw of fixed "
            f"size has its sample_size, {size}"
        )
    total_U = np.bincount(of_F, minlength=len(unit_U)).astype(np.float64)
    return faults or _sum_fault(audit, h, frame.chance_F[at_d], _standard_error(total_U, chance_U))


def _missed(frame: Frame, where: str, frame_h: I64, drawn_F: Flags, at_d: I64) -> list[str]:
    """Return the fault of a cluster that was not drawn whole."""
    missed = frame_h[drawn_F & ~np.isin(frame_h, at_d)]
    if not len(missed):
        return []
    name = frame.creative_id[int(missed[0])].as_py()
    return [f"{where}: {len(missed)} creatives of drawn clusters have no label row ({name!r}, …); clusters are whole"]


def _standard_error(total_U: F64, chance_U: F64) -> float:
    """Return the standard error of Σ total/π over a draw of fixed size from all U units."""
    spare_U = chance_U * (1 - chance_U)
    if not spare_U.sum() > 0:
        return 0.0
    u = total_U / chance_U
    centre = (spare_U * u).sum() / spare_U.sum()
    units = max(len(u), 2)
    return float(np.sqrt(units / (units - 1) * (spare_U * (u - centre) ** 2).sum()))


def _sum_fault(audit: Audit, h: int, chance_d: F64, error: float) -> list[str]:
    total, population = float((1 / chance_d).sum()), int(audit.population_H[h])
    if abs(total - population) <= _SUM * max(population, 1) + _STANDARD_ERRORS * error:
        return []
    return [
        f"audit {audit.audit_id}, stratum {audit.strata[h]}: Σ 1/π over {len(chance_d)} drawn creatives is "
        f"{total:.2f}, the audits table says {population}; bring every drawn creative, answered or not, once"
    ]
