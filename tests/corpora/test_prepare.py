import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxemo.catalog.lookup import corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import CorpusNotFound, CountMismatch, UnmappedLabel, WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.prepare import VoteRow, check_counts, check_layout, describe, prepare, unread_audio
from voxemo.corpora.probe import Probe
from voxemo.corpora.tree import CorpusTree

HEARD = Probe(duration_s=1.8, sample_rate_hz=16_000, n_channels=1, audio_sha256="aa")


def spoken(stem: str, label: str | None = "A", **facts) -> ParsedUtterance:
    facts = {"speaker_id": stem[:1], "expressed_raw": label} | facts
    return ParsedUtterance(stem=stem, audio_path=f"speech/{stem}.wav", **facts)


def parse_toy(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Files are named <speaker><code><anything>.wav."""
    for path in tree.glob("speech/*.wav"):
        if path.stem[1:2] in {"A", "H", "X"}:
            yield spoken(path.stem, path.stem[1])


# --- labels ------------------------------------------------------------------------------------------------------


def test_codes_become_the_labels_of_the_card(toy_card: CorpusCard) -> None:
    prepared = describe(toy_card, [spoken("s1", "H", perceived_raw="A")], [HEARD])

    (utterance,) = prepared.utterances
    assert utterance.utterance_id == "toy/s1"
    assert (utterance.expressed, utterance.perceived) == ("happy", "angry")
    assert (utterance.duration_s, utterance.sample_rate_hz, utterance.audio_sha256) == (1.8, 16_000, "aa")
    assert utterance.language == "en"


@pytest.mark.parametrize("place", ["expressed_raw", "perceived_raw", "votes_raw"])
def test_a_code_that_the_card_does_not_know_is_refused(toy_card: CorpusCard, place: str) -> None:
    value = {"all": {"A": 2, "Q": 0}} if place == "votes_raw" else "Q"

    with pytest.raises(UnmappedLabel, match=r"raw label 'Q'.*known: 'A', 'H', 'X'"):
        describe(toy_card, [spoken("s1", **{place: value})])


def test_a_dropped_code_of_the_gold_source_excludes_the_utterance(heard_card: CorpusCard) -> None:
    prepared = describe(heard_card, [spoken("s1", "A", perceived_raw="X"), spoken("s2", "A", perceived_raw="H")])

    assert [one.excluded_reason for one in prepared.utterances] == ["label dropped: nobody agreed", None]
    assert prepared.report.n_utterances == 1
    assert prepared.report.excluded == {"label dropped: nobody agreed": 1}
    assert prepared.report.per_label == {"angry": 0, "happy": 1}


def test_a_dropped_code_of_the_other_source_only_leaves_that_label_out(toy_card: CorpusCard) -> None:
    prepared = describe(toy_card, [spoken("s1", "A", perceived_raw="X")])

    (utterance,) = prepared.utterances
    assert (utterance.expressed, utterance.perceived, utterance.excluded_reason) == ("angry", None, None)


def test_the_reason_that_a_parser_gives_is_kept(toy_card: CorpusCard) -> None:
    prepared = describe(
        toy_card, [spoken("s1", "X", excluded_reason="not complete"), spoken("s2", None, excluded_reason="no label")]
    )

    assert prepared.report.excluded == {"no label": 1, "not complete": 1}


def test_listeners_may_tie_but_an_intended_label_is_always_known(toy_card: CorpusCard, heard_card: CorpusCard) -> None:
    tie = spoken("s1", None, perceived_raw=None)

    report = describe(heard_card, [tie]).report
    assert (report.n_utterances, report.labelled) == (1, {"expressed": 0, "perceived": 0})
    with pytest.raises(WrongLayout, match="an intended label for every utterance, found none for 's1'"):
        describe(toy_card, [tie])


def test_two_files_of_one_name_are_refused(toy_card: CorpusCard) -> None:
    copy = dataclasses.replace(spoken("s1"), audio_path="copy/s1.wav")

    with pytest.raises(WrongLayout, match=r"'s1' more than once \(the first from 'speech/s1.wav', 'copy/s1.wav'\)"):
        describe(toy_card, [spoken("s1"), copy])


def test_names_are_composed_so_that_ids_are_the_same_on_every_file_system(toy_card: CorpusCard) -> None:
    (utterance,) = describe(toy_card, [spoken("e\u0301", speaker_id="e\u0301")]).utterances

    assert (utterance.utterance_id, utterance.speaker_id) == ("toy/é", "é")
    assert utterance.audio_path == "speech/e\u0301.wav"


def test_an_utterance_of_a_corpus_with_several_languages_says_its_own_or_none(toy_card: CorpusCard) -> None:
    card = toy_card.model_copy(update={"languages": ("en", "zh")})

    prepared = describe(card, [spoken("s1", language="zh"), spoken("s2")])

    assert [one.language for one in prepared.utterances] == ["zh", "und"]


def test_a_path_that_no_table_can_hold_is_refused_with_the_way_out(toy_card: CorpusCard) -> None:
    # "Colère" in DOS encoding, as some archive tools leave it.
    parsed = [dataclasses.replace(spoken("s1"), audio_path="speech/Col\udc8are.wav")]

    with pytest.raises(
        WrongLayout, match=r"file names in UTF-8, found 'speech/Col\\udc8are\.wav'\. Unpack the archive"
    ):
        describe(toy_card, parsed)
    tree = CorpusTree({"speech/Col\udc8are.wav": ""})
    assert unread_audio(toy_card, tree, []) == ["speech/Col\\udc8are.wav"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=4), st.sampled_from("AHX"), st.sampled_from(["", "why"])),
        unique_by=lambda row: row[0],
    ),
    data=st.data(),
)
def test_preparing_loses_no_row_and_does_not_depend_on_their_order(toy_card: CorpusCard, rows, data) -> None:
    parsed = [spoken(stem, code, excluded_reason=why or None, votes_raw={"all": {code: 1}}) for stem, code, why in rows]
    probes = [dataclasses.replace(HEARD, audio_sha256=stem) for stem, _, _ in rows]
    order = data.draw(st.permutations(range(len(rows))))

    prepared = describe(toy_card, parsed, probes)

    assert prepared == describe(toy_card, [parsed[i] for i in order], [probes[i] for i in order])
    assert [one.utterance_id for one in prepared.utterances] == sorted(f"toy/{stem}" for stem, _, _ in rows)
    assert prepared.report.n_utterances + sum(prepared.report.excluded.values()) == len(rows)
    assert sum(prepared.report.per_label.values()) == prepared.report.n_utterances
    assert sum(prepared.report.per_speaker.values()) == prepared.report.n_utterances


# --- votes -------------------------------------------------------------------------------------------------------


def test_votes_outside_the_label_set_keep_their_code(toy_card: CorpusCard) -> None:
    prepared = describe(toy_card, [spoken("s1", votes_raw={"all": {"X": 1, "A": 3, "H": 0}, "fast": {"A": 0.5}})])

    assert prepared.votes == (
        VoteRow(utterance_id="toy/s1", rule="all", raw_label="A", label="angry", n=3),
        VoteRow(utterance_id="toy/s1", rule="all", raw_label="X", label=None, n=1),
        VoteRow(utterance_id="toy/s1", rule="fast", raw_label="A", label="angry", n=0.5),
    )


def test_the_report_counts_votes_by_every_rule_of_the_card(toy_card: CorpusCard) -> None:
    parsed = [spoken("s1", votes_raw={"all": {"A": 1}}), spoken("s2", "X", votes_raw={"all": {"A": 1}}), spoken("s3")]

    assert describe(toy_card, parsed).report.voted == {"all": 1, "fast": 0}


@pytest.mark.parametrize("n", [-1, float("nan"), float("inf")])
def test_votes_that_are_no_counts_are_refused(toy_card: CorpusCard, n: float) -> None:
    with pytest.raises(WrongLayout, match=r"numbers from 0 up, found \S+ for 'A' by rule 'all' on 's1'"):
        describe(toy_card, [spoken("s1", votes_raw={"all": {"A": n}})])


# --- the report --------------------------------------------------------------------------------------------------


def test_the_report_counts_what_is_in_the_benchmark(toy_card: CorpusCard) -> None:
    parsed = [spoken("p1", "A"), spoken("q1", "H", transcript="hello"), spoken("q2", "X"), spoken("q3", "H")]
    probes = [HEARD, dataclasses.replace(HEARD, silent=True), HEARD, Probe(unusable_reason="it is broken")]

    report = describe(toy_card, parsed, probes, unread=["speech/b.wav", "speech/a.wav"]).report

    assert (report.n_utterances, report.n_speakers, report.n_transcripts) == (3, 2, 1)
    assert report.hours == pytest.approx(0.001)
    assert report.per_label == {"angry": 1, "happy": 2}
    assert report.per_speaker == {"p": 1, "q": 2}
    assert report.unusable == {"toy/q3": "it is broken"}
    assert report.silent == ("toy/q1",)
    assert report.duplicates == (("toy/p1", "toy/q1"),)
    assert report.unread == ("speech/a.wav", "speech/b.wav")
    assert report.differences == {"utterances": (2, 3), "utterances labelled happy": (1, 2)}
    assert not report.complete


@pytest.mark.parametrize(
    ("probes", "told"),
    [
        ([HEARD, HEARD], ()),
        (
            [HEARD, dataclasses.replace(HEARD, sample_rate_hz=8_000)],
            ("1 of 2 utterances at 8000 Hz, where the card lists 16000 or 44100 Hz: a converted copy",),
        ),
        (
            [dataclasses.replace(HEARD, sample_rate_hz=rate, n_channels=2) for rate in (8_000, 48_000)],
            (
                "2 of 2 utterances at 8000 or 48000 Hz, where the card lists 16000 or 44100 Hz: a converted copy",
                "2 of 2 utterances with 2 channels, where the card lists 1 channel: a converted copy",
            ),
        ),
        ([HEARD, Probe(unusable_reason="it is broken")], ()),
    ],
    ids=["as listed", "one of another rate", "all of other rates and channels", "unknown"],
)
def test_audio_of_another_form_than_the_card_lists_is_told(toy_card: CorpusCard, probes, told) -> None:
    listed = toy_card.expected.model_copy(update={"sample_rates_hz": (16_000, 44_100), "n_channels": (1,)})
    parsed = [spoken("p1", "A"), spoken("q1", "H")]

    assert describe(toy_card.model_copy(update={"expected": listed}), parsed, probes).report.converted_audio == told
    # A card that lists no rate asks for none, and what a known issue names is known.
    assert describe(toy_card, parsed, probes).report.converted_audio == ()
    issue = {"id": "mixed", "text": "made up", "source": "made up", "utterances": ["p1", "q1"]}
    knowing = CorpusCard.model_validate(toy_card.model_dump() | {"known_issues": [issue], "expected": listed})
    assert describe(knowing, parsed, probes).report.converted_audio == ()


def test_the_report_can_be_written_as_json(toy_card: CorpusCard) -> None:
    report = describe(toy_card, [spoken("p1")], [HEARD]).report

    assert json.loads(json.dumps(dataclasses.asdict(report)))["per_label"] == {"angry": 1, "happy": 0}


def test_hours_are_unknown_until_the_audio_was_looked_at(toy_card: CorpusCard) -> None:
    assert describe(toy_card, [spoken("p1")]).report.hours is None


def test_every_count_that_differs_is_named(toy_card: CorpusCard) -> None:
    expected = toy_card.expected.model_copy(update={"per_speaker": {"p": 1, "q": 1}})
    card = toy_card.model_copy(update={"expected": expected})

    with pytest.raises(CountMismatch) as caught:
        check_counts(card, describe(card, [spoken("p1", "A"), spoken("r1", "A")]).report)

    assert caught.value.differences == {
        "utterances labelled angry": (1, 2),
        "utterances labelled happy": (1, 0),
        "utterances of speaker q": (1, 0),
        "utterances of speaker r": (0, 1),
    }
    assert "--partial" in str(caught.value)


def test_counts_that_the_card_leaves_open_are_not_checked(toy_card: CorpusCard) -> None:
    card = toy_card.model_copy(update={"expected": type(toy_card.expected)()})

    report = describe(card, [spoken("p1")]).report

    check_counts(card, report)
    assert report.complete


# --- folders -----------------------------------------------------------------------------------------------------


def test_preparing_a_folder_checks_and_probes_it(toy_card: CorpusCard, tmp_path: Path, record) -> None:
    record("speech/pA1.wav", seed=1)
    record("speech/qH1.wav", seed=2)
    progress: list[tuple[int, int]] = []

    prepared = prepare(toy_card, parse_toy, tmp_path, on_progress=lambda done, total: progress.append((done, total)))

    assert [(one.utterance_id, one.duration_s) for one in prepared.utterances] == [("toy/pA1", 0.1), ("toy/qH1", 0.1)]
    assert prepared.report.complete
    assert progress[-1] == (2, 2)


def test_broken_files_stay_as_unusable_rows(toy_card: CorpusCard, tmp_path: Path, record) -> None:
    record("speech/pA1.wav")
    (tmp_path / "speech" / "pH1.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt garbage")
    (tmp_path / "speech" / "qA1.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "speech" / "qH1.wav").touch()

    prepared = prepare(toy_card, parse_toy, tmp_path, partial=True)

    reasons = {one.utterance_id: one.unusable_reason or "" for one in prepared.utterances}
    assert list(reasons) == ["toy/pA1", "toy/pH1", "toy/qA1", "toy/qH1"]
    assert reasons["toy/pA1"] == ""
    assert reasons["toy/pH1"].startswith("it cannot be decoded")
    assert "git lfs pull" in reasons["toy/qA1"]
    assert reasons["toy/qH1"] == "the file is empty (0 bytes)"
    assert prepared.report.unusable == {name: reason for name, reason in reasons.items() if reason}


def test_files_that_nobody_reads_are_reported(toy_card: CorpusCard, tmp_path: Path, record) -> None:
    for name in ["speech/pA1.wav", "speech/qH1.wav", "speech/stray.wav", "old/pA1.WAV"]:
        record(name)
    (tmp_path / "speech" / "readme.txt").write_text("not audio")

    report = prepare(toy_card, parse_toy, tmp_path).report

    assert report.unread == ("old/pA1.WAV", "speech/stray.wav")
    assert report.duplicates == (("toy/pA1", "toy/qH1"),)


def test_an_incomplete_folder_is_refused_before_any_audio_is_decoded(
    toy_card: CorpusCard, tmp_path: Path, record
) -> None:
    record("speech/pA1.wav")

    def no_progress(done: int, total: int) -> None:
        pytest.fail("audio was decoded")

    with pytest.raises(CountMismatch):
        prepare(toy_card, parse_toy, tmp_path, on_progress=no_progress)
    report = prepare(toy_card, parse_toy, tmp_path, partial=True).report
    assert report.differences == {"utterances": (2, 1), "speakers": (2, 1), "utterances labelled happy": (1, 0)}


def test_a_folder_with_files_of_foreign_names_is_refused_even_in_part(
    toy_card: CorpusCard, tmp_path: Path, record
) -> None:
    record("speech/stray.wav")

    with pytest.raises(WrongLayout, match=r"file names of its provider's form, found 'speech/stray\.wav'"):
        prepare(toy_card, parse_toy, tmp_path, partial=True)


def test_a_missing_folder_is_refused(toy_card: CorpusCard, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound, match=r"to read toy from\. Check --root"):
        prepare(toy_card, parse_toy, tmp_path / "gone")


@pytest.mark.parametrize(
    ("given", "hint"),
    [("", "toy"), ("toy/speech", "toy"), ("toy 2/in", '"toy 2"')],
    ids=["one level too high", "one level too low", "a blank in the name"],
)
def test_a_root_one_level_off_gets_the_right_one_as_a_hint(
    toy_card: CorpusCard, tmp_path: Path, record, monkeypatch: pytest.MonkeyPatch, given: str, hint: str
) -> None:
    record("toy/speech/pA1.wav" if "2" not in given else "toy 2/in/pA1.wav")
    card = toy_card.model_copy(update={"audio_files": ("speech/*.wav", "in/*.wav")})
    monkeypatch.chdir(tmp_path)

    with pytest.raises(WrongLayout) as caught:
        check_layout(card, CorpusTree(Path(given)))

    assert caught.value.hint == f"Did you mean --root {hint}?"
    assert str(tmp_path) not in str(caught.value)


def test_the_folder_above_is_named_without_its_absolute_path(
    toy_card: CorpusCard, tmp_path: Path, record, monkeypatch: pytest.MonkeyPatch
) -> None:
    record("toy/speech/pA1.wav")
    monkeypatch.chdir(tmp_path / "toy" / "speech")

    with pytest.raises(WrongLayout) as caught:
        check_layout(toy_card, CorpusTree(Path()))

    assert caught.value.hint == "Did you mean --root ..?"


@pytest.mark.parametrize(
    ("files", "corpus_id"),
    [
        (["Angry/SM1_F1_A01.wav", "Sad/SM1_F2_S02.wav"], "urdu"),
        (["Sound Source/Calm/1234_sk_acik.wav"], "turev-db"),
        (["AudioWAV/1001_IEO_NEU_XX.wav"], "crema-d"),
    ],
)
def test_another_corpus_is_recognised(toy_card: CorpusCard, files: list[str], corpus_id: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        check_layout(toy_card, CorpusTree(dict.fromkeys(files, "")))

    assert caught.value.hint == f"This looks like {corpus_id}."
    check_layout(corpus_card(corpus_id), CorpusTree(dict.fromkeys(files, "")))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["Speech/pA1.wav", "Speech/pA2.wav"], "'Speech/pA1.wav', where 'speech/*.wav' is expected"),
        (["speech/pA1.WAV"], "'speech/pA1.WAV', where 'speech/*.wav' is expected"),
    ],
)
def test_names_that_differ_in_capitals_only_are_recognised(toy_card: CorpusCard, files: list[str], told: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        check_layout(toy_card, CorpusTree(dict.fromkeys(files, "")))

    assert caught.value.hint.startswith(f"It differs in capitals only: {told}.")


def test_an_empty_folder_says_so(toy_card: CorpusCard, tmp_path: Path) -> None:
    with pytest.raises(WrongLayout, match=r"expected audio files like 'speech/\*\.wav', found an empty folder\.$"):
        check_layout(toy_card, CorpusTree(tmp_path))
