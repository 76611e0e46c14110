"""Trackers that answer, fail, print, hang, or are not installed: none of them fails a run."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from recorder import Recorder, failing

from engine.track import MlflowSink, Told, TrackioSink, tell

TOLD = Told("r", "f" * 64, "c" * 64, {"a.b": "1"}, {"live.leakage_rate": 0.2}, ())


def test_a_tracker_that_answers_is_told_once_and_gives_no_fault():
    sink = Recorder()
    assert tell(sink, TOLD) is None
    assert sink.told == [TOLD]


@pytest.mark.parametrize(
    "fault", [ValueError("no\nroom"), SystemExit(3), KeyboardInterrupt("no\nroom"), OSError("no\nroom")]
)
def test_whatever_a_tracker_raises_comes_back_as_one_line(fault):
    found = tell(Recorder(failing(fault)), TOLD)
    assert found is not None
    assert found.startswith(f"{type(fault).__name__}: ")
    assert "\n" not in found


def test_a_tracker_that_never_answers_is_left_behind():
    released = threading.Event()
    assert tell(Recorder(released.wait), TOLD, patience=0.05) == "did not answer within 0.05 s"
    released.set()


def test_what_a_tracker_prints_does_not_reach_standard_output(capsys):
    before = sys.stdout
    assert tell(Recorder(lambda: print("* hello")), TOLD) is None
    assert sys.stdout is before
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "* hello\n")


@pytest.mark.parametrize(("sink", "module"), [(MlflowSink("x", "y"), "mlflow"), (TrackioSink("p"), "trackio")])
def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch, sink, module):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Nothing(module), *sys.meta_path])
    assert tell(sink, TOLD) == f"{module} is not installed: pip install 'ad-backtest[{module}]'"


@dataclass
class _Nothing:
    """Finds no module of this name."""

    module: str

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] == self.module:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.module)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_keeps_parameters_metrics_and_files_in_a_local_folder(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking", reason="pip install 'ad-backtest[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    told = _full(tmp_path)
    assert tell(MlflowSink(uri, "ads"), told) is None
    client = tracking.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("ads").experiment_id])
    assert (run.info.run_name, run.info.status) == ("r", "FINISHED")
    assert run.data.params == dict(told.parameters)
    assert run.data.metrics == dict(told.metrics)
    assert run.data.tags["backtest.fingerprint"] == told.fingerprint
    kept = Path(client.download_artifacts(run.info.run_id, "report.md", str(tmp_path)))
    assert kept.read_text() == "# report"
    assert tell(MlflowSink(uri, "ads"), told) is None, "an experiment that is there already is used"


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_breaks_off_in_mlflow_is_marked_as_failed(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking", reason="pip install 'ad-backtest[mlflow]'")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    gone = Told("r", "f", "c", {}, {}, (tmp_path / "gone.html",))
    assert "gone.html" in str(tell(MlflowSink(uri, "ads"), gone))
    client = tracking.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("ads").experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.filterwarnings("ignore")
def test_trackio_keeps_parameters_metrics_and_files_on_this_machine(tmp_path, monkeypatch, capsys):
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio", reason="pip install 'ad-backtest[trackio]'")
    told = _full(tmp_path)
    assert tell(TrackioSink("ads"), told) is None
    assert capsys.readouterr().out == ""
    (run,) = trackio.Api().runs("ads")
    assert run.name == "r cccccccc"
    assert told.parameters.items() <= run.config.items()
    (logged,) = trackio.sqlite_storage.SQLiteStorage.get_logs("ads", run.name)
    assert told.metrics.items() <= logged.items()
    blobs = [path.read_bytes() for path in (tmp_path / "trackio").rglob("*") if path.is_file()]
    assert b"# report" in blobs


def _full(folder: Path) -> Told:
    """Return a run of hundreds of numbers and parameters, some of them awkward."""
    (folder / "report.md").write_text("# report")
    parameters = {f"strategies.s{i}.otherwise": "approve" for i in range(250)} | {"empty": "", "word": "ü" * 400}
    metrics = {f"s{i} vs live.leakage_rate.low": i / 7 for i in range(250)}
    return Told("r", "f" * 64, "c" * 64, parameters, metrics, (folder / "report.md",))
