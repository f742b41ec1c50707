"""Findings about names, labels, counts and votes: against the card, and against an earlier manifest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeAlias

from voxemo.core.cards import CorpusCard
from voxemo.core.types import ParsedUtterance, Utterance
from voxemo.corpora.doctor.findings import Finding, finding, named
from voxemo.corpora.prepare import PrepareReport, bad_vote, lacks_intended_label, printable
from voxemo.corpora.probe import Probe
from voxemo.corpora.tree import nfc

Row: TypeAlias = tuple[ParsedUtterance, Probe]

LOSSLESS_ENDINGS = (".wav", ".flac", ".aif", ".aiff")
"""Files that every version of a decoder gives the same samples of."""

COMPARED = ("expressed", "perceived", "speaker_id", "provider_partition")
"""What else than audio decides scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier `prepare` wrote down."""

    utterances: tuple[Utterance, ...]
    decoder_versions: Mapping[str, str]


# --- what `prepare` would refuse ---------------------------------------------------------------------------------


def readable_rows(card: CorpusCard, rows: Iterable[Row]) -> tuple[CorpusCard, list[Row], list[Finding]]:
    """Card and rows as ``describe`` takes them, and what it would have refused."""
    taken: dict[str, Row] = {}
    bad_names: list[str] = []
    copies: dict[str, str] = {}
    unlabelled: list[str] = []
    bad_votes: dict[str, str] = {}
    # Of the files for one utterance, the one nearest to the root is taken for it.
    for row, found in sorted(rows, key=lambda pair: (pair[0].audio_path.count("/"), pair[0].audio_path)):
        stem = nfc(row.stem)
        path = printable(row.audio_path)
        name = f"{card.corpus_id}/{stem}"
        if path != row.audio_path:
            bad_names.append(path)
            continue
        if stem in taken:
            copies[path] = f"beside {taken[stem][0].audio_path}"
            continue
        mended = row
        if row.excluded_reason is None and lacks_intended_label(card, row):
            unlabelled.append(name)
            mended = replace(mended, excluded_reason="no intended label")
        if bad := bad_vote(row):
            bad_votes[name] = bad
            mended = replace(mended, votes_raw={})
        taken[stem] = mended, found
    mended_rows = list(taken.values())
    unknown = _unknown_codes(card, (row for row, _ in mended_rows))
    dropped = {**card.labels.dropped, **dict.fromkeys(unknown, "the card does not know this code")}
    findings = [
        *named("bad-name", bad_names),
        *named("double-name", copies, details=copies),
        *named("no-label", unlabelled),
        *named("bad-votes", bad_votes, details=bad_votes),
        *named("unmapped-label", unknown, details=unknown),
    ]
    labels = card.labels.model_copy(update={"dropped": dropped})
    return card.model_copy(update={"labels": labels}), mended_rows, findings


def _unknown_codes(card: CorpusCard, rows: Iterable[ParsedUtterance]) -> dict[str, str]:
    """Code to how often it stands where."""
    known = {*card.labels.raw, *card.labels.dropped}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        places = [("expressed", row.expressed_raw), ("perceived", row.perceived_raw)]
        places += [("voted", code) for code in {code for votes in row.votes_raw.values() for code in votes}]
        for place, code in places:
            if code is not None and code not in known:
                counts[code][place] += 1
    return {code: ", ".join(f"{place} in {n}" for place, n in sorted(counts[code].items())) for code in sorted(counts)}


# --- against the card --------------------------------------------------------------------------------------------


def check_counts(
    card: CorpusCard, report: PrepareReport, utterances: Sequence[Utterance], earlier: Earlier | None
) -> list[Finding]:
    """Hold the counts of the benchmark subset against the card, and its utterances against an earlier manifest."""
    expected = card.expected
    gone, new = ([], []) if earlier is None else _gone_and_new(utterances, earlier)
    n_found = report.n_utterances
    n_expected = n_found if expected.n_utterances is None else expected.n_utterances
    counts = f"{n_found} found, {n_expected} expected"
    findings = []
    if n_found < n_expected:
        findings.append(finding("missing", max(len(gone), n_expected - n_found), names=gone, about=counts))
    else:
        findings += named("missing", gone, about="the manifest has them")
    if n_found > n_expected:
        findings.append(finding("extra", max(len(new), n_found - n_expected), names=new, about=counts))
    else:
        findings += named("not-in-manifest", new)
    labels = _differing(expected.per_label, report.per_label)
    findings += named("label-counts", labels, about="found of expected", details=labels)
    if expected.per_speaker:
        speakers = _differing({**dict.fromkeys(report.per_speaker, 0), **expected.per_speaker}, report.per_speaker)
        findings += named("speaker-counts", speakers, about="found of expected", details=speakers)
    elif expected.n_speakers not in (None, report.n_speakers):
        about = f"{report.n_speakers} found, {expected.n_speakers} expected"
        findings.append(finding("speaker-counts", abs(report.n_speakers - expected.n_speakers), about=about))
    return findings


def _differing(expected: Mapping[str, int], found: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{found.get(name, 0)} of {n}" for name, n in sorted(expected.items()) if found.get(name, 0) != n}


def check_tables(card: CorpusCard, report: PrepareReport) -> list[Finding]:
    """Look for label sources and counting rules of the card of which nothing was found at all."""
    if report.n_utterances == 0:
        return []
    unlabelled = [source for source, n in report.labelled.items() if n == 0]
    return [
        *named("gold-missing", [source for source in unlabelled if source == card.gold]),
        *named("labels-missing", [source for source in unlabelled if source != card.gold]),
        *named("votes-missing", [rule for rule, n in report.voted.items() if n == 0]),
    ]


# --- against an earlier manifest ---------------------------------------------------------------------------------


def _gone_and_new(utterances: Iterable[Utterance], earlier: Earlier) -> tuple[list[str], list[str]]:
    """Utterances of the benchmark subset that only the manifest has, and that only the folder has."""
    before = {one.utterance_id: one for one in earlier.utterances}
    now = {one.utterance_id: one for one in utterances}
    gone = [name for name, one in before.items() if one.excluded_reason is None and name not in now]
    new = [name for name, one in now.items() if one.excluded_reason is None and name not in before]
    return gone, new


def check_changes(kept: Iterable[Utterance], earlier: Earlier, decoder_versions: Mapping[str, str]) -> list[Finding]:
    """Hold each utterance against what it was; those that are gone or new are counted elsewhere.

    Args:
        kept: the benchmark subset.
        earlier: what `prepare` wrote down.
        decoder_versions: of what decoded the audio now.
    """
    before = {one.utterance_id: one for one in earlier.utterances}
    altered: list[str] = []
    undecided: list[str] = []
    mended: list[str] = []
    relabelled: dict[str, str] = {}
    other_decoder = _versions(earlier.decoder_versions, decoder_versions)
    for now in kept:
        then = before.get(now.utterance_id)
        if then is None:
            continue
        if now.audio_sha256 is not None and then.unusable_reason is not None:
            mended.append(now.utterance_id)
        elif None not in (now.audio_sha256, then.audio_sha256) and now.audio_sha256 != then.audio_sha256:
            lossless = PurePosixPath(now.audio_path).suffix.casefold() in LOSSLESS_ENDINGS
            (undecided if other_decoder and not lossless else altered).append(now.utterance_id)
        differing = [name for name in COMPARED if getattr(now, name) != getattr(then, name)]
        if differing:
            relabelled[now.utterance_id] = ", ".join(
                f"{name} {getattr(now, name)}, was {getattr(then, name)}" for name in differing
            )
    return [
        *named("altered", altered),
        *named("perhaps-altered", undecided, about=other_decoder),
        *named("relabelled", relabelled, details=relabelled),
        *named("mended", mended),
    ]


def _versions(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {now.get(name)}, was {before.get(name)}" for name in changed)
