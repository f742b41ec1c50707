"""What is wrong with a corpus folder: everything at once, sorted by what it means for the benchmark.

``examine`` is the pure core: card, parsed rows, probes and an earlier manifest in, findings out. ``read_folder`` reads
for it. Unlike ``prepare`` neither stops at the first thing that is wrong.

A finding is a *problem* when the benchmark subset is not, or cannot be made, the one that the card describes:

- the folder has another layout, or a table that cannot be read;
- utterances are missing or too many, and labels or speakers have other counts than on the card;
- a code that the card neither maps nor drops, a missing intended label, votes that are no numbers, two files for one
  utterance, a name that is no UTF-8: `prepare` refuses each of them;
- audio of the subset cannot be used, and the card does not know it;
- audio has a sample rate or number of channels that the card does not list: somebody resampled or re-encoded it, so
  models would hear other samples than in every other run;
- samples, labels, speakers or partitions are not those of an earlier `prepare`, which runs may have been made from;
- the split of the protocol cannot be made.

A *warning* is for a person to look at: the subset is whole, but something may be wrong with it. A *note* is known, or
so by design. Where the card's known issues name an utterance, what is found with its audio is a note and carries the
issue's id; a Git LFS pointer or altered samples never are, because they are defects of one copy.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np

from voxemo.catalog.lookup import Parser
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import AudioProblem, CorpusError, SplitError, UnmappedLabel, WrongLayout, listing
from voxemo.core.ids import utterance_id
from voxemo.core.types import ParsedUtterance, Split, Utterance
from voxemo.corpora.prepare import UNPROBED, PrepareReport, check_layout, describe, unread_audio
from voxemo.corpora.probe import Probe, probe
from voxemo.corpora.tree import CorpusTree, nfc
from voxemo.splits import checks
from voxemo.splits.policies import make_split

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")

SHORTEST_S = 0.1
"""Below this, model cards have clips padded with silence."""
LONGEST_S = 30.0
"""Most speech models hear no more of a clip."""
CLIPPED_SHARE = 1e-3
"""Of a clip's samples; fewer are single peaks, which nobody hears."""
OUTLIER_DEVIATIONS = 5.0
OUTLIER_FACTOR = 4.0
OUTLIER_SHARE = 0.01

QUICK_BYTES = 1024
"""A quick look opens only smaller files: pointers are, and no utterance is."""

LOSSLESS_ENDINGS = (".wav", ".flac", ".aif", ".aiff")
"""Files that every version of a decoder gives the same samples of."""

Pairs: TypeAlias = list[tuple[ParsedUtterance, Probe]]

NOT_ON_CARD = "the card does not know this code"
NO_INTENDED_LABEL = "no intended label"

AGAIN = "Fetch or unpack these files again."
UNUSABLE: Mapping[AudioProblem, tuple[str, str, str]] = {
    "missing": ("missing-file", "Named by the corpus, but not in the folder", AGAIN),
    "unreadable": ("unreadable-file", "Files that cannot be opened", "Check their permissions."),
    "empty": ("empty-file", "Files of 0 bytes", AGAIN),
    "pointer": ("pointer-file", "Git LFS pointers instead of audio", "Run `git lfs pull` in the corpus's repository."),
    "undecodable": ("undecodable", "Audio that cannot be decoded", AGAIN),
    "truncated": ("cut-short", "Less audio than the file declares", AGAIN),
    "no_audio": ("no-audio", "Video or other data without a sound track", AGAIN),
    "zero_length": ("zero-length", "Files that hold not even one sample of audio", AGAIN),
    "not_numbers": ("not-numbers", "Samples that are infinite or not numbers", AGAIN),
    "outside": ("outside-file", "Segments that end after their recording", "Are table and audio of one release?"),
}
"""Kind of unusable audio to its finding's code, what it is and what to do."""
SELF_EXPLAINING: frozenset[AudioProblem] = frozenset({"missing", "empty", "pointer", "no_audio"})
"""Kinds of which the reason is the same for every file."""

REFUSED = ("wrong-layout", "unreadable", "unmapped-label", "bad-name", "double-name", "no-label", "bad-votes")
"""Codes of what `prepare` does not take at all."""

COMPARED = ("expressed", "perceived", "speaker_id", "provider_partition")
"""What else than audio decides scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, however often."""

    code: str
    severity: Severity
    text: str
    """What it is and what to do next, without the number."""
    number: int
    names: tuple[str, ...] = ()
    """All that it concerns: utterance ids as a rule, paths of files that make no utterance, labels, codes, issues."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Of some or all names, what was found there."""
    known_issues: tuple[str, ...] = ()
    """Ids of the card's known issues that name these utterances."""


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
class Earlier:
    """What an earlier `prepare` wrote down."""

    utterances: tuple[Utterance, ...]
    complete: bool
    """It had every utterance that the card counts."""
    decoder_versions: Mapping[str, str]


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
        """`prepare --partial` would take the folder as it is."""
        return not any(finding.code in REFUSED for finding in self.problems)


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
    rows: list[ParsedUtterance] = []
    unreached: list[ParsedUtterance] = []
    refusal: CorpusError | None = None
    try:
        check_layout(card, tree)
    except WrongLayout as wrong:
        return Reading(rows=(), probes=(), refusal=wrong, quick=quick)
    try:
        for row in parse(tree):
            rows.append(row)
    except CorpusError as wrong:
        refusal = wrong
    unread = unread_audio(card, tree, rows)
    if not rows and refusal is None:
        refusal = tree.wrong_layout("file names of its provider's form", listing(unread))
    if refusal is not None:
        read = {row.audio_path for row in rows}
        own = {str(path) for pattern in card.audio_files for path in tree.glob(pattern)}
        unreached = [ParsedUtterance(stem=path, audio_path=path) for path in sorted(own - read)]
    probes = _probe(root, [*rows, *unreached], quick=quick, jobs=jobs, on_progress=on_progress)
    files = (_printable(one.audio_path) for one in unreached)
    return Reading(
        rows=tuple(rows),
        probes=tuple(probes[: len(rows)]),
        unread=tuple(unread),
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


def _printable(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()


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
    findings: list[Finding] = [] if reading.refusal is None else [_refusal(reading.refusal, reading)]
    readable, pairs, refused = _readable(card, reading)
    findings += refused
    prepared = describe(
        readable,
        [row for row, _ in pairs],
        None if reading.quick else [found for _, found in pairs],
        unread=reading.unread,
    )
    kept = [one for one in prepared.utterances if one.excluded_reason is None]
    probes = {utterance_id(card.corpus_id, nfc(row.stem)): found for row, found in pairs}
    clips = {one.utterance_id: probes[one.utterance_id] for one in kept}
    split: Split | None = None
    split_text = None
    if reading.refusal is None:
        findings += _counts(card, prepared.report, prepared.utterances, earlier)
        findings += _unread(reading.unread)
        try:
            split = make_split(card, kept, policy="protocol")
        except SplitError as error:
            findings.append(Finding(code="no-split", severity="problem", text=str(error), number=1))
        else:
            split_text, notes = _split_notes(split, kept, card)
            findings += notes
    if earlier is not None:
        findings += _changed(kept, earlier, decoder_versions or {})
    known = _known_issues(card)
    audio = {**clips, **reading.unreached}
    findings += [*_unusable(audio, known), *_formats(card, audio, known), *_sound(audio, known)]
    findings += _lengths(audio, known)
    findings += _twins(prepared.report.duplicates, kept, card, split, known)
    findings += _tables(card, prepared.report)
    findings += _other_issues(card, probes.keys(), findings)
    return Diagnosis(
        report=prepared.report,
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        sample_rates_hz=_tally(found.sample_rate_hz for found in clips.values()),
        n_channels=_tally(found.n_channels for found in clips.values()),
        split=split_text,
        quick=reading.quick,
        compared_with_manifest=earlier is not None,
    )


def _tally(values: Iterable[int | None]) -> dict[int, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _finding(code: str, severity: Severity, text: str, names: Iterable[str], **others: Any) -> list[Finding]:
    """One finding about all names, or none if there are none."""
    names = tuple(names)
    return [Finding(code=code, severity=severity, text=text, number=len(names), names=names, **others)] if names else []


# --- what `prepare` would refuse ---------------------------------------------------------------------------------


def _refusal(refusal: CorpusError, reading: Reading) -> Finding:
    codes: dict[type[CorpusError], str] = {WrongLayout: "wrong-layout", UnmappedLabel: "unmapped-label"}
    rest = ""
    if reading.rows or reading.unreached:
        rest = f" Reading ended there, after {len(reading.rows)} utterances; counts and split were not looked at."
    code = codes.get(type(refusal), "unreadable")
    return Finding(code=code, severity="problem", text=f"{refusal}{rest}", number=1)


def _readable(card: CorpusCard, reading: Reading) -> tuple[CorpusCard, Pairs, list[Finding]]:
    """The card and the rows as ``describe`` takes them, and what had to be mended for it."""
    pairs: Pairs = []
    unwritable: list[str] = []
    unlabelled: list[str] = []
    votes: dict[str, str] = {}
    for row, found in zip(reading.rows, reading.probes, strict=True):
        name = _printable(f"{card.corpus_id}/{row.stem}")
        if _printable(row.audio_path) != row.audio_path:
            unwritable.append(_printable(row.audio_path))
            continue
        if card.gold == "expressed" and row.expressed_raw is None and row.excluded_reason is None:
            unlabelled.append(name)
            row = replace(row, excluded_reason=NO_INTENDED_LABEL)
        if bad := _bad_votes(row):
            votes[name] = bad
            row = replace(row, votes_raw={})
        pairs.append((row, found))
    pairs, copies = _first_of_each(pairs)
    unknown = _unknown_codes(card, [row for row, _ in pairs])
    dropped = {**card.labels.dropped, **dict.fromkeys(unknown, NOT_ON_CARD)}
    findings = [
        *_finding(
            "bad-name",
            "problem",
            "Names that are no UTF-8. Unpack the archive again with their encoding, such as `unzip -O cp850`.",
            unwritable,
        ),
        *_finding(
            "double-name",
            "problem",
            "More than one file for one utterance. Remove the second copy of the files.",
            copies,
            details=copies,
        ),
        *_finding(
            "no-label", "problem", "Utterances without an intended label. Is a table of another release?", unlabelled
        ),
        *_finding(
            "bad-votes", "problem", "Votes that are no numbers from 0 up. Is the table damaged?", votes, details=votes
        ),
        *_finding(
            "unmapped-label",
            "problem",
            "Codes that the card neither maps nor drops. Another release? Else add them to [labels] of the card.",
            unknown,
            details=unknown,
        ),
    ]
    return card.model_copy(update={"labels": card.labels.model_copy(update={"dropped": dropped})}), pairs, findings


def _bad_votes(row: ParsedUtterance) -> str:
    bad = (
        f"{n} votes for {code!r} by rule {rule!r}"
        for rule, counts in row.votes_raw.items()
        for code, n in counts.items()
        if not (math.isfinite(n) and n >= 0)
    )
    return next(bad, "")


def _first_of_each(pairs: Pairs) -> tuple[Pairs, dict[str, str]]:
    """Of the rows of one name, the one nearest to the root; and the paths of the others."""
    by_stem: defaultdict[str, Pairs] = defaultdict(list)
    for pair in pairs:
        by_stem[nfc(pair[0].stem)].append(pair)
    copies: dict[str, str] = {}
    for same in by_stem.values():
        same.sort(key=lambda pair: (pair[0].audio_path.count("/"), pair[0].audio_path))
        copies.update((row.audio_path, f"beside {same[0][0].audio_path}") for row, _ in same[1:])
    return [same[0] for same in by_stem.values()], copies


def _unknown_codes(card: CorpusCard, rows: Iterable[ParsedUtterance]) -> dict[str, str]:
    """Code to how often it stands where."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        places = [("expressed", row.expressed_raw), ("perceived", row.perceived_raw)]
        places += [("voted", code) for code in {code for votes in row.votes_raw.values() for code in votes}]
        for place, code in places:
            if code is not None and code not in card.labels.raw and code not in card.labels.dropped:
                counts[code][place] += 1
    return {code: ", ".join(f"{place} in {n}" for place, n in sorted(counts[code].items())) for code in sorted(counts)}


# --- against the card's counts and an earlier manifest -----------------------------------------------------------


def _counts(
    card: CorpusCard, report: PrepareReport, utterances: Sequence[Utterance], earlier: Earlier | None
) -> list[Finding]:
    found = {one.utterance_id for one in utterances}
    before = {} if earlier is None else {one.utterance_id: one for one in earlier.utterances}
    gone = sorted(name for name, one in before.items() if one.excluded_reason is None and name not in found)
    kept = (one.utterance_id for one in utterances if one.excluded_reason is None)
    new = [] if earlier is None else [name for name in kept if name not in before]
    n_expected, n_found = report.differences.get("utterances", (report.n_utterances, report.n_utterances))
    counts = f"Utterances: {n_found} found, {n_expected} expected"
    findings = []
    if gone or n_found < n_expected:
        what = counts if n_found < n_expected else "Utterances of the manifest that are no longer there"
        findings.append(
            Finding(
                code="missing",
                severity="problem",
                text=f"{what}. Fetch or unpack the rest.",
                number=max(len(gone), n_expected - n_found),
                names=tuple(gone),
            )
        )
    if new or n_found > n_expected:
        if n_found > n_expected:
            text = f"{counts}. Is there a second copy of some files, or is this another release?"
        else:
            text = "Utterances that the manifest lacks. `voxemo prepare` makes it again."
        outdated = earlier is not None and not earlier.complete and n_found <= n_expected
        findings.append(
            Finding(
                code="extra",
                severity="warning" if outdated else "problem",
                text=text,
                number=max(len(new), n_found - n_expected),
                names=tuple(new),
            )
        )
    for code, prefix, text in (
        ("label-counts", "utterances labelled ", "Labels with other counts than on the card (found of expected)."),
        (
            "speaker-counts",
            "utterances of speaker ",
            "Speakers with other counts than on the card (found of expected).",
        ),
    ):
        counted = {
            what.removeprefix(prefix): f"{n} of {wanted}"
            for what, (wanted, n) in report.differences.items()
            if what.startswith(prefix)
        }
        findings += _finding(code, "problem", text, counted, details=counted)
    if "speakers" in report.differences and not card.expected.per_speaker:
        wanted, n = report.differences["speakers"]
        text = f"Speakers: {n} found, {wanted} expected. Is a part of the corpus missing, or a table of them?"
        findings.append(Finding(code="speaker-counts", severity="problem", text=text, number=abs(n - wanted)))
    return findings


def _changed(kept: Iterable[Utterance], earlier: Earlier, decoder_versions: Mapping[str, str]) -> list[Finding]:
    """What an utterance is now against what it was; those that are new or gone are counted elsewhere."""
    before = {one.utterance_id: one for one in earlier.utterances}
    altered: list[str] = []
    undecided: list[str] = []
    mended: list[str] = []
    relabelled: dict[str, str] = {}
    same_decoder = dict(earlier.decoder_versions) == dict(decoder_versions)
    for now in kept:
        then = before.get(now.utterance_id)
        if then is None:
            continue
        if now.audio_sha256 is not None and then.unusable_reason is not None:
            mended.append(now.utterance_id)
        elif None not in (now.audio_sha256, then.audio_sha256) and now.audio_sha256 != then.audio_sha256:
            lossless = PurePosixPath(now.audio_path).suffix.casefold() in LOSSLESS_ENDINGS
            (altered if lossless or same_decoder else undecided).append(now.utterance_id)
        differing = [f for f in COMPARED if getattr(now, f) != getattr(then, f)]
        if differing:
            relabelled[now.utterance_id] = ", ".join(
                f"{name} {getattr(now, name)}, was {getattr(then, name)}" for name in differing
            )
    return [
        *_finding(
            "altered",
            "problem",
            "Other samples than at `prepare`. Restore the files, or prepare again and make new runs.",
            altered,
        ),
        *_finding(
            "perhaps-altered",
            "warning",
            "Other samples than at `prepare`, by another decoder of a lossy codec "
            f"({_versions(earlier, decoder_versions)}). Prepare again.",
            undecided,
        ),
        *_finding(
            "relabelled",
            "problem",
            "Another label, speaker or partition than at `prepare`. Restore the tables, or prepare again and make new "
            "runs.",
            relabelled,
            details=relabelled,
        ),
        *_finding("mended", "warning", "Unusable at `prepare`, and usable now. Prepare again.", mended),
    ]


def _versions(earlier: Earlier, now: Mapping[str, str]) -> str:
    names = sorted({*earlier.decoder_versions, *now})
    changed = [name for name in names if earlier.decoder_versions.get(name) != now.get(name)]
    return ", ".join(f"{name} {now.get(name)}, was {earlier.decoder_versions.get(name)}" for name in changed)


# --- audio -------------------------------------------------------------------------------------------------------


def _known_issues(card: CorpusCard) -> dict[str, tuple[str, ...]]:
    """Utterance id to the card's issues that name it."""
    known: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for issue in card.known_issues:
        for name in issue.utterances:
            known[utterance_id(card.corpus_id, nfc(name))] += (issue.id,)
    return dict(known)


def _audio(
    code: str,
    severity: Severity,
    what: str,
    todo: str,
    clips: Mapping[str, str],
    known: Mapping[str, tuple[str, ...]],
) -> list[Finding]:
    """One finding about the clips that the card does not know, and one for each set of issues that names others.

    Args:
        code: of all of these findings.
        severity: of the first; the others are notes.
        what: what it is, without a full stop.
        todo: what to do next.
        clips: name to what was found there, which may be nothing.
        known: utterance id to issues.
    """
    by_issues: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in clips:
        by_issues[known.get(name, ())].append(name)
    findings = []
    for issues, names in sorted(by_issues.items()):
        findings += _finding(
            code,
            "note" if issues else severity,
            f"{what}, as the card knows ({', '.join(issues)})." if issues else f"{what}. {todo}",
            names,
            details={name: clips[name] for name in names if clips[name]},
            known_issues=issues,
        )
    return findings


def _unusable(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    by_kind: defaultdict[AudioProblem, dict[str, str]] = defaultdict(dict)
    for name, found in clips.items():
        if found.unusable_reason is not None:
            kind = found.unusable_kind or "undecodable"
            by_kind[kind][name] = "" if kind in SELF_EXPLAINING else found.unusable_reason
    findings = []
    for kind, reasons in by_kind.items():
        code, what, todo = UNUSABLE[kind]
        findings += _audio(code, "problem", what, todo, reasons, {} if kind == "pointer" else known)
    return findings


def _formats(card: CorpusCard, clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    todo = "It was resampled or converted; take the provider's own files."
    findings = []
    rates, channels = card.expected.sample_rates_hz, card.expected.n_channels
    if rates:
        strange = {
            name: f"{found.sample_rate_hz} Hz"
            for name, found in clips.items()
            if found.sample_rate_hz is not None and found.sample_rate_hz not in rates
        }
        what = f"Another sample rate than the corpus has ({' or '.join(map(str, rates))} Hz)"
        findings += _audio("sample-rate", "problem", what, todo, strange, known)
    if channels:
        strange = {
            name: f"{found.n_channels}"
            for name, found in clips.items()
            if found.n_channels is not None and found.n_channels not in channels
        }
        what = f"Another number of channels than the corpus has ({' or '.join(map(str, channels))})"
        findings += _audio("channels", "problem", what, todo, strange, known)
    return findings


def _sound(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    silent = {name: "" for name, found in clips.items() if found.silent}
    clipped = {name: f"{found.clipped:.1%}" for name, found in clips.items() if found.clipped >= CLIPPED_SHARE}
    return [
        *_audio(
            "silent", "warning", "No audible sound", "Listen to them; models are asked all the same.", silent, known
        ),
        *_audio(
            "clipped", "warning", "Clipped samples", "Listen to them: distortion sounds like arousal.", clipped, known
        ),
    ]


def _lengths(clips: Mapping[str, Probe], known: Mapping[str, tuple[str, ...]]) -> list[Finding]:
    durations_s = {name: found.duration_s for name, found in clips.items() if found.duration_s is not None}
    names = list(durations_s)
    shown = {name: f"{duration_s:.2f} s" for name, duration_s in durations_s.items()}
    apart = {names[index]: shown[names[index]] for index in duration_outliers(list(durations_s.values()))}
    short = {name: shown[name] for name, duration_s in durations_s.items() if duration_s < SHORTEST_S}
    long = {name: shown[name] for name, duration_s in durations_s.items() if duration_s > LONGEST_S}
    median_s = float(np.median(list(durations_s.values()))) if durations_s else 0.0
    return [
        *_audio(
            "odd-length",
            "warning",
            f"Far from the usual length (median {median_s:.2f} s)",
            "Listen to them: were they cut wrongly?",
            apart,
            known,
        ),
        *_audio(
            "too-short",
            "warning",
            f"Shorter than {SHORTEST_S:g} s",
            "Models get them padded with silence.",
            short,
            known,
        ),
        *_audio("too-long", "note", f"Longer than {LONGEST_S:g} s", "Most models hear no more of them.", long, known),
    ]


def duration_outliers(durations_s: Sequence[float]) -> tuple[int, ...]:
    """Positions of clips that are far shorter or longer than the rest.

    Lengths of speech are skewed, so logarithms are compared. A clip stands apart when it is further from the median
    than five times the scaled median absolute deviation, and than a factor of four (which decides where nearly all
    clips have one length). Where more than one clip in a hundred, and more than one, do so on the same side, they are
    not outliers but part of what the corpus is, and none on that side is given.

    Args:
        durations_s: above 0.

    >>> duration_outliers([1.8, 2.0, 2.2, 2.1, 1.9, 60.0])
    (5,)
    """
    if not durations_s:
        return ()
    logs = np.log(np.asarray(durations_s, dtype=np.float64))
    apart = logs - np.median(logs)
    # 1.4826 makes the median absolute deviation of a normal distribution its standard deviation.
    reach = max(OUTLIER_DEVIATIONS * 1.4826 * float(np.median(np.abs(apart))), math.log(OUTLIER_FACTOR))
    # Exactly four times as long is no outlier, whatever the rounding of logarithms.
    reach *= 1 + 1e-9
    most = max(1, int(OUTLIER_SHARE * len(logs)))
    sides = [np.flatnonzero(apart > reach), np.flatnonzero(apart < -reach)]
    return tuple(sorted(int(index) for side in sides if len(side) <= most for index in side))


def _twins(
    groups: Iterable[tuple[str, ...]],
    kept: Iterable[Utterance],
    card: CorpusCard,
    split: Split | None,
    known: Mapping[str, tuple[str, ...]],
) -> list[Finding]:
    """Utterances with the very same samples; each group goes by the name of its first."""
    groups = list(groups)
    if not groups:
        return []
    labels = {one.utterance_id: checks.gold_label(one, card.gold) for one in kept}
    folds = [] if split is None else split.folds
    sides = [(fold.fold_id, checks.training_utterances(fold), checks.tested_utterances(fold)) for fold in folds]
    details: dict[str, str] = {}
    issues: dict[str, tuple[str, ...]] = {}
    for first, *others in groups:
        group = {first, *others}
        facts = [f"same as {', '.join(_stem(name) for name in others)}"]
        differing = sorted({labels[name] or "none" for name in group})
        if len(differing) > 1:
            facts.append(f"labels {', '.join(differing)}")
        leaking = [fold for fold, training, test in sides if group & training and group & test]
        if leaking:
            facts.append(f"trained on and tested in fold {', '.join(leaking)}")
        details[first] = "; ".join(facts)
        issues[first] = tuple(dict.fromkeys(issue for name in sorted(group) for issue in known.get(name, ())))
    return _audio(
        "same-samples",
        "warning",
        "The very same samples under more than one name",
        "Which label holds? Tell the provider.",
        details,
        issues,
    )


def _stem(name: str) -> str:
    return name.partition("/")[2]


# --- tables, split and what the card knows -----------------------------------------------------------------------


def _tables(card: CorpusCard, report: PrepareReport) -> list[Finding]:
    if report.n_utterances == 0:
        return []
    unlabelled = [source for source, n in report.labelled.items() if n == 0]
    return [
        *_finding(
            "labels-missing",
            "problem" if card.gold in unlabelled else "warning",
            "Label sources without any label. The table is not in this copy.",
            unlabelled,
        ),
        *_finding(
            "votes-missing",
            "warning",
            "Counting rules without any vote: no soft scores by them. The table is not in this copy.",
            [rule for rule, n in report.voted.items() if n == 0],
        ),
    ]


def _unread(unread: Iterable[str]) -> list[Finding]:
    return _finding("unread", "warning", "Audio files that no rule of this corpus reads. What are they?", unread)


def _split_notes(split: Split, kept: Sequence[Utterance], card: CorpusCard) -> tuple[str, list[Finding]]:
    """The protocol's split in words, and what to know about it."""
    overlap = checks.speaker_overlap(split.folds, {one.utterance_id: one.speaker_id for one in kept})
    n_sessions, n_tested = checks.session_overlap(split.folds, {one.utterance_id: one.session_id for one in kept})
    text = f"{split.policy}, {len(split.folds)} fold{'' if len(split.folds) == 1 else 's'}: {overlap.text}"
    if n_sessions:
        text += f"; {n_sessions} of {n_tested} test sessions also in train"
    notes = []
    for code, number, what in (
        ("speaker-overlap", overlap.n_shared, "speakers"),
        ("session-overlap", n_sessions, "sessions (dialogues, episodes)"),
    ):
        if number:
            told = f"Test {what} that are in training too: scores say little about new voices."
            notes.append(Finding(code=code, severity="note", text=told, number=number))
    gaps = checks.check_folds(split.folds, kept, label_source=card.gold)
    notes += _finding("split-gaps", "note", "What the protocol's split leaves out, or cannot train.", gaps)
    return text, notes


def _other_issues(card: CorpusCard, found: Collection[str], findings: Iterable[Finding]) -> list[Finding]:
    """The card's issues that no finding carries; first those that name utterances of this folder."""
    carried = {issue for finding in findings for issue in finding.known_issues}
    left = {issue.id: issue for issue in card.known_issues if issue.id not in carried}
    here = {
        issue.id: sum(utterance_id(card.corpus_id, nfc(name)) in found for name in issue.utterances)
        for issue in left.values()
    }
    return _finding(
        "known-issues",
        "note",
        f"On the card; `voxemo show corpus {card.corpus_id}` has the texts.",
        sorted(left, key=lambda issue: here[issue] == 0),
        details={issue: f"{n} utterance{'' if n == 1 else 's'}" for issue, n in here.items() if n},
    )
