"""Reading EmoBox's folds: small made-up copies, and copies rebuilt from real listings."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from evidence_listings import read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import SplitError
from voxemo.core.types import Utterance
from voxemo.corpora.published import emobox_split
from voxemo.splits.checks import speaker_overlap

LABELS = {"A": "angry", "S": "sad"}


def urdu(*, n_folds: int = 1) -> CorpusCard:
    card = corpus_card("urdu")
    assert card.emobox is not None
    return card.model_copy(update={"emobox": card.emobox.model_copy(update={"n_folds": n_folds})})


def utterance(stem: str, *, path: str | None = None, start_s: float | None = None) -> Utterance:
    """A clip whose stem begins with its speaker and ends with its label's letter."""
    return Utterance(
        utterance_id=f"urdu/{stem}",
        corpus_id="urdu",
        audio_path=path or f"Clips/{stem}.wav",
        language="ur",
        speaker_id=stem.split("_")[0],
        perceived=LABELS.get(stem[-1]),
        start_s=start_s,
    )


UTTERANCES = [utterance(f"{speaker}_{n}{letter}") for speaker in "xyz" for n in range(5) for letter in "AS"]
STEMS = [one.utterance_id.removeprefix("urdu/") for one in UTTERANCES]


def record(stem: str, **other: Any) -> dict[str, Any]:
    """A line as EmoBox writes it."""
    return {
        "key": f"urdu-{stem}",
        "dataset": "urdu",
        "wav": f"downloads/urdu/Clips/{stem}.wav",
        "sample_rate": 44100,
        "num_frame": 88200.0,
        "length": 2.0,
        "emo": stem[-1],
        "channel": 1,
    } | other


def write(
    root: Path, partition: str, records: Iterable[dict[str, Any]], *, fold: int = 1, folder: str = "urdu"
) -> Path:
    path = root / "data" / folder / f"fold_{fold}" / f"{folder}_{partition}_fold_{fold}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(content, ensure_ascii=False) + "\n" for content in records), encoding="utf-8")
    return path


def stems(names: Sequence[str]) -> list[str]:
    return [name.removeprefix("urdu/") for name in names]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """One fold that tests speaker z."""
    root = tmp_path / "EmoBox"
    write(root, "train", map(record, STEMS[:20]))
    write(root, "test", map(record, STEMS[20:]))
    return root


# --- made-up copies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "data", "data/urdu"], ids=["repository", "data folder", "corpus folder"])
def test_a_fold_is_read_from_the_repository_or_a_folder_in_it(copy: Path, below: str) -> None:
    published = emobox_split(urdu(), UTTERANCES, copy / below)

    (fold,) = published.split.folds
    assert stems(fold.partitions["test"]) == sorted(STEMS[20:])
    assert sorted(stems(fold.partitions["train"] + fold.partitions["valid"])) == sorted(STEMS[:20])
    assert (published.unmatched_keys, published.missing_utterances) == ((), ())


def test_a_published_split_says_where_it_is_from_and_whether_speakers_are_apart(copy: Path) -> None:
    split = emobox_split(urdu(), UTTERANCES, copy).split

    assert (split.split_id, split.policy, split.source) == (
        "emobox",
        "published",
        "EmoBox 1 fold, read from a user's copy",
    )
    assert split.speaker_independent is True


def test_a_missing_validation_part_is_a_fifth_of_train_by_label(copy: Path) -> None:
    (fold,) = emobox_split(urdu(), UTTERANCES, copy).split.folds

    assert Counter(name[-1] for name in fold.partitions["valid"]) == {"A": 2, "S": 2}


def test_a_published_validation_part_is_kept(copy: Path) -> None:
    write(copy, "train", map(record, STEMS[:14]))
    write(copy, "valid", map(record, STEMS[14:20]))
    (fold,) = emobox_split(urdu(), UTTERANCES, copy).split.folds

    assert stems(fold.partitions["valid"]) == sorted(STEMS[14:20])


def test_without_a_train_file_all_other_utterances_are_trained_on_and_the_source_says_so(copy: Path) -> None:
    (copy / "data/urdu/fold_1/urdu_train_fold_1.jsonl").unlink()
    published = emobox_split(urdu(), UTTERANCES, copy)

    (fold,) = published.split.folds
    assert sorted(stems(fold.partitions["train"] + fold.partitions["valid"])) == sorted(STEMS[:20])
    assert "no train file for fold 1, so all other utterances are its training part" in published.split.source
    assert published.missing_utterances == ()


def test_an_older_file_of_nearly_the_same_name_is_not_read(copy: Path) -> None:
    old = copy / "data/urdu/fold_1/urdu_test_fold1.jsonl"
    old.write_text("{}\n", encoding="utf-8")

    assert len(emobox_split(urdu(), UTTERANCES, copy).split.folds[0].partitions["test"]) == 10


def test_keys_without_utterance_and_utterances_without_fold_are_named(copy: Path) -> None:
    write(copy, "train", map(record, STEMS[2:20]))
    write(copy, "test", [*map(record, STEMS[20:]), record("w_9A")])
    published = emobox_split(urdu(), UTTERANCES, copy)

    assert published.unmatched_keys == ("urdu-w_9A",)
    assert stems(published.missing_utterances) == sorted(STEMS[:2])


def test_an_utterance_that_one_of_two_folds_leaves_out_is_missing(copy: Path) -> None:
    write(copy, "train", map(record, STEMS[10:]), fold=2)
    write(copy, "test", map(record, STEMS[1:10]), fold=2)
    published = emobox_split(urdu(n_folds=2), UTTERANCES, copy)

    assert [fold.fold_id for fold in published.split.folds] == ["1", "2"]
    assert stems(published.missing_utterances) == [STEMS[0]]


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ({"key": "urdu-z_1A", "wav": None}, utterance("z_1A")),
        ({"key": "urdu-z_1A.wav", "wav": None}, utterance("z_1A")),
        ({"key": "urdu-1A-z", "wav": "downloads/urdu/z/1A.wav"}, utterance("z_1A", path="z/1A.wav")),
        ({"key": "urdu-1A-z", "wav": "downloads/urdu/z/1A.wav"}, utterance("z_1A", path="unpacked/z/1A.wav")),
        ({"key": "urdu-1A-z", "wav": "downloads/urdu/deeper/z/1A.wav"}, utterance("z_1A", path="z/1A.wav")),
        ({"key": "urdu-1A-z", "wav": "downloads/urdu/z/1A.avi"}, utterance("z_1A", path="z/1A.wav")),
        ({"key": "urdu-z-1A", "wav": "downloads/urdu/z_1A.wav"}, utterance("z_1A", path="z/1A.wav")),
        ({"key": "urdu-é", "wav": "downloads/urdu/\u00e9/1A.wav"}, utterance("z_1A", path="e\u0301/1A.wav")),
        (
            {"key": "urdu-spike-angry", "wav": "downloads/urdu/all.flac", "start_time": 1967.3200000001},
            utterance("z_1A", path="all.flac", start_s=1967.32),
        ),
    ],
    ids=[
        "key is the stem",
        "key is the file name",
        "path",
        "path below a folder more",
        "path above a folder less",
        "video turned into audio",
        "file name is the stem",
        "accents composed and not",
        "segment by its start",
    ],
)  # fmt: skip
def test_the_forms_of_emobox_lines_find_their_utterance(tmp_path: Path, line: dict[str, Any], known: Utterance) -> None:
    others = [utterance("y_1A", path="y/1A.wav"), utterance("y_2A", path="all.flac", start_s=3.5), utterance("x_1S")]
    write(tmp_path, "train", [record("x_1S")])
    write(tmp_path, "test", [record("z_1A", **line)])
    published = emobox_split(urdu(), [*others, known], tmp_path)

    assert published.split.folds[0].partitions["test"] == ("urdu/z_1A",)
    assert published.unmatched_keys == ()


@pytest.mark.parametrize(
    "path", ["y/1A.wav", "a/z/1A.wav"], ids=["another speaker's file", "two files that fit equally well"]
)
def test_a_line_that_fits_no_single_utterance_is_unmatched(tmp_path: Path, path: str) -> None:
    known = [utterance("p_1A", path=path), utterance("q_1A", path="b/z/1A.wav" if "z" in path else "y/2A.wav")]
    write(tmp_path, "train", [record("x_1S")])
    write(tmp_path, "test", [record("x_2S"), record("z_1A", key="urdu-1A-z", wav="downloads/urdu/z/1A.wav")])
    published = emobox_split(urdu(), [*known, utterance("x_1S"), utterance("x_2S")], tmp_path)

    assert published.unmatched_keys == ("urdu-1A-z",)


def test_the_path_decides_where_a_key_is_the_stem_of_another_utterance(tmp_path: Path) -> None:
    """Enterface has files of subject 12's name in the folder of subject 11."""
    known = [utterance("s12_A", path="subject 12/s12_A.avi"), utterance("s11_A", path="subject 11/s12_A.avi")]
    write(tmp_path, "train", [record("x_1S")])
    write(tmp_path, "test", [record("s12_A.avi", wav="downloads/urdu/subject 11/s12_A.avi")])

    assert emobox_split(urdu(), [*known, utterance("x_1S")], tmp_path).split.folds[0].partitions["test"] == (
        "urdu/s11_A",
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"key": "urdu-x_0A"', "line 2: "),
        ('["urdu-x_0A"]', "line 2: it is not a JSON object"),
        ('{"wav": "a.wav"}', "line 2: it has no 'key'"),
        ('{"key": "urdu-x_0A", "wav": 3}', "line 2: its 'wav' is not text"),
        ('{"key": "urdu-x_0A", "start_time": "1"}', "line 2: its 'start_time' is not a number"),
        ("[" * 100_000, "line 2: "),
    ],
    ids=["torn", "list", "no key", "wav", "start", "deep"],
)
def test_a_damaged_line_is_named_by_file_and_number(copy: Path, line: str, said: str) -> None:
    path = copy / "data/urdu/fold_1/urdu_test_fold_1.jsonl"
    path.write_text(json.dumps(record(STEMS[20])) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(SplitError) as raised:
        emobox_split(urdu(), UTTERANCES, copy)

    assert str(raised.value).startswith("data/urdu/fold_1/urdu_test_fold_1.jsonl, " + said)


def test_a_file_that_is_no_text_is_named(copy: Path) -> None:
    (copy / "data/urdu/fold_1/urdu_test_fold_1.jsonl").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SplitError, match=r"urdu_test_fold_1\.jsonl cannot be read"):
        emobox_split(urdu(), UTTERANCES, copy)


def test_another_corpus_s_folds_are_refused_with_names_from_both_sides(copy: Path) -> None:
    with pytest.raises(SplitError, match=r"None of the 30 .* 'urdu-x_0A'.* 'urdu/other'.*another corpus"):
        emobox_split(urdu(), [utterance("other")], copy)


def test_an_utterance_in_two_partitions_is_refused(copy: Path) -> None:
    write(copy, "train", map(record, STEMS[:21]))

    with pytest.raises(SplitError, match=f"1 utterances in both test and train: 'urdu/{STEMS[20]}'"):
        emobox_split(urdu(), UTTERANCES, copy)


def test_a_corpus_that_emobox_does_not_cover_is_refused(copy: Path) -> None:
    with pytest.raises(SplitError, match="does not cover nemo"):
        emobox_split(corpus_card("nemo"), UTTERANCES, copy)


def test_a_copy_without_the_corpus_says_what_was_expected_and_what_is_there(copy: Path) -> None:
    (copy / "data" / "urdu").rename(copy / "data" / "other")

    with pytest.raises(SplitError, match=r"expected data/urdu/fold_1 in it, found 'other' in 'data'"):
        emobox_split(urdu(), UTTERANCES, copy)


def test_a_copy_with_fewer_folds_is_refused(copy: Path) -> None:
    with pytest.raises(SplitError, match=r"holds 1 folds \('fold_1'\), expected 2"):
        emobox_split(urdu(n_folds=2), UTTERANCES, copy)


def test_a_fold_without_test_file_says_what_is_there(copy: Path) -> None:
    (copy / "data/urdu/fold_1/urdu_test_fold_1.jsonl").unlink()

    with pytest.raises(SplitError, match=r"data/urdu/fold_1 has no test file: .* found 'urdu_train_fold_1\.jsonl'"):
        emobox_split(urdu(), UTTERANCES, copy)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"no folder '.*nowhere'"):
        emobox_split(urdu(), UTTERANCES, tmp_path / "nowhere")


# --- copies rebuilt from real listings ---------------------------------------------------------------------------

TEST_SIZES = {
    # PROTOCOL section 3: the sizes that the paper's printed accuracies are fractions of.
    "aesdd": 149, "ased": 616, "crema-d": 1856, "emov-db": 1719, "emozionalmente": 1722, "enterface": 312,
    "oreau": 104, "shemo": 707, "tess": 700, "urdu": 100,
}  # fmt: skip
OTHERS = (
    "asvp-esd", "emns", "emodb", "emovo", "iemocap", "m3ed", "meld", "msp-podcast", "pavoque", "polish", "ravdess",
    "resd", "savee", "turev-db",
)  # fmt: skip
WITHOUT_TRAIN_FILE = ("msp-podcast",)
OUTSIDE = ""


def rebuild(root: Path, card: CorpusCard, rows: Sequence[dict[str, str]]) -> None:
    """Write the folds that a listing tells as EmoBox writes them."""
    assert card.emobox is not None
    folder = card.emobox.folder
    several = card.emobox.n_folds > 1
    unique = Counter(PurePosixPath(row["path"]).stem for row in rows)
    parts: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        stem = PurePosixPath(row["path"]).stem
        # Where stems repeat, EmoBox makes up keys that no rule tells; the path must do.
        content: dict[str, Any] = {
            "key": f"{folder}-{stem}" if unique[stem] == 1 else f"{folder}-{number}",
            "wav": f"downloads/{folder}/{row['path']}",
        }
        if row.get("start_s"):
            content["start_time"] = float(row["start_s"])
        part, _, fold = row["emobox_folds"].partition(":")
        if part in ("test", "valid"):
            parts.setdefault((part, int(fold)), []).append(content)
        for other in range(1, card.emobox.n_folds + 1):
            if part == "train" or (several and part == "test" and int(fold) != other):
                parts.setdefault(("train", other), []).append(content)
    for (part, fold_number), records in parts.items():
        write(root, part, records, fold=fold_number, folder=folder)


@pytest.mark.evidence
@pytest.mark.parametrize("corpus_id", [*TEST_SIZES, *OTHERS])
def test_folds_rebuilt_from_a_real_listing_are_read_as_it_tells_them(
    evidence: Path, tmp_path: Path, corpus_id: str
) -> None:
    card, rows = corpus_card(corpus_id), read_listing(evidence, corpus_id)
    names = [f"{corpus_id}/{number}" for number in range(len(rows))]
    utterances = [
        Utterance(
            utterance_id=name,
            corpus_id=corpus_id,
            audio_path=row["path"],
            language="und",
            start_s=float(row["start_s"]) if row.get("start_s") else None,
            speaker_id=row["speaker"] or None,
            expressed=row["label"] or None,
            perceived=row["label"] or None,
        )
        for name, row in zip(names, rows, strict=True)
    ]
    rebuild(tmp_path, card, rows)
    published = emobox_split(card, utterances, tmp_path)

    told = dict(zip(names, (row["emobox_folds"] for row in rows), strict=True))
    assert published.unmatched_keys == ()
    complete = corpus_id in WITHOUT_TRAIN_FILE
    assert set(published.missing_utterances) == (set() if complete else {n for n, f in told.items() if f == OUTSIDE})
    for fold in published.split.folds:
        tested = {name for name, part in told.items() if part == f"test:{fold.fold_id}"}
        validated = {name for name, part in told.items() if part == f"valid:{fold.fold_id}"}
        used = set(told) if complete else {name for name, part in told.items() if part != OUTSIDE}
        assert set(fold.partitions["test"]) == tested
        assert not validated or set(fold.partitions["valid"]) == validated
        assert set(fold.partitions["train"]) | set(fold.partitions["valid"]) == used - tested
    if corpus_id in TEST_SIZES:
        assert [len(fold.partitions["test"]) for fold in published.split.folds] == [TEST_SIZES[corpus_id]]
    if corpus_id == "crema-d":
        speakers = {utterance.utterance_id: utterance.speaker_id for utterance in utterances}
        assert speaker_overlap(published.split.folds, speakers).text == "91 of 91 test speakers also in train or valid"
        assert published.split.speaker_independent is False
