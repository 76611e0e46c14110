"""Where work runs: the only door to Ray. Stages say what; an executor says where.

A task is opened once per worker (a model is loaded once) and then handed one shard after the other. Receipts come back
as shards complete, in any order.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from engine.errors import BacktestError, MachineError
from engine.records import Receipt, Shard

_QUEUE_PER_WORKER = 2  # shards a worker holds beyond the one it works on are lost time when it dies
_RESTARTS = 2

Shared_contra = TypeVar("Shared_contra", contravariant=True)
Work = Callable[[Shard], Receipt]


class Task(Protocol[Shared_contra]):
    """What to do with a shard. Picklable; `open` runs once in each worker."""

    def open(self, shared: Shared_contra) -> Work: ...


@dataclass(frozen=True)
class Needs:
    """What one worker needs. `apart`: a process of its own, because it sets things for the whole process."""

    cpus: float = 1.0
    gpus: float = 0.0
    apart: bool = False


class Executor(Protocol):
    """Map a task over shards."""

    def map(self, task: Task[Any], shards: Sequence[Shard], *, needs: Needs, shared: Any) -> Iterator[Receipt]: ...


@dataclass(frozen=True)
class LocalExecutor:
    """This machine without Ray: in this process, or in a few processes where a task wants to be apart."""

    workers: int | None = None

    def map(self, task: Task[Any], shards: Sequence[Shard], *, needs: Needs, shared: Any) -> Iterator[Receipt]:
        """Yield receipts as shards complete.

        Raises
        ------
        MachineError : a worker process died.
        """
        workers = min(self.workers or os.cpu_count() or 1, len(shards))
        if not needs.apart or workers <= 1:
            if shards:
                yield from map(task.open(shared), shards)
            return
        payload = pickle.dumps((task, shared))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            try:
                yield from _as_completed((pool.submit(_work_apart, payload, shard) for shard in shards), 2 * workers)
            except BrokenProcessPool:
                raise MachineError("a worker process died (killed, or out of memory); run again to resume") from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class RayExecutor:
    """A Ray cluster: long-lived actors fed by a bounded queue of shards."""

    address: str | None = None
    workers: int | None = None

    def map(self, task: Task[Any], shards: Sequence[Shard], *, needs: Needs, shared: Any) -> Iterator[Receipt]:
        """Yield receipts as shards complete; a dead worker is restarted and its shard done again, some times.

        Raises
        ------
        MachineError : no cluster, or workers that keep dying.
        """
        if not shards:
            return
        ray = connect(self.address)
        handle = ray.put((task, shared))
        remote = ray.remote(
            num_cpus=needs.cpus, num_gpus=needs.gpus, max_restarts=_RESTARTS, max_task_retries=_RESTARTS
        )
        count = max(1, min(self._workers(ray, needs), len(shards)))
        actors = [remote(_Worker).remote(handle) for _ in range(count)]
        try:
            yield from _feed(ray, actors, shards)
        finally:
            for actor in actors:
                ray.kill(actor)

    def _workers(self, ray: Any, needs: Needs) -> int:
        if self.workers:
            return self.workers
        found = ray.cluster_resources()
        by_cpu = found.get("CPU", 1.0) // needs.cpus if needs.cpus else len(found)
        by_gpu = found.get("GPU", 0.0) // needs.gpus if needs.gpus else by_cpu
        return int(min(by_cpu, by_gpu))


def connect(address: str | None) -> Any:
    """Return ray, connected: to a cluster by address, to the one already joined, or to a local one started now.

    Raises
    ------
    MachineError : the cluster does not answer.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # workers without a GPU see no GPU either way
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if not ray.is_initialized():
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = address or "a local cluster"
            raise MachineError(f"Ray: {where} does not start ({' '.join(str(error).split())[:200]})") from None
    return ray


class _Worker:
    def __init__(self, task_and_shared: tuple[Task[Any], Any]) -> None:
        task, shared = task_and_shared
        self._work = task.open(shared)

    def work(self, shard: Shard) -> Receipt:
        return self._work(shard)


def _feed(ray: Any, actors: Sequence[Any], shards: Iterable[Shard]) -> Iterator[Receipt]:
    waiting = iter(shards)
    busy: dict[Any, Any] = {}
    for _ in range(_QUEUE_PER_WORKER):
        for actor in actors:
            _submit(busy, actor, waiting)
    while busy:
        (done,), _ = ray.wait(list(busy), num_returns=1)
        actor = busy.pop(done)
        try:
            receipt: Receipt = ray.get(done)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BacktestError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            if isinstance(getattr(error, "cause", None), BacktestError):
                raise error.cause from None
            raise MachineError(_dead(error)) from None
        _submit(busy, actor, waiting)
        yield receipt


def _submit(busy: dict[Any, Any], actor: Any, waiting: Iterator[Shard]) -> None:
    shard = next(waiting, None)
    if shard is not None:
        busy[actor.work.remote(shard)] = actor


def _dead(error: Exception) -> str:
    last = str(error).strip().splitlines()[-1:]
    return f"a Ray worker died {_RESTARTS + 1} times ({' '.join(last)[:200]}); run again to resume"


def _as_completed(futures: Iterator[Future[Receipt]], ahead: int) -> Iterator[Receipt]:
    """Yield results as they come, never more than `ahead` submitted."""
    pending: set[Future[Receipt]] = set()
    exhausted = False
    while pending or not exhausted:
        while not exhausted and len(pending) < ahead:
            future = next(futures, None)
            exhausted = future is None
            if future is not None:
                pending.add(future)
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _work_apart(payload: bytes, shard: Shard) -> Receipt:
    return _open_apart(payload)(shard)


@lru_cache(maxsize=1)
def _open_apart(payload: bytes) -> Work:
    """Open the task once per process; the payload is the same for all its shards."""
    task, shared = pickle.loads(payload)
    work: Work = task.open(shared)
    return work
