"""Experiment trackers: where a run's parameters, numbers and report are told to, if the config names one."""

from engine.track.mlflow_sink import MlflowSink
from engine.track.sink import Sink, Told, tell
from engine.track.trackio_sink import TrackioSink

__all__ = ["MlflowSink", "Sink", "Told", "TrackioSink", "tell"]
