"""A real Ray cluster on this machine, with nodes whose GPUs are only said to be there."""

import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ray_toy
from toy import make, planned
from voxemo.cluster import on_ray
from voxemo.cluster.on_ray import infer_on_ray
from voxemo.cluster.shares import Work
from voxemo.core.errors import BackendError, MissingDependency, RunError
from voxemo.steps.infer import infer_run
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace

TESTS = Path(__file__).resolve().parents[1]
HANGS_S = 900
"""No limit on how long a test may take: after it, something hangs and would hold up every other test."""

pytestmark = [
    # One cluster for all of them, where tests run side by side.
    pytest.mark.xdist_group("ray"),
    # Ray leaves sockets and child processes of its own to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"nothing came back for {HANGS_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANGS_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that holds no worker, and two nodes for one worker each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Else Ray looks for a token in the home folder.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # Workers are processes of their own; pytest alone knows where the tests' modules are.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *sys.path]))
        # Here, as everywhere: Ray reads the environment when it is imported.
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False})
        for _ in range(2):
            made.add_node(num_cpus=1, num_gpus=1)
        yield made
        made.shutdown()


def processes(notes: Path) -> list[int]:
    """Workers that loaded a model and are alive."""
    alive = []
    for path in notes.glob("*.txt"):
        with suppress(ProcessLookupError):
            os.kill(int(path.stem), 0)
            alive.append(int(path.stem))
    return alive


def texts(run: Path) -> dict[str, str]:
    return {name: response.text for name, response in read_journal(RunPaths(run).responses).responses.items()}


def test_a_killed_worker_and_a_removed_node_lose_nothing_and_ask_nothing_twice(
    cluster: Any, workspace: Workspace, tmp_path: Path
) -> None:
    run = planned(workspace)
    alone = Path(shutil.copytree(run, tmp_path / "alone"))
    infer_run(workspace, alone, make_backend=make())
    notes = tmp_path / "notes"
    notes.mkdir()
    accidents: list[Callable[[], object]] = [
        lambda: os.kill(processes(notes)[0], signal.SIGKILL),
        lambda: cluster.remove_node(sorted(cluster.worker_nodes, key=id)[0], allow_graceful=False),
        (notes / "go").touch,
    ]
    seen: list[int] = []

    def watch(done: int, total: int) -> None:
        assert total == 2400
        seen.append(done)
        # Each node has a worker that has answered something and waits: so either accident takes one along.
        n_met = 3 - len(accidents)
        at_work = len(processes(notes)) == 2 and done >= (2 + n_met) * ray_toy.N_CALLS * ray_toy.N_AT_ONCE
        if n_met == 2 or (n_met < 2 and at_work):
            accidents.pop(0)()

    result = infer_on_ray(
        workspace,
        run,
        address=cluster.address,
        make_backend=partial(ray_toy.load_waiting, notes),
        on_progress=watch,
    )

    journal = read_journal(RunPaths(run).responses)
    assert not accidents
    assert len(result.lost_workers) >= 2, result.lost_workers
    assert (result.n_answered, result.n_pending, result.n_before) == (2400, 0, 0)
    assert len(journal.responses) == 2400
    assert journal.n_duplicates == 0
    assert texts(run) == texts(alone)
    assert seen == sorted(seen)
    # Once in each process, however many shares it answered, and each with the GPU that Ray gave it.
    loads = [path.read_text() for path in notes.glob("*.txt")]
    assert len(loads) >= 3
    assert set(loads) == {"scripted CUDA_VISIBLE_DEVICES=0\n"}


def test_what_a_worker_raises_is_what_the_user_sees(
    cluster: Any, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = planned(workspace, forms=("hard",))

    with pytest.raises(BackendError) as caught:
        infer_on_ray(workspace, run, address=cluster.address, make_backend=ray_toy.fail_to_load)
    with pytest.raises(RuntimeError, match=r"^CUDA error: device-side assert triggered$"):
        infer_on_ray(workspace, run, address=cluster.address, cpus=1, make_backend=ray_toy.fail_in_python)
    with pytest.raises(RunError, match="No node that is alive has room for a worker"):
        infer_on_ray(workspace, run, address=cluster.address, cpus=1_000)

    assert str(caught.value) == "The model scripted cannot be loaded on this node. Look at it."
    assert capsys.readouterr().out == ""


def test_ctrl_c_ends_every_worker_and_keeps_what_was_answered(
    cluster: Any, workspace: Workspace, tmp_path: Path
) -> None:
    run = planned(workspace, forms=("hard",))
    notes = tmp_path / "notes"
    notes.mkdir()
    interrupt = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])

    def watch(done: int, total: int) -> None:
        if done and not interrupt.is_alive() and not interrupt.finished.is_set():
            interrupt.start()

    with pytest.raises(KeyboardInterrupt):
        infer_on_ray(
            workspace,
            run,
            address=cluster.address,
            cpus=1,
            make_backend=partial(ray_toy.load_waiting, notes),
            on_progress=watch,
        )

    interrupt.join()
    while processes(notes):
        time.sleep(0.1)
    n_kept = len(texts(run))
    assert 0 < n_kept < 1200
    result = infer_run(workspace, run, make_backend=make())
    assert (result.n_before, result.n_answered) == (n_kept, 1200 - n_kept)
    assert read_journal(RunPaths(run).responses).n_duplicates == 0
    # Workers that asked for no GPU see none.
    assert {path.read_text() for path in notes.glob("*.txt")} == {"scripted CUDA_VISIBLE_DEVICES=\n"}


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "nonsense"], ids=["nobody listens", "no address"])
def test_an_address_without_a_cluster_is_named(workspace: Workspace, address: str) -> None:
    # Taken, so that nobody else can listen there.
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    address = address.format(port=taken.getsockname()[1])

    with (
        taken,
        pytest.raises(RunError, match=re.escape(f"There is no Ray cluster to be had at {address!r} (")) as caught,
    ):
        infer_on_ray(workspace, planned(workspace, forms=("hard",)), address=address)

    assert "`ray start --head`" in str(caught.value)


def test_answers_that_workers_wrote_elsewhere_are_missed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the same name on another node's own disk."""
    run = planned(workspace, forms=("hard",))
    monkeypatch.setattr(on_ray, "SETTLE_S", 1)
    monkeypatch.setattr(on_ray, "_connected", lambda *_: nullcontext())
    monkeypatch.setattr(on_ray, "_nodes", lambda ray: [{"CPU": 1}])
    monkeypatch.setattr(on_ray, "hand_out", lambda *_, **__: Work(results=(), lost=()))

    with pytest.raises(RunError, match=r"1200 of their answers are not in .* on a disk that all nodes share"):
        infer_on_ray(workspace, run, address="local")


def test_a_finished_run_needs_no_cluster(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    infer_run(workspace, run, make_backend=make())

    result = infer_on_ray(workspace, run, address="127.0.0.1:1")

    assert (result.n_before, result.n_answered, result.n_pending) == (1200, 0, 0)


def test_without_ray_the_error_names_the_extra(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingDependency, match=r"Asking on a cluster needs the package 'ray'.*\[ray\]"):
        infer_on_ray(workspace, planned(workspace, forms=("hard",)), address="local")
