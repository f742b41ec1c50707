"""The line from plan to scores, on the toy corpus with scripted answers."""

import contextlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from voxemo_example import toy

from toy import answered, make, planned, rewrite, toy_answer, without_votes
from voxemo.backends.base import Question
from voxemo.backends.scripted import ScriptedBackend
from voxemo.catalog import lookup
from voxemo.cli.prepare import report_lines
from voxemo.core.errors import AnswerFileError, AudioError, NotPrepared, RunError, SplitError, UnknownName
from voxemo.core.types import Generation, Response
from voxemo.corpora import parsers
from voxemo.splits.policies import split_sha256
from voxemo.steps.infer import InferResult, infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, plan_run
from voxemo.steps.prepare import prepare_corpus
from voxemo.steps.score import score_run
from voxemo.steps.split import split_corpus
from voxemo.steps.train import train_model
from voxemo.store.files import read_json
from voxemo.store.journal import read_journal
from voxemo.store.layout import MODEL_CARD, RunPaths, Workspace
from voxemo.store.manifest import read_manifest
from voxemo.store.tables import PREDICTIONS, SCORES, UTTERANCES, read_table, split_document, utterance_rows, write_table
from voxemo.store.workspace import prepared_sha256, read_split, write_split

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

    assert manifest.partial == "at most 2 utterances of each test partition; 2 of 4 folds (1, 3)"
    assert any("max_new_tokens = 8" in deviation for deviation in manifest.deviations)


def test_a_run_on_converted_audio_says_so(
    toy_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = lookup.corpus_card("toy")
    card = card.model_copy(update={"expected": card.expected.model_copy(update={"sample_rates_hz": (44_100,)})})
    for module in (lookup, parsers):
        monkeypatch.setattr(module, "corpus_plugin", lambda name: (card, toy.parse))
    workspace = Workspace(tmp_path / "workspace")

    result = prepare_corpus(workspace, "toy", toy_workspace.root.parent / "corpus")
    split_corpus(workspace, "toy")

    told = "240 of 240 utterances at 16000 Hz, where the card lists 44100 Hz: a converted copy"
    assert f"  audio: {told}" in report_lines(card, result.report)
    assert read_json(workspace.prepare_report("toy"))["converted_audio"] == [told]
    assert read_manifest(planned(workspace)).deviations == (f"audio: {told}",)


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


def test_a_corpus_card_given_by_path_is_the_one_that_the_run_is_about(workspace: Workspace, tmp_path: Path) -> None:
    card = tmp_path / "toy.toml"
    text = (Path(toy.__file__).with_name("toy.toml")).read_text(encoding="utf-8")
    card.write_text(text.replace('version = "1"', 'version = "2"'), encoding="utf-8")
    root = Path(json.loads(workspace.corpus_root("toy").read_text(encoding="utf-8"))["folder"])
    prepare_corpus(workspace, str(card), root)
    split_corpus(workspace, str(card))

    run = plan_run(
        workspace,
        tmp_path / "runs",
        corpus=str(card),
        model="scripted",
        options=PlanOptions(forms=("hard",), variants=("direct",)),
    )
    infer_run(workspace, run, make_backend=make())
    parse_run(run)

    assert read_manifest(run).corpus_card.version == "2"
    assert score_run(workspace, run, resamples=FAST).n_scored == 240


def test_a_fold_named_twice_is_one_fold(workspace: Workspace) -> None:
    assert read_manifest(planned(workspace, folds=("2", "2"))).partial == "1 of 4 folds (2)"


def test_two_prompts_of_one_name_are_refused(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="Two prompts of one run are called 'direct'"):
        planned(workspace, variants=("direct", "direct"))


def own_prompt(folder: Path, variant_id: str) -> str:
    template = (lookup.CATALOG / "prompts" / "_voxemo.toml").read_text(encoding="utf-8")
    (folder / "own.template.toml").write_text(
        template.replace("Decide the emotion", "Guess the emotion"), encoding="utf-8"
    )
    path = folder / f"{variant_id}.toml"
    path.write_text(
        f'variant_id = "{variant_id}"\nversion = "1"\nname = "Own"\ntemplate = "./own.template.toml"\n'
        'blocks = ["direct"]\nsource = "this test"\n',
        encoding="utf-8",
    )
    return str(path)


def test_a_text_of_ones_own_under_a_built_in_name_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="calls itself 'direct', as the benchmark's does"):
        planned(workspace, variants=(own_prompt(tmp_path, "direct"),))


def test_a_prompt_of_ones_own_is_a_deviation(workspace: Workspace, tmp_path: Path) -> None:
    manifest = read_manifest(planned(workspace, forms=("hard",), variants=("caption", own_prompt(tmp_path, "mine"))))

    assert "prompts asked: caption (hard), mine (hard)" in manifest.deviations


def test_a_limit_that_limits_nothing_leaves_the_run_whole(workspace: Workspace) -> None:
    assert read_manifest(planned(workspace, limit=1000)).partial is None


def test_a_prompt_may_not_take_the_name_of_the_vote(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'ensemble'"):
        planned(workspace, variants=(own_prompt(tmp_path, "ensemble"),))


def test_a_split_table_that_was_changed_is_refused(workspace: Workspace) -> None:
    path = workspace.split("toy", "protocol")
    swapped = {"train": "test", "test": "train", "valid": "valid"}
    pl.read_parquet(path).with_columns(pl.col("partition").replace(swapped)).write_parquet(path)

    with pytest.raises(SplitError, match="its table has another hash"):
        planned(workspace)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["prompts"][0].update(text="Say Sad."),
        lambda m: m["generation"].update(max_new_tokens=1),
        lambda m: m["label_names"].reverse(),
        lambda m: m["model_cards"]["all"].update(license="mine"),
        lambda m: m["corpus_card"].update(year=2000),
    ],
    ids=["prompt text", "decoding", "label order", "model card", "corpus card"],
)
def test_a_manifest_that_was_changed_is_refused(workspace: Workspace, change: Callable[[Any], None]) -> None:
    path = RunPaths(planned(workspace)).manifest
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")

    with pytest.raises(RunError, match="was changed after it was made"):
        infer_run(workspace, path.parent, make_backend=make())


@pytest.mark.parametrize("column", ["utterance_id", "variant_id", "form", "audio_sha256", "partition"])
def test_every_column_of_the_plan_is_guarded(workspace: Workspace, column: str) -> None:
    run = planned(workspace)
    table = pl.read_parquet(RunPaths(run).plan)
    table.with_columns(pl.col(column).sort(descending=True)).write_parquet(RunPaths(run).plan)
    if pl.read_parquet(RunPaths(run).plan).equals(table):
        table.with_columns(pl.lit("x").alias(column)).write_parquet(RunPaths(run).plan)

    with pytest.raises(RunError, match="was changed after it was made"):
        infer_run(workspace, run, make_backend=make())


def test_a_lost_plan_is_written_again(workspace: Workspace) -> None:
    run = planned(workspace)
    RunPaths(run).plan.unlink()

    assert planned(workspace) == run
    assert RunPaths(run).plan.is_file()


def trained(workspace: Workspace, split_id: str = "protocol") -> Path:
    result = train_model(workspace, "toy", split_id=split_id, folds=("1",))
    return result.folders["1"] / MODEL_CARD


def plan_baseline(workspace: Workspace, model: str | Path, **given: Any) -> Path:
    split_id = given.pop("split_id", "protocol")
    return plan_run(
        workspace,
        workspace.root / "runs",
        corpus="toy",
        model=str(model),
        split_id=split_id,
        options=PlanOptions(**given),
    )


def test_a_model_trained_on_an_older_split_of_the_same_name_is_not_taken(workspace: Workspace) -> None:
    trained(workspace)
    plan_baseline(workspace, "acoustic-baseline", folds=("1",))
    facts = json.loads(workspace.split_facts("toy", "protocol").read_text(encoding="utf-8"))
    split_corpus(workspace, "toy", seed=5)
    other = replace(read_split(workspace, "toy", "protocol-seed5")[0], split_id="protocol")
    write_split(workspace, other, facts | split_document(other) | {"sha256": split_sha256(other)})

    with pytest.raises(RunError, match="has not been trained on fold 1"):
        plan_baseline(workspace, "acoustic-baseline", folds=("1",))


def test_a_trained_card_by_path_is_not_tested_on_clips_that_it_was_trained_on(workspace: Workspace) -> None:
    card = trained(workspace)
    split_corpus(workspace, "toy", seed=5)

    assert read_manifest(plan_baseline(workspace, card)).split.folds == ("1",)
    with pytest.raises(RunError, match="was trained on another split"):
        plan_baseline(workspace, card, split_id="protocol-seed5")
    with pytest.raises(RunError, match="was trained for fold 1"):
        plan_baseline(workspace, card, folds=("2",))


def test_a_workspace_can_be_moved_with_its_trained_models(workspace: Workspace, tmp_path: Path) -> None:
    trained(workspace)
    run = plan_baseline(workspace, "acoustic-baseline", folds=("1",), limit=2)
    moved = Workspace(workspace.root.rename(tmp_path / "moved"))

    assert infer_run(moved, moved.root / "runs" / run.name).n_pending == 0


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
    def questions_per_call(self) -> int:
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
    known = workspace.corpus_root("toy").read_text(encoding="utf-8")
    empty = workspace.root.parent / "empty"
    empty.mkdir()
    workspace.corpus_root("toy").write_text(json.dumps({"folder": str(empty)}), encoding="utf-8")

    def hear(question: Question) -> str:
        question.load_audio()
        return "FINAL LABEL: Happy"

    class Hearing(ScriptedBackend):
        def answer(self, questions: Any) -> list[Response]:
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

    workspace.corpus_root("toy").write_text(known, encoding="utf-8")
    assert infer_run(workspace, run, make_backend=lambda *_, **__: Hearing(hear)).n_answered == 240


def test_twin_clips_are_both_asked_again_when_the_disk_was_away(workspace: Workspace) -> None:
    table = pl.read_parquet(workspace.utterances("toy"))
    twin = table["audio_sha256"][0]
    write_table(workspace.utterances("toy"), table.with_columns(audio_sha256=pl.lit(twin)), UTTERANCES)
    report = json.loads(workspace.prepare_report("toy").read_text(encoding="utf-8"))
    utterances = utterance_rows(pl.read_parquet(workspace.utterances("toy")))
    report["utterances_sha256"] = prepared_sha256(utterances, pl.read_parquet(workspace.votes("toy")))
    workspace.prepare_report("toy").write_text(json.dumps(report), encoding="utf-8")
    run = planned(workspace, forms=("hard",), variants=("direct",))

    class LoadsOnce(ScriptedBackend):
        def answer(self, questions: Any) -> list[Response]:
            with contextlib.suppress(AudioError):
                questions[0].load_audio()
            return [
                Response(request_id=q.request_id, finish="error", error="no samples", error_kind="permanent")
                for q in questions
            ]

    workspace.corpus_root("toy").write_text(json.dumps({"folder": str(workspace.root)}), encoding="utf-8")
    result = infer_run(workspace, run, make_backend=lambda *_, **__: LoadsOnce(toy_answer))

    assert len(result.transient) == result.n_pending == 240


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
    run = answered(workspace)
    scores = score_run(workspace, run, resamples=FAST).scores

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
    assert set(soft["system_id"]) == set(hard["system_id"]) | {"mean_distribution", "reference:human"}
    assert set(scores["failure_policy"]) == {"wrong", "excluded", "uniform"}
    assert set(scores["reading"]) == {"strict", "lenient"}
    assert set(scores["fold_id"]) == {"1", "2", "3", "4", "mean", "pooled"}
    assert read_table(RunPaths(run).scores, SCORES).equals(scores)


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


def test_a_corpus_without_votes_gets_failure_counts_for_distributions_and_nothing_more(workspace: Workspace) -> None:
    without_votes(workspace)
    run = answered(workspace, variants=("direct",))

    scores = score_run(workspace, run, resamples=FAST).scores
    stated = scores.filter(pl.col("form") == "distribution", pl.col("reading") == "strict")
    rates = dict(stated.filter(pl.col("metric") == "failure_rate").select("fold_id", "value").iter_rows())

    assert set(stated["metric"]) == {"coverage", "failure_rate"}
    assert rates["mean"] == pytest.approx(sum(rates[fold] for fold in "1234") / 4)
    assert 0.05 < rates["pooled"] < 0.2


def test_other_votes_than_those_planned_with_are_refused(workspace: Workspace) -> None:
    run = answered(workspace)
    rewrite(workspace, votes=lambda table: table.with_columns(label=pl.lit("sad")))

    with pytest.raises(RunError, match="planned for another manifest"):
        score_run(workspace, run, resamples=FAST)

    assert planned(workspace) != run


def test_a_fold_without_votes_to_learn_a_prior_from_has_no_prior_row(workspace: Workspace) -> None:
    (tested,) = (f for f in read_split(workspace, "toy", "protocol")[0].folds if f.fold_id == "1")
    only_test = pl.col("utterance_id").is_in(list(tested.partitions["test"]))
    rewrite(workspace, votes=lambda table: table.filter(only_test))
    run = answered(workspace, folds=("1",))

    scores = score_run(workspace, run, resamples=FAST).scores.filter(pl.col("vote_rule") == "all")

    assert "reference:uniform" in set(scores["system_id"])
    assert not {"reference:train_prior", "reference:majority"} & set(scores["system_id"])
    assert not any(metric.endswith("_skill") for metric in scores["metric"])


def test_answers_that_came_after_parse_must_be_parsed_before_scoring(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    infer_run(workspace, run, limit=600, make_backend=make())
    parse_run(run)
    infer_run(workspace, run, make_backend=make())

    with pytest.raises(RunError, match="came in after they were last read"):
        score_run(workspace, run, resamples=FAST, allow_incomplete=True)


def test_scoring_a_part_where_no_clip_has_all_five_answers_leaves_the_vote_out(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",))
    infer_run(workspace, run, limit=3, make_backend=make())
    parse_run(run)

    scores = score_run(workspace, run, resamples=FAST, allow_incomplete=True).scores

    assert "ensemble" not in set(scores["system_id"])


def test_shards_score_as_one_worker_does(workspace: Workspace, tmp_path: Path) -> None:
    whole = answered(workspace)
    scores = score_run(workspace, whole, resamples=FAST).scores
    shutil.rmtree(RunPaths(whole).responses)
    for shard in range(1, 6):
        infer_run(workspace, whole, shard=(shard, 5), make_backend=make())
    parse_run(whole)

    assert score_run(workspace, whole, resamples=FAST).scores.equals(scores)


def test_gold_of_another_manifest_is_refused(workspace: Workspace) -> None:
    run = answered(workspace, forms=("hard",), variants=("direct",))
    table = pl.read_parquet(workspace.utterances("toy"))
    table.with_columns(expressed=pl.lit("sad")).write_parquet(workspace.utterances("toy"))

    with pytest.raises(RunError, match="its hash is not the one in"):
        score_run(workspace, run, resamples=FAST)


# --- likelihoods -------------------------------------------------------------------------------------------------


class Weighing:
    """Writes the toy's answers, and weighs the truth highest; silence leans to the first label."""

    questions_per_call = 16

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        return [self._weigh(one) if one.form == "likelihood" else self._write(one) for one in questions]

    def _write(self, question: Question) -> Response:
        return Response(request_id=question.request_id, text=toy_answer(question))

    def _weigh(self, question: Question) -> Response:
        truth = question.utterance_id.split("_")[1]
        assert question.label_answers == tuple(f"FINAL LABEL: {name}" for name in question.label_set.display)
        return Response(
            request_id=question.request_id,
            label_logprobs=tuple(
                (-1.0 if name == truth else -3.0) + 2.5 * (place == 0)
                for place, name in enumerate(question.label_set.names)
            ),
            silent_logprobs=(-0.5, -3.0, -3.0, -3.0),
        )

    def effective(self) -> dict[str, Any]:
        return {"backend": "weighing"}


def test_likelihoods_are_a_third_reading_beside_stated_and_voted(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard", "distribution", "likelihood"))
    infer_run(workspace, run, make_backend=lambda card, generation, **options: Weighing())
    result = parse_run(run)
    scores = score_run(workspace, run, resamples=FAST).scores

    assert result.counts["planned"] == result.counts["answered"] == 240 * 5 * 3
    assert sum(result.counts[f"strict.{status}"] for status in ("ok", "repaired", "failed")) == 240 * 5 * 3
    where = {"metric": "unweighted_accuracy", "partition": "test", "fold_id": "pooled", "reading": "strict"}
    raw = value(scores, **where, system_id="likelihood:caption", failure_policy="wrong")
    corrected = value(scores, **where, system_id="likelihood-corrected:caption", failure_policy="wrong")
    # The lean to the first label hides every other one, and silence tells of it.
    assert (raw, corrected) == (0.25, 1.0)
    soft = scores.filter(
        pl.col("metric") == "jsd", pl.col("fold_id") == "pooled", pl.col("failure_policy") == "uniform"
    )
    assert {"likelihood:direct", "likelihood-corrected:direct", "direct", "ensemble"} <= set(soft["system_id"])
    assert set(soft.filter(pl.col("system_id") == "likelihood:direct")["form"]) == {"likelihood"}
    before = score_run(workspace, answered(workspace), resamples=FAST).scores
    same = [
        "system_id",
        "form",
        "metric",
        "partition",
        "fold_id",
        "reading",
        "failure_policy",
        "vote_rule",
        "class_label",
    ]
    old = before.select(*same, "value").join(scores.select(*same, other="value"), on=same, nulls_equal=True)
    assert old.height == before.height
    assert old.filter(~pl.col("value").eq_missing(pl.col("other"))).is_empty()
