import json
from collections.abc import Sequence
from typing import Any

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.parsers.thai_ser import parse
from voxemo.corpora.prepare import check_layout, describe
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.policies import make_split

TURN = "s001_con_actor901_impro1_1"
SCRIPTED = "s001_con_actor901_script1_2_4b"


def entry(assigned: str = "Sad", majority: str | None = "Sad", annotated: Sequence[Sequence[str]] = ()) -> list[Any]:
    return [{"assigned_emo": assigned, "majority_emo": majority, "agreement": 0.5, "annotated": annotated}]


def labels(*names: str, **given: Any) -> dict[str, str]:
    return {"emotion_label.json": json.dumps({f"{name}.flac": entry(**given) for name in names})}


def studio(name: str) -> str:
    return f"studio1-10/studio001/con/{name}.flac"


def heard(*annotated: Sequence[str], majority: str | None = "Sad") -> ParsedUtterance:
    table = labels(TURN, majority=majority, annotated=annotated)
    (one,) = parse(CorpusTree({studio(TURN): ""} | table))
    return one


# --- labels and votes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotated", "votes"),
    [
        ([["Sad"], ["Sad"], ["Angry"]], {"Angry": 1, "Sad": 2}),
        ([["Sad", "Angry"], ["Sad"]], {"Angry": 0.5, "Sad": 1.5}),
        ([["Sad", "Other"], ["Sad", "None"]], {"Sad": 2}),
        ([["None"], ["other"], ["Sad"]], {"Sad": 1}),
        ([["sad"], ["SAD "]], {"Sad": 2}),
        ([["Sad", "Sad", "Happy"]], {"Happy": 0.5, "Sad": 0.5}),
    ],
    ids=["one each", "shared", "no emotion beside one", "no emotion at all", "spelling", "picked twice"],
)
def test_an_annotator_shares_one_vote_over_the_emotions_picked(
    annotated: list[list[str]], votes: dict[str, float]
) -> None:
    assert heard(*annotated).votes_raw == {"all": pytest.approx(votes)}


def test_nobody_who_hears_an_emotion_means_no_votes() -> None:
    assert heard(["None"], ["Other"]).votes_raw == {}
    assert heard().votes_raw == {}


@pytest.mark.parametrize("majority", ["None", "other", "Other", None])
def test_a_majority_for_no_emotion_leaves_out_the_perceived_label_alone(majority: str | None) -> None:
    prepared = describe(corpus_card("thai-ser"), [heard(["Sad"], majority=majority)])

    (one,) = prepared.utterances
    assert (one.expressed, one.perceived, one.excluded_reason) == ("sad", None, None)


def test_a_digit_that_contradicts_the_table_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"as 'Sad' in 'emotion_label\.json', as its digit says, found 'Happy'"):
        list(parse(CorpusTree({studio(SCRIPTED): ""} | labels(SCRIPTED, assigned="Happy"))))


def test_turns_that_the_table_lacks_keep_the_emotion_of_their_name_if_it_has_one() -> None:
    table = labels("s001_con_actor901_impro9_9")

    improvised, scripted = parse(CorpusTree({studio(TURN): "", studio(SCRIPTED): ""} | table))

    assert (scripted.expressed_raw, scripted.excluded_reason) == ("Sad", None)
    assert improvised.expressed_raw is None
    assert improvised.excluded_reason == "improvised turn without a label in emotion_label.json"
    assert describe(corpus_card("thai-ser"), [improvised, scripted]).report.n_utterances == 1


def test_without_the_table_the_error_says_where_it_is() -> None:
    with pytest.raises(WrongLayout, match=r"'emotion_label\.json'.*vistec-AI/dataset-releases"):
        list(parse(CorpusTree({studio(SCRIPTED): ""})))


@pytest.mark.parametrize(
    "value",
    [entry()[0], [], [*entry(), *entry()], [{"majority_emo": "Sad"}], entry(annotated=["Sad"]), "Sad"],
    ids=["no list", "nothing", "two entries", "no emotion", "picks without annotators", "text"],
)
def test_a_table_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(WrongLayout, match="a list of one object with 'assigned_emo'"):
        list(parse(CorpusTree({studio(TURN): "", "emotion_label.json": json.dumps({f"{TURN}.flac": value})})))


def test_a_table_that_is_a_list_is_refused() -> None:
    with pytest.raises(WrongLayout, match="a list of one object with 'assigned_emo'"):
        list(parse(CorpusTree({studio(TURN): "", "emotion_label.json": "[]"})))


# --- actors ------------------------------------------------------------------------------------------------------


def test_actors_are_known_by_their_number() -> None:
    actors = {
        "data": [{"Actor's ID": "901", "Age": 24, "Sex": "Female"}, {"Actor's ID": "902", "Age": "", "Sex": "Male"}]
    }
    tree = {studio(TURN): "", "actor_demography.json": json.dumps(actors)} | labels(TURN)

    (one,) = parse(CorpusTree(tree))

    assert (one.speaker_id, one.speaker_gender, one.speaker_age) == ("901", "female", 24)


def test_actors_in_another_form_are_refused() -> None:
    tree = {studio(TURN): "", "actor_demography.json": json.dumps([{"id": "901"}])} | labels(TURN)

    with pytest.raises(WrongLayout, match=r"'actor_demography\.json'"):
        list(parse(CorpusTree(tree)))


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ["studio1-10/studio001", "studio001", "studio1-10/studio1-10/studio001", "THAISER/studio1-10/studio001"],
    ids=["as zipped", "side by side", "unpacked into its own folder", "one level higher"],
)
def test_folders_above_the_session_may_differ(folder: str) -> None:
    top = "THAISER/" if folder.startswith("THAISER") else ""
    table = {f"{top}{name}": content for name, content in labels(TURN).items()}
    tree = CorpusTree({f"{folder}/con/{TURN}.flac": ""} | table)

    check_layout(corpus_card("thai-ser"), tree)
    assert [one.stem for one in parse(tree)] == [TURN]


def test_the_other_microphones_are_left_unread() -> None:
    others = {f"studio1-10/studio001/{mic}/{TURN.replace('con', mic)}.flac": "" for mic in ("clip", "middle")}

    assert [one.stem for one in parse(CorpusTree({studio(TURN): ""} | others | labels(TURN)))] == [TURN]


# --- folds -------------------------------------------------------------------------------------------------------


def all_sessions() -> list[ParsedUtterance]:
    """One scripted turn in each of the 80 studio and 20 Zoom sessions."""
    paths = {
        f"studio/studio{n:03d}/con/s{n:03d}_con_actor{n:03d}_script1_1_{1 + n % 5}a.flac": "" for n in range(1, 81)
    } | {f"zoom/zoom{n:03d}/mic/z{n:03d}_mic_actor{100 + n:03d}_script1_1_{1 + n % 5}a.flac": "" for n in range(1, 21)}
    return list(parse(CorpusTree(paths | {"emotion_label.json": "{}"})))


def test_the_authors_ten_folds_hold_out_ten_sessions_each_and_share_no_actor() -> None:
    card = corpus_card("thai-ser")
    prepared = describe(card, all_sessions())

    split = make_split(card, prepared.utterances, policy="protocol")

    session = {one.utterance_id: one.session_id or "" for one in prepared.utterances}
    held_out = {
        fold.fold_id: [{session[name] for name in fold.partitions[part]} for part in ("valid", "test")]
        for fold in split.folds
    }
    assert list(held_out) == [str(number) for number in range(1, 11)]
    for number in range(1, 9):
        first = 10 * (number - 1) + 1
        assert held_out[str(number)] == [
            {f"s{n:03d}" for n in range(first, first + 5)},
            {f"s{n:03d}" for n in range(first + 5, first + 10)},
        ]
    assert held_out["9"] == [{f"z{n:03d}" for n in range(1, 6)}, {f"z{n:03d}" for n in range(6, 11)}]
    assert held_out["10"] == [{f"z{n:03d}" for n in range(11, 16)}, {f"z{n:03d}" for n in range(16, 21)}]
    assert {len(fold.partitions["train"]) for fold in split.folds} == {90}
    assert split.speaker_independent is True


@pytest.mark.parametrize("name", ["s081_con_actor901_impro1_1", "s000_con_actor901_impro1_1"])
def test_a_session_that_the_authors_folds_lack_is_in_none(name: str) -> None:
    (one,) = parse(CorpusTree({f"studio/studio/con/{name}.flac": ""} | labels(name)))

    assert one.provider_partition == "unassigned"
