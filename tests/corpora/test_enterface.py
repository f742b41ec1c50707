import csv
import gzip
from pathlib import Path

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.enterface import CLASH, parse
from voxemo.corpora.prepare import check_counts, check_layout, describe
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize(
    ("path", "stem", "code"),
    [
        ("subject 11/anger/sentence 1/s12_an_1.avi", "s11/s12_an_1", "an"),
        ("subject 3/fear/sentence 5/s_3_fe_5.avi", "s3/s_3_fe_5", "fe"),
        ("subject 16/surprise/sentence 3/s16_su_3avi.avi", "s16/s16_su_3avi", "su"),
        ("subject 2/anger/sentence 1/s2_an_2.avi", "s2/s2_an_2", "an"),
        ("subject 6/happiness/s6_ha.avi", "s6/s6_ha", "ha"),
        ("enterface database/subject 6/happiness/s6_ha.avi", "s6/s6_ha", "ha"),
    ],
    ids=["another subject's number", "s_3", "avi twice", "swapped sentences", "uncut", "top folder"],
)
def test_irregular_names_are_read_and_the_subject_is_the_folders(path: str, stem: str, code: str) -> None:
    tree = CorpusTree({path: ""})

    check_layout(corpus_card("enterface"), tree)
    (one,) = parse(tree)

    assert (one.audio_path, one.stem, one.expressed_raw) == (path, stem, code)
    assert one.speaker_id == stem.partition("/")[0]


def test_subject_12_is_outside_the_papers_set_whatever_its_files_are_called() -> None:
    folder = "sadness/sentence 1"
    tree = CorpusTree({f"subject 11/{folder}/s12_sa_1.avi": "", f"subject 12/{folder}/s12_sa_1.avi": ""})
    renamed = CorpusTree({f"subject 11/{folder}/s11_sa_1.avi": "", f"subject 12/{folder}/s12_sa_1.avi": ""})

    assert [one.outside_paper for one in parse(tree)] == [None, CLASH]
    assert [one.outside_paper for one in parse(renamed)] == [None, CLASH]


def test_letters_that_contradict_the_folder_are_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'s1_an_1\.avi' in the folder 'anger'.*found it in 'fear'"):
        list(parse(CorpusTree({"subject 1/fear/sentence 1/s1_an_1.avi": ""})))


@pytest.mark.evidence
def test_with_subject_12_the_distribution_and_the_papers_set_are_complete(evidence: Path) -> None:
    card = corpus_card("enterface")
    with gzip.open(evidence / "listings" / "enterface.csv.gz", "rt", encoding="utf-8", newline="") as file:
        papers = [row["path"] for row in csv.DictReader(file)]
    overwritten = [path.replace("subject 11/", "subject 12/") for path in papers if path.startswith("subject 11/")]

    parsed = list(parse(CorpusTree(dict.fromkeys([*papers, *overwritten], ""))))

    report = describe(card, parsed).report
    check_counts(card, report)
    assert (report.n_utterances, report.n_speakers) == (1293, 44)
    prepared = describe(card, parsed, subset="paper")
    assert (prepared.report.n_utterances, prepared.report.n_speakers) == (1263, 43)
    assert {one.audio_path for one in prepared.utterances if one.excluded_reason is None} == set(papers)
