import csv
import gzip
from pathlib import Path

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import UnmappedLabel
from voxemo.corpora.parsers.asvp_esd import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("Audio/actor_94/03-02-03-01-03-94-02-02.wav", "94"),
        ("Audio/actor_19/03-02-04-01-11-19-02-03-01-14-02-77.wav", "19"),
        ("Audio/actor_/03-02-13-02-38-116-02-02-02-13.wav", "116"),
        ("Audio/actor_0/03-02-03-01-00-00-02-01-00-14.wav", "00"),
        ("Audio/actor_1/03-01-12-01-18-01-106-02-02-12.wav", "01"),
        ("Bonus/actor_150/03-02-04-01-52-150-04-01-00-14 -05.wav", "150"),
        ("ASVP-ESD-Update/Bonus/actor_150/03-02-04-01-13-150-0401-00-14-02.wav", "150"),
    ],
    ids=["8 fields", "12 fields", "folder of nobody", "actor 0", "long seventh field", "a blank inside", "top folder"],
)
def test_irregular_names_are_read(path: str, speaker: str) -> None:
    (one,) = parse(CorpusTree({path: ""}))

    assert (one.audio_path, one.speaker_id) == (path, speaker)


def test_the_speaker_is_the_sixth_field_where_the_folder_says_another() -> None:
    (one,) = parse(CorpusTree({"Audio/actor_46/03-01-02-01-19-47-02-02-02.wav": ""}))

    assert (one.speaker_id, one.speaker_gender) == ("47", "female")


def test_only_numbers_that_can_be_one_person_have_a_gender() -> None:
    names = ("Audio/actor_0/03-01-02-01-01-00-02-02", "Audio/actor_2/03-01-02-01-01-02-02-02")
    parsed = parse(
        CorpusTree(dict.fromkeys((f"{name}.wav" for name in (*names, names[1].replace("Audio", "Bonus"))), ""))
    )

    assert [one.speaker_gender for one in parsed] == [None, "male", None]


def test_a_code_outside_the_providers_table_is_refused() -> None:
    parsed = list(parse(CorpusTree({"Audio/actor_1/03-01-77-01-01-01-02-02.wav": ""})))

    with pytest.raises(UnmappedLabel, match="'77'"):
        describe(corpus_card("asvp-esd"), parsed)


@pytest.mark.evidence
def test_187_real_files_lie_in_the_folder_of_another_speaker(evidence: Path) -> None:
    with gzip.open(evidence / "listings" / "asvp-esd.csv.gz", "rt", encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]

    parsed = list(parse(CorpusTree(dict.fromkeys(paths, ""))))

    folders = [Path(one.audio_path).parent.name.removeprefix("actor_") for one in parsed]
    elsewhere = [
        one
        for one, folder in zip(parsed, folders, strict=True)
        if not folder or int(folder) != int(one.speaker_id or -1)
    ]
    assert (len(parsed), len(elsewhere)) == (13964, 187)
