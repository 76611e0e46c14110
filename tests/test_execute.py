"""Where work runs on one machine: in this process, or in threads of it where the work lets them run."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from engine.execute import LocalExecutor, Needs
from engine.records import Receipt, Shard

SHARDS = [Shard(number, "lake", (0,), 10, 10 * number) for number in range(6)]


@dataclass(frozen=True)
class Meet:
    """Work that ends only once `together` of its kind run at one time."""

    together: int

    def open(self, shared: str):
        barrier = threading.Barrier(self.together, timeout=20)

        def work(shard: Shard) -> Receipt:
            barrier.wait()
            return Receipt(shard.number, shared, shard.rows, threading.current_thread().name)

        return work


@pytest.mark.parametrize("workers", [2, 3])
def test_work_that_lets_others_run_shares_this_process(workers):
    receipts = list(LocalExecutor(workers).map(Meet(workers), SHARDS, needs=Needs(beside=True), shared="memory"))
    assert sorted(receipt.shard for receipt in receipts) == list(range(6))
    assert len({receipt.hash for receipt in receipts}) == workers
    assert {receipt.path for receipt in receipts} == {"memory"}


def test_other_work_takes_one_shard_after_the_other():
    receipts = list(LocalExecutor(3).map(Meet(1), SHARDS, needs=Needs(), shared="memory"))
    assert [receipt.shard for receipt in receipts] == list(range(6))
    assert {receipt.hash for receipt in receipts} == {threading.current_thread().name}


@dataclass(frozen=True)
class Fails:
    def open(self, _shared: object):
        def work(shard: Shard) -> Receipt:
            raise ValueError(f"shard {shard.number}")

        return work


def test_a_fault_in_a_thread_is_the_fault_of_the_map():
    with pytest.raises(ValueError, match="shard"):
        list(LocalExecutor(2).map(Fails(), SHARDS, needs=Needs(beside=True), shared=None))
