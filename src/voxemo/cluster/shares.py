"""Who asks what: a run as shares of its clips, handed to workers that come and go. Knows no cluster's software."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from voxemo.core.errors import RunError
from voxemo.steps.infer import InferResult

SHARES_EACH = 16
"""Shares for each worker of a long run: at its end nobody waits for more than a sixteenth of a worker's part."""
CLIPS_EACH = 64
"""Clips that a share holds at least, unless workers would go without: a batch that is not full wastes a GPU."""
LOSSES_EACH = 3
"""Losses for each worker, without one answer between them, after which the cause is taken to be no accident."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some clips of a run, with all questions that one model is asked about them."""

    model_sha256: str
    shard: tuple[int, int]
    """(i, n) as `infer_run` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What became of a worker: it arrived (neither field is set), finished its share, or was lost before it did."""

    worker: int
    result: InferResult | None = None
    lost: str | None = None
    """Why it was lost."""


class Crew(Protocol):
    """Workers of a cluster, each known by a number."""

    def room(self) -> int:
        """How many workers the nodes that are alive can hold, those already at work included."""

    def hire(self) -> int:
        """Ask for one more worker and return its number; that it has arrived, or was lost, is news later."""

    def give(self, worker: int, share: Share) -> None:
        """Let a worker answer a share."""

    def news(self) -> Sequence[News]:
        """Wait a moment for news; none is no news. Raises what a worker raised."""

    def dismiss(self, worker: int) -> None:
        """End a worker, whatever it is doing; one that is dead already may be dismissed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the workers did."""

    results: tuple[tuple[int, InferResult], ...]
    """Worker and what it did, for each share."""
    lost: tuple[str, ...]
    """Why workers were lost, in order."""


def worker_needs(nodes: Sequence[Mapping[str, float]], cpus: int | None) -> dict[str, float]:
    """What of a node one worker takes.

    Args:
        nodes: resources of each node, such as ``{"CPU": 16, "GPU": 2}``.
        cpus: CPUs of a worker that is to use no GPU; None for one GPU where there are any, and else for all CPUs of
            the smallest node.

    >>> worker_needs([{"CPU": 4}, {"CPU": 64, "GPU": 8}], None)
    {'CPU': 1, 'GPU': 1}
    >>> worker_needs([{"CPU": 0}, {"CPU": 4}, {"CPU": 8}], None)
    {'CPU': 4}
    """
    if cpus is not None:
        return {"CPU": cpus}
    if any(node.get("GPU", 0) >= 1 for node in nodes):
        return {"CPU": 1, "GPU": 1}
    return {"CPU": min((int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1), default=1)}


def room_for(needs: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> int:
    """How many workers nodes can hold.

    >>> room_for({"CPU": 1, "GPU": 1}, [{"CPU": 4}, {"CPU": 64, "GPU": 8}])
    8
    """
    return sum(min(int(node.get(name, 0) // amount) for name, amount in needs.items()) for node in nodes)


def shard_count(n_clips: int, n_workers: int) -> int:
    """Shards that clips are cut into: many more than workers for long runs, never more than clips, at least 1.

    >>> shard_count(10_000, 8), shard_count(300, 8), shard_count(3, 8)
    (128, 8, 3)
    """
    return max(1, min(n_clips, max(n_workers, min(SHARES_EACH * n_workers, n_clips // CLIPS_EACH))))


def cut(pending: pl.DataFrame, n_workers: int) -> list[Share]:
    """Cut the requests of a run into shares, model by model, so that a worker seldom loads another one.

    Args:
        pending: requests without an answer, with ``model_sha256`` and ``utterance_id``.
        n_workers: workers that there is room for.
    """
    clips = pending.group_by("model_sha256").agg(pl.col("utterance_id").n_unique()).sort("model_sha256")
    shares = []
    for model_sha256, n_clips in clips.iter_rows():
        n = shard_count(n_clips, -(-n_workers // clips.height))
        shares += [Share(model_sha256, (index, n)) for index in range(1, n + 1)]
    return shares


def hand_out(shares: Sequence[Share], crew: Crew, *, n_answers: Callable[[], int]) -> Work:
    """Let a crew answer every share, whoever of it is lost on the way.

    A share whose worker was lost comes last: until then its worker is surely dead, even where it was only out of reach.

    Args:
        shares: every one is answered, by one worker at a time.
        crew: workers; as many are hired as there is room for, and new ones for those that were lost.
        n_answers: answers that are safe by now; called with every piece of news, and at least every few seconds.

    Raises:
        RunError: no node can hold a worker, or workers are lost again and again without answering anything.
        VoxEmoError: what a worker raised; so with any other error.
    """
    waiting = deque(shares)
    coming: set[int] = set()
    idle: list[int] = []
    busy: dict[int, Share] = {}
    results: list[tuple[int, InferResult]] = []
    lost: list[str] = []
    n_fruitless, n_seen = 0, n_answers()
    while waiting or busy:
        room = crew.room()
        if room == 0:
            raise RunError(
                f"No node that is alive has room for a worker, and {len(waiting) + len(busy)} shares are not finished. "
                "Every answer written is kept. Add nodes and run the same command again."
            )
        wanted = min(room, len(waiting) + len(busy))
        while len(coming) + len(idle) + len(busy) < wanted:
            coming.add(crew.hire())
        for news in crew.news():
            worker = news.worker
            coming.discard(worker)
            share = busy.pop(worker, None)
            if news.lost is None:
                idle.append(worker)
                if news.result is not None:
                    results.append((worker, news.result))
                continue
            crew.dismiss(worker)
            lost.append(news.lost)
            if share is not None:
                waiting.append(share)
            n_now = n_answers()
            n_fruitless = 1 if n_now > n_seen else n_fruitless + 1
            n_seen = n_now
            if n_fruitless >= LOSSES_EACH * wanted:
                raise RunError(
                    f"{n_fruitless} workers in a row were lost before anything more was answered, the last: "
                    f"{news.lost}. Every answer written is kept. Mend the cause and run the same command again."
                )
        while waiting and idle:
            worker = idle.pop()
            busy[worker] = waiting.popleft()
            crew.give(worker, busy[worker])
        n_answers()
    return Work(results=tuple(results), lost=tuple(lost))
