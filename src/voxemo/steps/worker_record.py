"""What a worker tells of itself and of its work, in a file of the run: settings in force, hardware, versions, speed."""

import time
from collections.abc import Mapping
from datetime import datetime

from voxemo.backends.base import Backend
from voxemo.backends.stages import SERVED
from voxemo.store.files import write_json
from voxemo.store.layout import RunPaths
from voxemo.store.provenance import hardware, package_versions

AROUND = "around the model"
IDLE = ("waiting for audio", "preparing inputs", AROUND)
"""Stages in which the device has nothing to do."""


class WorkerRecord:
    """The record of one worker that asks one model, made when it begins.

    Args:
        paths: of the run.
        backend: the loaded model.
        worker: its name.
        shard: (i, n): which share of the clips is asked.
        model_sha256: of the model's card.
        started: when this call of `infer` began.
    """

    def __init__(
        self,
        paths: RunPaths,
        backend: Backend,
        *,
        worker: str,
        shard: tuple[int, int],
        model_sha256: str,
        started: datetime,
    ) -> None:
        self._backend = backend
        self._path = paths.workers / f"{worker}-{started.strftime('%Y%m%dT%H%M%S.%fZ')}-{model_sha256[:8]}.json"
        self._facts = {
            "worker": worker,
            "started_utc": started.isoformat(timespec="seconds"),
            "shard": f"{shard[0]}/{shard[1]}",
            "model_sha256": model_sha256,
            "hardware": hardware(),
            "package_versions": package_versions(),
        }
        self._before = self._told()
        self._begun = time.monotonic()
        self._n_requests = 0
        write_json(self._path, {**self._facts, "effective": dict(backend.effective())})

    def note(self, n_requests: int) -> None:
        """Note so many more requests. With every batch: what is known by then outlives an interruption."""
        self._n_requests += n_requests
        seconds, stages_s = self.seconds, self.stages_s
        write_json(
            self._path,
            {
                **self._facts,
                "effective": dict(self._backend.effective()),
                "throughput": {
                    "n_requests": self._n_requests,
                    "seconds": round(seconds, 3),
                    "requests_per_s": round(self._n_requests / seconds, 3) if seconds > 0 else None,
                    "stages_s": stages_s,
                    "device_idle_share": idle_share(stages_s),
                },
            },
        )

    @property
    def seconds(self) -> float:
        """Seconds since the record was made, the model being loaded by then."""
        return time.monotonic() - self._begun

    @property
    def stages_s(self) -> dict[str, float]:
        """The same by stage, as far as the backend tells them; the rest is spent around the model."""
        seconds = self.seconds
        told = {name: round(spent - self._before.get(name, 0.0), 3) for name, spent in self._told().items()}
        return {**told, AROUND: round(max(0.0, seconds - sum(told.values())), 3)} if told else {}

    def _told(self) -> Mapping[str, float]:
        return dict(getattr(self._backend, "stages_s", {}))


def idle_share(stages_s: Mapping[str, float]) -> float | None:
    """Share of the time in which the device was given nothing to do, in [0, 1].

    Gaps within a stage are not seen, so that it is a lower bound. None where stages are not told, or the device is a
    server's.

    >>> idle_share({"answering": 9.0, "waiting for audio": 0.5, "around the model": 0.5})
    0.1
    """
    total = sum(stages_s.values())
    if total <= 0 or SERVED in stages_s:
        return None
    return round(sum(stages_s.get(name, 0.0) for name in IDLE) / total, 4)
