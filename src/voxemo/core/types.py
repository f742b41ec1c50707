"""The rows of the straight line: what was heard, asked, answered, read and scored.

Units stand in the names (``_s``, ``_hz``). ``None`` means not known or not applicable, never zero. Bulk steps work on
polars columns of the same names (``store.tables``); these classes are for single values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Form = Literal["hard", "distribution", "likelihood"]
PromptForm = Literal["hard", "distribution"]
Reading = Literal["strict", "lenient"]
LabelSource = Literal["expressed", "perceived"]
AudioCondition = Literal["clean", "silence", "noise", "shuffled"]
"""What a model hears: each clip, or in its place silence, noise of its power, or the clip of another utterance."""
Status = Literal["ok", "repaired", "failed"]
FailurePolicy = Literal["wrong", "excluded", "uniform"]

ENSEMBLE = "ensemble"
"""System id of the vote of the paper's five prompt variants (eq. 2); no prompt may be called so."""
MEAN_DISTRIBUTION = "mean_distribution"
"""System id of the mean of the five stated distributions; no prompt may be called so."""
REFERENCE = "reference:"
"""What the system id of a reference row starts with."""
LIKELIHOOD = "likelihood:"
"""What the system id of a prompt starts with where labels were weighed by their likelihood and not asked for."""
CORRECTED = "likelihood-corrected:"
"""The same, with what silence gives taken out."""

FAILURE_POLICIES: tuple[FailurePolicy, ...] = ("wrong", "excluded", "uniform")
AUDIO_CONDITIONS: tuple[AudioCondition, ...] = ("clean", "silence", "noise", "shuffled")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedUtterance:
    """One speech segment as a parser reads it from a corpus folder, in the provider's own codes."""

    stem: str
    """Stable name of the utterance, unique in its corpus."""
    audio_path: str
    """POSIX path relative to the corpus folder."""
    expressed_raw: str | None = None
    perceived_raw: str | None = None
    votes_raw: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Counting rule -> provider's code -> number of votes (or share, where only shares are published)."""
    speaker_id: str | None = None
    speaker_gender: str | None = None
    """``female``, ``male`` or None."""
    speaker_age: int | None = None
    language: str | None = None
    """BCP-47; None where the corpus has one language, which its card names."""
    transcript: str | None = None
    session_id: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    provider_partition: str | None = None
    """``train``, ``valid``, ``test``, ``test1`` or ``test2``; or ``fold:<n>``, the test part of fold n, and
    ``fold:<n>:valid``, its validation part; ``unassigned`` where the provider puts the utterance in no part."""
    excluded_reason: str | None = None
    """Why the benchmark leaves this utterance out, by a filter that the card names."""
    outside_paper: str | None = None
    """Why the paper's set lacks this utterance, where that set is known and differs from the benchmark's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One speech segment with its speaker, labels and audio facts."""

    utterance_id: str
    """``<corpus_id>/<stem>``, unique in the whole benchmark."""
    corpus_id: str
    audio_path: str
    start_s: float | None = None
    end_s: float | None = None
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    n_channels: int | None = None
    audio_sha256: str | None = None
    """Of the decoded samples at the native rate."""
    speaker_id: str | None = None
    speaker_gender: str | None = None
    speaker_age: int | None = None
    language: str
    transcript: str | None = None
    session_id: str | None = None
    expressed: str | None = None
    """Canonical label that the speaker intended."""
    perceived: str | None = None
    """Canonical consensus of the listeners, by the rule in the card."""
    provider_partition: str | None = None
    unusable_reason: str | None = None
    """Why the audio cannot be used; such an utterance stays in every split and counts as a failed answer."""
    excluded_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One division of a corpus into partitions that share no utterance."""

    fold_id: str
    partitions: Mapping[str, tuple[str, ...]]
    """Partition name to utterance ids, sorted. Usually train, valid, test; MSP-Podcast has test1 and test2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A named assignment of a corpus's utterances to folds and partitions."""

    split_id: str
    corpus_id: str
    policy: str
    """The rule that made it: provider, stratified_random, leave_one_speaker_out, speaker_k_fold or published."""
    source: str
    """Where the folds come from: ``generated``, ``provider`` or the name of the published set."""
    seed: int | None
    speaker_independent: bool | None
    """Computed: no speaker in both a training and a test partition. None without speaker ids."""
    utterances_sha256: str
    folds: tuple[Fold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How answers are decoded. Greedy unless a run says otherwise."""

    max_new_tokens: int = 512
    do_sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float = 1.0
    num_beams: int = 1
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to one model about one utterance."""

    request_id: str
    utterance_id: str
    form: Form
    variant_id: str
    prompt_sha256: str
    audio_sha256: str | None
    audio_condition: AudioCondition
    model_id: str
    model_sha256: str
    sample_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The answer to one request, as the model gave it."""

    request_id: str
    text: str = ""
    finish: Literal["stop", "length", "error", "no_audio"] = "stop"
    """``no_audio``: the clip cannot be used, so nothing was asked. ``error``: the model failed."""
    error: str | None = None
    error_kind: Literal["permanent", "transient"] | None = None
    """``permanent`` errors (a broken file) are not asked again; ``transient`` ones are."""
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    latency_s: float | None = None
    attempt: int = 1
    worker: str = ""
    label_logprobs: tuple[float, ...] | None = None
    """Of the likelihood form: log-probability of the answer that names each label, in label-set order."""
    silent_logprobs: tuple[float, ...] | None = None
    """The same with silence in place of the clip."""
    audio_handling: str | None = None
    """What was done to the audio beyond resampling: ``truncated``, ``padded`` or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPrediction:
    """What one answer says, or that it says nothing usable.

    For the distribution form ``status`` and ``reason`` are those of the distribution; its own FINAL LABEL is kept in
    ``label`` and ``raw_label`` with ``label_status`` and ``label_reason``, and is not scored.
    """

    status: Status
    label: str | None = None
    distribution: tuple[float, ...] | None = None
    """Probabilities in label-set order, summing to 1."""
    repairs: tuple[str, ...] = ()
    reason: str | None = None
    """Reason code of a failure; None unless ``status`` is ``failed``."""
    raw_label: str | None = None
    """The text that stood in the label field, cut at 200 characters."""
    label_status: Status | None = None
    label_reason: str | None = None


AnalysisKind = Literal["speaker_gender", "speaker_age", "language", "agreement", "calibration", "mean_distribution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRow:
    """One number about a part of the utterances of a test partition, pooled over folds. Fractions in 0 to 1.

    By kind:

    - ``speaker_gender``, ``speaker_age``, ``language``, ``agreement``: scores of one group. ``group`` is ``female``,
      ``30-39``, ``ur``, or the share of votes on the likeliest label, as ``0.4-0.6``; metrics are
      ``unweighted_accuracy``, ``weighted_accuracy`` and ``macro_f1`` of hard systems, ``jsd`` and ``top1_accuracy`` of
      soft ones, with failed answers as the benchmark counts them.
    - ``calibration``: ``group`` is a bin of the probability given to the likeliest label, as ``0.8-0.9``, or ``all``;
      metrics are ``confidence`` and ``accuracy`` (means over the bin) and, for ``all``, ``ece``. Only readable answers.
    - ``mean_distribution``: ``group`` is a true label or ``all``, ``class_label`` a label, the metric ``probability``.
      The system ``reference:gold`` holds the votes themselves.
    """

    kind: AnalysisKind
    partition: str
    system_id: str
    form: str
    """``hard``, ``distribution``, ``vote`` or ``likelihood``, as in the scores."""
    vote_rule: str | None
    group: str
    class_label: str | None
    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """One number, with everything needed to know what it means. Fractions in 0 to 1; only reports print percent."""

    run_id: str
    model_id: str
    training: Literal["zero_shot", "sft", "transfer", "supervised"]
    source_corpus_id: str | None
    corpus_id: str
    split_id: str
    partition: str
    fold_id: str
    """A fold's name, or ``mean`` (over folds) or ``pooled``."""
    system_id: str
    """A prompt variant, ``ensemble`` or ``reference:<name>``."""
    form: str
    reading: Reading
    audio_condition: AudioCondition
    label_source: str
    vote_rule: str | None
    class_label: str | None
    metric: str
    value: float | None
    """None where the metric is not defined, as on an empty partition."""
    ci_low: float | None
    ci_high: float | None
    ci_unit: str | None
    """What the bootstrap resampled: ``speaker`` or, under five speakers, ``utterance``."""
    n: int
    """Utterances with a gold label that the number is about."""
    n_failed: int
    failure_policy: FailurePolicy
    tie_break: str
    scorer_version: str
