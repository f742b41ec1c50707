"""The disclosure checklist (PROTOCOL section 9) as a document: what must be said about how a system was tested.

Runs of this package fill it in from their manifest (``reports.disclosure``), everybody else from a template. A point
that nobody filled in is missing, which is shown, and never taken for "no". Each point's title is what a checklist calls
it, and its description says what it asks and why; template, schema and checklists take both from here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from voxemo.core.cards import Document, Text

Unknown: TypeAlias = Literal["unknown"]
"""What can be said of a corpus that does not tell; unlike a point left out, it is an answer."""


def _asks(title: str, description: str, *, optional: bool = False) -> Any:
    return Field(default=None, title=title, description=description, json_schema_extra={"optional": optional})


class DisclosurePart(Document):
    """A section of the checklist."""

    also: dict[str, Text] = Field(
        default={}, title="also", description="Anything else a reader should know, as name and text."
    )

    def missing(self) -> Iterator[str]:
        """Names of points that are asked for here and not filled in."""
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            optional = name == "also" or (isinstance(extra, dict) and bool(extra.get("optional")))
            if not optional and getattr(self, name) is None:
                yield name


class RunPart(DisclosurePart):
    """What was run."""

    run: Text | None = _asks("run", "A name for what is disclosed here, to tell it from your other runs.")
    made: Text | None = _asks("made", "When the answers were made, as 2026-03. Served models change without a notice.")
    protocol: Text | None = _asks(
        "protocol", "How the model met the corpus: zero-shot, sft (trained on it), transfer, supervised."
    )
    software: Text | None = _asks(
        "software", "What asked and scored, with version or commit, so that others can run it again."
    )
    command: Text | None = _asks("command", "The command line, where there was one.", optional=True)


class ModelPart(DisclosurePart):
    """What was asked."""

    model: Text | None = _asks("model", "Name of the model.")
    repository: Text | None = _asks("repository", "Where its weights are, or which service was asked.")
    revision: Text | None = _asks(
        "revision", "Commit or dated version. A name alone may mean other weights tomorrow; say 'not pinned' if so."
    )
    dtype: Text | None = _asks("dtype", "Number format of the weights in use, such as bfloat16; quantization too.")
    training_data: Text | None = _asks("training data", "What is published about it, and by whom.")
    training_overlap: Text | None = _asks(
        "overlap of training data with the tested corpus",
        "Whether the model has seen this corpus: 'none known', which parts, or 'undisclosed'. A score on data that was "
        "trained on says little.",
    )
    trained: Text | None = _asks(
        "trained here", "If you trained it: data, recipe, seed. Needed for the protocols sft, transfer, supervised."
    )
    license: Text | None = _asks("licence", "Of the weights or the service.", optional=True)

    def missing(self) -> Iterator[str]:
        """As of every section; training is asked for by `missing_points`, which knows the protocol."""
        return (name for name in super().missing() if name != "trained")


class CorpusPart(DisclosurePart):
    """What was heard."""

    corpus: Text | None = _asks("corpus", "Name of the corpus.")
    version: Text | None = _asks("version", "Release, or date of download: corpora are corrected and enlarged.")
    n_utterances: int | None = _asks("utterances", "Of the set that you split, after filtering. 0 or more.")
    n_speakers: int | Unknown | None = _asks("speakers", "In that set; 'unknown' where the corpus does not tell.")
    complete: bool | None = _asks(
        "complete", "true if it has all utterances that its provider or the benchmark states; false if some lack."
    )
    left_out: Text | None = _asks(
        "left out", "Which utterances you left out, by what rule; 'none' if none. Filters change scores."
    )
    license: Text | None = _asks("licence", "Of the corpus.", optional=True)


class SplitPart(DisclosurePart):
    """What was tested on."""

    split: Text | None = _asks("split", "Who made it and how: the provider's, EmoBox fold 1, 4 folds of speakers, ...")
    identity: Text | None = _asks(
        "how to get the very same", "Hash of the lists, a link to them, or the program with its seed."
    )
    seed: int | Literal["none"] | None = _asks("seed", "Of the division; 'none' where nothing was drawn.")
    folds: Text | None = _asks(
        "folds answered", "As '1, 2, 3, 4 of 4'. Some folds alone are not the benchmark's score."
    )
    test_partitions: tuple[Text, ...] | None = _asks("test partitions", "Names of the parts that scores are of.")
    n_tested: int | None = _asks("utterances tested", "Over all test parts and folds.")
    n_shared_speakers: int | Unknown | None = _asks(
        "speakers shared", "Speakers of a test part that are in training or validation too; counted, not assumed."
    )
    speaker_independent: bool | Unknown | None = _asks(
        "speaker-independent", "true only if no speaker is shared; 'unknown' where the corpus names no speakers."
    )


class LabelPart(DisclosurePart):
    """What counts as right."""

    names: tuple[Text, ...] | None = _asks(
        "label set, in order", "All labels that were offered, in the order of the prompt, which decides ties."
    )
    source: Literal["expressed", "perceived"] | None = _asks(
        "label source", "expressed (what the speaker meant) or perceived (what listeners heard); never a mix."
    )
    votes: Text | None = _asks(
        "votes", "Which listeners' votes make soft labels, and by what rule; 'no votes' if none are used."
    )


class PromptPart(Document):
    """One question, in full."""

    name: Text | None = _asks("name", "What you call it.")
    form: Text | None = _asks("form", "hard (one label asked for) or distribution.")
    text: Text | None = _asks("text", "All of it, system prompt included, with the labels filled in.")


class DecodingPart(DisclosurePart):
    """How answers were drawn."""

    do_sample: bool | None = _asks("sampling", "false for greedy decoding, as the benchmark asks.")
    temperature: float | None = _asks("temperature", "Where answers were sampled; leave it out for greedy decoding.")
    top_p: float | None = _asks("top-p", "Where it was set.", optional=True)
    top_k: int | None = _asks("top-k", "Where it was set.", optional=True)
    num_beams: int | None = _asks("beams", "Of beam search; 1 is the usual.", optional=True)
    repetition_penalty: float | None = _asks(
        "repetition penalty", "Where it was set; 1 changes nothing.", optional=True
    )
    max_new_tokens: int | None = _asks("longest answer", "In tokens: answers cut short fail more often.")
    seed: int | None = _asks("seed", "Of sampling.", optional=True)
    in_force: tuple[Text, ...] | None = _asks(
        "in force, read back", "What was in fact in force, where you could read it back.", optional=True
    )

    def missing(self) -> Iterator[str]:
        """As of every section; greedy decoding has no temperature."""
        return (name for name in super().missing() if name != "temperature" or self.do_sample)


class AudioPart(DisclosurePart):
    """What reached the model."""

    handling: Text | None = _asks(
        "handling", "Sample rate, channels, resampling, and what happened to clips too long or too short."
    )
    condition: Text | None = _asks("condition", "clean, or what was heard in place of the clips.")


class ScoringPart(DisclosurePart):
    """How answers became scores."""

    parser: Text | None = _asks("parser", "Version, or the rules by which text becomes a label.")
    scorer: Text | None = _asks("scorer", "Version, or the formulas; UA and WA are called otherwise by others.")
    failure_policy: Text | None = _asks(
        "failure policy", "What an unreadable answer counts as: wrong, left out, or a uniform guess. It moves scores."
    )
    ties: Text | None = _asks("ties", "Which label wins where several are equally likely.")
    n_asked: int | None = _asks("questions", "How many questions were to be answered.")
    n_answered: int | None = _asks("answered", "How many of them were.")
    n_read: int | None = _asks("read", "How many answers were read without any help.")
    n_repaired: int | None = _asks("repaired", "How many were read after a repair; 0 if you repair nothing.")
    n_failed: int | None = _asks("failed", "How many could not be read. Leaving these out is the commonest slip.")


class CheckPart(DisclosurePart):
    """What shows that the numbers mean something."""

    hears: Text | None = _asks(
        "does it hear", "What happens to scores with silence in place of the clips; 'not checked' if you did not look."
    )


class MachinePart(DisclosurePart):
    """What it ran on."""

    hardware: Text | None = _asks("hardware", "Accelerators and processor, or whose service.")
    batch_size: Text | None = _asks("batch size", "Numbers of a batch depend on its size; '1' or 'not known' will do.")
    packages: dict[str, Text] | None = _asks("packages", "Versions of what computes: python, torch, transformers, ...")


class Disclosure(Document):
    """Everything that must be said about how a system was tested. Points left out, or left empty, are missing."""

    schema_version: Literal["1"] = "1"
    partial: Text | None = Field(default=None, description="Why not everything was answered; leave it out if it was.")
    run: RunPart = RunPart()
    model: ModelPart = ModelPart()
    corpus: CorpusPart = CorpusPart()
    split: SplitPart = SplitPart()
    labels: LabelPart = LabelPart()
    decoding: DecodingPart = DecodingPart()
    audio: AudioPart = AudioPart()
    scoring: ScoringPart = ScoringPart()
    checks: CheckPart = CheckPart()
    machine: MachinePart = MachinePart()
    seeds: dict[str, int] | None = Field(default=None, description="Every other seed, by name; {} if there is none.")
    deviations: tuple[Text, ...] | None = Field(
        default=None, description="Whatever differs from the protocol, one text each; [] if nothing does."
    )
    prompts: tuple[PromptPart, ...] = Field(default=(), description="Every prompt in full; wording moves scores.")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_missing(cls, content: Any) -> Any:
        return _without_empty(content)

    @property
    def title(self) -> str:
        """What the disclosure is about, in a few words."""
        return self.run.run or "a run without a name"


def _without_empty(content: Any) -> Any:
    """A document without its empty texts: those of a template that nobody filled in."""
    if isinstance(content, Mapping):
        return {name: _without_empty(value) for name, value in content.items() if value != ""}
    if isinstance(content, list):
        return [_without_empty(value) for value in content if value != ""]
    return content


SECTIONS: Mapping[str, str] = {
    "run": "Run",
    "model": "Model",
    "corpus": "Corpus",
    "split": "Split",
    "labels": "Labels",
    "decoding": "Decoding",
    "audio": "Audio",
    "scoring": "Reading and scoring",
    "checks": "Checks",
    "machine": "Hardware and software",
}
"""Parts of a `Disclosure` to what a checklist calls them, in its order."""


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a checklist."""

    name: str
    value: str | None
    """None where it is missing."""
    asks: str = ""
    """What the point asks and why, for those that are missing."""
    is_open: bool = False
    """Whether the value says that nobody knows or looked (`open_points`)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of a checklist and its lines."""

    title: str
    points: tuple[Point, ...]


def checklist(disclosure: Disclosure) -> list[Section]:
    """The disclosure as lines to print, without the prompts: every point that is asked for, filled in or missing.

    Points that need not be said are left out where they are not.
    """
    sections = []
    for field, title in SECTIONS.items():
        part: DisclosurePart = getattr(disclosure, field)
        lacking = set(_missing_of(disclosure, field))
        points = []
        for name, info in type(part).model_fields.items():
            value = getattr(part, name)
            if name != "also" and (value is not None or name in lacking):
                points.append(Point(str(info.title), as_text(value), str(info.description), _is_open(value)))
        points += [Point(name, text) for name, text in part.also.items()]
        sections.append(Section(title, tuple(points)))
    described = {name: str(info.description) for name, info in Disclosure.model_fields.items()}
    seeds, deviations = disclosure.seeds, disclosure.deviations
    if seeds is None:
        sections.append(Section("Seeds", (Point("seeds", None, described["seeds"]),)))
    else:
        points = [Point(name, str(seed)) for name, seed in seeds.items()]
        sections.append(Section("Seeds", tuple(points or [Point("", "none")])))
    if deviations is None:
        points = [Point("deviations", None, described["deviations"])]
    else:
        points = [Point("", text) for text in deviations or ("none",)]
    sections.append(Section("Deviations from the protocol", tuple(points)))
    return sections


def as_text(value: Any) -> str | None:
    """A point's value as people read it; None where it is missing.

    >>> as_text(True), as_text(("a", "b")), as_text({"torch": "2.8"}), as_text(None)
    ('yes', 'a, b', 'torch 2.8', None)
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def missing_points(disclosure: Disclosure) -> list[str]:
    """Every point that is asked for and not filled in, as ``split.seed``; empty when nothing is missing."""
    found = [f"{field}.{name}" for field in SECTIONS for name in _missing_of(disclosure, field)]
    found += [name for name in ("seeds", "deviations") if getattr(disclosure, name) is None]
    found += [] if disclosure.prompts else ["prompts"]
    for index, prompt in enumerate(disclosure.prompts):
        found += [f"prompts.{index + 1}.{name}" for name in ("name", "form", "text") if getattr(prompt, name) is None]
    return found


_OPEN = re.compile(r"(not (pinned|checked|known|disclosed|recorded)|unknown|undisclosed)\b", re.IGNORECASE)
"""How an answer begins that says that there is none: the form asks for these very words."""


def open_points(disclosure: Disclosure) -> list[str]:
    """Every point that is filled in by saying that it is not known, not pinned or not checked, as ``checks.hears``.

    Saying so is honest and no gap in the form, but the result rests on it all the same: a reader wants to see these
    beside what is missing, and never among what is settled.
    """
    return [
        f"{field}.{name}"
        for field in SECTIONS
        for part in [getattr(disclosure, field)]
        for name in type(part).model_fields
        if _is_open(getattr(part, name))
    ]


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and _OPEN.match(value.strip()) is not None


def _missing_of(disclosure: Disclosure, field: str) -> Iterator[str]:
    part: DisclosurePart = getattr(disclosure, field)
    yield from part.missing()
    if field == "model" and disclosure.model.trained is None and _is_trained(disclosure):
        yield "trained"


def _is_trained(disclosure: Disclosure) -> bool:
    return (disclosure.run.protocol or "").casefold() in ("sft", "transfer", "supervised")


def expectation(location: Sequence[str | int]) -> str | None:
    """What the point at a place of the document asks for; None where there is no such point.

    >>> expectation(("split", "speaker_independent"))
    "true only if no speaker is shared; 'unknown' where the corpus names no speakers."
    >>> expectation(("weather",)) is None
    True
    """
    document: Any = Disclosure
    description = None
    for step in location:
        if isinstance(step, int):
            continue
        field = document.model_fields.get(step)
        if field is None:
            return None
        description = field.description
        document = PromptPart if step == "prompts" else field.annotation
        if not hasattr(document, "model_fields"):
            break
    return description


# --- what cannot all be true --------------------------------------------------------------------------------------


def contradictions(disclosure: Disclosure) -> list[str]:
    """What cannot be true together, or cannot be true at all, each as a sentence that names the points."""
    return [
        *_decoding_contradictions(disclosure.decoding),
        *_split_contradictions(disclosure),
        *_label_contradictions(disclosure.labels),
        *_count_contradictions(disclosure),
        *_prompt_contradictions(disclosure),
    ]


def _decoding_contradictions(decoding: DecodingPart) -> Iterator[str]:
    if decoding.do_sample is False:
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(decoding, name)
            # Some programs write 0 or 1 where nothing is drawn; these change nothing.
            if value is not None and value not in (0, 1):
                yield f"decoding.do_sample is false, but decoding.{name} is {value}: greedy decoding draws nothing."
    if decoding.do_sample and decoding.temperature == 0:
        yield "decoding.do_sample is true, but decoding.temperature is 0: that is greedy decoding."
    ranges: Mapping[str, tuple[float, float | None]] = {
        "temperature": (0, None),
        "top_p": (0, 1),
        "top_k": (0, None),
        "num_beams": (1, None),
        "max_new_tokens": (1, None),
    }
    for name, (least, most) in ranges.items():
        value = getattr(decoding, name)
        if value is not None and (value < least or (most is not None and value > most)):
            span = f"{least} or more" if most is None else f"{least} to {most}"
            yield f"decoding.{name} is {value}; it is {span}."


def _split_contradictions(disclosure: Disclosure) -> Iterator[str]:
    split, corpus = disclosure.split, disclosure.corpus
    shared, speakers = split.n_shared_speakers, corpus.n_speakers
    if split.speaker_independent is True and isinstance(shared, int) and shared > 0:
        yield f"split.speaker_independent is true, but split.n_shared_speakers is {shared}."
    if split.speaker_independent is False and shared == 0:
        yield "split.speaker_independent is false, but split.n_shared_speakers is 0."
    if split.speaker_independent is True and shared == "unknown":
        yield "split.speaker_independent is true, but split.n_shared_speakers is unknown: it was not counted."
    if isinstance(shared, int) and isinstance(speakers, int) and shared > speakers:
        yield f"split.n_shared_speakers is {shared}, but corpus.n_speakers is {speakers}."
    if split.test_partitions is not None and _doubles(split.test_partitions):
        yield f"split.test_partitions has {_doubles(split.test_partitions)} twice."


def _label_contradictions(labels: LabelPart) -> Iterator[str]:
    if labels.names is None:
        return
    doubles = _doubles([name.casefold() for name in labels.names])
    if doubles:
        yield f"labels.names has {doubles} more than once."
    if len(labels.names) < 2:
        yield f"labels.names has {len(labels.names)} label; to choose takes two."


def _count_contradictions(disclosure: Disclosure) -> Iterator[str]:
    scoring, corpus, split = disclosure.scoring, disclosure.corpus, disclosure.split
    for place, part, names in (
        ("scoring", scoring, ("n_asked", "n_answered", "n_read", "n_repaired", "n_failed")),
        ("corpus", corpus, ("n_utterances", "n_speakers")),
        ("split", split, ("n_tested", "n_shared_speakers")),
    ):
        for name in names:
            value = getattr(part, name)
            if isinstance(value, int) and value < 0:
                yield f"{place}.{name} is {value}; a count is 0 or more."
    asked, answered = scoring.n_asked, scoring.n_answered
    if asked is not None and answered is not None:
        if answered > asked:
            yield f"scoring.n_answered is {answered}, but scoring.n_asked is {asked}."
        if answered < asked and disclosure.partial is None:
            yield f"{asked - answered} of {asked} questions were not answered, but partial does not say why."
    parts = (scoring.n_read, scoring.n_repaired, scoring.n_failed)
    known = [part for part in parts if part is not None]
    if answered is not None and len(known) == len(parts) and sum(known) not in (answered, asked):
        yield (
            f"scoring.n_read + n_repaired + n_failed is {sum(known)}, but scoring.n_answered is {answered}: "
            "every answer is one of the three (a question without an answer may count as failed)."
        )
    elif asked is not None and sum(known) > asked:
        yield f"scoring counts {sum(known)} answers, but scoring.n_asked is {asked}."


def _prompt_contradictions(disclosure: Disclosure) -> Iterator[str]:
    named = [(prompt.name, prompt.form) for prompt in disclosure.prompts if prompt.name is not None]
    for (name, form), n in Counter(named).items():
        if n > 1:
            yield f"prompts has {n} texts called {name!r} of the form {form}."
    for prompt in disclosure.prompts:
        if prompt.text is None or prompt.form not in ("hard", "distribution"):
            continue
        words = prompt.text.casefold()
        absent = [name for name in disclosure.labels.names or () if name.casefold() not in words]
        if absent:
            yield f"the prompt {prompt.name or 'without a name'} does not name the label {absent[0]!r} of labels.names."
    if disclosure.model.trained is not None and (disclosure.run.protocol or "").casefold() == "zero-shot":
        yield "run.protocol is zero-shot, but model.trained says that the model was trained."


def _doubles(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name, n in Counter(names).items() if n > 1)


# --- the template -------------------------------------------------------------------------------------------------

TEMPLATE_HEAD = """\
# How a system was tested: the disclosure checklist of VoxEmo, to be filled in.
#
# What is left empty is missing, and shown as missing: write "unknown", "none" or "not pinned" where that is the answer.
# What else a reader should know of a section goes below it, as [run.also] and lines such as: fan = "broken".
# Then: voxemo disclose FILE
"""
WIDTH = 118


def template(name: str = "") -> str:
    """A disclosure to be filled in, as TOML: every point empty, with what it asks and why above it.

    TOML and not JSON, because only the first can say beside each point what it asks.

    Args:
        name: of the run.
    """
    top = Disclosure.model_fields
    lines = [TEMPLATE_HEAD, 'schema_version = "1"']
    for field in ("partial", "seeds", "deviations"):
        lines += _asked(field, top[field])
    for field, title in SECTIONS.items():
        part = top[field].annotation
        assert isinstance(part, type)
        assert issubclass(part, DisclosurePart)
        lines += ["", "", f"[{field}]  # {title}: {str(part.__doc__).lower()}"]
        for point, info in part.model_fields.items():
            if point != "also":
                lines += _asked(point, info, value=_toml(name) if (field, point) == ("run", "run") else '""')
    lines += ["", "", f"# {top['prompts'].description} Copy this block for each.", "[[prompts]]"]
    for point, info in PromptPart.model_fields.items():
        lines += _asked(point, info, value="'''\n'''" if point == "text" else '""')
    return "\n".join(lines) + "\n"


def _asked(point: str, info: FieldInfo, *, value: str = '""') -> list[str]:
    kinds = str(info.annotation)
    how = next((text for kind, text in WRITTEN.items() if kind in kinds), "")
    described = wrap(f"{info.description}{how}", WIDTH, initial_indent="# ", subsequent_indent="# ")
    return ["", *described, f"{point} = {value}"]


WRITTEN = {
    "tuple[": ' Write it as ["one", "two"].',
    "dict[str, int]": " Write it as {sampling = 0}.",
    "dict[": ' Write it as {python = "3.11"}.',
    "bool": "",
    "int": " A number, without quotes.",
    "float": " A number, without quotes.",
}
"""Kind of a point to how TOML has it written, where that is no text in quotes."""


def _toml(text: str) -> str:
    r"""A text as TOML writes it.

    >>> print(_toml('a "b" \\'))
    "a \"b\" \\"
    """
    # A JSON text is a TOML text, but for the one control character that JSON lets stand, and halves of surrogate pairs.
    written = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return written.encode("utf-8", "replace").decode()
