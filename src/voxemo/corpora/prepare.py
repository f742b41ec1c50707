"""From a corpus folder to utterances, votes and a report, checked against the corpus's card.

``describe`` is the pure core: card, parsed rows and probes in, values out. ``prepare`` reads the folder for it. Nothing
is dropped in silence: broken audio stays as a row with a reason, a label outside the benchmark too, and files that no
rule reads are counted.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path, PurePosixPath
from typing import Literal

from voxemo.catalog.lookup import Parser, builtin_corpus_cards
from voxemo.core.cards import CorpusCard, Expected
from voxemo.core.errors import CorpusError, CountMismatch, UnmappedLabel, WrongLayout, listing
from voxemo.core.ids import utterance_id
from voxemo.core.types import ParsedUtterance, Utterance
from voxemo.corpora.probe import Probe, probe
from voxemo.corpora.tree import CorpusTree, nfc

Subset = Literal["benchmark", "paper"]
"""``paper``: without the utterances that the paper's set is known to lack (a clash of names, as a rule)."""

UNDETERMINED_LANGUAGE = "und"
"""BCP-47 for a language that is not known: a corpus of several that does not say which one an utterance is in."""

UNPROBED = Probe()


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """How many listeners gave one label to one utterance, by one counting rule."""

    utterance_id: str
    rule: str
    raw_label: str
    """The provider's code."""
    label: str | None
    """Canonical label; None where the code is outside the corpus's label set."""
    n: float
    """Above 0: a number of votes, or a share where only shares are published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareReport:
    """What was found in a corpus folder, and how it differs from the card.

    Counts are of the benchmark subset, the utterances that nothing excludes; unusable ones are in it.
    """

    corpus_id: str
    subset: Subset
    n_utterances: int
    n_speakers: int
    """Speakers that the files tell apart; 0 where they tell none."""
    hours: float | None
    """Usable audio; None when the audio was not looked at."""
    per_label: Mapping[str, int]
    """By the label source that the card calls gold, in label-set order, zeros included."""
    per_speaker: Mapping[str, int]
    labelled: Mapping[str, int]
    """Label source to utterances that have a label by it. Ties of listeners have none."""
    voted: Mapping[str, int]
    """Counting rule to utterances with votes by it, for every rule on the card: 0 where the table is absent."""
    n_transcripts: int
    excluded: Mapping[str, int]
    """Reason to utterances outside the benchmark subset."""
    unusable: Mapping[str, str]
    """Utterance id to what is wrong with its audio."""
    silent: tuple[str, ...]
    """Utterance ids without audible sound. They are usable, and asked like any other."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of utterance ids that have the very same samples."""
    unread: tuple[str, ...]
    """Audio files that no utterance comes from, relative to the root."""
    differences: Mapping[str, tuple[int, int]]
    """What was counted to (the card's count, the count found), where the two differ."""
    converted_audio: tuple[str, ...]
    """How rates and channels differ from those that the card lists, in words; runs say it."""

    @property
    def complete(self) -> bool:
        """Every count on the card was found."""
        return not self.differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A corpus, ready to be split and asked about."""

    utterances: tuple[Utterance, ...]
    """Sorted by id; excluded and unusable ones included, with their reasons."""
    votes: tuple[VoteRow, ...]
    """Sorted by utterance id, rule and raw label; labels that nobody gave have no row."""
    report: PrepareReport


# --- the pure core -----------------------------------------------------------------------------------------------


def describe(
    card: CorpusCard,
    parsed: Sequence[ParsedUtterance],
    probes: Sequence[Probe] | None = None,
    *,
    unread: Iterable[str] = (),
    subset: Subset = "benchmark",
) -> Prepared:
    """Map a parser's rows to the benchmark's labels and count them.

    A code that the card drops leaves the utterance out where it comes from the gold label source, and only leaves that
    label out where it comes from the other one: in a corpus with both, whom the listeners could not agree on was still
    asked to play something. Reasons that the parser gives itself are kept.

    Args:
        card: the corpus's card.
        parsed: what the parser yields.
        probes: one per row, in order; None when the audio was not looked at.
        unread: audio files that the parser left.
        subset: ``paper`` leaves out what the paper's set is known to lack.

    Raises:
        CorpusError: the paper's set is asked for, and how it differs is not known.
        UnmappedLabel: a code that the card neither maps nor drops.
        WrongLayout: two utterances of one name, a path that is no UTF-8, no intended label in a corpus whose gold
            labels are those, or votes that are not finite numbers from 0 up.
    """
    rows = sorted(
        zip(parsed, repeat(UNPROBED, len(parsed)) if probes is None else probes, strict=True),
        key=lambda row: nfc(row[0].stem),
    )
    _refuse_unwritable_names(card, parsed)
    _refuse_double_stems(card, [one for one, _ in rows])
    if subset == "paper":
        _refuse_unknown_paper_set(card)
    utterances = tuple(_utterance(card, one, found, subset) for one, found in rows)
    votes = tuple(vote for one, _ in rows for vote in _votes(card, one))
    silent = tuple(
        utterance.utterance_id for utterance, (_, found) in zip(utterances, rows, strict=True) if found.silent
    )
    report = _report(
        card,
        utterances,
        votes,
        subset=subset,
        silent=silent,
        unread=tuple(sorted(unread)),
        audio_known=probes is not None,
    )
    return Prepared(utterances=utterances, votes=votes, report=report)


def _refuse_unknown_paper_set(card: CorpusCard) -> None:
    paper = card.paper
    if paper is None or (paper.subset is None and paper.n_utterances != card.expected.n_utterances):
        raise CorpusError(
            f"Which utterances of {card.corpus_id} the paper counts is not known. "
            f"`voxemo show corpus {card.corpus_id}` lists what is; prepare it without --subset paper."
        )


def _refuse_unwritable_names(card: CorpusCard, parsed: Iterable[ParsedUtterance]) -> None:
    unwritable = [one.audio_path for one in parsed if printable(one.audio_path) != one.audio_path]
    if unwritable:
        raise WrongLayout(
            card.corpus_id,
            expected="file names in UTF-8",
            found=listing(unwritable),
            hint="Unpack the archive again with the encoding of its names, such as `unzip -O cp850`.",
        )


def printable(path: str) -> str:
    r"""A path as it can be shown and stored; the same where it is UTF-8.

    Python reads a name that is no UTF-8 with stand-ins that no table can hold; old zip files give such names.

    >>> printable("Col\udc8are.wav") == r"Col\udc8are.wav"
    True
    """
    return path.encode(errors="backslashreplace").decode()


def _refuse_double_stems(card: CorpusCard, parsed: Iterable[ParsedUtterance]) -> None:
    by_stem: defaultdict[str, list[str]] = defaultdict(list)
    for one in parsed:
        by_stem[nfc(one.stem)].append(one.audio_path)
    double = [stem for stem, paths in by_stem.items() if len(paths) > 1]
    if double:
        raise WrongLayout(
            card.corpus_id,
            expected="every utterance once",
            found=f"{listing(double)} more than once (the first from {listing(by_stem[double[0]])})",
            hint="A second copy of the files below the same root is the usual cause.",
        )


def _canonical(card: CorpusCard, code: str | None) -> str | None:
    if code is None or code in card.labels.dropped:
        return None
    if code not in card.labels.raw:
        known = (*card.labels.raw, *card.labels.dropped)
        raise UnmappedLabel(corpus_id=card.corpus_id, code=code, known=known)
    return card.labels.raw[code]


def lacks_intended_label(card: CorpusCard, parsed: ParsedUtterance) -> bool:
    """Whether the gold label is absent where that cannot be an answer.

    Listeners may tie, so a missing perceived label is one; what a speaker intended is always known.
    """
    return card.gold == "expressed" and parsed.expressed_raw is None


def _utterance(card: CorpusCard, parsed: ParsedUtterance, found: Probe, subset: Subset) -> Utterance:
    gold_code = parsed.expressed_raw if card.gold == "expressed" else parsed.perceived_raw
    excluded_reason = parsed.excluded_reason
    if excluded_reason is None and subset == "paper" and parsed.outside_paper is not None:
        excluded_reason = f"not in the paper's set: {parsed.outside_paper}"
    if excluded_reason is None and gold_code in card.labels.dropped:
        excluded_reason = f"label dropped: {card.labels.dropped[gold_code]}"
    if excluded_reason is None and lacks_intended_label(card, parsed):
        raise WrongLayout(
            card.corpus_id, expected="an intended label for every utterance", found=f"none for {parsed.stem!r}"
        )
    return Utterance(
        utterance_id=utterance_id(card.corpus_id, nfc(parsed.stem)),
        corpus_id=card.corpus_id,
        audio_path=parsed.audio_path,
        start_s=parsed.start_s,
        end_s=parsed.end_s,
        duration_s=found.duration_s,
        sample_rate_hz=found.sample_rate_hz,
        n_channels=found.n_channels,
        audio_sha256=found.audio_sha256,
        speaker_id=None if parsed.speaker_id is None else nfc(parsed.speaker_id),
        speaker_gender=parsed.speaker_gender,
        speaker_age=parsed.speaker_age,
        language=parsed.language or (card.languages[0] if len(card.languages) == 1 else UNDETERMINED_LANGUAGE),
        transcript=parsed.transcript,
        session_id=parsed.session_id,
        expressed=_canonical(card, parsed.expressed_raw),
        perceived=_canonical(card, parsed.perceived_raw),
        provider_partition=parsed.provider_partition,
        unusable_reason=found.unusable_reason,
        excluded_reason=excluded_reason,
    )


def bad_vote(parsed: ParsedUtterance) -> str | None:
    """The first vote that is no finite number from 0 up, in words; None where there is none.

    >>> bad_vote(ParsedUtterance(stem="s", audio_path="s.wav", votes_raw={"all": {"A": 2, "H": -1}}))
    "-1 for 'H' by rule 'all'"
    """
    for rule, counts in parsed.votes_raw.items():
        for code, n in counts.items():
            if not (math.isfinite(n) and n >= 0):
                return f"{n} for {code!r} by rule {rule!r}"
    return None


def _votes(card: CorpusCard, parsed: ParsedUtterance) -> Iterator[VoteRow]:
    if bad := bad_vote(parsed):
        raise WrongLayout(
            card.corpus_id, expected="votes that are numbers from 0 up", found=f"{bad} on {parsed.stem!r}"
        )
    for rule, counts in sorted(parsed.votes_raw.items()):
        for code, n in sorted(counts.items()):
            label = _canonical(card, code)
            if n > 0:
                name = utterance_id(card.corpus_id, nfc(parsed.stem))
                yield VoteRow(utterance_id=name, rule=rule, raw_label=code, label=label, n=n)


def _report(
    card: CorpusCard,
    utterances: Sequence[Utterance],
    votes: Sequence[VoteRow],
    *,
    subset: Subset,
    silent: tuple[str, ...],
    unread: tuple[str, ...],
    audio_known: bool,
) -> PrepareReport:
    kept = [one for one in utterances if one.excluded_reason is None]
    ids = {one.utterance_id for one in kept}
    labels = Counter(one.expressed if card.gold == "expressed" else one.perceived for one in kept)
    speakers = Counter(one.speaker_id for one in kept if one.speaker_id is not None)
    by_samples: defaultdict[str, list[str]] = defaultdict(list)
    for one in kept:
        if one.audio_sha256 is not None:
            by_samples[one.audio_sha256].append(one.utterance_id)
    voted = {rule: {vote.utterance_id for vote in votes if vote.rule == rule} & ids for rule in _vote_rules(card)}
    per_label = {name: labels[name] for name in card.labels.names}
    return PrepareReport(
        corpus_id=card.corpus_id,
        subset=subset,
        n_utterances=len(kept),
        n_speakers=len(speakers),
        hours=sum(one.duration_s or 0.0 for one in kept) / 3600 if audio_known else None,
        per_label=per_label,
        per_speaker=dict(sorted(speakers.items())),
        labelled={source: sum(getattr(one, source) is not None for one in kept) for source in card.label_sources},
        voted={rule: len(names) for rule, names in voted.items()},
        n_transcripts=sum(one.transcript is not None for one in kept),
        excluded=dict(sorted(Counter(one.excluded_reason for one in utterances if one.excluded_reason).items())),
        unusable={one.utterance_id: one.unusable_reason for one in kept if one.unusable_reason is not None},
        silent=tuple(name for name in silent if name in ids),
        duplicates=tuple(tuple(group) for group in by_samples.values() if len(group) > 1),
        unread=unread,
        differences=dict(_differences(card, subset, len(kept), per_label, speakers)),
        converted_audio=tuple(_converted_audio(card, kept)),
    )


def _vote_rules(card: CorpusCard) -> Iterable[str]:
    return () if card.perception is None else card.perception.vote_rules


def _differences(
    card: CorpusCard, subset: Subset, n_utterances: int, per_label: Mapping[str, int], per_speaker: Mapping[str, int]
) -> Iterator[tuple[str, tuple[int, int]]]:
    expected = card.expected
    if subset == "paper" and card.paper is not None and card.paper.subset is not None:
        # The paper's table counts utterances; its numbers of speakers follow other rules than the files'.
        expected = Expected(n_utterances=card.paper.n_utterances)
    counted: list[tuple[str, int | None, int]] = [
        ("utterances", expected.n_utterances, n_utterances),
        ("speakers", expected.n_speakers, len(per_speaker)),
    ]
    counted += [(f"utterances labelled {name}", n, per_label[name]) for name, n in expected.per_label.items()]
    counted += [
        (f"utterances of speaker {name}", expected.per_speaker.get(name, 0), per_speaker.get(name, 0))
        for name in (sorted({*expected.per_speaker, *per_speaker}) if expected.per_speaker else ())
    ]
    yield from ((what, (wanted, found)) for what, wanted, found in counted if wanted is not None and wanted != found)


def issues_by_utterance(card: CorpusCard) -> dict[str, tuple[str, ...]]:
    """Utterance id to the ids of the card's known issues that name it."""
    known: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for issue in card.known_issues:
        for name in issue.utterances:
            known[utterance_id(card.corpus_id, nfc(name))] += (issue.id,)
    return dict(known)


def unlisted(listed: Sequence[int], found: Mapping[str, int | None]) -> dict[str, int]:
    """Names with a value that the card does not list; none where it lists no value at all.

    >>> unlisted([16_000], {"a": 16_000, "b": 8_000, "c": None})
    {'b': 8000}
    """
    return {name: value for name, value in found.items() if listed and value is not None and value not in listed}


def _converted_audio(card: CorpusCard, kept: Sequence[Utterance]) -> Iterator[str]:
    known = issues_by_utterance(card)
    judged = [one for one in kept if one.utterance_id not in known]
    rates = {one.utterance_id: one.sample_rate_hz for one in judged}
    channels = {one.utterance_id: one.n_channels for one in judged}
    for listed, found, preposition, unit in (
        (card.expected.sample_rates_hz, rates, "at", "Hz"),
        (card.expected.n_channels, channels, "with", "channels"),
    ):
        if other := unlisted(listed, found):
            here, there = (" or ".join(map(str, sorted(values))) for values in ({*other.values()}, listed))
            what = f"{len(other)} of {len(kept)} utterances {preposition} {here} {unit}"
            yield f"{what}, where the card lists {there} {unit}: a converted copy".replace(" 1 channels", " 1 channel")


def check_counts(card: CorpusCard, report: PrepareReport) -> None:
    """Compare what was found with the card.

    Raises:
        CountMismatch: any count differs; all that do are named.
    """
    if report.differences:
        raise CountMismatch(
            corpus_id=card.corpus_id,
            differences=report.differences,
            hint="An incomplete download or a second copy of some files is the usual cause. "
            "With --partial, `voxemo prepare` goes on with what is there; every run says so.",
        )


# --- reading a folder --------------------------------------------------------------------------------------------


def check_layout(card: CorpusCard, tree: CorpusTree) -> None:
    """Look whether the tree can be this corpus at all.

    Raises:
        WrongLayout: no file matches the card's ``audio_files``; says when the root is one folder too high or too low,
            and when the files look like another corpus.
    """
    if any(map(tree.has, card.audio_files)):
        return
    raise WrongLayout(
        card.corpus_id,
        expected=f"audio files like {listing(card.audio_files)}",
        found=listing(tree.top_level()) or "an empty folder",
        hint=_likely_mistake(card, tree),
    )


def _likely_mistake(card: CorpusCard, tree: CorpusTree) -> str:
    """What the user may have meant, by the file pattern that tells most: any wav fits ``*.wav``."""
    guesses = [*_other_capitals(card, tree), *_other_root(card, tree), *_other_corpus(card, tree)]
    most = max((telling for telling, _ in guesses), default=0)
    return next((hint for telling, hint in guesses if telling == most), "")


def _telling(pattern: str) -> int:
    return sum(character not in "*?[]!/" for character in pattern)


def but_for_capitals(card: CorpusCard, paths: Iterable[str]) -> dict[str, str]:
    """Paths that would be the corpus's audio if their capitals were others, to the card's pattern for them."""
    by_folded = {path.casefold(): path for path in paths}
    folded = CorpusTree(dict.fromkeys(by_folded, ""))
    exact = CorpusTree(dict.fromkeys(by_folded.values(), ""))
    fitting = {str(path) for pattern in card.audio_files for path in exact.glob(pattern)}
    found = {by_folded[str(path)]: pattern for pattern in card.audio_files for path in folded.glob(pattern.casefold())}
    return {path: pattern for path, pattern in found.items() if path not in fitting}


def _other_capitals(card: CorpusCard, tree: CorpusTree) -> Iterator[tuple[int, str]]:
    for path, pattern in sorted(but_for_capitals(card, map(str, tree.files())).items())[:1]:
        yield (
            _telling(pattern),
            f"It differs in capitals only: {printable(path)!r}, where {pattern!r} is expected. "
            "Give folders and files the names that the provider gave them.",
        )


def _other_root(card: CorpusCard, tree: CorpusTree) -> Iterator[tuple[int, str]]:
    if tree.root is None:
        return
    # The name is taken from the resolved path, so that `--root .` works; what is shown is only what was typed.
    name = tree.root.resolve().name
    nested = CorpusTree({f"{name}/{path}": "" for path in tree.files()})
    above = tree.root.parent if tree.root.name not in ("", "..") else tree.root / ".."
    for pattern in card.audio_files:
        if below := tree.glob(f"*/{pattern}"):
            yield _telling(pattern), f"Did you mean --root {_shell(tree.root / below[0].parts[0])}?"
        if nested.has(pattern):
            yield _telling(pattern), f"Did you mean --root {_shell(above)}?"


def _shell(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)


def _other_corpus(card: CorpusCard, tree: CorpusTree) -> Iterator[tuple[int, str]]:
    for other in builtin_corpus_cards():
        if other.corpus_id != card.corpus_id:
            fitting = [_telling(pattern) for pattern in other.audio_files if tree.has(pattern)]
            if fitting:
                yield max(fitting), f"This looks like {other.corpus_id}."


def prepare(
    card: CorpusCard,
    parse: Parser,
    root: Path,
    *,
    subset: Subset = "benchmark",
    partial: bool = False,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Read a corpus folder, check it against its card, and probe its audio.

    Labels and counts are checked before any audio is decoded, so that a wrong folder is refused in seconds.

    Args:
        card: the corpus's card.
        parse: the corpus's parser.
        root: the corpus folder.
        subset: ``paper`` leaves out what the paper's set is known to lack.
        partial: go on when the counts differ from the card's; the report says how they do.
        jobs: as ``probe`` has it.
        on_progress: called with the utterances probed so far and their total.

    Raises:
        CorpusNotFound: there is no such folder.
        WrongLayout: it is not laid out as the card and the parser expect.
        UnmappedLabel: it uses a code that the card neither maps nor drops.
        CountMismatch: it is not complete, and ``partial`` is not set.
    """
    tree = CorpusTree(root, corpus_id=card.corpus_id)
    parsed = tuple(read_rows(card, parse, tree))
    unread = unread_audio(card, tree, parsed)
    counted = describe(card, parsed, subset=subset).report
    if not partial:
        check_counts(card, counted)
    probes = probe(
        root,
        parsed,
        jobs=jobs,
        on_done=None if on_progress is None else lambda n_done: on_progress(n_done, len(parsed)),
    )
    return describe(card, parsed, probes, unread=unread, subset=subset)


def read_rows(card: CorpusCard, parse: Parser, tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """What the parser makes of the tree, row by row.

    Raises:
        WrongLayout: the tree is not this corpus's, or the parser finds no utterance in it.
        CorpusError: as the parser does, after the rows before.
    """
    check_layout(card, tree)
    empty = True
    for row in parse(tree):
        empty = False
        yield row
    if empty:
        raise tree.wrong_layout("file names of its provider's form", listing(unread_audio(card, tree, ())))


def unread_audio(card: CorpusCard, tree: CorpusTree, parsed: Iterable[ParsedUtterance]) -> list[str]:
    """Audio files that no utterance comes from, sorted: those with an ending that the card's audio files have."""
    endings = tuple({PurePosixPath(pattern).suffix.casefold() for pattern in card.audio_files})
    read = {one.audio_path for one in parsed}
    files = map(str, tree.files())
    return [printable(path) for path in files if path.casefold().endswith(endings) and path not in read]
