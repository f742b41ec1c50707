from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from toy import answered
from voxemo.catalog import lookup
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import RunError
from voxemo.reports.ranking import RankedSystem, Ranking, rankings
from voxemo.reports.scoreboard import Board, Cell, Entry, FinishedRun, boards, read_runs
from voxemo.scoring.hard import group_confusions, macro_f1
from voxemo.steps.score import score_run
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.tables import UNIT_COUNTS, write_table

N, N_SPEAKERS = 240, 12
FIVE = lookup.prompt_names()
ENSEMBLE = {"ensemble": 0.6, **dict.fromkeys(FIVE, 0.5)}


@pytest.fixture(scope="module")
def toy(toy_workspace: Workspace) -> FinishedRun:
    run = answered(toy_workspace)
    score_run(toy_workspace, run, resamples=10)
    return read_runs([run])[0]


class World:
    """Runs with made-up skill on real corpora's cards, and the boards that they stand on."""

    def __init__(self, folder: Path, toy: FinishedRun) -> None:
        self.folder, self.toy = folder, toy
        self.runs: list[FinishedRun] = []
        self._boards: dict[tuple[str, str], Board] = {}

    def add(
        self,
        corpus: str | CorpusCard,
        model: str,
        skill: Mapping[str, float],
        *,
        training: str = "zero-shot",
        split_id: str = "protocol",
        partial: bool = False,
        **changes: Any,
    ) -> None:
        """Add a run: each system answers right with a chance of its skill, else at random."""
        card = lookup.corpus_card(corpus) if isinstance(corpus, str) else corpus
        (old,) = self.toy.manifest.model_cards.values()
        manifest = self.toy.manifest.model_copy(
            update={
                "run_id": f"run-{len(self.runs)}",
                "corpus_card": card,
                "label_source": card.gold,
                "label_names": card.labels.names,
                "model_cards": {"all": old.model_copy(update={"model_id": model})},
                **changes,
            }
        )
        run = FinishedRun(self.folder / manifest.run_id, manifest, self.toy.scores)
        run.path.mkdir()
        self.runs.append(run)
        names = (*manifest.label_names, "failed")
        n_labels = len(manifest.label_names)
        rng = np.random.default_rng(len(self.runs))
        gold, speaker = np.arange(N) % n_labels, np.arange(N) * 7 % N_SPEAKERS
        parts, entries = [], []
        for system, chance in skill.items():
            predicted = np.where(rng.random(N) < chance, gold, rng.integers(-1, n_labels, size=N))
            table = {"gold": [names[g] for g in gold], "predicted": [names[p] for p in predicted]}
            same = {"partition": "test", "fold_id": "1", "system_id": system, "unit_kind": "speaker"}
            parts.append(pl.DataFrame({**same, "unit": speaker.astype(str), **table, "n": 1}))
            tables = group_confusions(gold, predicted, np.zeros(N, int), n_labels=n_labels, n_groups=1)
            entries.append(
                Entry(
                    kind="run",
                    model=model,
                    system=system,
                    training=training,
                    cells={"macro_f1": Cell(value=float(macro_f1(tables)[0]))},
                    n=N,
                    n_failed=0,
                    partial=partial,
                    run_id=manifest.run_id,
                    note="; ".join(manifest.deviations),
                )
            )
        write_table(RunPaths(run.path).unit_counts, pl.concat(parts), UNIT_COUNTS)
        board = self._boards.get((card.corpus_id, split_id))
        if board is None:
            board = replace(
                boards([self.toy])[0],
                corpus_id=card.corpus_id,
                corpus_name=card.name,
                split_id=split_id,
                label_source=card.gold,
                entries=(),
            )
        self._boards[card.corpus_id, split_id] = replace(board, entries=(*board.entries, *entries))

    @property
    def boards(self) -> list[Board]:
        return list(self._boards.values())

    def ranking(self, **options: Any) -> Ranking:
        (made,) = rankings(self.boards, self.runs, **{"resamples": 200, **options})
        return made

    def value(self, corpus: str, model: str, system: str) -> float:
        (entry,) = (
            entry
            for board in self.boards
            if board.corpus_id == corpus
            for entry in board.entries
            if (entry.model, entry.system) == (model, system)
        )
        value = entry.cells["macro_f1"].value
        assert value is not None
        return value


@pytest.fixture
def world(tmp_path: Path, toy: FinishedRun) -> World:
    return World(tmp_path, toy)


def by_model(ranking: Ranking) -> dict[str, RankedSystem]:
    return {row.model: row for row in ranking.systems}


def test_systems_are_ranked_by_the_mean_of_their_votes_over_the_splits(world: World) -> None:
    for corpus in ("urdu", "ravdess", "emodb"):
        world.add(corpus, "weak", ENSEMBLE)
        world.add(corpus, "strong", {**ENSEMBLE, "ensemble": 0.9})

    ranking = world.ranking()
    strong, weak = ranking.systems

    assert [split.corpus_id for split in ranking.splits] == ["emodb", "ravdess", "urdu"]
    assert [(row.model, row.rank, row.system) for row in (strong, weak)] == [
        ("strong", 1, "ensemble"),
        ("weak", 2, "ensemble"),
    ]
    mean = np.mean([world.value(corpus, "strong", "ensemble") for corpus in ("urdu", "ravdess", "emodb")])
    assert strong.mean == pytest.approx(mean)
    assert (strong.rank_low, strong.rank_high, weak.rank_low, weak.rank_high) == (1, 1, 2, 2)
    assert strong.ci_low < strong.mean < strong.ci_high


def test_without_every_split_there_is_no_rank_and_the_rest_keep_theirs(world: World) -> None:
    for corpus in ("urdu", "ravdess"):
        world.add(corpus, "whole", ENSEMBLE)
    before = world.ranking()
    world.add("urdu", "half", {**ENSEMBLE, "ensemble": 0.99})

    after = by_model(world.ranking())

    assert after["whole"] == before.systems[0]
    half = after["half"]
    assert (half.rank, half.mean, half.ci_low, half.rank_low) == (None, None, None, None)
    assert (half.n_splits, half.missing) == (1, ("ravdess test",))


def test_a_split_that_only_some_were_run_on_can_be_left_out(world: World) -> None:
    for model in ("a", "b"):
        world.add("urdu", model, ENSEMBLE)
    world.add("ravdess", "a", ENSEMBLE)

    assert {row.model: row.rank is not None for row in world.ranking().systems} == {"a": True, "b": False}
    assert all(row.rank for row in world.ranking(splits=[("urdu", "test")]).systems)


def test_the_best_prompt_is_given_beside_and_never_below_the_mean_of_any_prompt(world: World) -> None:
    corpora = ("urdu", "ravdess")
    for corpus in corpora:
        world.add(corpus, "model", ENSEMBLE)

    (row,) = world.ranking().systems

    best = [max(world.value(corpus, "model", name) for name in FIVE) for corpus in corpora]
    assert row.best_prompt_mean == pytest.approx(np.mean(best))
    for name in FIVE:
        assert row.best_prompt_mean >= np.mean([world.value(corpus, "model", name) for corpus in corpora])


def test_a_fine_tuned_model_is_ranked_by_its_one_prompt(world: World) -> None:
    world.add("urdu", "tuned", {"direct": 0.9}, training="sft")
    world.add("urdu", "plain", {**ENSEMBLE, "likelihood:direct": 0.9})

    rows = by_model(world.ranking())

    assert (rows["tuned"].rank, rows["tuned"].system, rows["tuned"].training) == (1, "direct", "sft")
    assert (rows["plain"].rank, rows["plain"].system) == (2, "ensemble")
    assert rows["tuned"].best_prompt_mean is None


def test_two_prompts_give_no_rank_because_choosing_between_them_would_flatter(world: World) -> None:
    world.add("urdu", "two", {"direct": 0.9, "caption": 0.5})

    (row,) = world.ranking().systems

    assert (row.rank, row.system, row.mean) == (None, None, None)


def test_systems_of_like_skill_share_their_rank_intervals(world: World) -> None:
    for corpus in ("urdu", "ravdess"):
        for model in "abcd":
            world.add(corpus, model, ENSEMBLE)

    ranking = world.ranking()

    assert sorted(row.rank for row in ranking.systems) == [1, 2, 3, 4]
    for row in ranking.systems:
        assert row.rank_low <= row.rank <= row.rank_high
    assert any(row.rank_high - row.rank_low >= 2 for row in ranking.systems)


def test_the_order_of_runs_and_boards_changes_nothing(world: World) -> None:
    for corpus in ("urdu", "ravdess"):
        for model in "abc":
            world.add(corpus, model, ENSEMBLE)

    there = rankings(world.boards, world.runs, resamples=50)
    back = rankings(world.boards[::-1], world.runs[::-1], resamples=50)

    assert there == back


def test_synthetic_corpora_are_ranked_apart_from_real_ones(world: World) -> None:
    world.add("urdu", "a", ENSEMBLE)
    world.add("demo", "a", ENSEMBLE)

    real, synthetic = rankings(world.boards, world.runs, resamples=10)

    assert [(made.synthetic, [split.corpus_id for split in made.splits]) for made in (real, synthetic)] == [
        (False, ["urdu"]),
        (True, ["demo"]),
    ]


def test_ones_own_corpora_do_not_take_the_benchmark_s_ranks_away(world: World) -> None:
    own = lookup.corpus_card("urdu").model_copy(update={"corpus_id": "mine", "paper": None})
    world.add(own, "a", ENSEMBLE)
    assert [split.corpus_id for split in world.ranking().splits] == ["mine"]

    for model in ("a", "b"):
        world.add("ravdess", model, ENSEMBLE)

    assert [split.corpus_id for split in world.ranking().splits] == ["ravdess"]
    assert all(row.rank for row in world.ranking().systems)


def test_of_two_ways_to_split_a_corpus_the_one_with_more_systems_counts(world: World) -> None:
    world.add("urdu", "a", ENSEMBLE, split_id="speaker-disjoint")
    for model in ("a", "b"):
        world.add("urdu", model, ENSEMBLE)

    (split,) = world.ranking().splits

    assert split.split_id == "protocol"


def test_transfers_partial_runs_and_other_tasks_are_not_ranked(world: World) -> None:
    world.add("urdu", "moved", {"direct": 0.9}, training="transfer from emodb")
    world.add("urdu", "part", ENSEMBLE, partial=True)
    world.add("ravdess", "few labels", ENSEMBLE, label_names=lookup.corpus_card("ravdess").labels.names[:3])
    world.add("emodb", "silent", ENSEMBLE)
    silent = [replace(board, audio_condition="silence") for board in world.boards if board.corpus_id == "emodb"]

    assert rankings([*world.boards[:2], *silent], world.runs, resamples=10) == []


def test_of_two_runs_of_one_system_the_standard_one_counts(world: World) -> None:
    world.add("urdu", "a", {**ENSEMBLE, "ensemble": 0.99}, deviations=("max_new_tokens = 8",))
    world.add("urdu", "a", ENSEMBLE)

    (row,) = world.ranking().systems

    assert (row.rank, row.deviations) == (1, ())
    assert row.mean is not None
    assert row.mean < 0.8


def test_a_deviating_run_is_ranked_and_says_so(world: World) -> None:
    world.add("urdu", "a", ENSEMBLE, deviations=("max_new_tokens = 8",))

    (row,) = world.ranking().systems

    assert (row.rank, row.deviations) == (1, ("max_new_tokens = 8",))


def test_a_run_scored_before_counts_were_kept_says_to_score_again(world: World) -> None:
    world.add("urdu", "a", ENSEMBLE)
    RunPaths(world.runs[0].path).unit_counts.unlink()

    with pytest.raises(RunError, match="voxemo score"):
        world.ranking()


def test_a_real_run_is_ranked_by_the_number_on_its_board(toy: FinishedRun) -> None:
    made = boards([toy])
    (ranking,) = rankings(made, [toy], resamples=50)
    (row,) = ranking.systems
    cell = next(entry for entry in made[0].entries if entry.system == "ensemble").cells["macro_f1"]

    assert ranking.synthetic
    assert row.mean == cell.value
    assert row.ci_low < cell.value < row.ci_high
