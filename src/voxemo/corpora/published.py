"""Folds that others published, read from a user's own copy of them.

EmoBox keeps one JSON object per line in ``data/<folder>/fold_<k>/<folder>_<train|valid|test>_fold_<k>.jsonl``. Its keys
are the folder's name, a hyphen and a name that for some corpora is the file's stem, for some its file name, and for
others one of EmoBox's own making. Its ``wav`` paths are the provider's; an utterance is therefore known by its path
first, and by its name where the user's copy of the corpus lies in other folders.
"""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from voxemo.core.cards import CorpusCard, EmoBox
from voxemo.core.errors import SplitError, listing
from voxemo.core.types import Fold, LabelSource, Split, Utterance
from voxemo.splits.checks import speaker_overlap
from voxemo.splits.policies import make_fold, split_seed, utterances_sha256

PARTITIONS = ("train", "valid", "test")
DOWNLOADS = "downloads"
"""EmoBox's ``wav`` paths begin with ``downloads/<folder>/``; then comes the corpus's own path."""

_Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A published split, and what did not fit between it and the corpus."""

    split: Split
    unmatched_keys: tuple[str, ...]
    """Published keys that no utterance answers to, sorted."""
    missing_utterances: tuple[str, ...]
    """Utterances that at least one fold places nowhere, sorted; in that fold they are neither trained on nor tested."""


@dataclass(frozen=True, slots=True)
class _Record:
    key: str
    wav: str | None
    start_s: float | None


def emobox_split(
    card: CorpusCard,
    utterances: Sequence[Utterance],
    root: Path,
    *,
    seed: int | None = None,
    label_source: LabelSource | None = None,
) -> Published:
    """Read EmoBox's folds of a corpus (PROTOCOL section 3).

    Where EmoBox has no validation part, 20 % of the training part becomes one, stratified by emotion. Where a train
    file is absent (some are too large for the repository), all utterances outside the other partitions are taken, and
    the split's ``source`` says so.

    Args:
        card: of a corpus that EmoBox covers.
        utterances: of the corpus, without excluded ones.
        root: the user's copy of the EmoBox repository, or its ``data`` folder.
        seed: of a validation part made here; by default the card's own.
        label_source: of the labels that such a part is stratified by; by default the card's gold.

    Raises:
        SplitError: EmoBox does not cover the corpus, the folder does not hold what is expected, a line is damaged, or
            nothing in the folds belongs to the utterances.
    """
    if card.emobox is None:
        raise SplitError(f"EmoBox does not cover {card.corpus_id}. Take the split 'protocol' or 'speaker-disjoint'.")
    labels = label_source or card.gold
    used_seed = split_seed(card, seed)
    folder = _corpus_folder(card.emobox, root)
    index = {utterance.utterance_id: utterance for utterance in utterances}
    drafts, unmatched = _read_folds(card.emobox, folder, root, _Finder(utterances, card.emobox.folder))
    if not any(members for partitions in drafts.values() for members in partitions.values()):
        raise SplitError(
            f"None of the {len(unmatched)} utterances in EmoBox's folds of {card.emobox.folder!r} is among the "
            f"{len(index)} of {card.corpus_id}: EmoBox has {listing(sorted(unmatched))}, the corpus "
            f"{listing(sorted(index))}. Is this another corpus, or another release?"
        )
    completed: list[str] = []
    missing: set[str] = set()
    folds: list[Fold] = []
    for fold_id, partitions in drafts.items():
        _refuse_shared(fold_id, partitions)
        left = index.keys() - set().union(*partitions.values())
        if "train" in partitions:
            missing |= left
        else:
            completed.append(fold_id)
            partitions["train"] = left
        folds.append(make_fold(fold_id, partitions, index, label_source=labels, seed=used_seed))
    source = f"EmoBox {len(folds)} fold{'' if len(folds) == 1 else 's'}, read from a user's copy"
    if completed:
        source += f"; no train file for fold {', '.join(completed)}, so all other utterances are its training part"
    speakers = {name: utterance.speaker_id for name, utterance in index.items()}
    split = Split(
        split_id="emobox" if seed is None else f"emobox-seed{seed}",
        corpus_id=card.corpus_id,
        policy="published",
        source=source,
        seed=used_seed,
        speaker_independent=speaker_overlap(folds, speakers).speaker_independent,
        utterances_sha256=utterances_sha256(utterances, label_source=labels),
        folds=tuple(folds),
    )
    return Published(split=split, unmatched_keys=tuple(sorted(unmatched)), missing_utterances=tuple(sorted(missing)))


def _read_folds(
    emobox: EmoBox, folder: Path, root: Path, finder: "_Finder"
) -> tuple[dict[str, dict[str, set[str]]], set[str]]:
    """Fold to partition to the utterances found for it, and the keys that none was found for."""
    drafts: dict[str, dict[str, set[str]]] = {}
    unmatched: set[str] = set()
    for number in range(1, emobox.n_folds + 1):
        partitions = drafts[str(number)] = {}
        for partition, path in _partition_files(folder, number, root):
            members = partitions[partition] = set()
            for record in _read_records(path, root):
                name = finder.find(record)
                if name is None:
                    unmatched.add(record.key)
                else:
                    members.add(name)
    return drafts, unmatched


def _refuse_shared(fold_id: str, partitions: Mapping[str, set[str]]) -> None:
    """Before a validation part is drawn from train, which would hide the clash behind another one."""
    names = sorted(partitions)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            shared = sorted(partitions[first] & partitions[second])
            if shared:
                raise SplitError(
                    f"EmoBox's fold {fold_id} has {len(shared)} utterances in both {first} and {second}: "
                    f"{listing(shared)}. Compare the files with the original repository."
                )


# --- files -------------------------------------------------------------------------------------------------------


def _corpus_folder(emobox: EmoBox, root: Path) -> Path:
    """The folder with ``fold_1`` ..., below the repository, its ``data`` folder, or given itself."""
    for folder in (root / "data" / emobox.folder, root / emobox.folder, root):
        if folder.name == emobox.folder and (folder / "fold_1").is_dir():
            found = sorted(path.name for path in folder.glob("fold_*") if path.is_dir())
            if len(found) != emobox.n_folds:
                raise SplitError(
                    f"EmoBox's folder {emobox.folder!r} holds {len(found)} folds ({listing(found)}), expected "
                    f"{emobox.n_folds}. Check that the copy is complete."
                )
            return folder
    if not root.is_dir():
        raise SplitError(f"There is no folder {str(root)!r}. Give the folder of a copy of the EmoBox repository.")
    data = root / "data" if (root / "data").is_dir() else root
    there = sorted(path.name for path in data.iterdir())
    raise SplitError(
        f"{str(root)!r} does not look like a copy of EmoBox: expected data/{emobox.folder}/fold_1 in it, found "
        f"{listing(there) if there else 'nothing'} in {data.name!r}. Give the folder of the repository."
    )


def _partition_files(folder: Path, number: int, root: Path) -> Iterator[tuple[str, Path]]:
    """Partition and file of one fold.

    Two files of one partition may lie side by side, as ``emodb_test_fold1.jsonl`` and ``emodb_test_fold_1.jsonl`` do;
    only the second form of name is EmoBox's current one.
    """
    fold = folder / f"fold_{number}"
    found = {
        partition: path
        for partition in PARTITIONS
        if (path := fold / f"{folder.name}_{partition}_fold_{number}.jsonl").is_file()
    }
    if "test" not in found:
        there = sorted(path.name for path in fold.iterdir()) if fold.is_dir() else []
        raise SplitError(
            f"{_shown(fold, root)} has no test file: expected {folder.name}_test_fold_{number}.jsonl, found "
            f"{listing(there) if there else 'nothing'}. Check that the copy of EmoBox is complete."
        )
    yield from found.items()


def _read_records(path: Path, root: Path) -> Iterator[_Record]:
    place = _shown(path, root)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as cause:
        raise SplitError(f"{place} cannot be read: {cause}. Expected JSON lines in UTF-8.") from cause
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _record(json.loads(line))
        except (ValueError, RecursionError) as cause:
            raise SplitError(
                f"{place}, line {number}: {cause}. Expected a JSON object with a text 'key', and 'wav' with the "
                "file's path. Compare the file with the original repository."
            ) from cause


def _record(content: Any) -> _Record:
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    key, wav, start_s = content.get("key"), content.get("wav"), content.get("start_time")
    if not isinstance(key, str) or not key:
        raise ValueError("it has no 'key'")
    if not isinstance(wav, str | None):
        raise ValueError("its 'wav' is not text")
    if isinstance(start_s, bool) or not isinstance(start_s, int | float | None):
        raise ValueError("its 'start_time' is not a number")
    return _Record(key, wav, None if start_s is None else float(start_s))


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) and path != root else path.name


# --- matching ----------------------------------------------------------------------------------------------------


def _parts(path: str) -> _Path:
    """A path's components without the ending: users may have turned video into wav, and unpackers differ in accents."""
    pure = PurePosixPath(unicodedata.normalize("NFC", path))
    return (*pure.parts[:-1], pure.stem)


def _centiseconds(start_s: float | None) -> int | None:
    """Segments are told apart by their start; EmoBox's carries rounding noise."""
    return None if start_s is None else round(start_s * 100)


class _Finder:
    """Finds the utterance that an EmoBox record is about."""

    def __init__(self, utterances: Sequence[Utterance], emobox_folder: str) -> None:
        self._prefix = f"{emobox_folder}-"
        self._top = (DOWNLOADS, emobox_folder)
        self._by_stem: dict[str, str] = {}
        self._by_file: dict[tuple[str, int | None], list[tuple[_Path, str]]] = defaultdict(list)
        for utterance in utterances:
            name = utterance.utterance_id
            self._by_stem[unicodedata.normalize("NFC", name.split("/", 1)[-1])] = name
            parts = _parts(utterance.audio_path)
            self._by_file[parts[-1], _centiseconds(utterance.start_s)].append((parts, name))

    def find(self, record: _Record) -> str | None:
        """The utterance id; None where no utterance, or more than one, fits."""
        return self._by_path(record) or self._by_name(record)

    def _by_path(self, record: _Record) -> str | None:
        if record.wav is None:
            return None
        wav = _parts(record.wav)
        if wav[:2] == self._top:
            wav = wav[2:]
        # One path must end with all of the other: "246.wav" of another speaker's folder is another utterance.
        fitting: dict[int, list[str]] = defaultdict(list)
        for parts, name in self._by_file.get((wav[-1], _centiseconds(record.start_s)), ()):
            shorter = min(len(parts), len(wav))
            if parts[-shorter:] == wav[-shorter:]:
                fitting[shorter].append(name)
        closest = fitting[max(fitting)] if fitting else []
        return closest[0] if len(closest) == 1 else None

    def _by_name(self, record: _Record) -> str | None:
        name = unicodedata.normalize("NFC", record.key.removeprefix(self._prefix))
        candidates = [name, PurePosixPath(name).stem]
        if record.wav is not None and record.start_s is None:
            parts = _parts(record.wav)
            # Where file names repeat, an utterance's name has the folder too, whatever the user's copy calls it.
            candidates += [parts[-1], "/".join(parts[-2:])]
        return next((self._by_stem[stem] for stem in candidates if stem in self._by_stem), None)
