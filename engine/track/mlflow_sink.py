"""MLflow: a server, or a folder where the environment allows one (MLFLOW_ALLOW_FILE_STORE=true)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from engine.track.sink import Told

_MOST = 100  # parameters or tags in one request, and as many metrics
_LONGEST = 500  # characters of a parameter
Item = TypeVar("Item")


@dataclass(frozen=True)
class MlflowSink:
    """An experiment on a tracking server."""

    uri: str
    experiment: str

    @property
    def package(self) -> str:
        return "mlflow"

    def send(self, told: Told) -> None:
        """Write parameters, metrics and files; a run that breaks off is marked as failed."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        found = client.get_experiment_by_name(self.experiment)
        experiment = client.create_experiment(self.experiment) if found is None else found.experiment_id
        tags = {"backtest.fingerprint": told.fingerprint, "backtest.content": told.content}
        run = client.create_run(experiment, run_name=told.name, tags=tags).info.run_id
        try:
            now = int(time.time() * 1000)
            for some in _batches(sorted(told.parameters.items())):
                client.log_batch(run, params=[Param(name, value[:_LONGEST]) for name, value in some])
            for some_numbers in _batches(sorted(told.metrics.items())):
                client.log_batch(run, metrics=[Metric(name, value, now, 0) for name, value in some_numbers])
            client.log_batch(run, tags=[RunTag("backtest.files", ", ".join(path.name for path in told.files))])
            for path in told.files:
                client.log_artifact(run, str(path))
        except BaseException:
            client.set_terminated(run, status="FAILED")
            raise
        client.set_terminated(run)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), _MOST):
        yield items[first : first + _MOST]
