"""`infer` on a Ray cluster: each worker is an actor that keeps its GPU and its loaded model from share to share.

Actors, not tasks: a task that used a GPU ends its process, and the next one would load the model again. What is
answered lies in the run folder alone; nothing of it travels through Ray, so that no loss can lose it.
"""

import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from voxemo.backends.base import Backend
from voxemo.backends.registry import create_backend
from voxemo.cluster.shares import News, Share, Work, cut, hand_out, room_for, worker_needs
from voxemo.core.errors import MissingDependency, RunError, VoxEmoError
from voxemo.steps.infer import InferResult, infer_run, run_utterances
from voxemo.steps.kept_backend import KeptBackend
from voxemo.steps.plan import check_plan
from voxemo.steps.prepare import Progress
from voxemo.store.journal import Journal, JournalGrowth, read_journal
from voxemo.store.layout import RunPaths, Workspace

Name = TypeVar("Name")

MOMENT_S = 1.0
"""How long to wait for news before looking at nodes and journals again."""
KNOCK_S = 10
"""How long a cluster's address may take to answer at all."""
SETTLE_S = 90
"""How long a shared disk may take to show what other nodes wrote; NFS keeps a folder's list for up to 60 s."""


def infer_on_ray(
    workspace: Workspace,
    run: Path,
    *,
    address: str,
    cpus: int | None = None,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    on_progress: Progress | None = None,
) -> InferResult:
    """Ask every question of a run that has no answer yet, on all nodes of a Ray cluster.

    Workers are hired on every node with room, on nodes that join later too, and again where one is lost.

    Args:
        workspace: on a disk that every node has at the same path.
        run: the run folder, on such a disk too.
        address: of the cluster: ``auto`` for the one that this machine is part of, ``local`` for this machine alone.
        cpus: CPUs of a worker that is to use no GPU. By default each takes one GPU, and on a cluster without any the
            CPUs of the smallest node.
        backend_options: as for `infer_run`.
        make_backend: makes the backend of a card, in the worker; tests give their own.
        on_progress: called with (done, total) of this call.

    Raises:
        MissingDependency: Ray is not installed.
        RunError: there is no such cluster, no node has room for a worker, workers are lost again and again, or the
            folders are not on a shared disk; and as `infer_run`.
        VoxEmoError: what a worker raised. Everything answered before is kept.
    """
    # Before the import: Ray reads it then.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ModuleNotFoundError as cause:
        raise MissingDependency("Asking on a cluster", package="ray", extra="ray") from cause
    # Links are kept: what a shared disk is called may be one on every node, where it lies need not be.
    workspace, run = Workspace(workspace.root.absolute()), run.absolute()
    responses = RunPaths(run).responses
    manifest, plan = check_plan(run)
    # Here, so that a wrong workspace is found before any worker starts.
    run_utterances(workspace, manifest)
    requests = plan.unique("request_id", keep="first", maintain_order=True)
    before = read_journal(responses, texts=False)
    pending = requests.filter(~pl.col("request_id").is_in(list(before.responses)))
    growth = JournalGrowth(responses)

    def n_answers() -> int:
        n = growth.n_lines()
        if on_progress:
            on_progress(min(n, pending.height), pending.height)
        return n

    work = Work(results=(), lost=())
    if pending.height:
        with _connected(ray, address):
            needs = worker_needs(_nodes(ray), cpus)
            start = ray.remote(num_cpus=needs["CPU"], num_gpus=needs.get("GPU", 0), max_restarts=0)(Worker)
            hired = partial(start.remote, workspace, run, backend_options, make_backend, on_gpu="GPU" in needs)
            with RayCrew(ray, needs, hired) as crew:
                work = hand_out(cut(pending, max(1, crew.room())), crew, n_answers=n_answers)
    after = _settled(responses, set(pending["request_id"])) if pending.height else before
    new = [response for name, response in after.responses.items() if name not in before.responses]
    seconds = _sums((worker, result.seconds) for worker, result in work.results)
    return InferResult(
        run=run,
        n_planned=requests.height,
        n_before=len(before.responses),
        n_answered=len(new),
        n_unusable=sum(response.finish == "no_audio" for response in new),
        n_unused=0,
        n_pending=requests.height - len(after.responses),
        transient=tuple(line for _, result in work.results for line in result.transient),
        damaged=after.damaged,
        # They ask at the same time: that of the worker that asked longest.
        seconds=max(seconds.values(), default=0.0),
        stages_s=_sums(stage for _, result in work.results for stage in result.stages_s.items()),
        lost_workers=work.lost,
    )


def _sums(pairs: Iterable[tuple[Name, float]]) -> dict[Name, float]:
    sums: dict[Name, float] = {}
    for name, value in pairs:
        sums[name] = sums.get(name, 0.0) + value
    return sums


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    own = {"include_dashboard": False} if address == "local" else {}
    # Ray tells of lost workers and nodes on standard output, which is for results.
    with redirect_stdout(sys.stderr):
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ray.exceptions.RayError, OSError, RuntimeError, ValueError, ImportError) as cause:
            # ImportError: ray:// addresses need more of Ray than may be installed. RayError: a wrong token.
            why = str(cause).rstrip(".")
            raise RunError(
                f"There is no Ray cluster to be had at {address!r} ({why}). Start one with `ray start --head` and "
                "give its address or, on a machine that is part of it, --ray auto; or take --ray local."
            ) from cause
        try:
            yield
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError at once where nobody listens; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "//" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


def _nodes(ray: Any) -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _settled(responses: Path, awaited: set[str]) -> Journal:
    """The journal, once all that workers said they did is in it."""
    for _ in range(SETTLE_S):
        journal = read_journal(responses, texts=False)
        missing = awaited - journal.responses.keys() - journal.transient.keys()
        if not missing:
            return journal
        time.sleep(1)
    raise RunError(
        f"The workers finished, but {len(missing)} of their answers are not in {responses.parent.name} as this machine "
        "sees it. The run folder must be on a disk that all nodes share; if it is, run the same command again."
    )


class RayCrew:
    """Workers on a Ray cluster; leaving the context ends them all.

    Args:
        ray: the module, connected to the cluster.
        needs: resources of one worker.
        start: asks Ray for one more `Worker` and returns its handle.
    """

    def __init__(self, ray: Any, needs: Mapping[str, float], start: Callable[[], Any]) -> None:
        self._ray, self._needs, self._start = ray, needs, start
        self._workers: dict[int, Any] = {}
        self._awaited: dict[Any, int] = {}
        """What Ray will have an answer to, and the worker that gives it."""
        self._n_hired = 0

    def room(self) -> int:
        """How many workers the nodes that are alive can hold."""
        return room_for(self._needs, _nodes(self._ray))

    def hire(self) -> int:
        """Ask for one more worker; it arrives when a node has room."""
        self._n_hired += 1
        worker = self._workers[self._n_hired] = self._start()
        self._awaited[worker.arrive.remote()] = self._n_hired
        return self._n_hired

    def give(self, worker: int, share: Share) -> None:
        """Let a worker answer a share."""
        self._awaited[self._workers[worker].answer.remote(share)] = worker

    def news(self) -> Sequence[News]:
        """What workers finished, and which were lost.

        Raises:
            VoxEmoError: what a worker raised; so with any other error.
        """
        finished, _ = self._ray.wait(list(self._awaited), num_returns=len(self._awaited), timeout=0)
        if not finished:
            finished, _ = self._ray.wait(list(self._awaited), num_returns=1, timeout=MOMENT_S)
        return [self._news(self._awaited.pop(awaited), awaited) for awaited in finished]

    def _news(self, worker: int, awaited: Any) -> News:
        errors = self._ray.exceptions
        try:
            said = self._ray.get(awaited)
        except errors.RayTaskError as error:
            # As on one machine, where it ends the call with the model's own error.
            raise error.cause from error
        except errors.RayError as error:
            # The last line is the cause; before it come Ray's own names for things.
            return News(worker=worker, lost=str(error).strip().splitlines()[-1][:300].rstrip("."))
        if isinstance(said, VoxEmoError):
            raise said
        return News(worker=worker, result=said)

    def dismiss(self, worker: int) -> None:
        """End a worker at once; what it has not written is asked again."""
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(self._workers.pop(worker))

    def __enter__(self) -> "RayCrew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self.dismiss(worker)


class Worker:
    """One process on a node, with one loaded model.

    Errors of ours are given back as values: raised, they would reach the user in Ray's words.

    Args:
        workspace: as every node sees it.
        run: the run folder, as every node sees it.
        backend_options: as for `infer_run`.
        make_backend: makes the backend of a card.
        on_gpu: whether the worker has a GPU to itself.
    """

    def __init__(
        self,
        workspace: Workspace,
        run: Path,
        backend_options: dict[str, Any] | None,
        make_backend: Callable[..., Backend],
        *,
        on_gpu: bool,
    ) -> None:
        if not on_gpu:
            # Ray leaves all GPUs visible to a worker that asked for none, and every one would take the first.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._workspace, self._run, self._options = workspace, run, backend_options
        self._make = KeptBackend(make_backend)

    def arrive(self) -> VoxEmoError | None:
        """Look whether this node sees what it needs."""
        for what, place in (("run folder", RunPaths(self._run).manifest), ("workspace", self._workspace.root)):
            if not place.exists():
                return RunError(
                    f"The node {platform.node()} does not see the {what}: there is no {place}. "
                    "Both must be on a disk that all nodes have at the same path."
                )
        return None

    def answer(self, share: Share) -> InferResult | VoxEmoError:
        """Answer what has no answer yet of a share."""
        try:
            return infer_run(
                self._workspace,
                self._run,
                shard=share.shard,
                model_sha256=share.model_sha256,
                backend_options=self._options,
                make_backend=self._make,
            )
        except VoxEmoError as error:
            return error
