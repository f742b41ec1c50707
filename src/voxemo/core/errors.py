"""Every error that VoxEmo raises on purpose.

::

    VoxEmoError
    ├── UnknownName          a name that no card, plugin or file answers to
    ├── DuplicateName        one name, two origins
    ├── CardError            a card that does not say what its schema asks for
    ├── PluginError          an entry point that does not load or does not fit
    ├── MissingDependency    an optional package that this action needs
    ├── CorpusError
    │   ├── CorpusNotFound   no such folder
    │   ├── WrongLayout      a folder that does not look like this corpus
    │   ├── ManifestError    a table of utterances that does not say what its columns ask for
    │   ├── UnmappedLabel    a provider's code that the card neither maps nor drops
    │   ├── CountMismatch    other counts on disk than on the card
    │   ├── DownloadError    a file that cannot be fetched, or an archive that cannot be unpacked
    │   │   ├── NoConnection      a host that cannot be reached, or drops the connection again and again
    │   │   ├── ChecksumMismatch  a file that is not the one its provider published
    │   │   └── UnsafeArchive     an archive with an entry that would be written outside its folder
    │   └── NotPrepared      `voxemo prepare` has not run
    ├── AudioError           a file that cannot be decoded, or that changed since `prepare`
    ├── SplitError           a division into folds that cannot be made or does not fit
    ├── AnswerFileError      a file of answers that does not belong to the run
    ├── BackendError         a model that cannot be loaded, or does not do as declared
    ├── TrainingError        a training that cannot begin or go on
    ├── BundleError          a bundle that is none, is damaged, or is not safe to read
    └── RunError             a run folder that is damaged, changed or not finished

A message gives the fact, the place, the expectation and the next step, in this order.
A bad *model answer* is never an error: it is a ``ParsedPrediction`` with ``status="failed"``.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, TypeAlias


def listing(names: Sequence[str], *, most: int = 3) -> str:
    """Join names for a message: at most three, then the number left; a single one left is named too.

    >>> listing(["a", "b", "c", "d", "e"])
    "'a', 'b', 'c' and 2 more"
    >>> listing(["a", "b", "c", "d"])
    "'a', 'b', 'c', 'd'"
    """
    most += len(names) == most + 1
    shown = ", ".join(repr(name) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


class VoxEmoError(Exception):
    """Something that the user can mend; the command line prints it and exits with 1."""

    def __reduce__(self) -> tuple[Callable[..., "VoxEmoError"], tuple[object, ...]]:
        # An exception is made again from its message, which is not what most of these take: without this, none of them
        # could come back from another process.
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[VoxEmoError], args: tuple[object, ...], attributes: dict[str, object]) -> VoxEmoError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UnknownName(VoxEmoError, LookupError):
    """A name that no card, plugin or file answers to."""

    LISTED = ("corpus", "language", "model", "prompt", "metric", "backend")
    """Kinds that `voxemo list` shows."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name.lower(), known, n=1)
        if near:
            hint = f"Did you mean {near[0]!r}?"
        elif kind in self.LISTED:
            hint = f"`voxemo list {kind}` shows all {len(known)}."
        else:
            hint = f"There are: {listing(known, most=20)}."
        super().__init__(f"There is no {kind} called {name!r}. {hint}")
        self.kind, self.name, self.known = kind, name, tuple(known)


class DuplicateName(VoxEmoError):
    """One name that two origins claim."""

    def __init__(self, kind: str, name: str, origins: Sequence[str]) -> None:
        super().__init__(
            f"The {kind} {name!r} has two origins: {' and '.join(origins)}. "
            "Uninstall one of them, or give one another name."
        )
        self.kind, self.name, self.origins = kind, name, tuple(origins)


class CardError(VoxEmoError, ValueError):
    """A card that does not say what its schema asks for."""

    SCHEMA = "`voxemo show schema corpus` (or model, prompt, template, disclosure) prints what it must say."

    def __init__(self, place: str, problems: Sequence[str], *, hint: str = SCHEMA) -> None:
        super().__init__(f"The card {place} cannot be used: {'; '.join(problems)}. {hint}".strip())
        self.place, self.problems = place, tuple(problems)


class DisclosureError(VoxEmoError, ValueError):
    """A file that should be a filled-in disclosure, and is none."""

    FORM = "`voxemo new disclosure --out FILE` writes an empty form that says what each point asks."

    def __init__(self, place: str, problems: Sequence[str], *, hint: str = FORM) -> None:
        super().__init__(f"The disclosure file {place} cannot be used: {'; '.join(problems)}. {hint}".strip())
        self.place, self.problems = place, tuple(problems)


class PluginError(VoxEmoError):
    """An entry point that does not load, or gives an object of the wrong kind."""

    def __init__(self, group: str, name: str, why: str) -> None:
        super().__init__(
            f"The plugin {name!r} (entry point group {group!r}) cannot be used: {why}. "
            "Mend or uninstall the package that brings it; plugins are never skipped."
        )
        self.group, self.name = group, name


class MissingDependency(VoxEmoError, ImportError):
    """An optional package that the asked-for action needs.

    Args:
        what: needs it.
        package: its name.
        extra: of voxemo, that brings it; None for what no extra brings.
        step: what to do where no extra brings it.
    """

    def __init__(self, what: str, *, package: str, extra: str | None = None, step: str = "") -> None:
        if extra is not None:
            step = (
                f"Install voxemo with its extra {extra!r}; in a checkout: "
                f'pip install -c constraints.txt -e ".[{extra}]"'
            )
        super().__init__(f"{what} needs the package {package!r}, which is not installed. {step}".rstrip())
        self.what, self.package, self.extra = what, package, extra


class CorpusError(VoxEmoError):
    """Something wrong with a corpus folder or with what was read from it."""


class CorpusNotFound(CorpusError, FileNotFoundError):
    """No folder where the corpus should lie."""

    def __init__(self, corpus_id: str, root: str, hint: str = "") -> None:
        super().__init__(f"There is no folder {root!r} to read {corpus_id} from. {hint or 'Check --root.'}")
        self.corpus_id, self.root = corpus_id, root


class WrongLayout(CorpusError):
    """A folder or table that does not look as the corpus's provider ships it."""

    def __init__(self, corpus_id: str, *, expected: str, found: str, hint: str = "") -> None:
        super().__init__(
            f"This does not look like {corpus_id}: expected {expected}, found {found}." + (f" {hint}" if hint else "")
        )
        self.corpus_id, self.expected, self.found, self.hint = corpus_id, expected, found, hint


class ManifestError(CorpusError, ValueError):
    """A table of utterances, such as a user makes, that does not say what its columns ask for."""

    def __init__(
        self,
        table: str,
        *,
        expected: str,
        found: str,
        line: int | None = None,
        column: str | None = None,
        hint: str = "",
    ) -> None:
        # The rows of a Parquet table have no lines.
        row = "row" if table.endswith(".parquet") else "line"
        place = [table, *([f"{row} {line}"] if line is not None else []), *([f"column {column!r}"] if column else [])]
        super().__init__(f"{', '.join(place)}: expected {expected}, found {found}." + (f" {hint}" if hint else ""))
        self.table, self.line, self.column = table, line, column
        self.expected, self.found, self.hint = expected, found, hint

    def among(self, n_rows: int) -> "ManifestError":
        """The same error, saying that it is the first of several rows that cannot be read."""
        hint = f"{self.hint} {n_rows} rows cannot be read; this is the first.".strip()
        return ManifestError(
            self.table, expected=self.expected, found=self.found, line=self.line, column=self.column, hint=hint
        )


class UnmappedLabel(CorpusError, LookupError):
    """A provider's code that the card neither maps nor drops."""

    def __init__(
        self,
        *,
        corpus_id: str,
        code: str,
        known: Sequence[str],
        hint: str = "Add it to [labels.raw] or, with a reason, to [labels.dropped].",
    ) -> None:
        super().__init__(
            f"Corpus {corpus_id} uses the raw label {code!r}, which its card neither maps nor drops "
            f"(known: {listing(sorted(known)) or 'none'}). {hint}"
        )
        self.corpus_id, self.code, self.known = corpus_id, code, tuple(known)


class CountMismatch(CorpusError):
    """Other counts on disk than on the card.

    ``differences`` maps what was counted ("utterances", "speakers", "utterances labelled angry", ...) to
    (expected, found).
    """

    def __init__(self, *, corpus_id: str, differences: Mapping[str, tuple[int, int]], hint: str) -> None:
        shown = []
        for what, (expected, found) in differences.items():
            noun, space, rest = what.partition(" ")
            noun = noun.removesuffix("s") if found == 1 else noun
            shown.append(f"{found} {noun}{space}{rest}, its card expects {expected}")
        super().__init__("\n  ".join([f"{corpus_id} has", *shown]) + f"\n{hint}")
        self.corpus_id, self.differences, self.hint = corpus_id, dict(differences), hint


class DownloadError(CorpusError):
    """A file of a corpus that cannot be fetched, or an archive that cannot be unpacked."""


class NoConnection(DownloadError):
    """A host that cannot be reached, or that drops the connection again and again."""

    def __init__(self, host: str, why: str, *, url: str, places: Sequence[str], files: Sequence[str] = ()) -> None:
        """What could not be fetched, and how a person may do it.

        Args:
            host: that was asked.
            why: there is no connection, in words.
            url: of the file, or of the record that holds it.
            places: where the files are looked for; none where only the record knows which they are.
            files: names of the record's files; empty where ``url`` is the file.
        """
        what = f"{listing(files, most=len(files))} of the record {url}" if files else url
        where = f"put it at {' and '.join(places)} (make that folder), and then run it"
        by_hand = f"; or download {what} by hand, {where}" if places else ""
        super().__init__(
            f"There is no connection to {host} ({why}). Run the same command again later, it goes on where it "
            f"stopped{by_hand}."
        )
        self.host, self.why, self.url, self.places, self.files = host, why, url, tuple(places), tuple(files)


class ChecksumMismatch(DownloadError):
    """A file that is not the one its provider published, or not the one that was fetched."""

    def __init__(self, name: str, *, expected: str, found: str, set_aside: str) -> None:
        super().__init__(
            f"{name} is not the expected file: its checksum is {found}, expected is {expected}. It was not unpacked, "
            f"and now lies at {set_aside}. Run the same command again to fetch it anew; if that ends here again, the "
            "provider has changed the file: please report it."
        )
        self.name, self.expected, self.found, self.set_aside = name, expected, found, set_aside


class UnsafeArchive(DownloadError):
    """An archive with an entry that would be written outside its folder, or that is no file."""

    def __init__(self, archive: str, entry: str, why: str) -> None:
        super().__init__(
            f"The archive {archive} holds {entry!r}, {why}. Nothing of it was unpacked. No corpus needs such an entry: "
            "do not trust this copy; get another, or look at it with care."
        )
        self.archive, self.entry, self.why = archive, entry, why


def how_to_prepare(corpus_id: str) -> str:
    """The command that reads a corpus into a workspace."""
    return f"voxemo prepare {corpus_id} --root FOLDER (without --root where the corpus is installed, as demo is)"


class NotPrepared(CorpusError):
    """The workspace has no manifest of this corpus."""

    def __init__(self, corpus_id: str) -> None:
        super().__init__(f"{corpus_id} has not been prepared in this workspace. Run: {how_to_prepare(corpus_id)}")
        self.corpus_id = corpus_id


AudioProblem: TypeAlias = Literal[
    "missing",  # there is no such file
    "unreadable",  # it cannot be opened: a folder, or no permission
    "empty",  # 0 bytes
    "pointer",  # Git LFS left a note where the audio should be
    "undecodable",  # damaged, or of no known format
    "truncated",  # shorter than it says itself
    "no_audio",  # a container, such as a video, without a stream of audio
    "zero_length",  # whole, but not even one sample at 16 kHz
    "not_numbers",  # samples that are infinite or not numbers
    "outside",  # a segment that the file does not reach
    "changed",  # other samples than at `voxemo prepare`
]
"""What can be wrong with audio, for programs; ``AudioError.reason`` says it to people."""


class AudioError(VoxEmoError):
    """A file that cannot be decoded, or whose samples changed since `voxemo prepare`."""

    def __init__(self, place: str, reason: str, *, kind: AudioProblem = "undecodable") -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason, self.kind = place, reason, kind


class SplitError(VoxEmoError):
    """A division into folds that cannot be made, or that does not fit the corpus."""


class AnswerFileError(VoxEmoError):
    """A file of answers that does not belong to the run it is given for."""


class BackendError(VoxEmoError):
    """A model that cannot be loaded, or does not do what its card declares."""


class TrainingError(VoxEmoError):
    """A training that cannot begin, or that leads nowhere."""


class BundleError(VoxEmoError):
    """A bundle that is none, is damaged, or holds what no bundle holds."""

    def __init__(self, place: str, why: str, *, hint: str = "Get another copy from whoever made it.") -> None:
        super().__init__(f"The bundle {place} cannot be used: {why}. {hint}")
        self.place, self.why = place, why


class RunError(VoxEmoError):
    """A run folder that is damaged, was changed by hand, or is not finished."""
