"""Where work runs: the only door to Ray. Stages say what; an executor says where.

A task is opened once per worker (a model is loaded once) and then handed one shard after the other. Receipts come back
as shards complete, in any order.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from engine.errors import MachineError
from engine.records import Receipt, Shard

_QUEUE_PER_WORKER = 2  # shards a worker holds beyond the one it works on are lost time when it dies
_RESTARTS = 2
_PLACING_SECONDS = 300.0  # a cluster may have to grow first

Shared_contra = TypeVar("Shared_contra", contravariant=True)
Work = Callable[[Shard], Receipt]


class Task(Protocol[Shared_contra]):
    """What to do with a shard. Picklable; `open` runs once in each worker."""

    def open(self, shared: Shared_contra) -> Work: ...


@dataclass(frozen=True)
class Needs:
    """What one worker needs.

    apart : a process of its own, because it sets things for the whole process. beside : its work lies in compiled
    loops that let other threads run, so that workers on one machine can share memory.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    apart: bool = False
    beside: bool = False


class Executor(Protocol):
    """Map a task over shards."""

    def map(self, task: Task[Any], shards: Sequence[Shard], *, needs: Needs, shared: Any) -> Iterator[Receipt]: ...


@dataclass(frozen=True)
class LocalExecutor:
    """This machine without Ray: in this process, in threads of it, or in processes where a task wants to be apart."""

    workers: int | None = None

    def map(self, task: Task[Any], shards: Sequence[Shard], *, needs: Needs, shared: Any) -> Iterator[Receipt]:
        """Yield receipts as shards complete.

        Raises
        ------
        MachineError : a worker process died.
        """
        workers = min(self.workers or os.cpu_count() or 1, len(shards))
        if workers <= 1 or not (needs.apart or needs.beside):
            if shards:
                yield from map(task.open(shared), shards)
            return
        if needs.beside:
            work = task.open(shared)
            with ThreadPoolExecutor(workers) as threads:
                yield from _as_completed((threads.submit(work, shard) for shard in shards), 2 * workers)
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
        count = min(self._workers(ray, needs), len(shards))
        actors = [remote(_Worker).remote(handle) for _ in range(count)]
        try:
            yield from _feed(ray, actors, shards)
        except ray.exceptions.RayError as error:
            raise MachineError(f"Ray: {_one_line(error)}; run again to resume") from None
        finally:
            for actor in actors:
                ray.kill(actor)

    def _workers(self, ray: Any, needs: Needs) -> int:
        """Return how many workers the cluster can hold, at most as many as were asked for."""
        found = ray.cluster_resources()
        room = [found.get("CPU", 0.0) // needs.cpus] if needs.cpus else []
        room += [found.get("GPU", 0.0) // needs.gpus] if needs.gpus else []
        most = int(min(room)) if room else len(ray.nodes())
        if most < 1:
            raise MachineError(
                f"Ray: no room for a worker of {needs.cpus:g} CPUs and {needs.gpus:g} GPUs; the cluster has "
                f"{found.get('CPU', 0):g} and {found.get('GPU', 0):g} (see threads_per_worker, gpus_per_worker)"
            )
        return min(most, self.workers or most)


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
            raise MachineError(f"Ray: {where} does not start ({_one_line(error)})") from None
    return ray


class _Worker:
    """Opens the task when first asked whether it is ready: a fault in there is the task's, not the cluster's."""

    def __init__(self, task_and_shared: tuple[Task[Any], Any]) -> None:
        self._task, self._shared = task_and_shared
        self._work: Work | None = None

    def ready(self) -> None:
        """Open the task."""
        self._work = self._work or self._task.open(self._shared)

    def work(self, shard: Shard) -> Receipt:
        """Do one shard; a restarted worker opens the task anew."""
        self.ready()
        assert self._work is not None
        return self._work(shard)


def _feed(ray: Any, actors: Sequence[Any], shards: Sequence[Shard]) -> Iterator[Receipt]:
    """Give shards to workers that are ready, a few ahead; a worker that the cluster never places gets none."""
    waiting = iter(shards)
    busy = {actor.ready.remote(): actor for actor in actors}
    left = len(shards)
    opened = False
    while left:
        done, _ = ray.wait(list(busy), num_returns=1, timeout=None if opened else _PLACING_SECONDS)
        if not done:
            raise MachineError(f"Ray: no worker was placed within {_PLACING_SECONDS:.0f} s; is the cluster full?")
        actor = busy.pop(done[0])
        result = _result(ray, done[0])
        opened = True
        for _ in range(_QUEUE_PER_WORKER if result is None else 1):
            shard = next(waiting, None)
            if shard is not None:
                busy[actor.work.remote(shard)] = actor
        if result is not None:
            left -= 1
            yield result


def _result(ray: Any, reference: Any) -> Receipt | None:
    """Return a receipt, or None from a worker that reports ready; a fault of the task is raised as itself."""
    try:
        receipt: Receipt | None = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None
    except ray.exceptions.RayActorError as error:
        raise MachineError(f"Ray: a worker kept dying ({_one_line(error)}); run again to resume") from None
    return receipt


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


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
