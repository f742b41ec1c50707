import csv
import gzip
import json
from pathlib import Path

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.emov_db import COLLIDES, parse
from voxemo.corpora.prepare import check_counts, check_layout, describe
from voxemo.corpora.published import emobox_split
from voxemo.corpora.tree import CorpusTree


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("bea_Amused/amused_1-15_0001", "Amused"),
        ("sam_Sleepy/sleepiness_169_196_0196", "Sleepy"),
        ("sam_Disgusted/Disgust_169_196_0196", "Disgusted"),
        ("bea_Neutral/Neutral_85-112_0112", "Neutral"),
        ("jenie_Angry/anger_57-84_0084", "Angry"),
    ],
)
def test_every_form_of_name_is_read_with_the_folders_style(name: str, style: str) -> None:
    (one,) = parse(CorpusTree({f"{name}.wav": ""}))

    assert (one.stem, one.expressed_raw, one.speaker_id) == (name, style, name.partition("_")[0])


@pytest.mark.parametrize("root", ["", "EmoV-DB_sorted/"], ids=["no top folder", "below a top folder"])
@pytest.mark.parametrize("form", ["josh_Sleepy", "josh/Sleepy"], ids=["archives", "sorted"])
def test_both_releases_give_an_utterance_the_same_name(root: str, form: str) -> None:
    tree = CorpusTree({f"{root}{form}/sleepiness_1-28_0007.wav": ""})

    check_layout(corpus_card("emov-db"), tree)
    (one,) = parse(tree)

    assert (one.stem, one.speaker_id, one.speaker_gender) == ("josh_Sleepy/sleepiness_1-28_0007", "josh", "male")


def test_folds_that_name_the_archives_fit_the_sorted_release(tmp_path: Path) -> None:
    card = corpus_card("emov-db")
    names = ("amused_1-28_0001", "amused_1-28_0002", "amused_1-28_0003")
    utterances = describe(card, list(parse(CorpusTree({f"sam/Amused/{name}.wav": "" for name in names})))).utterances
    fold = tmp_path / "data" / "emovdb" / "fold_1"
    fold.mkdir(parents=True)
    for partition, members in (("train", names[:2]), ("test", names[2:])):
        records = [
            {"key": f"emovdb-sam-Amused-{name[-4:]}", "wav": f"downloads/emovdb/sam_Amused/{name}.wav"}
            for name in members
        ]
        (fold / f"emovdb_{partition}_fold_1.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")

    published = emobox_split(card, utterances, tmp_path)

    assert (published.unmatched_keys, published.missing_utterances) == ((), ())
    assert published.split.folds[0].partitions["test"] == ("emov-db/sam_Amused/amused_1-28_0003",)


def test_base_names_that_repeat_across_speakers_stay_apart() -> None:
    tree = CorpusTree({f"{speaker}_Amused/amused_1-28_0001.wav": "" for speaker in ("jenie", "josh")})

    first, second = parse(tree)

    assert first.stem != second.stem
    assert (first.outside_paper, second.outside_paper) == (None, None)


def test_a_style_word_that_contradicts_its_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"of the style 'Angry', as its first word says, found it in 'bea_Amused'"):
        list(parse(CorpusTree({"bea_Amused/anger_1-28_0001.wav": ""})))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("sam_Angry/anger_901-928_0905", "sam_Angry/anger_929-956_0905"),
        ("sam_Angry/anger_929-956_0930", "sam_Angry/anger_901_928_0930"),
        ("bea_Neutral/Neutral_901-928_0905", "bea_Neutral/neutral_929-956_0905"),
    ],
    ids=["earlier", "later", "another spelling"],
)
def test_of_two_files_of_one_number_the_papers_set_has_that_outside_its_own_range(inside: str, outside: str) -> None:
    parsed = parse(CorpusTree({f"{inside}.wav": "", f"{outside}.wav": ""}))

    assert {one.stem: one.outside_paper for one in parsed} == {inside: COLLIDES, outside: None}


@pytest.mark.evidence
def test_with_the_six_that_overwrote_each_other_the_distribution_and_the_papers_set_are_complete(
    evidence: Path,
) -> None:
    card = corpus_card("emov-db")
    with gzip.open(evidence / "listings" / "emov-db.csv.gz", "rt", encoding="utf-8", newline="") as file:
        papers = {row["path"].removesuffix(".wav") for row in csv.DictReader(file)}
    (collision,) = [issue for issue in card.known_issues if issue.id == "paper-name-collision"]

    parsed = list(parse(CorpusTree({f"{name}.wav": "" for name in (*papers, *collision.utterances)})))

    report = describe(card, parsed).report
    check_counts(card, report)
    assert report.n_utterances == 6893
    prepared = describe(card, parsed, subset="paper")
    assert prepared.report.n_utterances == 6887
    assert {one.utterance_id for one in prepared.utterances if one.excluded_reason is None} == {
        f"emov-db/{name}" for name in papers
    }
