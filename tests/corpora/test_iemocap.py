from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from evidence_listings import read_listing
from native import iemocap as rebuilt
from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.iemocap import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

DIALOGUE = "Ses01F_impro91"
TURN = f"{DIALOGUE}_M000"
HEAD = f"[6.2901 - 8.2357]\t{TURN}\tneu\t[2.5000, 2.5000, 2.5000]\n"


def corpus(labels: str, *, top: str = "", turn: str = TURN, **more: str) -> CorpusTree:
    session = f"{top}Session1"
    dialogue = turn.rpartition("_")[0]
    return CorpusTree(
        {
            f"{session}/sentences/wav/{dialogue}/{turn}.wav": "",
            f"{session}/dialog/EmoEvaluation/{dialogue}.txt": labels.replace(TURN, turn),
        }
        | more
    )


def test_the_speaker_is_the_letter_of_the_turn_not_who_wore_the_markers() -> None:
    (one,) = parse(corpus(HEAD))

    assert (one.speaker_id, one.speaker_gender, one.session_id) == ("Ses01M", "male", DIALOGUE)


@pytest.mark.parametrize(
    "dialogue", ["Ses01F_impro01", "Ses01F_impro05a", "Ses01M_script02_2", "Ses01M_script01_1b"], ids=str
)
def test_every_form_of_dialogue_names_is_read(dialogue: str) -> None:
    (one,) = parse(corpus(HEAD, turn=f"{dialogue}_F012"))

    assert (one.stem, one.session_id, one.provider_partition) == (f"{dialogue}_F012", dialogue, "fold:1")


def test_every_label_given_is_one_vote_and_the_actors_own_report_counts_by_one_rule_only() -> None:
    (one,) = parse(corpus(HEAD + "C-E2:\tNeutral; Anger;\t()\nC-E4:\tNeutral;\t(calm)\nC-M1:\tSadness;\t()\n"))

    assert one.votes_raw == {
        "outside": {"Neutral": 2, "Anger": 1},
        "with-self-report": {"Neutral": 2, "Anger": 1, "Sadness": 1},
    }


@pytest.mark.parametrize(
    ("lines", "label"),
    [
        ("C-E1:\tNeutral;\t()\nC-M1:\tAnger;\t()\n", "Anger"),
        ("C-E1:\tNeutral;\t()\nC-M1:\tNeutral; Anger;\t()\n", None),
        ("C-E1:\tNeutral;\t()\n", None),
    ],
    ids=["one label", "two labels", "no report"],
)
def test_the_expressed_label_is_the_actors_report_of_a_single_label(lines: str, label: str | None) -> None:
    (one,) = parse(corpus(HEAD + lines))

    assert (one.expressed_raw, one.perceived_raw) == (label, "neu")


def test_only_lines_inside_the_turns_block_count() -> None:
    other = HEAD.replace("M000", "F000").replace("neu", "ang")
    before, after = "C-E1:\tFear;\t()\n", "\nC-E1:\tSadness;\t()\n"
    labels = (
        f"% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n{before}\n"
        f"{other}C-E1:\tAnger;\t()\n{HEAD}C-E1:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n{after}"
    )

    (one,) = parse(corpus(labels))

    assert one.votes_raw["outside"] == {"Neutral": 1}


def test_hidden_companions_of_macos_are_no_turns() -> None:
    folder = f"Session1/sentences/wav/{DIALOGUE}"
    more = {f"{folder}/._{TURN}.wav": "", f"Session1/dialog/EmoEvaluation/._{DIALOGUE}.txt": "\x00"}

    assert [one.stem for one in parse(corpus(HEAD, **more))] == [TURN]


def test_the_archives_top_folder_may_be_there_and_transcripts_are_read() -> None:
    said = {
        f"IEMOCAP/Session1/dialog/transcriptions/{DIALOGUE}.txt": f"{TURN} [006.2901-008.2357]: Excuse me.\nM: Hm.\n"
    }

    (one,) = parse(corpus(HEAD, top="IEMOCAP/", **said))

    assert one.transcript == "Excuse me."


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            HEAD.replace("\t", " "),
            f"expected '[start - end]', turn, code and '[v, a, d]' between tabs in line 1 of "
            f"'Session1/dialog/EmoEvaluation/{DIALOGUE}.txt', found '[6.2901 - 8.2357] {TURN} neu",
        ),
        (HEAD + "C-E1 Neutral ()\n", "expected 'C-<rater>:', labels and remarks between tabs in line 2"),
        ("", f"expected a block for '{TURN}'"),
    ],
    ids=["no tabs", "no rater", "no block"],
)
def test_labels_in_another_form_are_refused_with_what_was_found(labels: str, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        list(parse(corpus(labels)))

    assert message in str(caught.value)


def test_a_missing_file_of_labels_is_named() -> None:
    with pytest.raises(WrongLayout, match=f"expected the file 'Session1/dialog/EmoEvaluation/{DIALOGUE}.txt'"):
        list(parse(CorpusTree({f"Session1/sentences/wav/{DIALOGUE}/{TURN}.wav": ""})))


def test_a_dialogue_in_another_sessions_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'Ses02F_impro91_M000' in the session of 'Ses02'.*found it in 'Session1/"):
        list(parse(corpus(HEAD, turn="Ses02F_impro91_M000")))


@pytest.mark.evidence
def test_votes_with_the_self_report_are_those_that_the_papers_figures_follow(evidence: Path) -> None:
    tree = CorpusTree(rebuilt.tree(read_listing(evidence, "iemocap"), evidence))
    prepared = describe(corpus_card("iemocap"), list(parse(tree)))
    subset = {one.utterance_id for one in prepared.utterances if one.excluded_reason is None}
    counts: defaultdict[str, dict[str, float]] = defaultdict(
        lambda: dict.fromkeys(("angry", "happy", "neutral", "sad"), 0)
    )
    for vote in prepared.votes:
        if vote.rule == "with-self-report" and vote.label is not None and vote.utterance_id in subset:
            counts[vote.utterance_id][vote.label] += vote.n

    votes = np.array([list(row.values()) for row in counts.values()])
    shares = votes / votes.sum(axis=1, keepdims=True)

    assert len(shares) == prepared.report.n_utterances == 5531
    # PROTOCOL section 2: what a uniform prediction scores on these votes.
    assert (np.abs(shares - 0.25).sum(axis=1) / 2).mean() == pytest.approx(0.6828, abs=5e-5)
    assert ((shares - 0.25) ** 2).mean() == pytest.approx(0.1586, abs=5e-5)
