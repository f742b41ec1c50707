import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evidence_listings import LISTED, read_listing
from voxemo.catalog.lookup import corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import AudioProblem, CorpusError, CorpusNotFound, SplitError
from voxemo.core.types import ParsedUtterance, Utterance
from voxemo.corpora.doctor import Diagnosis, Reading, examine, read_folder
from voxemo.corpora.doctor.audio import duration_outliers
from voxemo.corpora.doctor.findings import UNUSABLE, Finding
from voxemo.corpora.doctor.tables import Earlier
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import describe
from voxemo.corpora.probe import Probe
from voxemo.corpora.tree import CorpusTree
from voxemo.splits.checks import check_folds
from voxemo.splits.policies import make_split


def probed(n: int, **facts) -> Probe:
    """Sound audio; the number decides its samples."""
    sound = {"duration_s": 2.0 + n / 100, "sample_rate_hz": 16_000, "n_channels": 1, "audio_sha256": f"{n:064x}"}
    return Probe(**(sound | facts))


def unusable(kind: str) -> Probe:
    return Probe(unusable_kind=kind, unusable_reason=f"a {kind} file")


def spoken(stem: str, label: str | None = "A", **facts) -> ParsedUtterance:
    given = {"speaker_id": stem[:1], "expressed_raw": label, "audio_path": f"speech/{stem}.wav"} | facts
    return ParsedUtterance(stem=stem, **given)


SPEAKERS = "abcdefgh"
ROWS = tuple(
    spoken(f"{speaker}{label}{take}", label, perceived_raw=label, votes_raw={"all": {"A": 1}, "fast": {"H": 1}})
    for speaker in SPEAKERS
    for label in "AH"
    for take in range(3)
)
SOUND = Reading(rows=ROWS, probes=tuple(probed(n) for n in range(len(ROWS))))


@pytest.fixture
def card(toy_card: CorpusCard) -> CorpusCard:
    """Expects ``SOUND``, and nothing else."""
    return toy_card.model_validate(
        toy_card.model_dump()
        | {
            "expected": {
                "n_utterances": 48,
                "n_speakers": 8,
                "per_label": {"angry": 24, "happy": 24},
                "sample_rates_hz": [16_000],
                "n_channels": [1],
            },
            "split": {"policy": "speaker_k_fold", "k": 4, "seed": 1, "source": "made up", "why": "made up"},
        }
    )


def knowing(card: CorpusCard, **issues: tuple[str, ...]) -> CorpusCard:
    known = [
        {"id": name.replace("_", "-"), "text": "made up", "source": "made up", "utterances": utterances}
        for name, utterances in issues.items()
    ]
    return card.model_validate(card.model_dump() | {"known_issues": known})


def with_row(index: int, **changes) -> Reading:
    rows = list(SOUND.rows)
    rows[index] = replace(rows[index], **changes)
    return replace(SOUND, rows=tuple(rows))


def with_probe(probe: Probe, *indexes: int) -> Reading:
    probes = list(SOUND.probes)
    for index in indexes:
        probes[index] = probe
    return replace(SOUND, probes=tuple(probes))


def found(diagnosis: Diagnosis, code: str) -> Finding:
    (finding,) = (finding for finding in diagnosis.findings if finding.code == code)
    return finding


def codes(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.code: finding.severity for finding in diagnosis.findings}


def test_a_sound_corpus_has_nothing_to_find(card: CorpusCard) -> None:
    diagnosis = examine(card, SOUND)

    assert diagnosis.findings == ()
    assert diagnosis.fit
    assert diagnosis.split == "speaker_k_fold, 4 folds: no speaker shared"
    assert (diagnosis.sample_rates_hz, diagnosis.n_channels) == ({16_000: 48}, {1: 48})


# --- what affects the benchmark ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reading", "code", "names"),
    [
        (with_row(0, expressed_raw="Q"), "unmapped-label", ("Q",)),
        (with_row(0, perceived_raw="Q"), "unmapped-label", ("Q",)),
        (with_row(0, votes_raw={"all": {"Q": 2}}), "unmapped-label", ("Q",)),
        (with_row(0, expressed_raw=None), "no-label", ("toy/aA0",)),
        (with_row(0, votes_raw={"all": {"A": math.nan}}), "bad-votes", ("toy/aA0",)),
        (with_row(0, votes_raw={"all": {"A": -1}}), "bad-votes", ("toy/aA0",)),
        (with_row(0, stem="aA1"), "double-name", ("speech/aA1.wav",)),
        (with_row(0, audio_path="speech/caf\udce9.wav"), "bad-name", ("speech/caf\\udce9.wav",)),
        (with_probe(probed(0, sample_rate_hz=8_000), 0), "sample-rate", ("toy/aA0",)),
        (with_probe(probed(0, n_channels=2), 0), "channels", ("toy/aA0",)),
        *(
            (with_probe(unusable(kind), 0), UNUSABLE[kind], ("toy/aA0",))
            for kind in get_args(AudioProblem)
            if kind != "changed"
        ),
    ],
)
def test_what_spoils_the_benchmark_subset_is_a_problem_with_its_names(
    card: CorpusCard, reading: Reading, code: str, names: tuple[str, ...]
) -> None:
    diagnosis = examine(card, reading)

    assert not diagnosis.fit
    finding = found(diagnosis, code)
    assert (finding.severity, finding.number, finding.names) == ("problem", 1, names)


def test_every_unknown_code_is_counted_where_it_stands(card: CorpusCard) -> None:
    rows = [replace(row, expressed_raw="Q") for row in ROWS[:3]] + [replace(ROWS[3], perceived_raw="Q")]
    rows += [replace(ROWS[4], votes_raw={"all": {"Q": 2, "Z": 1}, "fast": {"Q": 1}}), *ROWS[5:]]

    finding = found(examine(card, replace(SOUND, rows=tuple(rows))), "unmapped-label")

    assert finding.details == {"Q": "expressed in 3, perceived in 1, voted in 1", "Z": "voted in 1"}


def test_several_defects_are_all_found_at_once(card: CorpusCard) -> None:
    rows = (replace(ROWS[0], expressed_raw="Q"), replace(ROWS[1], expressed_raw=None), *ROWS[2:-1], ROWS[2])
    probes = (*SOUND.probes[:4], unusable("pointer"), probed(5, silent=True), *SOUND.probes[6:])

    diagnosis = examine(card, Reading(rows=rows, probes=probes, unread=("extra.wav",)))

    assert codes(diagnosis) == {
        "no-label": "problem",
        "double-name": "problem",
        "unmapped-label": "problem",
        "missing": "problem",
        "label-counts": "problem",
        "pointer-file": "problem",
        "silent": "warning",
        "unread": "warning",
    }


@pytest.mark.parametrize(
    ("rows", "code", "number"),
    [(ROWS[:-5], "missing", 5), ((*ROWS, spoken("aH9", "H")), "extra", 1)],
    ids=["missing", "extra"],
)
def test_counts_are_held_against_the_card(
    card: CorpusCard, rows: tuple[ParsedUtterance, ...], code: str, number: int
) -> None:
    diagnosis = examine(card, Reading(rows=rows, probes=tuple(probed(n) for n in range(len(rows)))))

    assert found(diagnosis, code).number == number
    assert f"{len(rows)} found, 48 expected" in found(diagnosis, code).text
    assert not diagnosis.fit


def test_labels_and_speakers_are_counted_against_the_card(card: CorpusCard) -> None:
    relabelled = with_row(0, expressed_raw="H", speaker_id="z")

    diagnosis = examine(card, relabelled)

    assert found(diagnosis, "label-counts").details == {"angry": "23 of 24", "happy": "25 of 24"}
    assert "9 found, 8 expected" in found(diagnosis, "speaker-counts").text
    assert "missing" not in codes(diagnosis)


def test_speakers_are_counted_one_by_one_where_the_card_does(card: CorpusCard) -> None:
    expected = card.expected.model_copy(update={"per_speaker": dict.fromkeys(SPEAKERS, 6)})

    diagnosis = examine(card.model_copy(update={"expected": expected}), with_row(0, speaker_id="b"))

    assert found(diagnosis, "speaker-counts").details == {"a": "5 of 6", "b": "7 of 6"}


def test_a_split_that_cannot_be_made_is_a_problem(card: CorpusCard) -> None:
    diagnosis = examine(card, with_row(0, speaker_id=None))

    assert "no speaker id" in found(diagnosis, "no-split").text
    assert "'protocol'" not in found(diagnosis, "no-split").text
    assert diagnosis.split is None
    assert not diagnosis.preparable


@pytest.mark.parametrize("facts", [{"sample_rate_hz": 8_000}, {"n_channels": 2}])
def test_audio_of_another_form_is_a_problem_exactly_where_prepare_tells_of_it(
    card: CorpusCard, facts: dict[str, int]
) -> None:
    reading = with_probe(probed(0, **facts), 0)

    assert not examine(card, reading).fit
    assert len(examine(card, reading).report.converted_audio) == 1
    assert examine(knowing(card, other_form=("aA0",)), reading).fit
    assert examine(knowing(card, other_form=("aA0",)), reading).report.converted_audio == ()


def test_what_lies_outside_the_benchmark_is_not_held_against_it(card: CorpusCard) -> None:
    outside = replace(ROWS[0], stem="aA9", excluded_reason="a take that the card leaves out")

    diagnosis = examine(card, replace(SOUND, rows=(*ROWS, outside), probes=(*SOUND.probes, unusable("pointer"))))

    assert diagnosis.findings == ()


def test_a_card_without_counts_asks_for_none(card: CorpusCard) -> None:
    silent_card = card.model_copy(update={"expected": type(card.expected)()})

    assert examine(silent_card, replace(SOUND, rows=ROWS[:40], probes=SOUND.probes[:40])).findings == ()


# --- what a person should look at --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "code", "severity"),
    [
        (probed(0, silent=True), "silent", "warning"),
        (probed(0, clipped=0.01), "clipped", "warning"),
        (probed(0, duration_s=0.09), "too-short", "warning"),
        (probed(0, duration_s=25.0), "odd-length", "warning"),
        (probed(0, duration_s=31.0), "too-long", "note"),
    ],
)
def test_odd_audio_is_shown_and_does_not_spoil_the_benchmark(
    card: CorpusCard, probe: Probe, code: str, severity: str
) -> None:
    diagnosis = examine(card, with_probe(probe, 0))

    assert diagnosis.fit
    finding = found(diagnosis, code)
    assert (finding.severity, finding.names) == (severity, ("toy/aA0",))


def test_a_few_samples_at_the_edge_are_no_clipping(card: CorpusCard) -> None:
    assert examine(card, with_probe(probed(0, clipped=0.0009), 0)).findings == ()


def test_what_the_card_knows_is_a_note_under_its_id_and_the_rest_is_news(card: CorpusCard) -> None:
    diagnosis = examine(knowing(card, no_signal=("aA0",)), with_probe(probed(0, silent=True), 0, 1))

    known, news = sorted(
        (one for one in diagnosis.findings if one.code == "silent"), key=lambda one: one.known_issues, reverse=True
    )
    assert (known.severity, known.names, known.known_issues) == ("note", ("toy/aA0",), ("no-signal",))
    assert (news.severity, news.names, news.known_issues) == ("warning", ("toy/aA1",), ())
    assert "known-issues" not in codes(diagnosis)


def test_known_unusable_audio_is_part_of_the_benchmark_but_a_pointer_never_is(card: CorpusCard) -> None:
    knows = knowing(card, unreadable=("aA0",))

    assert examine(knows, with_probe(unusable("undecodable"), 0)).fit
    assert not examine(knows, with_probe(unusable("pointer"), 0)).fit


def test_other_issues_of_the_card_are_listed_by_id_those_about_files_first(card: CorpusCard) -> None:
    finding = found(examine(knowing(card, a_story=(), wrong_take=("aA0", "aA1", "gone")), SOUND), "known-issues")

    assert finding.severity == "note"
    assert finding.names == ("wrong-take", "a-story")
    assert finding.details == {"wrong-take": "2 utterances"}


def test_same_samples_say_whether_labels_differ_and_training_meets_test(card: CorpusCard) -> None:
    same = probed(0).audio_sha256
    assert same is not None
    twins = with_probe(probed(0), 0, 3, 47)

    finding = found(examine(card, twins), "same-samples")

    assert finding.severity == "warning"
    assert finding.number == 1
    assert finding.names == ("toy/aA0",)
    assert finding.details["toy/aA0"].startswith(
        "same as aH0, hH2; labels angry, happy; trained on and tested in fold "
    )


def test_same_samples_under_one_label_and_speaker_are_just_that(card: CorpusCard) -> None:
    assert found(examine(card, with_probe(probed(0), 0, 1)), "same-samples").details == {"toy/aA0": "same as aA1"}


def test_tables_that_are_not_in_this_copy_are_named(card: CorpusCard) -> None:
    bare = replace(SOUND, rows=tuple(replace(row, perceived_raw=None, votes_raw={}) for row in ROWS))

    diagnosis = examine(card, bare)

    assert diagnosis.fit
    assert found(diagnosis, "labels-missing").names == ("perceived",)
    assert found(diagnosis, "votes-missing").names == ("all", "fast")


def test_without_any_gold_label_there_is_no_benchmark(card: CorpusCard) -> None:
    heard = card.model_copy(update={"gold": "perceived", "expected": type(card.expected)()})
    bare = replace(SOUND, rows=tuple(replace(row, perceived_raw=None) for row in ROWS))

    finding = found(examine(heard, bare), "gold-missing")

    assert (finding.severity, finding.names) == ("problem", ("perceived",))


def test_shared_speakers_and_sessions_of_the_split_are_noted(card: CorpusCard) -> None:
    rule = card.split.model_validate({"policy": "stratified_random", "seed": 1, "source": "made up", "why": "made up"})
    rows = tuple(replace(row, session_id=row.stem[0]) for row in ROWS)

    diagnosis = examine(card.model_copy(update={"split": rule}), replace(SOUND, rows=rows))

    assert codes(diagnosis) == {"speaker-overlap": "note", "session-overlap": "note"}
    assert diagnosis.split is not None
    assert "test speakers also in train or valid; " in diagnosis.split
    assert diagnosis.split.endswith("test sessions also in train or valid")


def test_what_the_split_leaves_out_is_noted(card: CorpusCard) -> None:
    rule = card.split.model_validate({"policy": "provider", "source": "made up", "why": "made up"})
    parts = {"a": "test", "b": "unassigned"}
    rows = tuple(replace(row, provider_partition=parts.get(row.stem[0], "train")) for row in ROWS)

    diagnosis = examine(card.model_copy(update={"split": rule}), replace(SOUND, rows=rows))

    assert found(diagnosis, "split-gaps").names == ("fold 1 leaves out 6 of 48 utterances",)


# --- lengths -----------------------------------------------------------------------------------------------------

durations = st.lists(st.floats(min_value=1e-3, max_value=1e4), max_size=400)


@given(durations_s=durations, factor=st.sampled_from([0.25, 2.0, 1024.0]), order=st.randoms(use_true_random=False))
def test_outliers_depend_on_neither_the_unit_nor_the_order(durations_s, factor, order) -> None:
    places = list(range(len(durations_s)))
    order.shuffle(places)

    flagged = duration_outliers(durations_s)

    assert duration_outliers([durations_s[place] * factor for place in places]) == tuple(
        sorted(places.index(index) for index in flagged)
    )


@given(durations_s=durations)
def test_few_clips_are_outliers_whatever_the_lengths(durations_s) -> None:
    flagged = [durations_s[index] for index in duration_outliers(durations_s)]

    assert len(flagged) <= 2 * max(1, len(durations_s) // 100)
    for duration_s in flagged:
        assert abs(math.log(duration_s) - np.median(np.log(durations_s))) > math.log(4)


@pytest.mark.parametrize("tail", ["pareto", "lognormal", "exponential", "two modes"])
def test_a_heavy_tail_is_not_reported_clip_by_clip(tail: str) -> None:
    rng = np.random.default_rng(0)
    lengths = {
        "pareto": 1 + rng.pareto(1.2, 5000),
        "lognormal": rng.lognormal(1, 1.2, 5000),
        "exponential": rng.exponential(4, 5000) + 0.05,
        "two modes": np.where(rng.random(5000) < 0.7, 0.6, 12) * rng.normal(1, 0.05, 5000),
    }[tail]

    assert len(duration_outliers(list(lengths))) <= 0.01 * len(lengths)


def test_a_clip_that_was_cut_wrongly_stands_out_of_spontaneous_speech() -> None:
    lengths = [*np.random.default_rng(0).lognormal(0.9, 0.6, 2000), 305.0, 235.0]

    assert {2000, 2001} <= set(duration_outliers(lengths))


@pytest.mark.evidence
def test_outliers_of_real_corpora_are_the_clips_that_are_known_to_be_cut_wrongly(evidence: Path) -> None:
    apart: dict[str, list[float]] = {}
    for corpus_id in LISTED:
        rows = [row for row in read_listing(evidence, corpus_id) if float(row["duration_s"] or 0) > 0]
        lengths = [float(row["duration_s"]) for row in rows]
        apart[corpus_id] = [lengths[index] for index in duration_outliers(lengths)]
        assert len(apart[corpus_id]) <= 0.005 * len(lengths)

    # The uncut files of subject 6, and two test clips of several minutes; msp-podcast's lengths are heavy-tailed.
    assert sum(length > 50 for length in apart["enterface"]) == len(apart["enterface"]) == 6
    assert sum(length > 200 for length in apart["meld"]) == 2
    assert apart["msp-podcast"] == apart["iemocap"] == apart["crema-d"] == []


# --- against an earlier manifest ---------------------------------------------------------------------------------

VERSIONS = {"libsndfile": "1.2"}


def manifest(card: CorpusCard, *, reading: Reading = SOUND) -> Earlier:
    utterances = describe(card, reading.rows, reading.probes).utterances
    return Earlier(utterances=utterances, decoder_versions=VERSIONS)


def test_the_same_folder_as_at_prepare_gives_nothing_new(card: CorpusCard) -> None:
    diagnosis = examine(card, SOUND, earlier=manifest(card), decoder_versions=VERSIONS)

    assert diagnosis.findings == ()
    assert diagnosis.compared_with_manifest


def test_what_is_missing_and_what_is_extra_has_names_where_there_is_a_manifest(card: CorpusCard) -> None:
    rows = (*ROWS[1:], spoken("aA7"))

    diagnosis = examine(card, replace(SOUND, rows=rows), earlier=manifest(card), decoder_versions=VERSIONS)

    assert found(diagnosis, "missing").names == ("toy/aA0",)
    assert found(diagnosis, "not-in-manifest").names == ("toy/aA7",)
    assert not diagnosis.fit


def test_more_utterances_than_the_card_has_are_named_by_the_manifest(card: CorpusCard) -> None:
    more = replace(SOUND, rows=(*ROWS, spoken("aA7")), probes=(*SOUND.probes, probed(48)))

    diagnosis = examine(card, more, earlier=manifest(card), decoder_versions=VERSIONS)

    assert (found(diagnosis, "extra").severity, found(diagnosis, "extra").names) == ("problem", ("toy/aA7",))
    assert "not-in-manifest" not in codes(diagnosis)


def test_what_only_the_manifest_has_is_missing_also_where_the_card_counts_nothing(card: CorpusCard) -> None:
    free = card.model_copy(update={"expected": type(card.expected)()})
    fewer = replace(SOUND, rows=ROWS[1:], probes=SOUND.probes[1:])

    diagnosis = examine(free, fewer, earlier=manifest(free), decoder_versions=VERSIONS)

    assert found(diagnosis, "missing").text == "Missing (the manifest has them). Fetch or unpack the rest."
    assert found(diagnosis, "missing").names == ("toy/aA0",)


def test_more_than_an_earlier_manifest_is_only_reason_to_prepare_again(card: CorpusCard) -> None:
    part = manifest(card, reading=Reading(rows=ROWS[:40], probes=SOUND.probes[:40]))

    diagnosis = examine(card, SOUND, earlier=part, decoder_versions=VERSIONS)

    assert codes(diagnosis) == {"not-in-manifest": "warning"}
    assert found(diagnosis, "not-in-manifest").number == 8
    assert diagnosis.fit


@pytest.mark.parametrize(
    ("ending", "versions", "code"),
    [
        (".wav", VERSIONS, "altered"),
        (".WAV", {"libsndfile": "1.3"}, "altered"),
        (".mp3", VERSIONS, "altered"),
        (".mp3", {"libsndfile": "1.3"}, "perhaps-altered"),
    ],
)
def test_other_samples_are_altered_unless_another_decoder_explains_them(
    card: CorpusCard, ending: str, versions: dict[str, str], code: str
) -> None:
    rows = tuple(replace(row, audio_path=f"speech/{row.stem}{ending}") for row in ROWS)
    before = manifest(card, reading=replace(SOUND, rows=rows))
    now = replace(with_probe(probed(99), 7), rows=rows)

    diagnosis = examine(card, now, earlier=before, decoder_versions=versions)

    assert codes(diagnosis) == {code: "problem" if code == "altered" else "warning"}
    assert found(diagnosis, code).names == (f"toy/{ROWS[7].stem}",)
    if code == "perhaps-altered":
        assert "libsndfile 1.3, was 1.2" in found(diagnosis, code).text


def test_other_labels_than_at_prepare_are_a_problem(card: CorpusCard) -> None:
    rows = (replace(ROWS[0], expressed_raw="H"), *ROWS[1:3], replace(ROWS[3], expressed_raw="A"), *ROWS[4:])

    diagnosis = examine(card, replace(SOUND, rows=rows), earlier=manifest(card), decoder_versions=VERSIONS)

    assert codes(diagnosis) == {"relabelled": "problem"}
    assert found(diagnosis, "relabelled").details == {
        "toy/aA0": "expressed happy, was angry",
        "toy/aH0": "expressed angry, was happy",
    }


def test_audio_that_can_be_used_again_asks_for_another_prepare(card: CorpusCard) -> None:
    before = manifest(card, reading=with_probe(unusable("pointer"), 3))

    assert codes(examine(card, SOUND, earlier=before, decoder_versions=VERSIONS)) == {"mended": "warning"}


def test_audio_that_was_not_decoded_is_not_called_altered(card: CorpusCard) -> None:
    quick = Reading(rows=ROWS, probes=(Probe(),) * len(ROWS), quick=True)

    diagnosis = examine(card, quick, earlier=manifest(card), decoder_versions=VERSIONS)

    assert diagnosis.findings == ()
    assert diagnosis.report.hours is None


# --- a law -------------------------------------------------------------------------------------------------------

codes_of_rows = st.sampled_from(["A", "H", "X", "Q", None])
any_rows = st.lists(
    st.builds(
        spoken,
        st.sampled_from([f"{speaker}{take}" for speaker in SPEAKERS for take in range(3)]),
        codes_of_rows,
        perceived_raw=codes_of_rows,
        speaker_id=st.sampled_from([*SPEAKERS, None]),
        votes_raw=st.sampled_from([{}, {"all": {"A": 2}}, {"all": {"Q": 1}}, {"fast": {"H": math.inf}}]),
        excluded_reason=st.sampled_from([None, None, "outside"]),
    ),
    max_size=40,
)
any_probe = st.sampled_from(
    [probed(0), probed(1), probed(2, silent=True), unusable("pointer"), unusable("missing"), Probe()]
)


any_split = st.sampled_from(
    [
        {"policy": "speaker_k_fold", "k": 4, "seed": 1},
        {"policy": "stratified_random", "seed": 1},
        {"policy": "leave_one_speaker_out"},
        {"policy": "provider"},
    ]
)


@given(rows=any_rows, rule=any_split, data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_stops_the_examination_and_fit_folders_are_those_that_prepare_takes_whole(
    card: CorpusCard, rows: list[ParsedUtterance], rule: dict[str, object], data: st.DataObject
) -> None:
    probes = data.draw(st.lists(any_probe, min_size=len(rows), max_size=len(rows)))
    card = card.model_validate(card.model_dump() | {"split": rule | {"source": "made up", "why": "made up"}})
    counted = describe_or_none(card, rows, probes)
    if counted is not None:
        report = counted.report
        wrong = data.draw(
            st.sampled_from(["nothing", "nothing", "n_utterances", "n_speakers", "per_label", "per_speaker"])
        )
        expected = {
            "n_utterances": report.n_utterances,
            "n_speakers": report.n_speakers,
            "per_label": dict(report.per_label),
            "per_speaker": dict(report.per_speaker) if data.draw(st.booleans()) or wrong == "per_speaker" else {},
        }
        if wrong in ("n_utterances", "n_speakers"):
            expected[wrong] += data.draw(st.sampled_from([-1, 1]))
        elif wrong != "nothing":
            expected[wrong] = {**expected[wrong], "angry" if wrong == "per_label" else "a": 99}
        card = card.model_copy(update={"expected": card.expected.model_copy(update=expected)})
        counted = describe(card, rows, probes)

    diagnosis = examine(card, Reading(rows=tuple(rows), probes=tuple(probes)))

    taken = counted is not None and counted.report.complete and not counted.report.unusable
    assert diagnosis.fit == (taken and can_be_split(card, counted.utterances))
    assert all(finding.number >= max(1, len(finding.names)) for finding in diagnosis.findings)


def can_be_split(card: CorpusCard, utterances: tuple[Utterance, ...]) -> bool:
    kept = [one for one in utterances if one.excluded_reason is None]
    try:
        check_folds(make_split(card, kept, policy="protocol").folds, kept, label_source=card.gold)
    except SplitError:
        return False
    return True


def describe_or_none(card: CorpusCard, rows: list[ParsedUtterance], probes: list[Probe]):
    try:
        return describe(card, rows, probes)
    except CorpusError:
        return None


# --- reading a folder --------------------------------------------------------------------------------------------


def parse_toy(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Files are named <speaker><code><take>; a code that is no letter ends the reading."""
    for path in tree.glob("speech/**/*.wav"):
        if path.stem[1] == "!":
            raise tree.wrong_layout("a letter", repr(path.name))
        if path.stem[1].isupper():
            yield spoken(path.stem, path.stem[1], audio_path=str(path), perceived_raw="A", votes_raw=ROWS[0].votes_raw)


@pytest.fixture
def folder(record: Callable[..., Path], tmp_path: Path) -> Path:
    for seed, row in enumerate(ROWS):
        record(row.audio_path, seed=seed, seconds=0.2)
    return tmp_path


def checked(card: CorpusCard, folder: Path, **options) -> Diagnosis:
    return examine(card, read_folder(card, parse_toy, folder, **options))


def test_a_sound_folder_is_fit(card: CorpusCard, folder: Path) -> None:
    assert checked(card, folder).findings == ()


def test_defects_of_files_are_found_in_the_folder(card: CorpusCard, folder: Path, record: Callable[..., Path]) -> None:
    (folder / "speech/aA0.wav").write_bytes(b"")
    (folder / "speech/aA1.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (folder / "speech/aA2.wav").write_bytes(b"RIFFsomething else")
    sf.write(folder / "speech/bA0.wav", np.zeros(0), 16_000)
    sf.write(folder / "speech/bA1.wav", np.zeros(3200), 16_000)
    sf.write(folder / "speech/bA2.wav", np.sign(np.sin(np.arange(3200))), 16_000)
    record("speech/cA0.wav", seed=97, seconds=0.2, rate=8_000)
    record("speech/cA1.wav", seed=98, seconds=0.2, channels=2)
    shutil.copy(folder / "speech/cA2.wav", folder / "speech/dA2.wav")
    record("speech/dA0.wav", seed=99, seconds=0.04)
    record("speech/dA1.wav", seed=100, seconds=31)
    record("speech/take.wav", seed=101)
    whole = (folder / "speech/eA0.wav").read_bytes()
    (folder / "speech/eA0.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "speech/eA1.wav").unlink()

    diagnosis = checked(card, folder)

    assert {finding.code: finding.names for finding in diagnosis.findings} == {
        "empty-file": ("toy/aA0",),
        "pointer-file": ("toy/aA1",),
        "undecodable": ("toy/aA2",),
        "zero-length": ("toy/bA0",),
        "silent": ("toy/bA1",),
        "clipped": ("toy/bA2",),
        "sample-rate": ("toy/cA0",),
        "channels": ("toy/cA1",),
        "same-samples": ("toy/cA2",),
        "too-short": ("toy/dA0",),
        "odd-length": ("toy/dA0", "toy/dA1"),
        "too-long": ("toy/dA1",),
        "cut-short": ("toy/eA0",),
        "missing": (),
        "label-counts": ("angry",),
        "unread": ("speech/take.wav",),
    }


def test_where_the_parser_gives_up_the_other_files_are_still_looked_at(card: CorpusCard, folder: Path) -> None:
    (folder / "speech/d!0.wav").write_bytes(b"")
    (folder / "speech/hA0.wav").write_bytes(b"")
    (folder / "speech/aA0.wav").write_bytes(b"")

    diagnosis = checked(card, folder)

    assert "after 18 utterances" in found(diagnosis, "wrong-layout").text
    assert found(diagnosis, "empty-file").names == ("toy/aA0", "speech/d!0.wav", "speech/hA0.wav")
    assert not {"missing", "label-counts", "unread", "no-split"} & codes(diagnosis).keys()
    assert not diagnosis.preparable


def test_a_part_under_other_capitals_is_told_among_what_nobody_reads(card: CorpusCard) -> None:
    unread = ("Speech/aA9.wav", "speech/take.wav")

    finding = found(examine(card, replace(SOUND, unread=unread)), "unread")

    assert finding.names == unread
    assert finding.details == {"Speech/aA9.wav": "differs in capitals only"}


def test_another_folder_is_one_finding(card: CorpusCard, record: Callable[..., Path], tmp_path: Path) -> None:
    record("elsewhere/aA0.wav")

    diagnosis = checked(knowing(card, a_story=()), tmp_path)

    assert codes(diagnosis) == {"wrong-layout": "problem"}
    assert found(diagnosis, "wrong-layout").text.endswith("found 'elsewhere/'.")
    assert "audio files like 'speech/*.wav', found 'elsewhere/'" in found(diagnosis, "wrong-layout").text


def test_files_of_which_none_is_the_corpuss_are_a_wrong_layout(
    card: CorpusCard, record: Callable[..., Path], tmp_path: Path
) -> None:
    record("speech/take.wav")

    diagnosis = checked(card, tmp_path)

    assert "file names of its provider's form" in found(diagnosis, "wrong-layout").text


def test_no_folder_is_an_error(card: CorpusCard, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFound):
        read_folder(card, parse_toy, tmp_path / "nowhere")


def test_a_second_copy_in_an_inner_folder_is_named_path_by_path(card: CorpusCard, folder: Path) -> None:
    shutil.copytree(folder / "speech", folder / "again/speech")
    (folder / "again").rename(folder / "speech/again")

    diagnosis = checked(card, folder)

    assert found(diagnosis, "double-name").number == 48
    assert found(diagnosis, "double-name").details["speech/again/speech/aA0.wav"] == "beside speech/aA0.wav"
    assert codes(diagnosis) == {"double-name": "problem"}


def test_a_quick_look_opens_small_files_only(card: CorpusCard, folder: Path) -> None:
    (folder / "speech/aA0.wav").write_bytes(b"")
    (folder / "speech/aA1.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "speech/aA2.wav").write_bytes(b"no audio, but large enough" * 100)
    (folder / "speech/bA0.wav").unlink()
    (folder / "speech/bA0.wav").symlink_to("nowhere.wav")
    asked: list[tuple[int, int]] = []

    diagnosis = checked(card, folder, quick=True, on_progress=lambda done, total: asked.append((done, total)))

    assert codes(diagnosis) == {"empty-file": "problem", "pointer-file": "problem", "missing-file": "problem"}
    assert asked == [(3, 3)]
    assert diagnosis.quick


def test_progress_counts_every_file(card: CorpusCard, folder: Path) -> None:
    asked: list[tuple[int, int]] = []

    read_folder(card, parse_toy, folder, on_progress=lambda done, total: asked.append((done, total)))

    assert asked[-1] == (48, 48)


TREES = sorted(path for path in Path(__file__).parent.glob("*/tree"))


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.parent.name)
def test_every_corpus_is_examined_to_the_end(tree: Path) -> None:
    card = corpus_card(tree.parent.name)

    diagnosis = examine(card, read_folder(card, parser_for(card.corpus_id), tree, jobs=1))

    # Their audio files are empty, and they hold ten utterances or fewer.
    assert found(diagnosis, "empty-file").number == diagnosis.report.n_utterances > 0
    assert ("missing" in codes(diagnosis)) == (card.expected.n_utterances is not None)
    assert not {"wrong-layout", "unreadable", "unmapped-label", "double-name"} & codes(diagnosis).keys()
