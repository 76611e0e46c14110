"""Queues by day from counts of outcomes, against a list of creatives."""

from __future__ import annotations

import numpy as np
import pytest

from engine.expression import ALWAYS
from engine.records import Decision
from engine.replay.queue_days import queue_days
from engine.state import Capacity, Memory
from engine.strategy import Rule, Strategy
from engine.strategy.codes import OVERFLOW, PENDING, list_codes

DAYS, MOST_WAIT = 9, 3
RULES = (Rule(ALWAYS, Decision.REJECT), Rule(ALWAYS, Decision.REVIEW), Rule(ALWAYS, Decision.REVIEW))
MEMORY = Memory(capacity=Capacity(per_day=1, max_wait=MOST_WAIT, overflow=Decision.REJECT))
MEANING = list_codes(Strategy("s", RULES[:2], RULES[2], memory=MEMORY), RULES, (), ("p",)).meaning


@pytest.mark.parametrize("seed", range(6))
def test_every_day_is_what_a_list_of_creatives_says(seed):
    generator = np.random.default_rng(seed)
    size = int(generator.choice([0, 5, 60]))
    code_n = generator.integers(0, len(MEANING), size)
    day_n = generator.integers(0, DAYS, size)
    end_n = day_n + np.array([rule.waited for rule in MEANING])[code_n]
    code_n[end_n >= DAYS] = 0  # what would end later still waits, and that has a code of its own
    count_OD = np.zeros((len(MEANING) + 2, DAYS), np.int64)
    np.add.at(count_OD, (code_n, day_n), 1)
    found = queue_days(count_OD, MEANING)
    fates = [(int(day), int(day) + MEANING[c].waited, MEANING[c]) for day, c in zip(day_n, code_n, strict=True)]
    fates = [fate for fate in fates if fate[2].queued]
    assert size < 60 or {rule.state for _, _, rule in fates} == {"", OVERFLOW, PENDING}
    for day in range(DAYS):
        sent = [(end, rule.state) for begun, end, rule in fates if begun == day]
        over = [rule.state for _, end, rule in fates if end == day and rule.state != PENDING]
        stays = [begun <= day and (end > day or rule.state == PENDING) for begun, end, rule in fates]
        assert found.asked_D[day] == len(sent)
        assert (found.reviewed_D[day], found.late_D[day]) == (over.count(""), over.count(OVERFLOW))
        assert found.waiting_D[day] == sum(stays)
        waits = [end - day for end, state in sent if state != PENDING]
        assert found.mean_D[day] == pytest.approx(np.mean(waits) if waits else np.nan, nan_ok=True)
        kept = [wait for wait in range(MOST_WAIT + 1) if waits and 10 * sum(w <= wait for w in waits) >= 9 * len(waits)]
        assert found.ninth_D[day] == pytest.approx(kept[0] if kept else np.nan, nan_ok=True)
