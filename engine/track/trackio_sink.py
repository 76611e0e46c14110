"""trackio: a folder of this machine (TRACKIO_DIR), a Hugging Face Space, or a server."""

from __future__ import annotations

from dataclasses import dataclass

from engine.track.sink import Told

_SHOWN = 8  # letters of the content's hash in a run's name: a project may hold a run of this name already


@dataclass(frozen=True)
class TrackioSink:
    """A project. space, server : where it is kept if not on this machine."""

    project: str
    space: str | None = None
    server: str | None = None

    @property
    def package(self) -> str:
        return "trackio"

    def send(self, told: Told) -> None:
        """Write parameters, metrics and files as a run of its own."""
        import trackio

        name = f"{told.name} {told.content[:_SHOWN]}"
        run = trackio.init(
            project=self.project,
            name=name,
            space_id=self.space,
            server_url=self.server,
            config={"backtest.fingerprint": told.fingerprint, "backtest.content": told.content, **told.parameters},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        try:
            run.log(dict(told.metrics))
            for path in told.files:
                run.log_artifact(path, name=f"{told.name}-{path.name}", type="report")
        finally:
            run.finish()
