import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from voxemo.backends.stages import SERVED
from voxemo.reports.disclosure import _throughput
from voxemo.steps.worker_record import AROUND, WorkerRecord, idle_share
from voxemo.store.layout import RunPaths


def record_of(folder: Path, backend: Any) -> tuple[WorkerRecord, Path]:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    record = WorkerRecord(
        RunPaths(folder), backend, worker="main", shard=(1, 1), model_sha256="ab" * 32, started=started
    )
    (path,) = (folder / "workers").iterdir()
    return record, path


def test_a_record_is_there_before_the_first_answer_and_grows_with_every_batch(tmp_path: Path) -> None:
    backend = SimpleNamespace(effective=lambda: {"served_by": "x"}, stages_s={"answering": 100.0})
    record, path = record_of(tmp_path, backend)

    assert "throughput" not in json.loads(path.read_text())

    record.note(3)
    backend.stages_s = {"answering": 100.5, "waiting for audio": 0.5}
    record.note(2)

    written = json.loads(path.read_text())
    assert written["effective"] == {"served_by": "x"}
    assert written["throughput"]["n_requests"] == 5
    # What the backend did before this record was made is not this worker's.
    assert written["throughput"]["stages_s"]["answering"] == 0.5
    assert written["throughput"]["device_idle_share"] == pytest.approx(0.5, abs=0.01)


def test_a_backend_that_tells_no_stages_has_no_idle_share(tmp_path: Path) -> None:
    record, path = record_of(tmp_path, SimpleNamespace(effective=dict))

    record.note(1)

    assert record.stages_s == {}
    assert json.loads(path.read_text())["throughput"]["device_idle_share"] is None
    assert idle_share({}) is None


def test_how_idle_a_servers_device_was_is_not_known() -> None:
    assert idle_share({SERVED: 9.0, AROUND: 1.0}) is None


def test_the_disclosure_sums_workers_up() -> None:
    workers = [
        {"n_requests": 30, "seconds": 2.0, "stages_s": {"answering": 1.5, "hearing": 0.5}},
        {"n_requests": 10, "seconds": 2.0, "stages_s": {"answering": 2.0}},
    ]

    assert _throughput(workers) == (
        "40 requests in 4.0 s of 2 worker(s), 10.00 requests per second of a worker; "
        "time by stage: answering 88 %, hearing 12 %"
    )
