from collections.abc import Sequence

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers.emozionalmente import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

CLIP = "1900000000001"
ACTOR = "ab" * 32
SAMPLES = (
    "file_name,sentence,sentence_language,actor,emotion_expressed\n"
    f'{CLIP}.wav,"Il gatto dorme, forse",italian,{ACTOR},joy\n'
)
AUDIO = {f"audio/{CLIP}.wav": "", "metadata/samples.csv": SAMPLES}


def judged(answers: Sequence[str], quality: str = "good") -> ParsedUtterance:
    rows = "".join(f"{CLIP}.wav,{number:064},{quality},{answer}\n" for number, answer in enumerate(answers))
    table = f"file_name,evaluator,audio_quality,emotion_recognized\n{rows}"
    (one,) = parse(CorpusTree(AUDIO | {"metadata/evaluations.csv": table}))
    return one


@pytest.mark.parametrize(
    ("answers", "perceived"),
    [
        (("joy", "joy", "joy", "fear", "anger"), "joy"),
        (("anger", "anger", "joy", "fear", "disgust"), "anger"),
        (("joy", "joy", "fear", "fear", "anger"), None),
        (("joy", "fear", "anger", "disgust", "sadness"), None),
    ],
    ids=["majority", "plurality", "tie of two", "tie of all"],
)
def test_the_plurality_of_the_five_votes_is_perceived_and_ties_are_not(
    answers: tuple[str, ...], perceived: str | None
) -> None:
    one = judged(answers)

    assert one.perceived_raw == perceived
    assert one.votes_raw == {"all": {answer: answers.count(answer) for answer in answers}}
    assert one.expressed_raw == "joy"


def test_votes_count_whatever_they_say_about_the_audio() -> None:
    assert judged(["joy"] * 5, quality="bad").votes_raw == {"all": {"joy": 5}}


def test_an_actor_is_known_by_the_first_characters_of_the_hash() -> None:
    users = f"username,gender,age,mother_tongue\n{ACTOR},female,34,italian\n"

    (one,) = parse(CorpusTree(AUDIO | {"metadata/users.csv": users}))

    assert (one.speaker_id, one.speaker_gender, one.speaker_age) == (ACTOR[:12], "female", 34)
    assert one.transcript == "Il gatto dorme, forse"


def test_a_gender_that_is_neither_stays_open() -> None:
    users = f"username,gender,age,mother_tongue\n{ACTOR},other,,italian\n"

    (one,) = parse(CorpusTree(AUDIO | {"metadata/users.csv": users}))

    assert (one.speaker_gender, one.speaker_age) == (None, None)


def test_votes_and_actors_may_be_missing_and_the_report_says_so() -> None:
    report = describe(corpus_card("emozionalmente"), list(parse(CorpusTree(AUDIO)))).report

    assert report.voted == {"all": 0}
    assert report.labelled == {"expressed": 1, "perceived": 0}


def test_clips_without_their_table_are_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'metadata/samples\.csv'.*same archive"):
        list(parse(CorpusTree({f"audio/{CLIP}.wav": ""})))
