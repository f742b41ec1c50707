from collections.abc import Iterable
from pathlib import Path

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.emodb import parse
from voxemo.corpora.prepare import describe, prepare
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.policies import make_split

TRAIN = "db.emotion.categories.train.gold_standard.csv"
TEST = "db.emotion.categories.test.gold_standard.csv"
HEADER = "file,emotion,emotion.confidence,emotion.naturalness\n"
SPEAKER_TABLE = "speaker,age,gender,language\n3,31,male,deu\n12,,,deu\n"


def rows(names: Iterable[str], emotion: str = "anger") -> str:
    return HEADER + "".join(f"wav/{name}.wav,{emotion},0.9,0.9\n" for name in names)


def version_2(*, train: Iterable[str] = (), test: Iterable[str] = (), ambiguous: Iterable[str] = ()) -> dict[str, str]:
    names = [*train, *test, *ambiguous]
    return {f"wav/{name}.wav": "" for name in names} | {
        TRAIN: rows(train),
        TEST: rows(test),
        "db.yaml": "name: emodb\n",
    }


def test_ambiguous_clips_of_version_2_are_in_no_part() -> None:
    parsed = list(parse(CorpusTree(version_2(train=["03a01Wx"], test=["12a01Wx"], ambiguous=["03a02Wx"]))))

    assert {one.stem: one.provider_partition for one in parsed} == {
        "03a01Wx": "train",
        "03a02Wx": "unassigned",
        "12a01Wx": "test",
    }


def test_the_gold_standard_makes_the_split_and_ambiguous_clips_are_in_no_fold() -> None:
    card = corpus_card("emodb")
    prepared = describe(card, list(parse(CorpusTree(Path(__file__).parent / "emodb" / "tree"))))

    (fold,) = make_split(card, prepared.utterances, policy="protocol").folds

    assert fold.partitions["test"] == ("emodb/18a04Aa", "emodb/18b02Tb", "emodb/18b09Na")
    placed = {name for names in fold.partitions.values() for name in names}
    assert len(placed) == 7
    assert placed.isdisjoint({"emodb/17a05Wc", "emodb/18a07Fb", "emodb/18b03Lc"})


def test_an_ambiguous_clip_keeps_its_intended_emotion_where_the_table_has_none() -> None:
    tree = version_2(ambiguous=["03a02Wx"]) | {"db.emotion.csv": HEADER + "wav/03a02Wx.wav,,,\n"}

    (one,) = parse(CorpusTree(tree))

    assert one.expressed_raw == "W"


def test_a_table_that_contradicts_the_letter_is_refused() -> None:
    tree = version_2(train=["03a01Fx"]) | {"db.emotion.csv": rows(["03a01Fx"], emotion="fear")}

    with pytest.raises(WrongLayout, match=r"as 'happiness' in 'db\.emotion\.csv', as its letter says, found 'fear'"):
        list(parse(CorpusTree(tree)))


def test_a_clip_in_both_parts_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'03a01Wx\.wav' in train and in test"):
        list(parse(CorpusTree(version_2(train=["03a01Wx"]) | {TEST: rows(["03a01Wx"])})))


def test_version_2_without_its_gold_standard_is_refused() -> None:
    tree = {"wav/03a01Wx.wav": "", "db.yaml": "", "db.emotion.parquet": "", TRAIN: rows(["03a01Wx"])}

    with pytest.raises(WrongLayout, match=r"test\.gold_standard\.csv.*tables as CSV"):
        list(parse(CorpusTree(tree)))


def test_speakers_are_told_where_the_tables_tell() -> None:
    tree = version_2(train=["03a01Wx"], test=["12a01Wx"]) | {"db.speaker.csv": SPEAKER_TABLE}

    first, second = parse(CorpusTree(tree))

    assert (first.speaker_id, first.speaker_gender, first.speaker_age) == ("03", "male", 31)
    assert (second.speaker_id, second.speaker_gender, second.speaker_age) == ("12", None, None)


def test_laryngograms_are_left_unread() -> None:
    tree = version_2(train=["03a01Wx"]) | {"laryngo/03a01Wx.wav": ""}

    assert [one.audio_path for one in parse(CorpusTree(tree))] == ["wav/03a01Wx.wav"]


@pytest.mark.parametrize(
    ("speaker", "partition"),
    [("03", "train"), ("08", "train"), ("11", "train"), ("12", "test"), ("14", "test"), ("15", "test"), ("16", "test")],
)
def test_version_1_is_parted_by_the_speakers_of_version_2(speaker: str, partition: str) -> None:
    (one,) = parse(CorpusTree({f"wav/{speaker}b09Nx.wav": ""}))

    assert (one.provider_partition, one.expressed_raw, one.transcript) == (
        partition,
        "N",
        "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    )


def test_more_clips_than_version_1_has_need_the_tables_of_version_2() -> None:
    names = [f"{speaker:02d}a{text:02d}{letter}x" for speaker in range(20) for text in range(10) for letter in "WLN"]

    with pytest.raises(WrongLayout, match=r"found 536 recordings, 1 more than in versions 1\.x"):
        list(parse(CorpusTree({f"wav/{name}.wav": "" for name in names[:536]})))
    assert len(list(parse(CorpusTree({f"wav/{name}.wav": "" for name in names[:535]})))) == 535


@pytest.mark.evidence
def test_the_real_files_that_are_here_are_prepared_as_a_part_of_the_corpus(evidence: Path) -> None:
    prepared = prepare(corpus_card("emodb"), parse, evidence / "audio" / "emodb", partial=True)

    assert prepared.report.differences["utterances"] == (816, 7)
    assert (prepared.report.unusable, prepared.report.unread, prepared.report.silent) == ({}, (), ())
    assert {(one.sample_rate_hz, one.n_channels) for one in prepared.utterances} == {(16_000, 1)}
