"""The documents: corpus, model and prompt cards, the shared label table, and the run manifest.

Schemas only. The facts are in ``catalog/``; nothing here opens a file. Every document is frozen and refuses fields that
its schema does not name. ``core.schemas`` publishes them as JSON Schema.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxemo.core.ids import sha256_json
from voxemo.core.labels import LabelSet
from voxemo.core.types import AudioCondition, FailurePolicy, Form, LabelSource

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
LabelName = Annotated[str, Field(pattern=r"^[a-z]+$")]
Text = Annotated[str, Field(min_length=1)]


class Document(BaseModel):
    """A frozen document that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def sha256(self) -> str:
        """Hash of the content, independent of how the file was written.

        Fields at their default do not count, so that a schema that gains an optional field leaves hashes as they are.
        """
        return sha256_json(self.model_dump(mode="json", exclude_defaults=True))


class KnownIssue(Document):
    """Something a reader of the scores must know."""

    id: Slug
    text: Text
    source: Text
    utterances: tuple[Text, ...] = ()
    """Names (without the corpus) of the utterances that a defect of the files concerns, where they are few."""


# --- labels ------------------------------------------------------------------------------------------------------


class LabelEntry(Document):
    """One row of the shared label table."""

    aliases: tuple[str, ...] = ()
    """Other English forms, lower case: noun, adjective, near-identical words."""
    translations: dict[str, tuple[str, ...]] = {}
    """BCP-47 language to words, lower case; read only leniently."""


class LabelTable(Document):
    """Every label name that any card may use, with the words that mean it."""

    version: Text
    labels: dict[LabelName, LabelEntry]


class CorpusLabels(Document):
    """The label set of a corpus and how the provider's codes map to it."""

    names: tuple[LabelName, ...] = Field(min_length=2)
    """Canonical names in alphabetical order."""
    raw: dict[str, LabelName]
    """Provider's code or name, exactly as it stands in file names and tables, to canonical name."""
    dropped: dict[str, Text] = {}
    """Provider's code to the reason why the benchmark leaves it out."""
    aliases: dict[str, LabelName] = {}
    """Answer words that mean a label in this corpus, beyond the shared table."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        stray = sorted((set(self.raw.values()) | set(self.aliases.values())) - set(self.names))
        if stray:
            raise ValueError(f"labels {stray} are mapped to but not named in labels.names")
        if list(self.names) != sorted(set(self.names)):
            raise ValueError("labels.names must be unique and in alphabetical order")
        both = sorted(set(self.raw) & set(self.dropped))
        if both:
            raise ValueError(f"codes {both} are both mapped and dropped")
        return self


# --- corpora -----------------------------------------------------------------------------------------------------


class Perception(Document):
    """How listeners judged the corpus."""

    given: Text
    """What raters heard or saw: "voice only", "video", ..."""
    n_raters: str | None = None
    """How many rated each utterance, in words; None when not stated."""
    consensus: Text
    """The rule that makes the perceived label."""
    votes_released: bool
    vote_rules: dict[Slug, Text] = {}
    """Counting rule to what it counts."""
    default_vote_rule: Slug | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.default_vote_rule is None) != (not self.vote_rules):
            raise ValueError("vote_rules and default_vote_rule come together")
        if self.default_vote_rule is not None and self.default_vote_rule not in self.vote_rules:
            raise ValueError(f"default_vote_rule {self.default_vote_rule!r} is not among vote_rules")
        return self


class Expected(Document):
    """Counts of the benchmark subset, to check a folder against."""

    n_utterances: int | None = Field(default=None, gt=0)
    """None where the provider changes the count with each release and the paper's subset is not reproduced."""
    n_speakers: int | None = Field(default=None, gt=0)
    """Speakers that the files tell apart; None where they tell none."""
    hours: float | None = Field(default=None, gt=0)
    per_label: dict[LabelName, int] = {}
    """Utterances per canonical label of the corpus's gold label source."""
    per_speaker: dict[str, int] = {}
    """Utterances per speaker, for corpora of few speakers."""
    sample_rates_hz: tuple[int, ...] = ()
    """Every rate that the audio as shipped has; empty where it is not known."""
    n_channels: tuple[int, ...] = ()
    """Every number of channels that the audio as shipped has; empty where it is not known."""


class SplitRule(Document):
    """How the benchmark divides the corpus (PROTOCOL section 3)."""

    policy: Literal["provider", "stratified_random", "leave_one_speaker_out", "speaker_k_fold"]
    k: int | None = Field(default=None, ge=2)
    """Number of folds of ``speaker_k_fold``."""
    seed: int | None = None
    source: Text
    """Where the rule or the partition comes from."""
    why: Text

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.policy == "speaker_k_fold") != (self.k is not None):
            raise ValueError("k is given for speaker_k_fold and for no other policy")
        if self.policy in ("stratified_random", "speaker_k_fold") and self.seed is None:
            raise ValueError(f"policy {self.policy} needs a seed")
        return self


class EmoBox(Document):
    """What is needed to read EmoBox's published folds of this corpus."""

    folder: Text
    """Folder below ``data/`` in a copy of the EmoBox repository."""
    n_folds: int = Field(ge=1)
    n_utterances: int = Field(gt=0)
    has_valid: bool = False


class PaperFacts(Document):
    """The corpus's row in Table 1 of the VoxEmo paper, as printed."""

    setting: Text
    audio_source: Text
    label_source: Text
    n_emotions: int
    n_speakers: int | None = None
    n_utterances: int
    hours: float
    language: Text
    subset: Text | None = None
    """How the paper's set of utterances differs from this card's; `voxemo prepare --subset paper` takes it. None where
    the two are the same, or where the difference is not known."""


class Download(Document):
    """One file, or the files of one archived record, of an openly downloadable corpus."""

    url: Text | None = None
    """Address of one file."""
    name: Text | None = None
    """Name to keep that file under, where the address does not end in one."""
    doi: Text | None = None
    """DOI of a Zenodo, figshare or Dataverse record, which publishes a checksum for each of its files."""
    files: tuple[Text, ...] = ()
    """Names of the record's files to take; all of them when empty."""
    checksum: Annotated[str, Field(pattern=r"^(md5|sha1|sha256|sha512):[0-9a-f]+$")] | None = None
    """What the provider publishes for the file at ``url``; None where nothing is published."""
    size_bytes: int | None = Field(default=None, gt=0)
    """What all of it takes before it is unpacked, where the provider states it."""
    unpack: bool = True
    """Archives are unpacked; everything else is put into ``folder`` as it is."""
    folder: str = ""
    """Folder below the corpus's root that receives the content; the root itself when empty. An archive whose only
    top folder has this name already is not put into a second one."""
    inner: dict[Text, str] = {}
    """Archives in the archive, to the folder that receives their content; both paths are below the corpus's root."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.url is None) == (self.doi is None):
            raise ValueError("a download has either a url or a doi")
        if self.doi is None and self.files:
            raise ValueError("files are chosen from the record of a doi")
        if self.doi is not None and (self.checksum is not None or self.name is not None):
            raise ValueError("a record publishes its own checksums and names; give none beside a doi")
        if self.inner and not self.unpack:
            raise ValueError("inner archives are found by unpacking the outer one")
        for path in (self.folder, *self.inner, *self.inner.values()):
            if path.startswith("/") or "\\" in path or ":" in path or ".." in path.split("/"):
                raise ValueError(f"{path!r} is no path below the corpus's root")
        for name in (self.name or "", *self.files):
            if "/" in name or "\\" in name:
                raise ValueError(f"{name!r} is no bare file name")
        return self


class Access(Document):
    """How to get the corpus."""

    kind: Literal["open", "request", "paid", "unavailable"]
    """``open``: a download that asks nothing; ``request``: a form or account; ``paid``; ``unavailable``."""
    license: Text
    homepage: Text
    how: Text
    """What to do to get it, in a sentence."""
    redistributable: bool
    downloads: tuple[Download, ...] = ()
    """What `voxemo download` fetches; empty where the corpus has to be asked for or has no steady address."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.downloads and self.kind != "open":
            raise ValueError("only open corpora can be downloaded without asking")
        return self


class CorpusCard(Document):
    """Every fact about a corpus that the benchmark uses."""

    corpus_id: Slug
    name: Text
    version: Text
    """Version of this card; raised when labels, counts, split or mapping change."""
    superseded_by: str | None = None
    year: int = Field(ge=1990, le=2100)
    languages: tuple[Text, ...] = Field(min_length=1)
    """BCP-47 codes."""
    setting: Literal["acted", "in_the_wild"]
    elicitation: Literal["scripted", "spontaneous", "mixed", "unknown"]
    recording: Literal["studio", "podcast", "tv", "talkshow", "online_media", "unknown"]
    synthetic: bool = False
    """Made by a program, which the name says too. Never ranked beside real corpora."""
    label_sources: tuple[LabelSource, ...] = Field(min_length=1)
    gold: LabelSource
    """The label source that hard scores use by default."""
    layout: Literal["verified", "documented"]
    """Whether real file names and label tables were seen, or some are known from descriptions only."""
    audio_files: tuple[Text, ...] = Field(min_length=1)
    """Glob patterns, relative to the root, that the corpus's audio matches; they tell corpora apart."""
    manifest: Text | None = None
    """Table of utterances (.csv, .jsonl, .parquet), as a path relative to this card: for a corpus without a parser."""
    labels: CorpusLabels
    perception: Perception | None = None
    expected: Expected
    split: SplitRule
    emobox: EmoBox | None = None
    paper: PaperFacts | None = None
    """None for corpora outside the paper."""
    access: Access
    citation: Text
    known_issues: tuple[KnownIssue, ...] = ()
    sources: dict[str, Text]
    """Field of this card to where its facts come from."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.gold not in self.label_sources:
            raise ValueError(f"gold {self.gold!r} is not among label_sources")
        if ("perceived" in self.label_sources) != (self.perception is not None):
            raise ValueError("[perception] is given when, and only when, labels are perceived")
        unknown = sorted(set(self.expected.per_label) - set(self.labels.names))
        if unknown:
            raise ValueError(f"expected.per_label counts labels {unknown} that labels.names lacks")
        if self.synthetic and "synthetic" not in self.name:
            raise ValueError("a synthetic corpus says so in its name, which every table and report shows")
        return self

    def label_set(self, table: LabelTable, *, names: Sequence[LabelName] | None = None) -> LabelSet:
        """The corpus's label set, with the words of the shared table that mean its labels.

        Args:
            table: the shared label table.
            names: some of the corpus's labels, in its order, where a run or a training is about those alone.
        """
        chosen = self.labels.names if names is None else tuple(names)
        aliases: dict[str, str] = {}
        translations: dict[str, str] = {}
        for name in chosen:
            # A user's own corpus may have a label that the shared table lacks; its card says which words mean it.
            entry = table.labels.get(name, LabelEntry())
            aliases.update(dict.fromkeys(entry.aliases, name))
            for words in entry.translations.values():
                translations.update(dict.fromkeys(words, name))
        aliases.update({word.casefold(): name for word, name in self.labels.aliases.items() if name in chosen})
        return LabelSet(chosen, aliases=aliases, translations=translations)


# --- models ------------------------------------------------------------------------------------------------------


class AudioLimits(Document):
    """What a model does with audio, and what we do about it."""

    sample_rate_hz: int = 16_000
    channels: int = 1
    max_s: float | None = None
    """Longest audio that the model hears; None when unlimited."""
    beyond: Literal["truncate", "window", "error"] = "truncate"
    """What happens beyond ``max_s``: cut and counted, split into windows by the model itself, or refused."""
    min_s: float = 0.1
    """Shorter audio is padded with zeros to this length, and counted."""
    tokens_per_s: float | None = None


class TrainingSource(Document):
    """One corpus of a mixture that a model was trained on."""

    corpus_id: Slug
    corpus_card_sha256: Text
    split_id: Slug
    split_sha256: Text
    fold_id: Text
    utterances_sha256: Text
    label_source: LabelSource
    label_names: tuple[LabelName, ...]
    """That were taught, and that stood in the prompt."""
    language: str | None = None
    """Only utterances in this language, where the corpus has several."""
    n_utterances: int
    weight: float = Field(gt=0, le=1)
    """Share of every epoch; those of a mixture sum to 1."""


class TrainingRecord(Document):
    """How a trained system was made, for cards that `voxemo train` writes."""

    kind: Literal["sft", "supervised"]
    base_model_id: str | None
    base_model_sha256: Text | None = None
    """Hash of the base model's card, as a run names that model; of fine-tuned models."""
    corpus_id: Slug
    """Of a mixture, its name."""
    corpus_card_sha256: Text
    split_id: Slug
    split_sha256: Text
    fold_id: Text
    partitions: tuple[Text, ...]
    """Partitions it was trained on."""
    utterances_sha256: Text | None = None
    """Hash of the prepared corpus; of fine-tuned models."""
    label_source: LabelSource
    """Whose labels it was taught."""
    label_names: tuple[LabelName, ...]
    n_utterances: int
    seed: int
    recipe: dict[str, Any]
    package_versions: dict[str, str]
    artefact: Text
    """File with the learned weights, beside the card; of a merged model, its configuration."""
    artefact_sha256: Text
    merged: bool = False
    """Whether the checkpoint beside the card holds what was learned, and no adapter is needed."""
    sources: tuple[TrainingSource, ...] = ()
    """The corpora of a mixture, with their weights; none where it was a single corpus."""

    @property
    def corpora(self) -> tuple[str, ...]:
        """Every corpus that was trained on."""
        return tuple(source.corpus_id for source in self.sources) or (self.corpus_id,)


class ModelCard(Document):
    """Every fact about a model that a score depends on."""

    model_id: Slug
    name: Text
    version: Text = "1"
    backend: Slug
    """Name of the backend that runs it: ``local``, ``vllm``, ``endpoint``, ``acoustic-baseline``, ``scripted`` or a
    plugin's."""
    family: Slug | None = None
    """What differs between models of one backend, such as ``qwen2-audio``."""
    architecture: str | None = None
    """The transformers class named in the checkpoint's configuration."""
    repository: str | None = None
    """Hub id, folder on disk, or a folder of an installed package (``package:voxemo.demo.tiny/checkpoint``); for the
    backend ``endpoint`` the name that the server gives the model."""
    revision: str | None = None
    """Commit of the repository; None means that the card does not pin one, and the disclosure says so."""
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    quantization: str | None = None
    audio: AudioLimits = AudioLimits()
    training_corpora: tuple[Slug, ...] | Literal["undisclosed"]
    """Corpora of this benchmark that the training data is known to hold, or ``undisclosed``."""
    training_data: Text
    """What is published about the training data, and by whom."""
    license: Text
    reference: Text
    support: Literal["tested", "untested"]
    """``tested``: a checkpoint of the same class, small and random, is answered and checked in our tests."""
    support_note: str = ""
    training: TrainingRecord | None = None
    known_issues: tuple[KnownIssue, ...] = ()
    sources: dict[str, Text] = {}


# --- prompts -----------------------------------------------------------------------------------------------------

BlockName = Literal["direct", "transcript", "caption", "reasoning"]


class PromptTemplate(Document):
    """The texts that every variant is composed from (PROTOCOL section 4). ``{labels}`` becomes the label names."""

    template_id: Slug
    version: Text
    language: Text
    task: Text
    categories_hard: Text
    categories_distribution: Text
    blocks: dict[BlockName, Text]
    """Instruction line of each block."""
    block_distribution: Text
    response_header: Text
    formats: dict[Literal["transcript", "caption", "reasoning"], Text]
    """Response format line of each block that has one."""
    format_distribution: Text
    format_label: Text
    sft_target: Text
    """Training target; ``{label}`` becomes the label."""
    source: Text

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for field in ("categories_hard", "categories_distribution", "format_label"):
            if "{labels}" not in getattr(self, field):
                raise ValueError(f"{field} must contain {{labels}}")
        if "{label}" not in self.sft_target:
            raise ValueError("sft_target must contain {label}")
        return self


class PromptVariant(Document):
    """A prompt as a composition of instruction blocks. Each variant has a hard and a distribution form."""

    variant_id: Slug
    version: Text
    name: Text
    template: Text
    """Template id, or path to a template file relative to this one."""
    blocks: tuple[BlockName, ...]
    source: Text

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(set(self.blocks)) != len(self.blocks) or not self.blocks:
            raise ValueError("blocks must be one or more different names")
        return self


# --- runs --------------------------------------------------------------------------------------------------------


class PromptText(Document):
    """One rendered prompt of a run, in full."""

    prompt_sha256: Text
    variant_id: Slug
    variant_version: Text
    form: Form
    label_names: tuple[LabelName, ...]
    text: Text
    label_answer: Text | None = None
    """Of the likelihood form: the answer that is weighed for each label, with ``{label}`` where it stands."""


class SplitFacts(Document):
    """The split of a run, and what was computed about it."""

    split_id: Slug
    policy: Text
    source: Text
    seed: int | None
    split_sha256: Text
    speaker_independent: bool | None
    overlap: Text
    """The computed speaker overlap, in words."""
    n_folds: int
    folds: tuple[Text, ...]
    """Folds that this run answers."""
    partitions: tuple[Text, ...]
    """Test partitions that this run answers."""


class RunManifest(Document):
    """What a run is. Written by `plan`; it is the disclosure of PROTOCOL section 9."""

    schema_version: Literal["1"] = "1"
    run_id: Text
    created_utc: Text
    voxemo_version: Text
    git_commit: str | None
    git_dirty: bool | None
    command: str | None
    """The command line, folders reduced to their names; None when it was not one."""
    protocol: Text
    """``zero-shot``, ``supervised``, ``sft`` or ``transfer``: how the model met the corpus."""
    plan_sha256: Text
    n_requests: int
    corpus_card: CorpusCard
    corpus_card_sha256: Text
    utterances_sha256: Text
    """Hash of everything in the prepared corpus that a score can depend on, votes included."""
    corpus_counts: dict[str, int]
    """Counts found by `prepare`: utterances, speakers, excluded, unusable."""
    corpus_complete: bool
    split: SplitFacts
    model_cards: dict[str, ModelCard]
    """Fold id to the card used on it; the key ``all`` for a model that is the same on every fold."""
    prompts: tuple[PromptText, ...]
    label_names: tuple[LabelName, ...]
    label_source: LabelSource
    vote_rule: str | None
    generation: dict[str, Any]
    audio_condition: AudioCondition
    audio_handling: Text
    parser_version: Text
    """Of the last `parse`; before it, of the version that planned."""
    label_table: Text
    """Version and hash of the shared label table, whose words the parser knows; of the last `parse`, too."""
    failure_policy: dict[Literal["hard", "soft"], FailurePolicy]
    tie_break: Literal["label_order"]
    seeds: dict[str, int]
    package_versions: dict[str, str]
    training_overlap: Text
    """Computed: the model's training corpora among the tested ones, none, or undisclosed."""
    partial: str | None = None
    """Why the run does not answer everything (``--limit 20``); the scoreboard refuses partial runs unless asked."""
    counts: dict[str, int] = {}
    """What `parse` counted: planned, answered, duplicates, damaged_lines, journal_bytes, ``<reading>.<status>``, and
    ``audio.truncated`` and ``audio.padded`` where the model card's policy applied."""
    deviations: tuple[Text, ...] = ()
    """Whatever differs from the standard protocol."""


# --- bundles -----------------------------------------------------------------------------------------------------

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BundleIndex(Document):
    """What a bundle holds, and how its scores were made. Written by `bundle`; `verify` begins with it."""

    schema_version: Literal["1"] = "1"
    run_id: Text
    redacted: Text | None
    """Why the texts of the answers are left out; None where they are in the bundle."""
    resamples: int = Field(ge=1, le=100_000)
    """Bootstrap resamples of every interval."""
    failure_policies: tuple[FailurePolicy, ...] = Field(min_length=1)
    """That the scores were made under, in their order."""
    scorer_version: Text
    made_with: dict[str, str]
    """Versions of what the scores were computed with."""
    files: dict[Text, Sha256]
    """Every other file of the bundle, to the hash of its content."""


class PartFacts(Document):
    """A test part of a split, in a bundle: how many are in it, and who, as hashes of their sorted ids."""

    n: int = Field(ge=0)
    utterances_sha256: Sha256
    n_labelled: int = Field(ge=0)
    """Those with a gold label within the run's label set."""
    labelled_sha256: Sha256
