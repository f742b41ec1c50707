"""A first card for a corpus that has none: from its utterances, what its user says, and the shared label table.

Counts, codes and the split rule are computed; what no table can tell is a placeholder that starts with ``FILL IN``.
Codes that are no word of the shared table are left to the user: their meaning is never guessed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from voxemo.core.cards import CorpusCard, CorpusLabels, KnownIssue, LabelTable, Perception, SplitRule
from voxemo.core.errors import CardError, CorpusError, UnknownName, UnmappedLabel, listing
from voxemo.core.types import LabelSource, ParsedUtterance, Utterance
from voxemo.corpora.tree import nfc
from voxemo.splits.policies import DEFAULT_SEED, FOLD_PREFIX, N_SPEAKER_FOLDS, UNASSIGNED, PolicyName, protocol_rule

LABEL_SOURCES: tuple[LabelSource, ...] = ("expressed", "perceived")

CARD_FILE = "card.toml"

FILL_IN = "FILL IN"
ASSUMED = f"{FILL_IN}: assumed; correct it, and say here where it stands"
"""Stands in sources for a field that has to have a value, where nobody gave one."""
EARLIEST_YEAR = 1990
"""The first year that a card can have; stands for a year that nobody gave."""
PLACEHOLDER_LABELS = ("fillin", "fillintoo")
"""Stand in labels.names where fewer than two codes are known words; no code maps to them, so no corpus passes."""

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


# --- codes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMap:
    """What the codes of a corpus mean."""

    raw: Mapping[str, str]
    """Code to canonical label."""
    dropped: Mapping[str, str]
    """Code to the reason why it is left out."""
    unknown: Mapping[str, int]
    """Code that no word of the shared table is, to the number of utterances that use it."""


def label_words(table: LabelTable) -> dict[str, str]:
    """Every word of the shared label table, in any language and folded, to the label that it means."""
    words: dict[str, str] = {}
    for name, entry in table.labels.items():
        for word in (name, *entry.aliases, *(one for some in entry.translations.values() for one in some)):
            words.setdefault(_folded(word), name)
    return words


def label_of(word: str, words: Mapping[str, str]) -> str | None:
    """The label that a word means, but for case; None when it is none of the words.

    >>> from voxemo.core.cards import LabelEntry
    >>> words = label_words(LabelTable(version="1", labels={"angry": LabelEntry(aliases=("anger",))}))
    >>> label_of("Anger", words), label_of("W", words)
    ('angry', None)
    """
    return words.get(_folded(word))


def _folded(word: str) -> str:
    return nfc(word).strip().casefold()


def codes_of(utterances: Iterable[ParsedUtterance]) -> Counter[str]:
    """Every code that the utterances use, as a label or in votes, to the number of utterances that do."""
    counts: Counter[str] = Counter()
    for one in utterances:
        voted = {code for votes in one.votes_raw.values() for code in votes}
        counts.update((voted | {one.expressed_raw, one.perceived_raw}) - {None})  # type: ignore[arg-type]
    return counts


def map_codes(
    utterances: Iterable[ParsedUtterance],
    *,
    table: LabelTable,
    given: Mapping[str, str] | None = None,
    dropped: Mapping[str, str] | None = None,
    meanings: Mapping[str, Sequence[str]] | None = None,
    earlier: CorpusLabels | None = None,
) -> CodeMap:
    """Say what each code means: as the user does, else as an earlier card does, else by the shared label table.

    Args:
        utterances: of the corpus.
        table: the shared label table.
        given: the user's own code to label (or a word that the table knows for one).
        dropped: code to the reason why it is left out.
        meanings: code to other words that stand for it, such as the names in a scheme.
        earlier: of the card that is to be renewed; labels of the user's own may stand in it.

    Raises:
        UnknownName: the user names a code that the corpus does not use, or a label that the table lacks.
    """
    given, dropped, meanings = given or {}, dropped or {}, meanings or {}
    words = label_words(table)
    counts = codes_of(utterances)
    for code in (*given, *dropped):
        if code not in counts:
            raise UnknownName("code", code, sorted(counts))
    if earlier is not None:
        dropped = {**{c: why for c, why in earlier.dropped.items() if c in counts and c not in given}, **dropped}
    raw: dict[str, str] = {}
    for code in sorted(set(counts) - set(dropped)):
        if code in given:
            label = label_of(given[code], words)
            if label is None:
                raise UnknownName("label", given[code], sorted(table.labels))
        elif earlier is not None and code in earlier.raw:
            label = earlier.raw[code]
        else:
            names = (code, *meanings.get(code, ()))
            label = next((found for name in names if (found := label_of(name, words)) is not None), None)
        if label is not None:
            raw[code] = label
    unknown = {code: counts[code] for code in sorted(set(counts) - set(raw) - set(dropped))}
    return CodeMap(raw=raw, dropped=dict(sorted(dropped.items())), unknown=unknown)


def refuse_single_label(table: str, codes: CodeMap) -> None:
    """Refuse a corpus with fewer than two labels, of which nothing can be asked.

    Args:
        table: where the codes stand, for the message.
        codes: what they mean; one that nobody knows may be a label of its own.

    Raises:
        CorpusError: names what was found.
    """
    if len({*codes.raw.values(), *codes.unknown}) < 2:
        used = sorted({*codes.raw, *codes.unknown})
        found = f"only {listing(used)}" if used else "none"
        same = f", which all mean {codes.raw[used[0]]!r}" if len(used) > 1 else ""
        raise CorpusError(f"{table}: a corpus needs at least two labels; found {found}{same}.")


# --- split rule --------------------------------------------------------------------------------------------------


def split_rule(
    utterances: Sequence[ParsedUtterance], label_source: LabelSource, labels: Mapping[str, str]
) -> SplitRule:
    """The rule that PROTOCOL section 3 asks for, with the reason in words.

    Args:
        utterances: of the benchmark subset.
        label_source: of the labels whose balance over speakers counts.
        labels: code to label; a code that it lacks counts as a label of its own.
    """
    parts = {one.provider_partition for one in utterances} - {UNASSIGNED}
    whole = (
        None not in parts
        and bool(parts)
        and (
            all(str(part).startswith(FOLD_PREFIX) for part in parts)
            or ("train" in parts and any(str(part).startswith("test") for part in parts))
        )
    )
    rows = [
        Utterance(
            utterance_id=one.stem,
            corpus_id="new",
            audio_path=one.audio_path,
            language="und",
            speaker_id=one.speaker_id,
            expressed=labels.get(one.expressed_raw or "", one.expressed_raw),
            perceived=labels.get(one.perceived_raw or "", one.perceived_raw),
        )
        for one in utterances
    ]
    policy = protocol_rule(rows, label_source, has_provider=whole)
    number, why = _reason(policy, {one.speaker_id for one in utterances})
    if not whole and parts - {None}:
        why += " The given partitions lack a training or a test part and are not used."
    return SplitRule(
        policy=policy,
        k=N_SPEAKER_FOLDS if policy == "speaker_k_fold" else None,
        seed=DEFAULT_SEED,
        source=f"PROTOCOL section 3, rule {number}; computed from the utterances",
        why=why,
    )


def _reason(policy: PolicyName, speakers: set[str | None]) -> tuple[int, str]:
    n_speakers = len(speakers - {None})
    balanced = f"{n_speakers} speakers, each with the same number of utterances per label"
    if policy == "provider":
        return 1, "Every utterance comes with a partition."
    if policy == "leave_one_speaker_out":
        return 3, f"{balanced}: each is left out once."
    if policy == "speaker_k_fold":
        return 4, f"{balanced}: no speaker is in two parts."
    if None in speakers:
        found = "No utterance names its speaker" if not n_speakers else "Some utterances do not name their speaker"
        return 2, f"{found} (column speaker_id), so speakers may occur in both train and test."
    if n_speakers < N_SPEAKER_FOLDS:
        found = "There is one speaker" if n_speakers == 1 else f"There are {n_speakers} speakers"
        return 2, f"{found}, fewer than {N_SPEAKER_FOLDS}: speakers occur in both train and test."
    return 2, (
        f"The {n_speakers} speakers do not all have the same number of utterances per label. Speakers occur in both "
        "train and test; use the speaker-disjoint split for claims about new voices."
    )


# --- the card ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What no table of utterances says about a corpus; placeholders where nobody said."""

    year: int | None = None
    """None takes a placeholder, which the card's sources say."""
    name: str | None = None
    languages: tuple[str, ...] = ()
    setting: Literal["acted", "in_the_wild"] | None = None
    """None takes ``acted`` for intended labels, ``in_the_wild`` for perceived ones; the card's sources say so."""
    license: str = f"{FILL_IN}: the licence under which you may use it"
    citation: str = f"{FILL_IN}: who made it, and where it is described"
    homepage: str = "none"
    how: str = "It is a corpus of the user's own."
    open_access: bool = False
    heard: str = f"{FILL_IN}: what listeners heard or saw, such as voice only"
    consensus: str = f"{FILL_IN}: the rule that makes the perceived label"
    vote_rules: Mapping[str, str] = field(default_factory=dict)
    """Counting rule to what it counts."""
    gold: LabelSource | None = None
    """None takes ``expressed`` where every utterance has an intended label, else ``perceived``."""
    sample_rates_hz: tuple[int, ...] = ()
    n_channels: tuple[int, ...] = ()
    known_issues: tuple[KnownIssue, ...] = ()


def draft_card(
    corpus_id: str,
    utterances: Sequence[ParsedUtterance],
    *,
    codes: CodeMap,
    facts: CardFacts,
    manifest: str,
    source: str,
    earlier: CorpusCard | None = None,
) -> CorpusCard:
    """Make the first card of a corpus, or renew what an earlier one took from the utterances.

    Args:
        corpus_id: its name.
        utterances: all of them.
        codes: what their codes mean; ``prepare`` refuses the card until every code is mapped or dropped.
        facts: what the utterances do not say.
        manifest: path of the table of utterances, relative to where the card will lie.
        source: where the facts come from, in words.
        earlier: a card that may have been edited; everything in it that utterances do not tell is kept, unless
            ``facts`` say otherwise about languages, licence, citation or gold.

    Raises:
        CorpusError: no utterance has a label of the source that is to be gold.
    """
    included = [one for one in utterances if one.excluded_reason is None]
    rules = sorted({rule for one in included for rule in one.votes_raw})
    sources = _label_sources(included, rules)
    if facts.gold is not None and facts.gold not in sources:
        raise CorpusError(f"{manifest} has no {facts.gold} labels; it has {' and '.join(sources)} ones.")
    kept_gold = earlier.gold if earlier is not None and earlier.gold in sources else None
    default_gold: LabelSource = "perceived" if any(one.expressed_raw is None for one in included) else "expressed"
    gold = facts.gold or kept_gold or default_gold
    kept = _scored(utterances, gold, codes.dropped)
    known = sorted(set(codes.raw.values()))
    counts = Counter(codes.raw.get(_gold_code(one, gold) or "") for one in kept)
    content: dict[str, Any] = {
        "corpus_id": corpus_id,
        "name": facts.name or corpus_id,
        "version": "1",
        "year": facts.year or EARLIEST_YEAR,
        "languages": facts.languages or ("und",),
        "setting": facts.setting or ("acted" if gold == "expressed" else "in_the_wild"),
        "elicitation": "unknown",
        "recording": "unknown",
        "label_sources": sources,
        "gold": gold,
        "layout": "verified",
        "audio_files": sorted({f"**/*{PurePosixPath(one.audio_path).suffix}" for one in utterances}),
        "manifest": manifest,
        "labels": {
            "names": sorted([*known, *PLACEHOLDER_LABELS[: max(0, 2 - len(known))]]),
            "raw": codes.raw,
            "dropped": codes.dropped,
        },
        "expected": {
            "n_utterances": len(kept) or None,
            "n_speakers": len({nfc(one.speaker_id) for one in kept if one.speaker_id is not None}) or None,
            # A code mapped later would add to a label that is counted now.
            "per_label": {} if codes.unknown else {name: counts[name] for name in known},
            "sample_rates_hz": facts.sample_rates_hz,
            "n_channels": facts.n_channels,
        },
        "split": split_rule(kept, gold, codes.raw),
        "access": {
            "kind": "open" if facts.open_access else "request",
            "license": facts.license,
            "homepage": facts.homepage,
            "how": facts.how,
            "redistributable": False,
        },
        "citation": facts.citation,
        "known_issues": facts.known_issues,
        "sources": {
            **dict.fromkeys(("labels", "expected", "split"), source),
            **({"setting": ASSUMED} if facts.setting is None else {}),
            **({"year": ASSUMED} if facts.year is None else {}),
        },
    }
    if "perceived" in sources:
        texts = {rule: facts.vote_rules.get(rule, f"{FILL_IN}: what the rule {rule!r} counts") for rule in rules}
        content["perception"] = {
            "given": facts.heard,
            "consensus": facts.consensus,
            "votes_released": bool(rules),
            "vote_rules": texts,
            "default_vote_rule": "all" if "all" in rules else rules[0] if rules else None,
        }
    return CorpusCard.model_validate(content if earlier is None else _renewed(earlier, content, facts))


COUNTED = ("corpus_id", "label_sources", "gold", "audio_files", "manifest", "labels", "expected", "split")
"""Fields of a card that its table tells."""


def _renewed(earlier: CorpusCard, content: Mapping[str, Any], facts: CardFacts) -> dict[str, Any]:
    """The content of an earlier card, with what utterances tell and what the user says taken from the new content."""
    kept = earlier.model_dump(mode="json", exclude_defaults=True)
    labels, expected = content["labels"], content["expected"]
    names = labels["names"]
    aliases = {word: label for word, label in earlier.labels.aliases.items() if label in names}
    same_size = expected["n_utterances"] == earlier.expected.n_utterances
    # No table tells how the audio was recorded; what its length and its speakers' shares are goes with the utterances.
    measured = ("sample_rates_hz", "n_channels", *(("hours", "per_speaker") if same_size else ()))
    renewed = {
        **kept,
        **{field: content[field] for field in COUNTED},
        "labels": {**labels, "aliases": aliases},
        "expected": {**expected, **{name: getattr(earlier.expected, name) for name in measured}},
        "sources": {
            **kept["sources"],
            **{field: content["sources"][field] for field in ("labels", "expected", "split")},
        },
    }
    if facts.languages:
        renewed["languages"] = facts.languages
    if not facts.citation.startswith(FILL_IN):
        renewed["citation"] = facts.citation
    if not facts.license.startswith(FILL_IN):
        renewed["access"] = {**kept["access"], "license": facts.license}
    perception = content.get("perception")
    if perception is None:
        renewed.pop("perception", None)
    else:
        renewed["perception"] = _renewed_perception(earlier.perception, perception)
    return renewed


def _renewed_perception(earlier: Perception | None, perception: Mapping[str, Any]) -> dict[str, Any]:
    if earlier is None:
        return dict(perception)
    rules = perception["vote_rules"]
    default = earlier.default_vote_rule
    return {
        **perception,
        "given": earlier.given,
        "n_raters": earlier.n_raters,
        "consensus": earlier.consensus,
        "vote_rules": {rule: earlier.vote_rules.get(rule, text) for rule, text in rules.items()},
        "default_vote_rule": default if default in rules else perception["default_vote_rule"],
    }


def _gold_code(one: ParsedUtterance, gold: LabelSource) -> str | None:
    return one.expressed_raw if gold == "expressed" else one.perceived_raw


def _scored(
    utterances: Iterable[ParsedUtterance], gold: LabelSource, dropped: Mapping[str, str]
) -> list[ParsedUtterance]:
    """The utterances that are neither excluded nor dropped for their code."""
    return [one for one in utterances if one.excluded_reason is None and _gold_code(one, gold) not in dropped]


def _label_sources(included: Iterable[ParsedUtterance], rules: Sequence[str]) -> tuple[LabelSource, ...]:
    given = {
        source
        for one in included
        for source, code in (("expressed", one.expressed_raw), ("perceived", one.perceived_raw))
        if code is not None
    }
    return tuple(source for source in LABEL_SOURCES if source in given or (source == "perceived" and rules))


def to_fill_in(card: CorpusCard) -> tuple[str, ...]:
    """Fields of a card that still hold a placeholder, as they are written in the file."""
    found = _placeholders(card.model_dump(mode="json"), "")
    languages = ("languages",) if card.languages == ("und",) else ()
    # Where the source of a field is open, the field itself is what was assumed.
    return (*languages, *(place.removeprefix("sources.") for place in found))


def _placeholders(value: Any, place: str) -> list[str]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _placeholders(item, f"{place}.{key}".strip("."))]
    return [place] if isinstance(value, str) and value.startswith(FILL_IN) else []


def split_now(card: CorpusCard, utterances: Iterable[ParsedUtterance]) -> PolicyName:
    """The policy that the protocol's rules give for the utterances of a card's table as they are now."""
    return split_rule(_scored(utterances, card.gold, card.labels.dropped), card.gold, card.labels.raw).policy


def refuse_unknown_codes(corpus_id: str, codes: CodeMap, *, hint: str) -> None:
    """Refuse a corpus while the meaning of one of its codes is open.

    Args:
        corpus_id: its name.
        codes: what its codes mean.
        hint: what its user can do about one.

    Raises:
        UnmappedLabel: names the first code, and the others in the hint.
    """
    if codes.unknown:
        first, *others = codes.unknown
        more = f"Neither does it {listing(others)}. " if others else ""
        raise UnmappedLabel(corpus_id=corpus_id, code=first, known=(*codes.raw, *codes.dropped), hint=more + hint)


def check_own_card(card: CorpusCard, manifest: Iterable[ParsedUtterance], place: str) -> None:
    """Refuse a user's own card as long as its labels are not finished.

    Args:
        card: made by ``draft_card`` or by hand.
        manifest: the utterances of its table.
        place: where the card lies.

    Raises:
        UnmappedLabel: a code of the table that the card neither maps nor drops.
        CardError: a label that no code is mapped to.
    """
    counts = codes_of(manifest)
    known = {*card.labels.raw, *card.labels.dropped}
    unknown = {code: counts[code] for code in sorted(set(counts) - known)}
    refuse_unknown_codes(
        card.corpus_id,
        CodeMap(raw=card.labels.raw, dropped=card.labels.dropped, unknown=unknown),
        hint=f"Write each into {place}: below [labels.raw] with its label, or below [labels.dropped] with a reason.",
    )
    mapped = set(card.labels.raw.values())
    idle = [name for name in card.labels.names if name not in mapped]
    if idle:
        problem = f"labels.names: no code of labels.raw means {listing(idle)}; take it out, or map a code to it"
        raise CardError(place, [problem, *(["a corpus has two labels or more"] if len(card.labels.names) == 2 else [])])


# --- as a file ---------------------------------------------------------------------------------------------------


def card_toml(card: CorpusCard, *, codes: CodeMap) -> str:
    """The card as a commented TOML file, for its user to complete.

    Args:
        card: what ``draft_card`` made.
        codes: the same codes; those that nobody knows stand as comments where their meaning belongs.
    """
    unknown = [
        f"{_key(code)} = {FILL_IN}        ({n} utterance{'' if n == 1 else 's'})" for code, n in codes.unknown.items()
    ]
    comments = {
        "year": ["Of publication."],
        "languages": ['BCP-47 codes, such as "en" or "zh-TW"; "und" is a placeholder.'],
        "setting": ['"acted" or "in_the_wild"'],
        "elicitation": ['"scripted", "spontaneous", "mixed" or "unknown"'],
        "recording": ['"studio", "podcast", "tv", "talkshow", "online_media" or "unknown"'],
        "gold": [
            "The label source that hard scores use"
            + (": change it if you mean the other." if len(card.label_sources) == 2 else ".")
        ],
        "labels.raw": [
            "Code of the manifest = label. Labels are lower-case words; all of them stand in labels.names.",
            *(
                [
                    "voxemo knows no word for these codes. Write each here with its label (and the label into names),",
                    "or below [labels.dropped] with a reason to leave it out. `voxemo prepare` refuses until then.",
                    *unknown,
                ]
                if unknown
                else []
            ),
        ],
        "expected": [
            "Counted from the manifest, without dropped codes; `voxemo prepare` compares the folder with it.",
            *(["Change the counts when you drop a code."] if unknown else []),
        ],
        "split": ["Computed from the manifest by the protocol's rules."],
        "sources": [f"Where each field comes from. What says {FILL_IN} here has a value that was only assumed."],
        "access": ['kind: "open", "request", "paid" or "unavailable"'],
    }
    head = [
        f"# The card of {card.corpus_id}: every fact about the corpus that the benchmark uses.",
        f"# What says {FILL_IN} is not known yet. `voxemo show schema corpus` explains every field.",
        "",
    ]
    content = card.model_dump(mode="json", exclude_defaults=True)
    return "\n".join([*head, *_toml(content, comments)]) + "\n"


def _toml(content: Mapping[str, Any], comments: Mapping[str, Sequence[str]], place: str = "") -> list[str]:
    lines: list[str] = []
    tables = {key: value for key, value in content.items() if isinstance(value, dict) or _holds_tables(value)}
    for key, value in content.items():
        if key not in tables:
            lines += [
                *(f"# {comment}" for comment in comments.get(f"{place}{key}", ())),
                f"{_key(key)} = {_value(value)}",
            ]
    for key, value in tables.items():
        name = f"{place}{_key(key)}"
        for one in [value] if isinstance(value, dict) else value:
            header = f"[{name}]" if isinstance(value, dict) else f"[[{name}]]"
            lines += ["", header, *(f"# {comment}" for comment in comments.get(name, ()))]
            lines += _toml(one, comments, f"{name}.")
    return lines


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # JSON's strings, numbers and booleans are TOML's too, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
