"""Shares and who gets them, with a crew that is a list."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.cluster.shares import News, Share, cut, hand_out, room_for, shard_count, worker_needs
from voxemo.core.errors import RunError
from voxemo.steps.infer import InferResult


def result(**given: Any) -> InferResult:
    counts = dict.fromkeys(("n_planned", "n_before", "n_answered", "n_unusable", "n_unused", "n_pending"), 0)
    return InferResult(run=Path("run"), **counts, transient=(), damaged=(), seconds=1.0, **given)


class ListedCrew:
    """Does one thing at a time, the longest asked for first; is lost wherever its script says so.

    Args:
        room: workers that there is room for, at each look; the last number stays.
        losses: for each thing that a worker does, whether it is lost meanwhile; none after the last.
        fruitful: whether a worker writes some answers before it is lost.
    """

    def __init__(self, room: Sequence[int], losses: Sequence[bool] = (), *, fruitful: bool = True) -> None:
        self._room, self._losses, self._fruitful = list(room), list(losses), fruitful
        self._todo: list[tuple[int, Share | None]] = []
        self.n_hired = self.n_answers = self.most_at_once = 0
        self.alive: set[int] = set()
        self.dismissed: list[int] = []
        self.finished: list[Share] = []

    def room(self) -> int:
        return self._room.pop(0) if len(self._room) > 1 else self._room[0]

    def hire(self) -> int:
        self.n_hired += 1
        self.alive.add(self.n_hired)
        self.most_at_once = max(self.most_at_once, len(self.alive))
        self._todo.append((self.n_hired, None))
        return self.n_hired

    def give(self, worker: int, share: Share) -> None:
        assert worker in self.alive
        assert worker not in [busy for busy, _ in self._todo]
        assert share not in [given for _, given in self._todo]
        self._todo.append((worker, share))

    def news(self) -> list[News]:
        worker, share = self._todo.pop(0)
        is_lost = self._losses.pop(0) if self._losses else False
        self.n_answers += share is not None and (self._fruitful or not is_lost)
        if is_lost:
            self.alive.discard(worker)
            return [News(worker=worker, lost="it was switched off")]
        if share is None:
            return [News(worker=worker)]
        self.finished.append(share)
        return [News(worker=worker, result=result())]

    def dismiss(self, worker: int) -> None:
        self.dismissed.append(worker)


def shares(n: int) -> list[Share]:
    return [Share("m", (index, n)) for index in range(1, n + 1)]


# --- how many ----------------------------------------------------------------------------------------------------


@given(n_clips=st.integers(1, 100_000), n_workers=st.integers(1, 500))
def test_no_worker_goes_without_and_no_shard_is_without_clips(n_clips: int, n_workers: int) -> None:
    n = shard_count(n_clips, n_workers)

    assert min(n_clips, n_workers) <= n <= n_clips
    assert n <= 16 * n_workers


@given(models=st.lists(st.tuples(st.integers(1, 200)), min_size=1, max_size=6), n_workers=st.integers(1, 20))
def test_every_model_is_cut_whole(models: list[tuple[int]], n_workers: int) -> None:
    rows = [(f"m{i}", f"u{clip}") for i, (n_clips,) in enumerate(models) for clip in range(n_clips) for _prompt in "ab"]
    pending = pl.DataFrame(rows, schema=["model_sha256", "utterance_id"], orient="row")

    made = cut(pending, n_workers)

    for i in range(len(models)):
        of_model = [share.shard for share in made if share.model_sha256 == f"m{i}"]
        assert of_model == [(index, len(of_model)) for index in range(1, len(of_model) + 1)]
    assert [share.model_sha256 for share in made] == sorted(share.model_sha256 for share in made)


@pytest.mark.parametrize(
    ("nodes", "cpus", "needs", "room"),
    [
        ([{"CPU": 4}, {"CPU": 64, "GPU": 8}, {"CPU": 2, "GPU": 4}], None, {"CPU": 1, "GPU": 1}, 10),
        ([{"CPU": 4}, {"CPU": 64, "GPU": 8}], 4, {"CPU": 4}, 17),
        ([{"CPU": 4}, {"CPU": 10}], None, {"CPU": 4}, 3),
        ([{"memory": 1e9}, {"CPU": 2}], 4, {"CPU": 4}, 0),
        ([], None, {"CPU": 1}, 0),
    ],
    ids=["a GPU each", "CPUs although there are GPUs", "as the smallest node", "too small", "no node"],
)
def test_a_worker_takes_a_gpu_where_there_is_one(
    nodes: list[dict[str, float]], cpus: int | None, needs: dict[str, float], room: int
) -> None:
    assert worker_needs(nodes, cpus) == needs
    assert room_for(needs, nodes) == room


# --- who does what -----------------------------------------------------------------------------------------------


@given(n=st.integers(1, 30), room=st.integers(1, 8), losses=st.lists(st.booleans(), max_size=60))
def test_whoever_is_lost_every_share_is_finished_once(n: int, room: int, losses: list[bool]) -> None:
    crew = ListedCrew([room], losses)

    # Something is always answered in between, so that no number of losses ends the work.
    work = hand_out(shares(n), crew, n_answers=count().__next__)

    assert sorted(crew.finished, key=lambda share: share.shard) == shares(n)
    assert len(work.results) == n
    assert len(work.lost) == len(crew.dismissed) == crew.n_hired - len(crew.alive)
    assert crew.most_at_once <= min(room, n)


def test_a_lost_share_comes_after_those_that_wait() -> None:
    crew = ListedCrew([1], [False, True])

    hand_out(shares(3), crew, n_answers=lambda: crew.n_answers)

    assert [share.shard[0] for share in crew.finished] == [2, 3, 1]


def test_a_node_that_joins_gets_workers_and_one_that_leaves_takes_them_along() -> None:
    crew = ListedCrew([1, 1, 4])
    hand_out(shares(9), crew, n_answers=lambda: crew.n_answers)

    assert crew.n_hired == 4

    crew = ListedCrew([4, 4, 4, 4, 2], [False] * 4 + [True] * 2)
    work = hand_out(shares(9), crew, n_answers=lambda: crew.n_answers)

    assert (crew.n_hired, len(work.lost)) == (4, 2)


def test_no_more_workers_are_hired_than_shares_are_left() -> None:
    crew = ListedCrew([8])

    hand_out(shares(2), crew, n_answers=lambda: crew.n_answers)

    assert crew.n_hired == 2


def test_workers_that_are_lost_again_and_again_without_an_answer_end_the_work() -> None:
    crew = ListedCrew([2], [True] * 100, fruitful=False)

    with pytest.raises(RunError, match=r"6 workers in a row were lost .* it was switched off\. Every answer") as caught:
        hand_out(shares(5), crew, n_answers=lambda: crew.n_answers)

    assert "run the same command again" in str(caught.value)


def test_workers_that_answer_something_before_they_are_lost_may_be_lost_for_ever_so_often() -> None:
    crew = ListedCrew([1], [False, True] * 40)

    work = hand_out(shares(5), crew, n_answers=lambda: crew.n_answers)

    assert len(work.lost) == 40
    assert len(crew.finished) == 5


def test_a_cluster_without_room_is_told_of_not_waited_for() -> None:
    with pytest.raises(RunError, match="No node that is alive has room for a worker, and 3 shares are not finished"):
        hand_out(shares(3), ListedCrew([0]), n_answers=lambda: 0)
