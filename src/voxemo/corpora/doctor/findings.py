"""What can be found in a corpus folder: each kind by its code, with what it means and what to do.

``docs/reference/check.md`` lists them; `make golden` writes its table from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from voxemo.core.errors import AudioProblem

Severity = Literal["problem", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("problem", "warning", "note")

AGAIN = "Fetch or unpack again."
OWN_FILES = "The audio was resampled or converted; take the provider's own files."
OR_RENEW = "or prepare again and make new runs."


@dataclass(frozen=True, slots=True)
class Kind:
    """What all findings of one code have in common."""

    severity: Severity
    what: str
    """Without a full stop."""
    todo: str = ""
    """What to do next, in whole sentences."""
    names: str = "utterances"
    """What the finding's names are; empty where it has none."""
    refused: bool = False
    """`prepare` does not take it, even with ``--partial``."""


KINDS: Mapping[str, Kind] = {
    "wrong-layout": Kind("problem", "Not the corpus's folders, names or tables", names="", refused=True),
    "unreadable": Kind("problem", "A folder or table that cannot be read", names="", refused=True),
    "bad-name": Kind(
        "problem",
        "Names that are no UTF-8",
        "Unpack the archive again with their encoding, such as `unzip -O cp850`.",
        names="files",
        refused=True,
    ),
    "double-name": Kind(
        "problem",
        "More than one file for one utterance",
        "Remove the second copy of the files.",
        names="files that are too many",
        refused=True,
    ),
    "no-label": Kind("problem", "No intended label", "Is a table of another release?", refused=True),
    "bad-votes": Kind("problem", "Votes that are no numbers from 0 up", "Is the table damaged?", refused=True),
    "unmapped-label": Kind(
        "problem",
        "Codes that the card neither maps nor drops",
        "Is this another release? Else add them to [labels] of the card.",
        names="codes",
        refused=True,
    ),
    "missing": Kind("problem", "Missing", "Fetch or unpack the rest.", names="utterances, if a manifest tells"),
    "extra": Kind(
        "problem",
        "More than there should be",
        "Is there a second copy of some files, or is this another release?",
        names="utterances, if a manifest tells",
    ),
    "label-counts": Kind("problem", "Other counts of labels than on the card", names="labels"),
    "speaker-counts": Kind(
        "problem",
        "Other counts of speakers than on the card",
        "Is a part of the corpus missing, or a table of them?",
        names="speakers, if the card counts each",
    ),
    "gold-missing": Kind(
        "problem",
        "No label of the kind that the benchmark scores",
        "The table is not in this copy.",
        names="label source",
    ),
    "no-split": Kind("problem", "The protocol's split cannot be made", names=""),
    "missing-file": Kind("problem", "Named by the corpus, but not in the folder", AGAIN),
    "unreadable-file": Kind("problem", "Cannot be opened", "Check the permissions."),
    "empty-file": Kind("problem", "0 bytes long", AGAIN),
    "pointer-file": Kind(
        "problem", "Git LFS pointer instead of audio", "Run `git lfs pull` in the corpus's repository."
    ),
    "undecodable": Kind("problem", "Cannot be decoded", AGAIN),
    "cut-short": Kind("problem", "Less audio than the file declares", AGAIN),
    "no-audio": Kind("problem", "Video or other data without a sound track", AGAIN),
    "zero-length": Kind("problem", "Not even one sample of audio", AGAIN),
    "not-numbers": Kind("problem", "Samples that are infinite or not numbers", AGAIN),
    "outside-file": Kind("problem", "Ends after its recording", "Are table and audio of one release?"),
    "sample-rate": Kind("problem", "Another sample rate than the corpus has", OWN_FILES),
    "channels": Kind("problem", "Another number of channels than the corpus has", OWN_FILES),
    "altered": Kind("problem", "Other samples than at `prepare`", f"Restore the audio, {OR_RENEW}"),
    "relabelled": Kind(
        "problem", "Another label, speaker or partition than at `prepare`", f"Restore the tables, {OR_RENEW}"
    ),
    "perhaps-altered": Kind(
        "warning", "Other samples than at `prepare`, by another decoder of a lossy codec", "Prepare again."
    ),
    "mended": Kind("warning", "Unusable at `prepare`, and usable now", "Prepare again."),
    "not-in-manifest": Kind("warning", "Not there at `prepare`", "Prepare again."),
    "labels-missing": Kind(
        "warning", "No label at all of the other kind", "The table is not in this copy.", names="label source"
    ),
    "votes-missing": Kind(
        "warning",
        "No vote at all, so no soft scores by this rule",
        "The table is not in this copy.",
        names="counting rules",
    ),
    "unread": Kind(
        "warning",
        "Audio that no rule of this corpus reads",
        "It is left out; is a renamed recording among it?",
        names="files",
    ),
    "silent": Kind("warning", "No audible sound", "Listen; models are asked all the same."),
    "clipped": Kind("warning", "Clipped samples", "Listen: distortion sounds like arousal."),
    "odd-length": Kind("warning", "Far from the usual length", "Listen: was it cut wrongly?"),
    "too-short": Kind("warning", "So short that models get it padded with silence", "Listen: was it cut wrongly?"),
    "same-samples": Kind(
        "warning",
        "The very same samples under more than one name",
        "Where labels differ, ask the provider which holds.",
        names="the first utterance of each group",
    ),
    "too-long": Kind("note", "So long that most models do not hear all of it"),
    "speaker-overlap": Kind(
        "note", "Test speakers that are in training too", "Scores say little about new voices.", names=""
    ),
    "session-overlap": Kind(
        "note",
        "Test sessions (dialogues, episodes) that are in training too",
        "Scores say little about new voices.",
        names="",
    ),
    "split-gaps": Kind("note", "What the protocol's split leaves out, or cannot train", names="gaps, in words"),
    "manifest-unread": Kind("note", "An earlier manifest that cannot be compared with", names=""),
    "known-issues": Kind(
        "note", "What else the card knows", "`voxemo show corpus` has the texts.", names="known issues"
    ),
}
"""Code to kind, in the order in which a diagnosis lists them."""

UNUSABLE: Mapping[AudioProblem, str] = {
    "missing": "missing-file",
    "unreadable": "unreadable-file",
    "empty": "empty-file",
    "pointer": "pointer-file",
    "undecodable": "undecodable",
    "truncated": "cut-short",
    "no_audio": "no-audio",
    "zero_length": "zero-length",
    "not_numbers": "not-numbers",
    "outside": "outside-file",
}
"""Kind of unusable audio to its finding's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found, however often."""

    code: str
    """One of ``KINDS``."""
    severity: Severity
    text: str
    """What it is and what to do next, without the number."""
    number: int
    """How often; above 0."""
    names: tuple[str, ...] = ()
    """All that it concerns, where that has names."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Of some or all names, what was found there."""
    known_issues: tuple[str, ...] = ()
    """Ids of the card's known issues that name these utterances."""


def finding(
    code: str,
    number: int,
    *,
    names: Iterable[str] = (),
    text: str | None = None,
    about: str = "",
    details: Mapping[str, str] | None = None,
    known_issues: tuple[str, ...] = (),
) -> Finding:
    """Make a finding in the words of its kind.

    Args:
        code: one of ``KINDS``.
        number: how often, above 0.
        names: what it concerns.
        text: instead of the kind's.
        about: what the kind cannot say, such as what was expected.
        details: of some names, what was found there.
        known_issues: of the card, that name what it concerns; they make it a note.

    >>> finding("extra", 2, about="5 found, 3 expected").text
    'More than there should be (5 found, 3 expected). Is there a second copy of some files, or is this another release?'
    """
    kind = KINDS[code]
    if text is None:
        text = f"{kind.what} ({about})" if about else kind.what
        if known_issues:
            text += f", as the card knows ({', '.join(known_issues)})."
        else:
            text += f". {kind.todo}" if kind.todo else "."
    return Finding(
        code=code,
        severity="note" if known_issues else kind.severity,
        text=text,
        number=number,
        names=tuple(names),
        details=details or {},
        known_issues=known_issues,
    )


def named(
    code: str, names: Iterable[str], *, about: str = "", details: Mapping[str, str] | None = None
) -> list[Finding]:
    """One finding about all of these names; none if there are none."""
    names = tuple(names)
    return [finding(code, len(names), names=names, about=about, details=details)] if names else []
