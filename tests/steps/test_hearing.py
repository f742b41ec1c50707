"""Whether a model hears: what finds a deaf one, and what a run under another condition is."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tiny_checkpoints import BUILDERS, tiny_card
from toy import make, planned
from voxemo.backends.base import Backend, Question
from voxemo.backends.local.hearing import Hearing
from voxemo.cli.doctor import check_lines
from voxemo.core.errors import RunError
from voxemo.core.types import AUDIO_CONDITIONS, AudioCondition, Response
from voxemo.reports.disclosure import disclosure_markdown, run_disclosure
from voxemo.reports.hearing import gain_rows, heard_gains, write_hearing
from voxemo.reports.scoreboard import boards, read_runs
from voxemo.steps.hearing import DEAFENING, check_hearing, measure_hearing
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, deafened_plan, plan_run
from voxemo.steps.score import score_run
from voxemo.store.files import read_json
from voxemo.store.journal import read_journal
from voxemo.store.layout import RunPaths, Workspace
from voxemo.store.manifest import read_manifest

FAST = 50


class Ears:
    """Answers by what it hears, or by its name for a clip; counts 25 tokens a second, or none."""

    questions_per_call = 7

    def __init__(self, answer: Callable[[Question], str], *, tokens_per_s: float | None = 25.0) -> None:
        self._answer, self._tokens_per_s = answer, tokens_per_s

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        return [
            Response(
                request_id=one.request_id,
                text=self._answer(one),
                n_prompt_tokens=None
                if self._tokens_per_s is None
                else 80 + round(self._tokens_per_s * len(one.load_audio()) / 16_000),
            )
            for one in questions
        ]

    def effective(self) -> dict[str, Any]:
        return {"backend": "ears"}


def by_ear(question: Question) -> str:
    heard = hashlib.sha256(question.load_audio().tobytes()).digest()[0]
    return f"FINAL LABEL: {question.label_set.display[heard % len(question.label_set)]} ({heard})"


def by_name(question: Question) -> str:
    """Right about every clip, whatever is heard."""
    return f"FINAL LABEL: {question.utterance_id.split('_')[1].capitalize()}"


def making(answer: Callable[[Question], str], **given: Any) -> Callable[..., Backend]:
    return lambda card, generation, **options: Ears(answer, **given)


# --- runs under a condition --------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", DEAFENING)
def test_a_run_under_a_condition_is_another_run_and_says_so(workspace: Workspace, condition: AudioCondition) -> None:
    run = planned(workspace, forms=("hard",), audio_condition=condition)
    manifest = read_manifest(run)

    assert manifest.audio_condition == condition
    assert manifest.run_id != read_manifest(planned(workspace, forms=("hard",))).run_id
    assert any(text.startswith("audio: ") for text in manifest.deviations)


@pytest.mark.parametrize("condition", DEAFENING)
def test_planning_a_run_again_is_planning_it_under_the_condition(
    workspace: Workspace, condition: AudioCondition
) -> None:
    run = planned(workspace, forms=("hard",))

    assert deafened_plan(run, condition) == planned(workspace, forms=("hard",), audio_condition=condition)


def test_what_hears_something_else_cannot_be_deafened_again(workspace: Workspace) -> None:
    with pytest.raises(RunError, match="hears silence; give a run that hears the clips"):
        deafened_plan(planned(workspace, forms=("hard",), audio_condition="silence"), "noise")
    with pytest.raises(RunError, match="asks no hard prompts"):
        deafened_plan(planned(workspace, forms=("distribution",)), "noise")


def test_the_model_gets_what_the_condition_says(workspace: Workspace) -> None:
    got: dict[str, dict[str, np.ndarray]] = {}
    for condition in AUDIO_CONDITIONS:
        found = got.setdefault(condition, {})

        def keep(question: Question, found: dict[str, np.ndarray] = found) -> str:
            found[question.utterance_id] = question.load_audio()
            return "FINAL LABEL: Sad"

        run = planned(workspace, forms=("hard",), variants=("direct",), audio_condition=condition)
        infer_run(workspace, run, make_backend=making(keep))

    clean = got["clean"]
    for name, samples in clean.items():
        assert not got["silence"][name].any()
        assert len(got["silence"][name]) == len(got["noise"][name]) == len(samples)
        assert abs(np.corrcoef(got["noise"][name], samples)[0, 1]) < 0.1
    sounds = {samples.tobytes() for samples in clean.values()}
    assert {samples.tobytes() for samples in got["shuffled"].values()} == sounds
    assert np.mean([np.array_equal(got["shuffled"][name], clean[name]) for name in clean]) < 0.05


def test_shards_hear_the_same_partners_as_the_whole(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",), audio_condition="shuffled")
    infer_run(workspace, run, make_backend=making(by_ear))
    whole = {name: one.text for name, one in read_journal(RunPaths(run).responses).responses.items()}
    for path in RunPaths(run).responses.iterdir():
        path.unlink()

    for shard in (1, 2, 3):
        infer_run(workspace, run, make_backend=making(by_ear), shard=(shard, 3))

    assert {name: one.text for name, one in read_journal(RunPaths(run).responses).responses.items()} == whole


def test_a_scoreboard_never_ranks_silence_beside_clips(workspace: Workspace) -> None:
    runs = []
    for condition in ("clean", "silence"):
        run = planned(workspace, forms=("hard",), variants=("direct",), audio_condition=condition)
        infer_run(workspace, run, make_backend=making(by_name))
        parse_run(run)
        score_run(workspace, run, resamples=FAST)
        runs.append(run)

    made = boards(read_runs(runs))

    hard = [board for board in made if board.vote_rule is None]
    assert [board.audio_condition for board in hard] == ["clean", "silence"]
    assert [board.title.endswith("HEARD: silence") for board in hard] == [False, True]


# --- the check before a run --------------------------------------------------------------------------------------


def test_a_hearing_model_passes_and_what_was_found_is_kept(workspace: Workspace) -> None:
    run = planned(workspace)

    check = check_hearing(workspace, run, n_clips=10, make_backend=making(by_ear))

    assert check.hears
    assert (check.n_clips, check.variant_id, check.form) == (10, "transcript_caption_reasoning", "hard")
    assert min(check.changed.values()) >= 8
    kept = read_json(RunPaths(run).hearing_check)
    assert kept["changed"] == dict(check.changed)
    assert kept["problems"] == []
    assert not RunPaths(run).responses.exists()


def test_a_model_that_answers_without_listening_is_found(workspace: Workspace) -> None:
    check = check_hearing(workspace, planned(workspace), n_clips=10, make_backend=making(by_name))

    assert not check.hears
    assert check.changed == {"silence": 0, "noise": 0, "shuffled": 0}
    assert [problem.split(" answers")[0] for problem in check.problems] == ["10 of 10", "10 of 10"]


def test_a_model_that_gets_too_little_audio_is_found(workspace: Workspace, tmp_path: Path) -> None:
    card = tiny_card(tmp_path, "qwen2-audio", repository=None)
    path = tmp_path / "card.json"
    limits = card.audio.model_copy(update={"tokens_per_s": 25.0})
    path.write_text(card.model_copy(update={"audio": limits}).model_dump_json(), encoding="utf-8")
    run = plan_run(workspace, tmp_path / "runs", corpus="toy", model=str(path), options=PlanOptions())

    right = check_hearing(workspace, run, make_backend=making(by_ear))
    wrong = check_hearing(workspace, run, make_backend=making(by_ear, tokens_per_s=12.5))

    assert right.hears
    assert right.not_checked == ()
    assert right.second_half is not None
    assert right.second_half.tokens == pytest.approx(25 * right.second_half.seconds, abs=1)
    assert [problem for problem in wrong.problems if "declares 25" in problem]


@pytest.mark.parametrize(
    ("tokens_per_s", "why"),
    [
        (25.0, "the model's card declares no audio.tokens_per_s"),
        (None, "the backend counts no prompt tokens, and the model's card declares no audio.tokens_per_s"),
    ],
    ids=["no pace on the card", "no count either"],
)
def test_what_could_not_be_compared_is_said_wherever_the_result_is(
    workspace: Workspace, tokens_per_s: float | None, why: str
) -> None:
    run = planned(workspace)
    told = f"the number of audio tokens against the clip's length: {why}"

    check = check_hearing(workspace, run, n_clips=4, make_backend=making(by_ear, tokens_per_s=tokens_per_s))

    assert check.hears
    assert check.not_checked == (told,)
    assert read_json(RunPaths(run).hearing_check)["not_checked"] == [told]
    assert f"  NOT CHECKED: {told}" in check_lines(check)
    assert f"not checked: {told}" in disclosure_markdown(run_disclosure(run)).replace("\\", "")


@pytest.mark.parametrize("family", sorted(BUILDERS))
def test_a_deafened_adapter_of_a_real_class_is_found(
    workspace: Workspace, tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "card.json"
    path.write_text(tiny_card(BUILDERS[family](tmp_path / "model"), family).model_dump_json(), encoding="utf-8")
    options = PlanOptions(generation=planned_generation())
    run = plan_run(workspace, tmp_path / "runs", corpus="toy", model=str(path), options=options)

    assert check_hearing(workspace, run, n_clips=4, backend_options={"device": "cpu"}).hears

    embed = Hearing.embed_features
    monkeypatch.setattr(
        Hearing, "embed_features", lambda self, clips: [torch.zeros_like(one) for one in embed(self, clips)]
    )
    deaf = check_hearing(workspace, run, n_clips=4, backend_options={"device": "cpu"})
    assert not deaf.hears
    assert deaf.changed["silence"] == deaf.changed["noise"] == 0


def planned_generation() -> Any:
    from voxemo.core.types import Generation

    return Generation(max_new_tokens=12)


# --- what hearing is worth ---------------------------------------------------------------------------------------


def test_hearing_is_worth_what_is_lost_without_it(workspace: Workspace) -> None:
    def sure_when_hearing(question: Question) -> str:
        return by_name(question) if question.load_audio().any() else "FINAL LABEL: Sad"

    run = planned(workspace, forms=("hard",), variants=("direct", "caption"))
    infer_run(workspace, run, make_backend=making(sure_when_hearing))
    parse_run(run)

    gains = measure_hearing(workspace, run, make_backend=making(sure_when_hearing), resamples=FAST)

    by_condition = {(one.condition, one.system_id): one.difference for one in gains}
    assert set(by_condition) == {(name, prompt) for name in DEAFENING for prompt in ("direct", "caption")}
    silent = by_condition["silence", "direct"]
    assert (silent.value_a, silent.value_b) == (1.0, 0.25)
    assert silent.ci_low is not None
    assert silent.ci_low > 0.5
    assert by_condition["shuffled", "caption"].value == 0.0
    rows = [(one.partition, one.system_id, one.condition, one.difference) for one in gains]
    text = write_hearing(run, rows).read_text(encoding="utf-8")
    assert "| test | direct | silence | 100.0 | 25.0 | 75.0 |" in text
    assert len(gain_rows(rows)) == 6


def test_run_folders_alone_give_the_gains_that_the_workspace_gives(workspace: Workspace) -> None:
    def guess(question: Question) -> str:
        return by_ear(question).partition(" (")[0]

    run = planned(workspace, forms=("hard",))
    infer_run(workspace, run, make_backend=making(guess))
    parse_run(run)
    score_run(workspace, run, resamples=FAST)
    measured = measure_hearing(workspace, run, conditions=("silence", "noise"), make_backend=making(guess))
    finished = read_runs([run, *dict.fromkeys(one.run for one in measured)])

    found = {(one.condition, one.system_id): one for one in heard_gains(boards(finished), finished)}

    assert set(found) == {(one.condition, one.system_id) for one in measured}
    for one in measured:
        gain, difference = found[one.condition, one.system_id], one.difference
        assert (gain.value, gain.instead) == (pytest.approx(difference.value_a), pytest.approx(difference.value_b))
        assert gain.gain == pytest.approx(difference.value)
        # Resamples of their own; what they are of is the same.
        assert gain.ci_low == pytest.approx(difference.ci_low, abs=0.03)
        assert gain.ci_high == pytest.approx(difference.ci_high, abs=0.03)
        assert gain.ci_low is not None
        assert gain.ci_high is not None
        assert gain.ci_low < gain.ci_high


def test_a_run_without_counts_by_speaker_has_no_gain_to_show(workspace: Workspace) -> None:
    run = planned(workspace, forms=("hard",), variants=("direct",))
    deaf = deafened_plan(run, "silence")
    for one in (run, deaf):
        infer_run(workspace, one, make_backend=making(by_ear))
        parse_run(one)
        score_run(workspace, one, resamples=FAST)
    RunPaths(deaf).unit_counts.unlink()
    finished = read_runs([run, deaf])

    assert heard_gains(boards(finished), finished) == []


def test_the_disclosure_says_what_the_check_found(workspace: Workspace) -> None:
    from voxemo.reports.disclosure import write_disclosure

    run = planned(workspace, forms=("hard",), variants=("direct",))
    check_hearing(workspace, run, n_clips=4, make_backend=making(by_name))
    infer_run(workspace, run, make_backend=make())
    parse_run(run)
    score_run(workspace, run, resamples=FAST)

    text = write_disclosure(read_runs([run])[0]).read_text(encoding="utf-8")

    assert "## Checks" in text
    assert "does it hear: NO" in text
    assert json.dumps({"silence": 0, "noise": 0, "shuffled": 0}) in text
