"""Slow twins of the estimators: one segment, plain loops, scipy.stats; imports nothing from engine."""

from __future__ import annotations

from math import exp, log, sqrt

from scipy import stats


def shares(
    decision: str, share: float, y: int, reading: str, counted: bool, human: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return (A, H, R). human: sensitivity, specificity, share of life spent waiting."""
    sensitivity, specificity, hold = human
    s = 1.0 if counted else share
    if decision == "APPROVE":
        return 1.0, 0.0, 0.0
    if decision == "REJECT":
        return 0.0, 0.0, 1.0
    if decision == "LIMIT":
        return s, 0.0, 1.0 - s
    if reading == "machine":
        return 0.0, 1.0, 0.0
    q = y * (1 - sensitivity) + (1 - y) * specificity
    return (1 - hold) * q * s, hold, (1 - hold) * (1 - q * s)


def parts(metric: str, w: float, y: int, a: float, h: float, r: float, reviewed: int) -> tuple[float, float]:
    """Return numerator and denominator of one creative."""
    return {
        "leakage_rate": (w * y * a, w * y),
        "leakage_prevalence": (w * y * a, w * a),
        "overkill_rate": (w * (1 - y) * r, w * (1 - y)),
        "overkill_share": (w * (1 - y) * r, w * r),
        "delay_compliant": (w * (1 - y) * h, w * (1 - y)),
        "review_precision": (w * y * reviewed, w * reviewed),
    }[metric]


def hajek(a: list[float], b: list[float], weight: list[float]) -> float:
    """Return Σ weight a / Σ weight b."""
    return sum(w * x for w, x in zip(weight, a, strict=True)) / sum(w * x for w, x in zip(weight, b, strict=True))


def history_variance(
    value: list[float], pi: list[float], stratum: list[int], population: list[int], taken: list[int], method: str
) -> float:
    """Return the audit variance of Σ value/π over a domain; rows outside it are 0 and still count in `taken`."""
    total = 0.0
    for h in range(len(population)):
        u = [v / p for v, p, s in zip(value, pi, stratum, strict=True) if s == h]
        if method == "poisson":
            total += sum(x * x * (1 - p) for x, p, s in zip(_each(value, pi), pi, stratum, strict=True) if s == h)
            continue
        n = taken[h]
        if n < 2:
            total += (1 - n / max(1, population[h])) * sum(x * x for x in u)
            continue
        u += [0.0] * (n - len(u))
        mean = sum(u) / n
        total += (1 - n / population[h]) * n / (n - 1) * sum((x - mean) ** 2 for x in u)
    return total


def _each(value: list[float], pi: list[float]) -> list[float]:
    return [v / p for v, p in zip(value, pi, strict=True)]


def future_variance(value: list[float], pi: list[float], advertiser: list[int], history: float) -> tuple[float, float]:
    """Return variance and effective number of advertisers: the spread between them without the audit's, and history's.

    An advertiser's weighted sum varies by Σ (1 − π) u² when creatives are drawn; independent creatives spread least.
    """
    total: dict[int, float] = {}
    for v, p, a in zip(value, pi, advertiser, strict=True):
        total[a] = total.get(a, 0.0) + v / p
    count = len(total)
    mean = sum(total.values()) / count
    squares = [t * t for t in total.values()]
    effective = sum(squares) ** 2 / sum(x * x for x in squares) if any(squares) else float(count)
    plain = count / (count - 1) * sum((t - mean) ** 2 for t in total.values())
    doubt = sum((1 - p) * (v / p) ** 2 for v, p in zip(value, pi, strict=True))
    independent = sum(v * v / p for v, p in zip(value, pi, strict=True))
    return max(plain - doubt, independent) + history, effective


def size_with_one_more(b: list[float], weight: list[float]) -> float:
    """Return the effective size, or that with one more label of the largest weight and the mean b, if it is less."""
    u = [w * z for w, z in zip(weight, b, strict=True)]
    some = sum(w for w, z in zip(weight, b, strict=True) if z > 0)
    return min(kish(u), kish([*u, max(weight) * sum(u) / some])) if some else 0.0


def kish(u: list[float]) -> float:
    """Return (Σu)² / Σu²."""
    squares = sum(x * x for x in u)
    return sum(u) ** 2 / squares if squares else 0.0


def interval(
    share: float, variance: float, events: float, size: float, df: float, units: float, left: float, confidence: float
) -> tuple[float, float]:
    """Return the logit interval with ≥ 30 effective events, else Korn–Graubard, straight from the papers.

    From 20 events on, the size may exceed the effective one and the bounds become Jeffreys', which they are at 30.
    left : share of the variance that drawing without replacement leaves; Wise 1954 for exact bounds.
    """
    tail = (1 - confidence) / 2
    if 0 < share < 1 and events >= 30:
        t = stats.t.ppf(1 - tail, df)
        half = t * sqrt(variance) / (share * (1 - share))
        middle = log(share / (1 - share))
        return 1 / (1 + exp(-(middle - half))), 1 / (1 + exp(-(middle + half)))
    n, trust = size, min(max((events - 20) / 10, 0.0), 1.0)
    if 0 < share < 1 and variance > 0:
        n = share * (1 - share) * left / variance
        n = size * (n / size) ** trust if n > size else n
        t = stats.t.ppf(1 - tail, max(units - 1, 1.0))
        n *= min(1.0, (stats.t.ppf(1 - tail, max(size - 1, 1.0)) / t) ** 2)
    x = share * n
    low = stats.beta.ppf(tail, x + trust / 2, n - x + 1 - trust / 2) if x > 0 else 0.0
    high = stats.beta.ppf(1 - tail, x + 1 - trust / 2, n - x + trust / 2) if x < n else 1.0
    reach = 1 - (1 - left) / 2
    return share - reach * max(share - low, 0.0), share + reach * max(high - share, 0.0)


def audit_cubes(
    value: list[float], pi: list[float], stratum: list[int], population: list[int], taken: list[int], method: str
) -> tuple[float, float]:
    """Return Σ (1 − π)(1 − 2π)(u − ū)³ and Σ (1 − π)²(u − ū)³ over a domain; ū is 0 under Poisson sampling."""
    kappa = rho = 0.0
    for h in range(len(population)):
        u = [(v / p, p) for v, p, s in zip(value, pi, stratum, strict=True) if s == h]
        if method == "srs" and taken[h]:
            share = taken[h] / population[h]
            u = [(x, share) for x, _ in u] + [(0.0, share)] * (taken[h] - len(u))
            mean = sum(x for x, _ in u) / taken[h]
            u = [(x - mean, share) for x, _ in u]
        kappa += sum((1 - p) * (1 - 2 * p) * x**3 for x, p in u)
        rho += sum((1 - p) ** 2 * x**3 for x, p in u)
    return kappa, rho


def advertiser_cubes(value: list[float], pi: list[float], advertiser: list[int]) -> float:
    """Return Σ (total − mean)³ over the weighted totals of advertisers."""
    total: dict[int, float] = {}
    for v, p, a in zip(value, pi, advertiser, strict=True):
        total[a] = total.get(a, 0.0) + v / p
    mean = sum(total.values()) / len(total)
    return sum((x - mean) ** 3 for x in total.values())


def reaching(
    found: tuple[float, float],
    ratio: float,
    spread: tuple[float, float],
    cubes: tuple[float, float],
    bounds: tuple[float, float],
    confidence: float,
) -> tuple[float, float]:
    """Return a logit interval that reaches as far as the t interval moved for skewness (Hall 1983) on the longer side.

    spread : variance and degrees of freedom. cubes : κ and ρ, not yet divided by the standard error's cube.
    """
    variance, df = spread
    z = stats.norm.ppf((1 + confidence) / 2)
    kappa, rho = (cube / variance**1.5 for cube in cubes)
    shift = min(max(rho / 2 + (3 * rho - kappa) * (z * z - 1) / 6, -z), z) * sqrt(variance)
    half = stats.t.ppf((1 + confidence) / 2, df) * sqrt(variance)
    low, high = found
    if shift > 0:
        high = max(high, min(ratio + half, high) + shift)
    if shift < 0:
        low = min(low, max(ratio - half, low) + shift)
    return max(low, bounds[0]), min(high, bounds[1])


def history_df(
    value: list[float], pi: list[float], stratum: list[int], population: list[int], taken: list[int], method: str
) -> float:
    """Return 2 (Σv)²/Σv² over the rows' parts of the audit variance."""
    parts = []
    for v, p, h in zip(value, pi, stratum, strict=True):
        left = 1 - p if method == "poisson" else 1 - taken[h] / population[h]
        parts.append((v / p) ** 2 * left)
    squares = sum(x * x for x in parts)
    return max(1.0, 2 * sum(parts) ** 2 / squares) if squares else 2e6


def events(a: list[float], b: list[float], weight: list[float], bounds: tuple[float, float]) -> float:
    """Return effective events: a creative that counts in part is that part of an event."""
    low, high = bounds
    found = []
    for complement in (False, True):
        top = mixed = 0.0
        for x, z, w in zip(a, b, weight, strict=True):
            part = w * (x - low * z) / (high - low)
            part = w * z - part if complement else part
            top, mixed = top + part, mixed + part * w * z
        found.append(top * top / mixed if mixed > 0 else 0.0)
    return min(found)


def interval_between(
    bounds: tuple[float, float],
    ratio: float,
    variance: float,
    events: float,
    size: float,
    df: float,
    units: float,
    left: float,
    confidence: float,
) -> tuple[float, float]:
    """Return the interval of a ratio that lies between bounds."""
    low, high = bounds
    wide = high - low
    share = min(1.0, max(0.0, (ratio - low) / wide))
    found = interval(share, variance / wide**2, events, size, df, units, left, confidence)
    return low + wide * found[0], low + wide * found[1]


def fixed_size_variance(total: list[float], pi: list[float], answered: list[bool], *, creatives: bool) -> float:
    """Return Brewer's variance of Σ total/π over the units of one stratum, all of them; an unanswered one is 0.

    creatives : units are creatives, so that who answered is the sample, with π times the share that answered.
    """
    share = sum(answered) / len(answered)
    units = []
    for value, p, heard in zip(total, pi, answered, strict=True):
        if not creatives:
            units.append((value / p, p))
        elif heard:
            units.append((value / (p * share), p * share))
    units = [(u, p) for u, p in units if p < 1]
    n = len(units)
    if n == 0:
        return 0.0
    mean = sum(u for u, _ in units) / n if n > 1 else 0.0
    return n / max(n - 1, 1) * sum((1 - p) * (u - mean) ** 2 for u, p in units)


def answering_variance(value: list[float], pi: list[float], answered: list[bool]) -> float:
    """Return what unanswered creatives of drawn clusters add to the variance of Σ value/(π · share that answered)."""
    share = sum(answered) / len(answered)
    v = [sqrt(p) * x / (p * share) for x, p, heard in zip(value, pi, answered, strict=True) if heard]
    m = len(v)
    mean = sum(v) / m if m > 1 else 0.0
    return (1 - share) * m / max(m - 1, 1) * sum((x - mean) ** 2 for x in v)


def difference_ratio(
    a: list[float],
    b: list[float],
    guessed: tuple[list[float], list[float]],
    whole: tuple[float, float, int],
    weight: list[float],
    lam: float,
) -> tuple[float, list[float]]:
    """Return the difference estimator of Σa / Σb and its linearised residuals.

    guessed : a and b as predicted, per row. whole : their sums over all creatives, and how many creatives there are.
    """
    guess_a, guess_b = guessed
    sum_a, sum_b, creatives = whole
    scale = creatives / sum(weight)
    top, bottom = lam * sum_a, lam * sum_b
    for i, w in enumerate(weight):
        top += scale * w * (a[i] - lam * guess_a[i])
        bottom += scale * w * (b[i] - lam * guess_b[i])
    ratio = top / bottom
    off = [a[i] - lam * guess_a[i] - ratio * (b[i] - lam * guess_b[i]) for i in range(len(weight))]
    mean = sum(w * x for w, x in zip(weight, off, strict=True)) / sum(weight)
    return ratio, [scale * (x - mean) / bottom for x in off]


def greatest_deviations(part: list[list[float]], multipliers: list[list[float]]) -> list[float]:
    """Return max over numbers of |Σ e p| / √Σ p² for each row of multipliers, one multiplier a unit."""
    out = []
    for drawn in multipliers:
        deviations = []
        for parts in part:
            scale = sqrt(sum(p * p for p in parts))
            deviations.append(abs(sum(e * p for e, p in zip(drawn, parts, strict=True))) / scale)
        out.append(max(deviations))
    return out


def post_strata(category: list[int], framed: list[float], least: int) -> list[int]:
    """Return the post-stratum of every row of a segment: categories with few labels stand together, or with another."""
    labels = {k: category.count(k) for k in range(len(framed)) if category.count(k) or framed[k]}
    enough = [k for k in labels if labels[k] >= least and framed[k]]
    few = [k for k in labels if k not in enough]
    home = min(few, default=0)
    if enough and (sum(labels[k] for k in few) < least or not any(framed[k] for k in few)):
        home = min(enough, key=lambda k: labels[k])
    return [k if k in enough else home for k in range(len(framed))]


def calibrated(
    weight: list[float], value: list[float], category: list[int], framed: list[float], least: int
) -> tuple[list[float], list[float]]:
    """Return calibrated weights and the part of values that post-strata leave; one alone changes nothing."""
    of = post_strata(category, framed, least)
    mine = [of[k] for k in category]
    if len(set(mine)) < 2:
        return weight, value
    out, rest = [], []
    for i, p in enumerate(mine):
        same = [j for j, q in enumerate(mine) if q == p]
        stood_for = sum(weight[j] for j in same)
        out.append(weight[i] * sum(n for k, n in enumerate(framed) if of[k] == p) / stood_for)
        rest.append(value[i] - sum(weight[j] * value[j] for j in same) / stood_for)
    return out, rest
