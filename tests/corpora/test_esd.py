import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.esd import parse
from voxemo.corpora.prepare import check_layout
from voxemo.corpora.tree import CorpusTree

ROOT = "Emotion Speech Dataset/"


@pytest.mark.parametrize("root", [ROOT, "", "ESD/"], ids=["as unpacked", "no top folder", "another top folder"])
@pytest.mark.parametrize(("part", "partition"), [("", "train"), ("evaluation/", "valid")], ids=["new", "older"])
def test_both_layouts_are_read_below_any_top_folder(root: str, part: str, partition: str) -> None:
    tree = CorpusTree({f"{root}0011/Sad/{part}0011_001101.wav": ""})

    check_layout(corpus_card("esd"), tree)
    (one,) = parse(tree)

    assert (one.stem, one.speaker_id, one.expressed_raw) == ("0011_001101", "0011", "Sad")
    # The folder tells the partition where there is one, otherwise the number does.
    assert one.provider_partition == partition


@pytest.mark.parametrize(
    ("number", "partition"),
    [(351, "valid"), (370, "valid"), (371, "test"), (400, "test"), (401, "train"), (700, "train")],
)
def test_numbers_tell_the_partition(number: int, partition: str) -> None:
    (one,) = parse(CorpusTree({f"{ROOT}0020/Angry/0020_{number:06}.wav": ""}))

    assert one.provider_partition == partition


def test_the_first_ten_speakers_speak_mandarin() -> None:
    first, tenth, eleventh = parse(CorpusTree({f"{ROOT}{s}/Sad/{s}_001200.wav": "" for s in ("0001", "0010", "0011")}))

    assert [first.language, tenth.language, eleventh.language] == ["zh", "zh", "en"]
    assert [first.speaker_gender, tenth.speaker_gender, eleventh.speaker_gender] == ["female", "male", "male"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("0011/Sad/0012_001101.wav", "in the folder '0012', as its name says, found it in '0011'"),
        ("0011/Sad/0011_000001.wav", "in the folder 'Neutral', as its number says, found it in 'Sad'"),
    ],
    ids=["speaker", "emotion"],
)
def test_a_name_that_contradicts_its_folders_is_refused(path: str, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree({ROOT + path: ""})))

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("speaker", "text", "encoding"),
    [
        ("0003", "今天没有风", "gb2312"),
        ("0003", "今天没有风", "utf-16"),
        ("0003", "今天没有风", "utf-8"),
        ("0012", "No café here", "cp1252"),
        ("0012", "No café here", "utf-8-sig"),
    ],
)
def test_sentences_are_read_in_the_encoding_of_each_speakers_table(speaker: str, text: str, encoding: str) -> None:
    stem = f"{speaker}_000001"
    table = f"{stem}\t{text}\t中立\n" if speaker == "0003" else f"{stem}\t{text}\tNeutral\n"
    tree = {f"{ROOT}{speaker}/Neutral/{stem}.wav": b"", f"{ROOT}{speaker}/{speaker}.txt": table.encode(encoding)}

    (one,) = parse(CorpusTree(tree))

    assert one.transcript == text


def test_a_table_that_names_another_emotion_does_not_move_the_label() -> None:
    tree = {f"{ROOT}0011/Sad/0011_001101.wav": "", f"{ROOT}0011/0011.txt": "0011_001101\tWho knows.\tHappy\n"}

    (one,) = parse(CorpusTree(tree))

    assert (one.expressed_raw, one.transcript) == ("Sad", "Who knows.")


@pytest.mark.parametrize(
    "content", [b"0011_001101\n", b"\xff\xfe0", b"\x81\x8d", b""], ids=["no text", "cut", "no encoding", "empty"]
)
def test_a_table_that_cannot_be_read_costs_only_the_sentences(content: bytes) -> None:
    (one,) = parse(CorpusTree({f"{ROOT}0011/Sad/0011_001101.wav": b"", f"{ROOT}0011/0011.txt": content}))

    assert one.transcript is None
