"""The line from plan to scores, on the toy corpus with scripted answers."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from toy import answered, make, planned, toy_answer
from voxemo.backends.base import Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.catalog import lookup
from voxemo.core.errors import AnswerFileError, NotPrepared, RunError, SplitError, UnknownName
from voxemo.core.types import Generation, Response
from voxemo.steps.compare import compare_runs
from voxemo.steps.infer import InferResult, infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import plan_run
from voxemo.steps.score import score_run
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PREDICTIONS, SCORES, read_table

FAST = 50
"""Bootstrap resamples where intervals are not what is tested."""


def value(scores: pl.DataFrame, **where: Any) -> float:
    rows = scores.filter(*(pl.col(name) == wanted for name, wanted in where.items()), pl.col("class_label").is_null())
    assert rows.height == 1, rows
    return rows["value"][0]


# --- plan --------------------------------------------------------------------------------------------------------


def test_a_plan_holds_every_test_utterance_under_every_prompt_and_form(workspace: Workspace) -> None:
    run = planned(workspace)

    plan = pl.read_parquet(RunPaths(run).plan)

    assert plan.height == 240 * 5 * 2
    assert plan["request_id"].n_unique() == plan.height
    assert set(plan["fold_id"]) == {"1", "2", "3", "4"}


def test_the_same_plan_again_is_the_same_folder_with_its_manifest_untouched(workspace: Workspace) -> None:
    first = planned(workspace)
    before = RunPaths(first).manifest.read_bytes()

    assert planned(workspace) == first
    assert RunPaths(first).manifest.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"forms": ("hard",)},
        {"variants": ("direct",)},
        {"folds": ("2",)},
        {"limit": 3},
        {"generation": Generation(max_new_tokens=8)},
        {"label_source": "perceived"},
        {"split_id": "speaker-disjoint"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_a_score_changes_the_run(workspace: Workspace, change: dict[str, Any]) -> None:
    assert planned(workspace, **change) != planned(workspace)


def test_a_plan_says_what_is_partial_and_what_deviates(workspace: Workspace) -> None:
    manifest = read_manifest(planned(workspace, limit=2, folds=("1", "3"), generation=Generation(max_new_tokens=8)))

    assert manifest.partial == "at most 2 utterances of each test partition; folds 1, 3 of 4"
    assert any("max_new_tokens = 8" in deviation for deviation in manifest.deviations)


def test_a_standard_plan_deviates_in_nothing(workspace: Workspace) -> None:
    manifest = read_manifest(planned(workspace))

    assert manifest.partial is None
    assert manifest.deviations == ()


def test_no_path_of_this_machine_is_in_a_run_folder(workspace: Workspace) -> None:
    run = answered(workspace, limit=2)
    score_run(workspace, run, resamples=FAST)

    for path in run.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".jsonl"}:
            assert str(workspace.root.parent) not in path.read_text(encoding="utf-8"), path


def test_planning_before_preparing_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(NotPrepared, match="voxemo prepare toy --root"):
        planned(Workspace(tmp_path / "empty"))


def test_planning_on_a_missing_split_says_which_there_are(workspace: Workspace) -> None:
    with pytest.raises(SplitError, match="there are: protocol, speaker-disjoint"):
        planned(workspace, split_id="emobox")


@pytest.mark.parametrize(
    ("given", "near"), [({"folds": ("5",)}, "fold"), ({"variants": ("dirct",)}, "Did you mean 'direct'")]
)
def test_an_unknown_name_in_a_plan_is_named(workspace: Workspace, given: dict[str, Any], near: str) -> None:
    with pytest.raises(UnknownName, match=near):
        planned(workspace, **given)


def test_a_model_that_must_be_trained_first_says_how(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="voxemo train toy --model acoustic-baseline"):
        plan_run(workspace, workspace.root / "runs", corpus="toy", model="acoustic-baseline")


# --- infer -------------------------------------------------------------------------------------------------------


def test_every_request_gets_one_answer(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))

    result = infer_run(workspace, run, make_backend=make())

    assert (result.n_planned, result.n_answered, result.n_pending) == (1200, 1200, 0)
    assert infer_run(workspace, run, make_backend=make()).n_answered == 0


def test_shards_together_answer_everything_once(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    by_clip: dict[str, int] = {}

    for shard in range(1, 4):
        result = infer_run(workspace, run, shard=(shard, 3), make_backend=make())
        assert 0 < result.n_answered < 1200
        answers = read_journal(RunPaths(run).responses).responses
        plan = pl.read_parquet(RunPaths(run).plan).filter(pl.col("request_id").is_in(list(answers)))
        by_clip = dict(plan.group_by("utterance_id").len().iter_rows())

    assert set(by_clip.values()) == {5}
    journal = read_journal(RunPaths(run).responses)
    assert len(journal.responses) == 1200
    assert journal.n_duplicates == 0


def test_all_prompts_of_a_clip_are_in_one_shard(workspace: Workspace) -> None:
    run = planned(workspace)
    infer_run(workspace, run, shard=(2, 5), make_backend=make())

    answers = read_journal(RunPaths(run).responses).responses
    plan = pl.read_parquet(RunPaths(run).plan).filter(pl.col("request_id").is_in(list(answers)))

    assert set(plan.group_by("utterance_id").len()["len"]) == {10}


def test_a_limit_stops_early_and_the_rest_is_asked_later(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))

    first = infer_run(workspace, run, limit=7, make_backend=make())
    second = infer_run(workspace, run, make_backend=make())

    assert (first.n_answered, first.n_pending) == (7, 1193)
    assert (second.n_before, second.n_answered) == (7, 1193)


class Dying(ScriptedBackend):
    """Fails in the third batch, as a model that runs out of memory would."""

    def __init__(self) -> None:
        super().__init__(toy_answer)
        self.n_batches = 0

    @property
    def batch_size(self) -> int:
        return 10

    def answer(self, questions: Any) -> list[Response]:
        self.n_batches += 1
        if self.n_batches == 3:
            raise RuntimeError("out of memory")
        return super().answer(questions)


def test_a_model_that_fails_half_way_keeps_what_it_answered(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))

    with pytest.raises(RuntimeError, match="out of memory"):
        infer_run(workspace, run, make_backend=lambda *_, **__: Dying())

    assert infer_run(workspace, run, make_backend=make()).n_before == 20


def test_a_plan_that_was_changed_is_refused(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    plan = pl.read_parquet(RunPaths(run).plan)
    plan.head(100).write_parquet(RunPaths(run).plan)

    for step in (lambda: infer_run(workspace, run, make_backend=make()), lambda: parse_run(run)):
        with pytest.raises(RunError, match="was changed after it was made"):
            step()


def test_audio_that_went_missing_after_prepare_is_asked_again_not_counted_as_failed(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))
    roots = json.loads(workspace.roots.read_text(encoding="utf-8"))
    corpus = workspace.root.parent / "corpus"
    corpus.mkdir()
    workspace.roots.write_text(json.dumps({**roots, "toy": str(corpus)}), encoding="utf-8")

    def hear(question: Question) -> str:
        question.load_audio()
        return "FINAL LABEL: Happy"

    class Hearing(ScriptedBackend):
        def answer(self, questions: Any) -> list[Response]:
            from voxemo.core.errors import AudioError

            made = []
            for question in questions:
                try:
                    made += super().answer([question])
                except AudioError as error:
                    made.append(
                        Response(
                            request_id=question.request_id, finish="error", error=str(error), error_kind="permanent"
                        )
                    )
            return made

    result = infer_run(workspace, run, make_backend=lambda *_, **__: Hearing(hear))
    assert len(result.transient) == result.n_pending == 240
    assert "readable at prepare, not now" in result.transient[0]

    workspace.roots.write_text(json.dumps(roots), encoding="utf-8")
    assert infer_run(workspace, run, make_backend=lambda *_, **__: Hearing(hear)).n_answered == 240


def test_a_backend_that_mixes_up_answers_is_caught(workspace: Workspace) -> None:
    class Mixed(ScriptedBackend):
        def answer(self, questions: Any) -> list[Response]:
            return super().answer(questions)[::-1]

    with pytest.raises(RunError, match="in another order"):
        infer_run(workspace, planned(workspace), make_backend=lambda *_, **__: Mixed(toy_answer))


# --- answers from a file -----------------------------------------------------------------------------------------


def answers_file(path: Path, run: Path, **change: str) -> Path:
    plan = pl.read_parquet(RunPaths(run).plan)
    lines = [
        json.dumps({"utterance_id": u, "variant_id": v, "form": f, "text": "FINAL LABEL: Sad"} | change)
        for u, v, f in plan.select("utterance_id", "variant_id", "form").head(100).iter_rows()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def from_file(workspace: Workspace, run: Path, path: Path) -> InferResult:
    return infer_run(workspace, run, answers=path)


def test_answers_made_elsewhere_are_taken_and_the_rest_stays_open(workspace: Workspace, tmp_path: Path) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))

    result = from_file(workspace, run, answers_file(tmp_path / "answers.jsonl", run))

    assert (result.n_answered, result.n_pending) == (100, 140)


def test_answers_with_unknown_ids_are_refused_and_nothing_is_kept(workspace: Workspace, tmp_path: Path) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))
    path = answers_file(tmp_path / "answers.jsonl", run)
    line = {"utterance_id": "toy/nobody", "variant_id": "direct", "form": "hard", "text": ""}
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(line) + "\n", encoding="utf-8")

    with pytest.raises(AnswerFileError, match="toy/nobody"):
        from_file(workspace, run, path)

    assert read_journal(RunPaths(run).responses).responses == {}


# --- parse and score ---------------------------------------------------------------------------------------------


def test_parsing_again_gives_the_same_bytes(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",))
    before = RunPaths(run).predictions.read_bytes()

    parse_run(run)

    assert RunPaths(run).predictions.read_bytes() == before


def test_a_journal_cut_anywhere_resumes_to_the_same_predictions(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), folds=("1",))
    want = read_table(RunPaths(run).predictions, PREDICTIONS)
    (journal,) = RunPaths(run).responses.glob("*.jsonl")
    content = journal.read_bytes()

    for cut in (0, 1, len(content) // 3, len(content) // 2, len(content) - 1):
        for other in RunPaths(run).responses.glob("*.jsonl"):
            other.unlink()
        journal.write_bytes(content[:cut])
        infer_run(workspace, run, make_backend=make())
        parse_run(run)

        assert read_table(RunPaths(run).predictions, PREDICTIONS).equals(want)


def test_counts_in_the_manifest_account_for_every_answer(workspace: Workspace) -> None:
    run = answered(workspace)

    counts = read_manifest(run).counts

    assert counts["planned"] == counts["answered"] == 2400
    assert counts["strict.ok"] + counts["strict.repaired"] + counts["strict.failed"] == 2400
    assert counts["strict.failed"] > 100


def test_an_unfinished_run_is_not_scored_unless_asked(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    infer_run(workspace, run, limit=600, make_backend=make())
    parse_run(run)

    with pytest.raises(RunError, match="600 of 1200 requests"):
        score_run(workspace, run, resamples=FAST)

    assert score_run(workspace, run, resamples=FAST, allow_incomplete=True).scores.height > 0


def test_scores_hold_every_system_reference_policy_and_reading(workspace: Workspace) -> None:
    scores = score_run(workspace, answered(workspace), resamples=FAST).scores

    hard = scores.filter(pl.col("form") == "hard")
    variants = set(lookup.prompt_names())
    assert set(hard["system_id"]) == {
        *variants,
        "ensemble",
        "reference:uniform",
        "reference:train_prior",
        "reference:majority",
    }
    soft = scores.filter(pl.col("vote_rule") == "all")
    assert set(soft["system_id"]) == set(hard["system_id"]) | {"reference:human"}
    assert set(scores["failure_policy"]) == {"wrong", "excluded", "uniform"}
    assert set(scores["reading"]) == {"strict", "lenient"}
    assert set(scores["fold_id"]) == {"1", "2", "3", "4", "mean", "pooled"}
    assert dict(scores.schema) == dict(read_table(RunPaths(answered(workspace)).scores, SCORES).schema)


def test_references_score_what_arithmetic_says(workspace: Workspace) -> None:
    scores = score_run(workspace, answered(workspace), resamples=FAST).scores
    place = {"fold_id": "pooled", "form": "hard", "metric": "unweighted_accuracy"}

    assert value(scores, system_id="reference:uniform", **place) == pytest.approx(0.25)
    assert value(scores, system_id="reference:majority", **place) == pytest.approx(0.25)
    prior = {"fold_id": "pooled", "system_id": "reference:train_prior", "metric": "jsd_skill"}
    assert value(scores, **prior) == pytest.approx(0.0)


def test_the_three_conventions_are_in_order(workspace: Workspace) -> None:
    scores = score_run(workspace, answered(workspace, forms=("hard",)), resamples=FAST).scores
    place = {"fold_id": "mean", "system_id": "direct", "metric": "unweighted_accuracy", "reading": "strict"}
    wrong, uniform, excluded = (
        value(scores, failure_policy=policy, **place) for policy in ("wrong", "uniform", "excluded")
    )

    assert wrong < uniform < excluded


def test_a_corpus_without_votes_gets_failure_counts_for_distributions_and_nothing_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes = workspace.votes("toy")
    pl.read_parquet(votes).clear().write_parquet(votes)
    run = answered(workspace, variants=("direct",))

    scores = score_run(workspace, run, resamples=FAST).scores
    stated = scores.filter(pl.col("form") == "distribution")

    assert set(stated["metric"]) == {"coverage", "failure_rate"}
    assert stated.filter(pl.col("metric") == "failure_rate", pl.col("reading") == "strict")["value"][0] > 0.05


def test_gold_of_another_manifest_is_refused(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    table = pl.read_parquet(workspace.utterances("toy"))
    table.with_columns(expressed=pl.lit("sad")).write_parquet(workspace.utterances("toy"))

    with pytest.raises(RunError, match="its hash is not the one in"):
        score_run(workspace, run, resamples=FAST)


def test_comparing_a_run_with_itself_finds_nothing(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))

    result = compare_runs(workspace, run, run, resamples=FAST)

    assert result.unlike == ()
    (one,) = result.comparisons
    assert (one.difference.value, one.difference.ci_low, one.difference.ci_high) == (0, 0, 0)


def test_comparing_two_splits_names_what_differs(workspace: Workspace) -> None:
    a = answered(workspace, forms=("hard",), variants=("direct",))
    b = answered(workspace, forms=("hard",), variants=("direct",), split_id="speaker-disjoint")

    result = compare_runs(workspace, a, b, resamples=FAST)

    assert any(line.startswith("split: protocol") for line in result.unlike)
    assert result.comparisons[0].difference.ci_unit == "speaker"
