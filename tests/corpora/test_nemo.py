import pytest

from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.nemo import parse
from voxemo.corpora.tree import CorpusTree

AUDIO = {"samples/ZA0_anger_1.wav": ""}
HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
ROW = "ZA0_anger_1.wav\tanger\tTo jest dom.\tto jest dom\t        ZA0\tfemale\t41\n"


def test_blanks_before_the_speakers_id_are_not_part_of_it() -> None:
    (one,) = parse(CorpusTree(AUDIO | {"data.tsv": HEADER + ROW}))

    assert (one.speaker_id, one.speaker_gender, one.speaker_age) == ("ZA0", "female", 41)
    assert one.transcript == "To jest dom."


def test_recordings_alone_are_enough() -> None:
    (one,) = parse(CorpusTree(AUDIO))

    assert (one.stem, one.expressed_raw, one.speaker_id) == ("ZA0_anger_1", "anger", "ZA0")
    assert (one.speaker_gender, one.speaker_age, one.transcript) == (None, None, None)


def test_the_repositorys_own_folder_may_stand_above_samples_and_table() -> None:
    (one,) = parse(CorpusTree({"nEMO-main/samples/ZA0_anger_1.wav": "", "nEMO-main/data.tsv": HEADER + ROW}))

    assert (one.audio_path, one.speaker_age) == ("nEMO-main/samples/ZA0_anger_1.wav", 41)


def test_an_empty_folder_yields_nothing() -> None:
    assert list(parse(CorpusTree({"data.tsv": HEADER + ROW}))) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            HEADER + ROW.replace("\tanger\t", "\tfear\t"),
            "the emotion 'anger' of 'ZA0_anger_1.wav' in 'data.tsv', found 'fear'",
        ),
        (HEADER + ROW.replace("        ZA0", "ZB0"), "the speaker_id 'ZA0' of 'ZA0_anger_1.wav'"),
        (HEADER + ROW.replace("41", "NA"), "ages in whole years in 'data.tsv', found 'NA'"),
        (HEADER + ROW.replace("ZA0_anger_1.wav", "7"), "such as 'ZA0_anger_1.wav' in the column 'file_id'"),
        (HEADER.replace("raw_text", "text") + ROW, "a column 'raw_text' in 'data.tsv'"),
    ],
    ids=["another emotion", "another speaker", "no age", "other recordings", "columns"],
)
def test_a_table_that_contradicts_the_names_or_has_another_form_is_refused(table: str, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(CorpusTree(AUDIO | {"data.tsv": table})))

    assert message in str(caught.value)
