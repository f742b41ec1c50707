"""Does a model hear? The same questions, with something else in place of the clips.

``check_hearing`` asks a few before a run spends hours; ``measure_hearing`` answers a whole run again under each
condition, so that what hearing is worth has a number and an interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Backend, Question
from voxemo.backends.registry import create_backend
from voxemo.catalog import lookup
from voxemo.core.cards import AudioLimits, RunManifest
from voxemo.core.errors import RunError, listing
from voxemo.core.ids import sha256_text
from voxemo.core.types import AUDIO_CONDITIONS, AudioCondition, Response, Utterance
from voxemo.scoring.evaluate import Difference
from voxemo.steps.compare import compare_runs
from voxemo.steps.infer import infer_run, run_utterances
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import check_plan, deafened_plan
from voxemo.steps.prepare import Progress
from voxemo.steps.questions import QuestionMaker, open_backend
from voxemo.steps.score import score_run
from voxemo.store.files import write_json
from voxemo.store.layout import RunPaths, Workspace

DEAFENING = AUDIO_CONDITIONS[1:]
SAME_LENGTH: tuple[AudioCondition, ...] = ("silence", "noise")
"""Conditions that leave a deaf model nothing to tell them by, not even how long the clip is."""
N_CLIPS = 16
LEAST_CHANGED = 0.25
"""Share of the answers that must differ from those about the clips themselves. A deaf model's never do."""
MOST_TOKENS_OFF = 2
"""Between the audio tokens that a clip adds and those that the card declares: windows and pooling round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCount:
    """Prompt tokens that so many seconds of audio add."""

    seconds: float
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingCheck:
    """What a few questions showed."""

    model_id: str
    variant_id: str
    form: str
    n_clips: int
    """Clips asked about; under every condition once."""
    changed: Mapping[AudioCondition, int]
    """Answers that differ from those about the clips themselves."""
    second_half: TokenCount | None
    """Of the longest of the clips; None where the backend does not count tokens."""
    declared_tokens_per_s: float | None
    problems: tuple[str, ...]
    not_checked: tuple[str, ...]
    """What could not be compared, and why."""

    @property
    def hears(self) -> bool:
        """Nothing speaks against it."""
        return not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingGain:
    """How much of a score comes from hearing: that of the clips minus that of what was heard instead."""

    condition: AudioCondition
    run: Path
    """The run under that condition."""
    partition: str
    system_id: str
    difference: Difference


def check_hearing(
    workspace: Workspace,
    run: Path,
    *,
    n_clips: int = N_CLIPS,
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    on_progress: Progress | None = None,
) -> HearingCheck:
    """Ask about a few clips of a planned run, and with silence, noise and each other's clips in their place.

    The prompt is the plan's most talkative one, whose answers depend most on what is heard. What was found is kept in
    the run folder, and the disclosure says it.

    Args:
        workspace: knows where the corpus's audio lies.
        run: a planned run, answered or not; its journal is left alone.
        n_clips: clips to ask about; the plan's longest is among them.
        backend_options: passed to the backend.
        make_backend: makes the backend of a card; tests give their own.
        on_progress: called with (done, total) conditions.

    Raises:
        RunError: the plan was changed, or fewer than two of its clips can be used.
        BackendError: the model cannot be loaded, or does not do what its card declares.
    """
    manifest, plan = check_plan(run)
    utterances = run_utterances(workspace, manifest)
    card_sha256 = plan["model_sha256"][0]
    card = {one.sha256(): one for one in manifest.model_cards.values()}[card_sha256]
    rows = _rows_to_ask(plan.filter(pl.col("model_sha256") == card_sha256), manifest, utterances, n_clips)
    backend = open_backend(workspace, card, manifest, backend_options, make_backend)
    answers: dict[AudioCondition, list[Response]] = {}
    count: TokenCount | None = None
    for done, condition in enumerate(AUDIO_CONDITIONS):
        if on_progress:
            on_progress(done, len(AUDIO_CONDITIONS))
        names = [row["utterance_id"] for row in rows]
        maker = QuestionMaker(workspace, manifest, utterances, asked=names, condition=condition)
        answers[condition] = ask_all(backend, [maker.of(row) for row in rows])
        if condition == "clean":
            count = _count_tokens(backend, maker.of(rows[0]), card.audio)
    clean = answers["clean"]
    changed = {name: sum(_said(a) != _said(b) for a, b in zip(clean, answers[name], strict=True)) for name in DEAFENING}
    check = HearingCheck(
        model_id=card.model_id,
        variant_id=rows[0]["variant_id"],
        form=rows[0]["form"],
        n_clips=len(rows),
        changed=changed,
        second_half=count,
        declared_tokens_per_s=card.audio.tokens_per_s,
        problems=_problems(changed, len(rows), count, card.audio.tokens_per_s),
        not_checked=_not_checked(count, card.audio.tokens_per_s),
    )
    write_json(RunPaths(run).hearing_check, {"checked_utc": _now(), **asdict(check)})
    return check


def _rows_to_ask(
    plan: pl.DataFrame, manifest: RunManifest, utterances: Mapping[str, Utterance], n_clips: int
) -> list[dict[str, Any]]:
    blocks = {name: len(lookup.prompt(name)[0].blocks) for name in lookup.prompt_names()}
    # A prompt of one's own may ask for anything: known ones first.
    variant_id, form = max(
        ((prompt.variant_id, prompt.form) for prompt in manifest.prompts),
        key=lambda asked: (blocks.get(asked[0], 0), asked[1] == "hard"),
    )
    chosen = plan.filter((pl.col("variant_id") == variant_id) & (pl.col("form") == form)).unique(
        "request_id", keep="first", maintain_order=True
    )
    usable = [row for row in chosen.iter_rows(named=True) if utterances[row["utterance_id"]].unusable_reason is None]
    if len(usable) < 2:
        raise RunError(f"{manifest.run_id} asks about fewer than two clips that can be used: nothing to compare.")
    *others, longest = sorted(usable, key=lambda row: utterances[row["utterance_id"]].duration_s or 0.0)
    mixed = sorted(others, key=lambda row: sha256_text(row["utterance_id"]))
    return [longest, *mixed[: n_clips - 1]]


def ask_all(
    backend: Backend, questions: Sequence[Question], on_answers: Callable[[int], None] = lambda done: None
) -> list[Response]:
    """Answers to questions, in order, all of which must be answered; ``on_answers`` is told how many there are.

    Raises:
        RunError: a question gave no answer.
    """
    size = max(1, backend.questions_per_call)
    answers: list[Response] = []
    for start in range(0, len(questions), size):
        answers += backend.answer(questions[start : start + size])
        on_answers(len(answers))
    failed = [f"{q.utterance_id}: {a.error}" for q, a in zip(questions, answers, strict=True) if a.finish == "error"]
    if failed:
        raise RunError(f"{len(failed)} of {len(questions)} questions gave no answer: {listing(failed)}")
    return answers


def _count_tokens(backend: Backend, question: Question, limits: AudioLimits) -> TokenCount | None:
    """How many tokens the second half of a clip adds to its prompt; None where the backend does not count."""
    samples = question.load_audio()
    halves = [
        replace(question, audio_key=f"half/{question.audio_key}", load_audio=lambda: samples[: len(samples) // 2]),
        replace(question, audio_key=f"whole/{question.audio_key}", load_audio=lambda: samples),
    ]
    half, whole = (response.n_prompt_tokens for response in ask_all(backend, halves))
    if half is None or whole is None:
        return None
    seconds = [heard_s(n / SAMPLE_RATE_HZ, limits) for n in (len(samples) // 2, len(samples))]
    return TokenCount(seconds=round(seconds[1] - seconds[0], 3), tokens=whole - half)


def _said(response: Response) -> tuple[str, tuple[float, ...] | None]:
    return response.text, response.label_logprobs


def heard_s(duration_s: float, limits: AudioLimits) -> float:
    """Seconds of a clip that a model hears under its card's limits.

    >>> heard_s(45.0, AudioLimits(max_s=30.0, beyond="truncate"))
    30.0
    """
    return min(max(duration_s, limits.min_s), limits.max_s or duration_s)


def _problems(
    changed: Mapping[AudioCondition, int], n_clips: int, count: TokenCount | None, declared: float | None
) -> tuple[str, ...]:
    found = []
    for condition in SAME_LENGTH:
        n_same = n_clips - changed[condition]
        if changed[condition] < LEAST_CHANGED * n_clips:
            found.append(
                f"{n_same} of {n_clips} answers stay the same, letter by letter, when {condition} of the same length "
                "takes the place of the clip"
            )
    if count is not None and declared is not None and abs(count.tokens - declared * count.seconds) > MOST_TOKENS_OFF:
        found.append(
            f"{count.seconds:g} s more of audio add {count.tokens} tokens to the prompt, where the model's card "
            f"declares {declared:g} a second: the model does not get what was recorded"
        )
    return tuple(found)


def _not_checked(count: TokenCount | None, declared: float | None) -> tuple[str, ...]:
    why = []
    if count is None:
        why.append("the backend counts no prompt tokens")
    if declared is None:
        why.append("the model's card declares no audio.tokens_per_s")
    return (f"the number of audio tokens against the clip's length: {', and '.join(why)}",) if why else ()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def measure_hearing(
    workspace: Workspace,
    run: Path,
    *,
    conditions: Sequence[AudioCondition] = DEAFENING,
    metric: str = "unweighted_accuracy",
    backend_options: dict[str, Any] | None = None,
    make_backend: Callable[..., Backend] = create_backend,
    on_progress: Callable[[AudioCondition, int, int], None] | None = None,
    resamples: int = 1000,
) -> list[HearingGain]:
    """Answer a run's hard prompts again with something else in place of the clips, and compare.

    Each condition is a run of its own beside the given one, and goes on where it stopped.

    Args:
        workspace: holds the corpus.
        run: a run that was answered and parsed.
        conditions: what is heard instead.
        metric: name of a hard metric.
        backend_options: passed to the backend.
        make_backend: makes the backend of a card; tests give their own.
        on_progress: called with (condition, done, total).
        resamples: bootstrap resamples.

    Returns:
        For each condition, test part and prompt, the run's score minus that under the condition.

    Raises:
        RunError: the run is itself one of them, was not parsed, or questions could not be asked.
    """
    gains = []
    for condition in conditions:
        deaf = deafened_plan(run, condition)
        result = infer_run(
            workspace,
            deaf,
            backend_options=backend_options,
            make_backend=make_backend,
            on_progress=None if on_progress is None else (lambda done, total, c=condition: on_progress(c, done, total)),  # type: ignore[misc]
        )
        if result.transient:
            raise RunError(
                f"{len(result.transient)} requests of {deaf.name} could not be asked, the first: "
                f"{result.transient[0]}. Mend the cause and run the same command again."
            )
        parse_run(deaf)
        score_run(workspace, deaf, resamples=resamples)
        compared = compare_runs(workspace, run, deaf, metric=metric, resamples=resamples)
        gains += [
            HearingGain(
                condition=condition,
                run=deaf,
                partition=one.partition,
                system_id=one.system_id,
                difference=one.difference,
            )
            for one in compared.comparisons
        ]
    return gains
