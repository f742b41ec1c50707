from pathlib import Path

import pytest

from evidence_listings import read_listing
from native import meld as rebuilt
from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.meld import parse
from voxemo.corpora.prepare import check_layout, describe, unread_audio
from voxemo.corpora.tree import CorpusTree

FOLDERS = {"train": "train/train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
EVERYWHERE = {part: [(9, 0)] for part in FOLDERS}
ROW = "1,Well.,Nadia,joy,positive,{},{},1,1,00:00:01,00:00:02"


def table(*clips: tuple[int, int]) -> str:
    return "\n".join([",".join(rebuilt.HEADER), *(ROW.format(*clip) for clip in clips)])


def corpus(clips: dict[str, list[tuple[int, int]]], folders: dict[str, str] = FOLDERS) -> dict[str, str]:
    """Tables in the root and a video for every row."""
    tables = {f"{part}_sent_emo.csv": table(*clips.get(part, [])) for part in FOLDERS}
    videos = {f"{folders[part]}/dia{d}_utt{u}.mp4": "" for part, named in clips.items() for d, u in named}
    return tables | videos


def test_clips_of_one_name_in_three_parts_are_three_utterances() -> None:
    parsed = list(parse(CorpusTree(corpus(EVERYWHERE))))

    assert {one.stem: (one.provider_partition, one.session_id) for one in parsed} == {
        "train/dia9_utt0": ("train", "train/dia9"),
        "dev/dia9_utt0": ("valid", "dev/dia9"),
        "test/dia9_utt0": ("test", "test/dia9"),
    }


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"},
        {
            "train": "train/train_splits",
            "dev": "dev/dev_splits_complete",
            "test": "MELD.Raw/test/output_repeated_splits_test",
        },
    ],
    ids=["side by side", "a folder each"],
)
def test_inner_archives_may_be_unpacked_anywhere(folders: dict[str, str]) -> None:
    tree = CorpusTree(corpus(EVERYWHERE, folders))

    check_layout(corpus_card("meld"), tree)
    assert sorted(one.audio_path for one in parse(tree)) == sorted(f"{f}/dia9_utt0.mp4" for f in folders.values())


def test_tables_may_lie_in_a_copy_of_the_repository() -> None:
    files = corpus({"test": [(9, 0)]})
    files = {f"MELD/data/MELD/{name}" if name.endswith("csv") else name: text for name, text in files.items()}

    (one,) = parse(CorpusTree(files))

    assert (one.perceived_raw, one.speaker_id, one.transcript) == ("joy", "Nadia", "Well.")


@pytest.mark.parametrize("part_and_clip", [("train", (125, 3)), ("dev", (110, 7))], ids=["train", "dev"])
def test_the_two_unreadable_clips_are_left_out_whether_or_not_there_is_a_file(
    part_and_clip: tuple[str, tuple[int, int]],
) -> None:
    part, clip = part_and_clip
    there = corpus({part: [clip, (9, 0)]})
    away = {path: text for path, text in there.items() if f"dia{clip[0]}_" not in path}

    for files in (there, away):
        report = describe(corpus_card("meld"), list(parse(CorpusTree(files)))).report
        assert report.excluded == {"unreadable or missing as video in the distribution": 1}
        assert report.n_utterances == 1


def test_the_same_names_in_other_parts_are_ordinary_clips() -> None:
    parsed = list(parse(CorpusTree(corpus({"test": [(125, 3), (110, 7), (309, 0)], "train": [(38, 4), (220, 0)]}))))

    assert {(one.excluded_reason, one.outside_paper) for one in parsed} == {(None, None)}


def test_a_row_without_video_is_yielded_with_the_path_where_it_should_be() -> None:
    files = corpus({"train": [(9, 0), (9, 1)]}, FOLDERS | {"train": "MELD.Raw/train_splits"})
    del files["MELD.Raw/train_splits/dia9_utt1.mp4"]

    assert [one.audio_path for one in parse(CorpusTree(files))] == [
        "MELD.Raw/train_splits/dia9_utt0.mp4",
        "MELD.Raw/train_splits/dia9_utt1.mp4",
    ]


def test_extra_videos_of_the_test_folder_are_left_to_the_report() -> None:
    extra = "output_repeated_splits_test/final_videos_testdia9_utt0.mp4"
    tree = CorpusTree(corpus({"test": [(9, 0)]}) | {extra: ""})

    parsed = list(parse(tree))

    assert len(parsed) == 1
    assert unread_audio(corpus_card("meld"), tree, parsed) == [extra]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("dev_sent_emo.csv", None, "expected the table 'dev_sent_emo.csv', found none. It is in data/MELD"),
        ("dev_sent_emo.csv", "Utterance,Speaker\n", "'Emotion', 'Dialogue_ID', 'Utterance_ID' in 'dev_sent_emo.csv'"),
    ],
    ids=["no table", "other columns"],
)
def test_a_missing_or_different_table_is_refused(name: str, content: str | None, message: str) -> None:
    files = corpus({"test": [(9, 0)]}) | {name: content}

    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree({path: text for path, text in files.items() if text is not None})))

    assert message in str(caught.value)


@pytest.mark.evidence
def test_the_papers_set_is_without_the_clips_over_40_seconds(evidence: Path) -> None:
    parsed = list(parse(CorpusTree(rebuilt.tree(read_listing(evidence, "meld"), evidence))))

    report = describe(corpus_card("meld"), parsed, subset="paper").report

    assert (report.n_utterances, report.differences) == (13_703, {})
    assert sum(report.excluded.values()) == 5
