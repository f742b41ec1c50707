"""What is wrong with a corpus folder: everything at once, sorted by what it means for the benchmark.

``examine`` is the pure core: card, parsed rows, probes and an earlier manifest in, findings out. ``read_folder`` reads
for it. Unlike ``prepare`` neither stops at the first thing that is wrong.

A finding is a *problem* when the benchmark subset is not, or cannot be made, the one that the card describes. So a
folder without problems is one that `prepare` takes whole, of which the protocol's split can be made, and whose audio
can be used and has the corpus's own rates and channels; where there is an earlier manifest, which runs may have been
made from, it also holds the same samples and labels as then. A *warning* is for a person to look at: the subset is
whole, but something may be wrong with it. A *note* is known, or so by design.

Where the card's known issues name an utterance, what is found with its audio is a note and carries the issue's id; a
Git LFS pointer or altered samples never are, because they are defects of one copy.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxemo.catalog.lookup import Parser
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusError, SplitError, UnmappedLabel, WrongLayout
from voxemo.core.ids import utterance_id
from voxemo.core.types import ParsedUtterance, Split, Utterance
from voxemo.corpora.doctor.audio import check_clips, check_twins
from voxemo.corpora.doctor.findings import KINDS, SEVERITIES, UNUSABLE, Finding, finding, named
from voxemo.corpora.doctor.tables import Earlier, check_changes, check_counts, check_tables, readable_rows
from voxemo.corpora.prepare import (
    UNPROBED,
    PrepareReport,
    but_for_capitals,
    describe,
    issues_by_utterance,
    printable,
    read_rows,
    unread_audio,
)
from voxemo.corpora.probe import Probe, probe
from voxemo.corpora.tree import CorpusTree, nfc
from voxemo.splits import checks
from voxemo.splits.policies import make_split

QUICK_BYTES = 1024
"""A quick look opens only smaller files: pointers are, and no utterance is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a corpus folder gave, before anything is judged."""

    rows: tuple[ParsedUtterance, ...]
    probes: tuple[Probe, ...]
    """One per row; without facts where the audio was not looked at."""
    unread: tuple[str, ...] = ()
    """Audio files that no row comes from, relative to the root."""
    refusal: CorpusError | None = None
    """Why the layout check or the parser gave up; ``rows`` are those that came before."""
    unreached: Mapping[str, Probe] = field(default_factory=dict)
    """Audio files by path that belong to the corpus, but that the parser did not come to."""
    quick: bool = False
    """Audio was not decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that was found in a corpus folder."""

    report: PrepareReport
    findings: tuple[Finding, ...]
    """Problems first, then warnings, then notes."""
    sample_rates_hz: Mapping[int, int]
    """Rate to clips of the benchmark subset."""
    n_channels: Mapping[int, int]
    """Number of channels to clips of the benchmark subset."""
    split: str | None
    """The protocol's split of what was found, in words; None when there is none."""
    quick: bool
    """Audio was not decoded."""
    compared_with_manifest: bool
    """An earlier manifest was there, and not only the card."""

    @property
    def fit(self) -> bool:
        """No finding is a problem: this is the benchmark's subset."""
        return not self.problems

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that affect the benchmark subset."""
        return tuple(finding for finding in self.findings if finding.severity == "problem")

    @property
    def preparable(self) -> bool:
        """`prepare --partial` would take the folder as it is, and the protocol's split could be made of it."""
        refused = any(KINDS[finding.code].refused or finding.code == "no-split" for finding in self.findings)
        # The report knows nothing of audio after a quick look, which opens empty files and pointers all the same.
        n_unusable = sum(finding.number for finding in self.findings if finding.code in UNUSABLE.values())
        return not refused and n_unusable < self.report.n_utterances

    @property
    def only_changed(self) -> bool:
        """There are problems, and each is a difference from the earlier manifest alone, not from the card."""
        codes = {finding.code for finding in self.problems}
        # Utterances are missing from a folder with the card's counts only by comparison with the manifest.
        return bool(codes) and self.report.complete and codes <= {"altered", "relabelled", "missing"}


# --- reading a folder --------------------------------------------------------------------------------------------


def read_folder(
    card: CorpusCard,
    parse: Parser,
    root: Path,
    *,
    quick: bool = False,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Reading:
    """Read as much of a corpus folder as can be read.

    Where the parser gives up, the corpus's other audio files are still looked at, each as a file.

    Args:
        card: the corpus's card.
        parse: the corpus's parser.
        root: the corpus folder.
        quick: open only files too small to be audio; decode nothing else.
        jobs: as ``probe`` has it.
        on_progress: called with the files probed so far and their total.

    Raises:
        CorpusNotFound: there is no such folder.
        CorpusError: a folder below it cannot be listed.
    """
    tree = CorpusTree(root, corpus_id=card.corpus_id)
    tree.files()  # a folder that cannot be listed is no finding: nothing could be said about the rest
    rows: list[ParsedUtterance] = []
    unreached: list[ParsedUtterance] = []
    refusal: CorpusError | None = None
    try:
        for row in read_rows(card, parse, tree):
            rows.append(row)
    except CorpusError as wrong:
        refusal = wrong
        read = {row.audio_path for row in rows}
        own = {str(path) for pattern in card.audio_files for path in tree.glob(pattern)}
        unreached = [ParsedUtterance(stem=path, audio_path=path) for path in sorted(own - read)]
    probes = _probe(root, [*rows, *unreached], quick=quick, jobs=jobs, on_progress=on_progress)
    files = (printable(one.audio_path) for one in unreached)
    return Reading(
        rows=tuple(rows),
        probes=tuple(probes[: len(rows)]),
        unread=tuple(unread_audio(card, tree, rows)),
        refusal=refusal,
        unreached=dict(zip(files, probes[len(rows) :], strict=True)),
        quick=quick,
    )


def _probe(
    root: Path,
    clips: Sequence[ParsedUtterance],
    *,
    quick: bool,
    jobs: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> list[Probe]:
    opened = [index for index, clip in enumerate(clips) if not quick or _is_small(root / clip.audio_path)]
    found = probe(
        root,
        [clips[index] for index in opened],
        jobs=jobs,
        on_done=None if on_progress is None else lambda n_done: on_progress(n_done, len(opened)),
    )
    probes = [UNPROBED] * len(clips)
    for index, one in zip(opened, found, strict=True):
        probes[index] = one
    return probes


def _is_small(path: Path) -> bool:
    try:
        return path.stat().st_size < QUICK_BYTES
    except OSError:
        return True  # opening it will tell why


# --- the pure core -----------------------------------------------------------------------------------------------


def examine(
    card: CorpusCard,
    reading: Reading,
    *,
    earlier: Earlier | None = None,
    decoder_versions: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Judge what was read.

    Args:
        card: the corpus's card.
        reading: what its folder gave.
        earlier: what `prepare` wrote down of the same corpus, wherever it lay.
        decoder_versions: of what decoded the audio now, to tell altered files from another decoder.
    """
    card, rows, findings = readable_rows(card, zip(reading.rows, reading.probes, strict=True))
    prepared = describe(
        card,
        [row for row, _ in rows],
        None if reading.quick else [found for _, found in rows],
        unread=reading.unread,
    )
    kept = [one for one in prepared.utterances if one.excluded_reason is None]
    probes = {utterance_id(card.corpus_id, nfc(row.stem)): found for row, found in rows}
    clips = {one.utterance_id: probes[one.utterance_id] for one in kept}
    known = issues_by_utterance(card)
    split: Split | None = None
    split_text = None
    if reading.refusal is None:
        findings += check_counts(card, prepared.report, prepared.utterances, earlier)
        capitals = dict.fromkeys(but_for_capitals(card, reading.unread), "differs in capitals only")
        findings += named("unread", reading.unread, details=capitals)
        try:
            split = make_split(card, kept, policy="protocol")
            split_text, notes = _describe_split(split, kept, card)
            findings += notes
        except SplitError as error:
            findings.append(finding("no-split", 1, text=str(error)))
    else:
        findings.append(_refusal(reading.refusal, reading))
    if earlier is not None:
        findings += check_changes(kept, earlier, decoder_versions or {})
    findings += check_clips(card, {**clips, **reading.unreached}, known)
    findings += check_twins(prepared.report.duplicates, kept, card, split, known)
    findings += check_tables(card, prepared.report)
    if rows:
        findings += _other_issues(card, (issue for name in probes for issue in known.get(name, ())), findings)
    return Diagnosis(
        report=prepared.report,
        findings=in_order(findings),
        sample_rates_hz=_tally(found.sample_rate_hz for found in clips.values()),
        n_channels=_tally(found.n_channels for found in clips.values()),
        split=split_text,
        quick=reading.quick,
        compared_with_manifest=earlier is not None,
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Problems first, then warnings, then notes; each in the order of ``KINDS``."""
    codes = {code: place for place, code in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), codes[one.code])))


def _tally(values: Iterable[int | None]) -> dict[int, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _refusal(refusal: CorpusError, reading: Reading) -> Finding:
    codes: dict[type[CorpusError], str] = {WrongLayout: "wrong-layout", UnmappedLabel: "unmapped-label"}
    text = str(refusal)
    n = len(reading.rows)
    if n or reading.unreached:
        count = f"{n} utterance{'' if n == 1 else 's'}"
        text += f" Reading ended there, after {count}; counts and split were not looked at."
    return finding(codes.get(type(refusal), "unreadable"), 1, text=text)


def _describe_split(split: Split, kept: Sequence[Utterance], card: CorpusCard) -> tuple[str, list[Finding]]:
    """The protocol's split in words, and what to know about it."""
    overlap = checks.speaker_overlap(
        split.folds,
        {one.utterance_id: one.speaker_id for one in kept},
        {one.utterance_id: one.session_id for one in kept},
    )
    text = f"{split.policy}, {len(split.folds)} fold{'' if len(split.folds) == 1 else 's'}: {overlap.text}"
    shared = {"speaker-overlap": overlap.n_shared, "session-overlap": overlap.n_shared_sessions}
    notes = [finding(code, n) for code, n in shared.items() if n]
    return text, [*notes, *named("split-gaps", checks.check_folds(split.folds, kept, label_source=card.gold))]


def _other_issues(card: CorpusCard, named_here: Iterable[str], findings: Iterable[Finding]) -> list[Finding]:
    """The card's issues that no finding carries; first those that name utterances of this folder, once for each."""
    here = Counter(named_here)
    carried = {issue for one in findings for issue in one.known_issues}
    left = [issue.id for issue in card.known_issues if issue.id not in carried]
    return named(
        "known-issues",
        sorted(left, key=lambda issue: here[issue] == 0),
        details={issue: f"{here[issue]} utterance{'' if here[issue] == 1 else 's'}" for issue in left if here[issue]},
    )
