import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
from voxemo_example.toy import make_toy_corpus

from golden_files import GOLDEN, check_golden
from voxemo.catalog import lookup
from voxemo.cli.check import ALL_NAMES, SCREEN_LINES, document, screen
from voxemo.corpora.doctor import Diagnosis, Reading, examine
from voxemo.corpora.doctor.findings import KINDS, Finding

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The toy corpus, whole."""
    make_toy_corpus(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_a_whole_corpus_is_fit_and_the_next_command_is_named(voxemo: Command, corpus: Path, tmp_path: Path) -> None:
    done = voxemo("check", "toy", "--root", corpus)

    assert done.code == 0
    assert "compared with: the card\n" in done.out
    assert "audio: 16000 Hz, 1 channel\n" in done.out
    assert done.out.splitlines()[-1] == f"Fit for the benchmark. Next: voxemo prepare toy --root {corpus}"
    assert not (tmp_path / "home").exists()


def test_after_prepare_the_manifest_is_compared_too(voxemo: Command, corpus: Path) -> None:
    assert voxemo("prepare", "toy", "--root", corpus).code == 0
    (corpus / "clips/t00_sad_1.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (corpus / "clips/t00_sad_2.wav").unlink()

    done = voxemo("check", "toy", "--root", corpus)

    assert done.code == 1
    assert "compared with: the card and the manifest of an earlier `prepare`" in done.out
    assert "Run `git lfs pull`" in done.out
    assert "toy/t00_sad_2" in done.out
    assert "239 found, 240 expected" in done.out
    assert f"{corpus} --partial" in done.out


def test_a_quick_look_says_that_it_heard_nothing(voxemo: Command, corpus: Path) -> None:
    done = voxemo("check", "toy", "--root", corpus, "--quick")

    assert done.code == 0
    assert "audio: not decoded" in done.out
    assert done.out.splitlines()[-1] == f"Next: voxemo check toy --root {corpus}"


@pytest.mark.parametrize("quick", [(), ("--quick",)], ids=["whole", "quick"])
def test_a_folder_of_empty_files_is_no_reason_to_offer_prepare(
    voxemo: Command, corpus: Path, quick: tuple[str, ...]
) -> None:
    for path in (corpus / "clips").glob("*.wav"):
        path.write_bytes(b"")

    done = voxemo("check", "toy", "--root", corpus, *quick)

    assert done.code == 1
    assert "voxemo prepare" not in done.out


def test_the_next_command_names_the_workspace_that_was_given(voxemo: Command, corpus: Path, tmp_path: Path) -> None:
    words = ("toy", "--root", corpus, "--workspace", tmp_path / "my work")

    assert voxemo("check", *words).out.endswith(f"--root {corpus} --workspace '{tmp_path}/my work'\n")
    (corpus / "clips/t00_sad_0.wav").unlink()
    assert f"--root {corpus} --workspace '{tmp_path}/my work' --partial\n" in voxemo("check", *words).out
    refused = voxemo("prepare", *words).err
    assert f"Details: voxemo check toy --root {corpus} --quick --workspace '{tmp_path}/my work'\n" in refused


def test_a_script_gets_every_name(voxemo: Command, corpus: Path) -> None:
    for path in sorted((corpus / "clips").glob("t0[0-4]_sad_*.wav")):
        path.write_bytes(b"")

    done = voxemo("check", "toy", "--root", corpus, "--json")

    assert done.code == 1
    found = json.loads(done.out)
    assert found["fit"] is False
    (problem,) = (finding for finding in found["findings"] if finding["severity"] == "problem")
    assert problem["code"] == "empty-file"
    assert problem["names"] == [f"toy/t{voice:02d}_sad_{take}" for voice in range(5) for take in range(5)]
    assert found["n_utterances"] == 240
    assert found["differences"] == {}


def test_a_folder_of_another_kind_is_no_reason_to_offer_prepare(voxemo: Command, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()

    done = voxemo("check", "toy", "--root", tmp_path / "photos")

    assert done.code == 1
    assert done.out.startswith("Toy tones (synthetic): no utterance was read\n")
    assert "found an empty folder" in " ".join(done.out.split())
    assert "--partial" not in done.out


def test_no_folder_ends_like_any_other_mistake(voxemo: Command) -> None:
    done = voxemo("check", "toy", "--root", "nowhere")

    assert (done.code, done.out) == (1, "")
    assert "CorpusNotFound: There is no folder 'nowhere'" in done.err


# --- the screen --------------------------------------------------------------------------------------------------


def many(n_problems: int, n_warnings: int, n_notes: int) -> Diagnosis:
    """A diagnosis with so many kinds of findings, each about a thousand utterances."""
    empty = examine(lookup.corpus_card("urdu"), Reading(rows=(), probes=())).report
    codes = [code for code, kind in KINDS.items() if not kind.refused]
    names = tuple(f"urdu/SM1_F10_A{index:04d}" for index in range(1000))
    severities = ["problem"] * n_problems + ["warning"] * n_warnings + ["note"] * n_notes
    findings = tuple(
        Finding(code=code, severity=severity, text="Odd. Look at it.", number=1000, names=names)
        for code, severity in zip(cycle(codes), severities, strict=False)
    )
    return Diagnosis(
        report=replace(empty, n_utterances=400),
        findings=findings,
        sample_rates_hz={44_100: 400},
        n_channels={1: 400},
        split="stratified_random, 1 fold: no speaker shared",
        quick=False,
        compared_with_manifest=True,
    )


def shown(diagnosis: Diagnosis) -> list[str]:
    return screen(lookup.corpus_card("urdu"), diagnosis, prepare="voxemo prepare urdu", check="voxemo check urdu")


@pytest.mark.parametrize("kinds", [(0, 0, 0), (3, 0, 1), (4, 5, 3), (6, 8, 4), (10, 10, 10), (11, 30, 30)])
def test_the_screen_is_one_screen_and_shows_every_problem(kinds: tuple[int, int, int]) -> None:
    diagnosis = many(*kinds)

    lines = shown(diagnosis)

    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= 120
    for finding in diagnosis.problems:
        assert any(f" {finding.code} " in line for line in lines)
    n_left = sum(kinds) - sum("Odd." in line for line in lines)
    assert (f"  and {n_left} more findings" in lines) == (n_left > 0)
    assert (ALL_NAMES in lines) == (sum(kinds) > 0)


def test_names_of_problems_stay_even_where_that_takes_more_than_a_screen() -> None:
    lines = shown(many(20, 3, 3))

    assert sum("SM1_F10_A0000" in line for line in lines) == 20
    assert "  and 6 more findings" in lines


def test_names_of_notes_give_way_before_those_of_warnings() -> None:
    lines = shown(many(2, 8, 8))

    notes = lines.index("Notes")
    assert not any("SM1_F10_A0000" in line for line in lines[notes:])
    assert any("SM1_F10_A0000" in line for line in lines[lines.index("Warnings") : notes])


@pytest.mark.parametrize("length", [10, 18, 30, 44, 60, 120])
@pytest.mark.parametrize("n", range(1, 9))
def test_no_single_name_is_replaced_by_its_number(n: int, length: int) -> None:
    names = tuple(f"{index:0{length}d}" for index in range(n))
    finding = Finding(code="silent", severity="warning", text="Odd.", number=n, names=names)

    lines = shown(replace(many(0, 0, 0), findings=(finding,)))

    whole = all(any(name in line for line in lines) for name in names)
    assert not any(" and 1 more" in line for line in lines)
    assert whole == (ALL_NAMES not in lines)
    assert whole or n > 2


def test_names_give_way_before_findings_do() -> None:
    lines = shown(many(2, 20, 0))

    assert sum("Odd." in line for line in lines) == 22
    assert 2 <= sum("SM1_F10_A0000" in line for line in lines) < 22
    assert "more" in next(line for line in lines if "SM1_F10_A0000" in line)


def test_a_long_text_is_wrapped_beside_its_code() -> None:
    long = Finding(code="no-split", severity="problem", text="word " * 60, number=1)

    lines = shown(replace(many(0, 0, 0), findings=(long,)))

    assert len([line for line in lines if line.startswith(" " * 26 + "word")]) == 3


@pytest.mark.parametrize(
    ("differences", "ending"),
    [
        ({"utterances": (400, 399)}, "have every run say so: voxemo prepare urdu --partial"),
        ({}, "have every run say so: voxemo prepare urdu"),
    ],
    ids=["counts differ", "audio is of another rate"],
)
def test_going_on_asks_for_partial_only_where_counts_differ(differences: dict, ending: str) -> None:
    finding = Finding(code="sample-rate", severity="problem", text="Odd.", number=400)
    diagnosis = replace(many(0, 0, 0), findings=(finding,))
    diagnosis = replace(diagnosis, report=replace(diagnosis.report, differences=differences))

    lines = shown(diagnosis)

    assert lines[-2] == "NOT fit for the benchmark: 1 problem. Mend what is named; check again."
    assert lines[-1].endswith(ending)


@pytest.mark.parametrize(("code", "n"), [("empty-file", 400), ("no-split", 1), ("wrong-layout", 1)])
def test_what_no_run_can_be_made_of_is_not_offered_to_prepare(code: str, n: int) -> None:
    finding = Finding(code=code, severity="problem", text="Odd.", number=n)

    assert shown(replace(many(0, 0, 0), findings=(finding,)))[-1].startswith("NOT fit")


@pytest.mark.parametrize("code", ["altered", "relabelled", "missing"])
def test_what_only_changed_since_prepare_is_prepared_again(code: str) -> None:
    finding = Finding(code=code, severity="problem", text="Odd.", number=1)
    less = replace(many(0, 0, 0), findings=(finding,))
    changed = replace(less, report=replace(less.report, differences={}))

    assert shown(changed)[-1].endswith("prepare again; new runs carry the new manifest's hash: voxemo prepare urdu")
    assert shown(less)[-1].endswith("voxemo prepare urdu --partial")


# --- the page about it -------------------------------------------------------------------------------------------

PAGE = "../../docs/reference/check.md"
HEAD = "| Code | | What it is and what to do | Names |\n| --- | --- | --- | --- |\n"


def test_golden_reference_of_the_findings() -> None:
    """The table on the page is that of the code; `make golden` rewrites it and leaves the words around it."""
    before, head, rest = (GOLDEN / PAGE).read_text(encoding="utf-8").partition(HEAD)
    after = rest.partition("\n\n")[2]
    rows = []
    for code, kind in KINDS.items():
        star = "*" if kind.refused else ""
        text = " ".join(filter(None, [f"{kind.what}.", kind.todo]))
        rows.append(f"| `{code}` | {kind.severity}{star} | {text} | {kind.names} |\n")

    assert head
    check_golden(PAGE, before + head + "".join(rows) + "\n" + after)


def test_the_page_names_every_field_of_the_json() -> None:
    page = (GOLDEN / PAGE).read_text(encoding="utf-8")
    finding = Finding(code="no-split", severity="problem", text="", number=1)
    told = document(replace(many(0, 0, 0), findings=(finding,)))

    assert [name for name in [*told, *told["findings"][0]] if f"`{name}`" not in page] == []


# --- real audio --------------------------------------------------------------------------------------------------


def real(evidence: Path, corpus_id: str, folder: Path) -> Path:
    source = evidence / "audio" / corpus_id
    if not source.is_dir():
        pytest.fail(f"no audio of {corpus_id} below {evidence}")
    return Path(shutil.copytree(source, folder / corpus_id))


@pytest.mark.evidence
def test_the_whole_of_urdu_is_fit(voxemo: Command, evidence: Path) -> None:
    done = voxemo("check", "urdu", "--root", evidence / "audio" / "urdu")

    assert done.code == 0
    assert "URDU: 400 utterances, 29 speakers, 0.28 h" in done.out
    assert "clipped " in done.out
    assert "Problems" not in done.out
    assert done.out.count("\n") <= SCREEN_LINES


@pytest.mark.evidence
def test_a_part_of_turev_db_is_not_fit(voxemo: Command, evidence: Path) -> None:
    found = json.loads(voxemo("check", "turev-db", "--root", evidence / "audio" / "turev-db", "--json").out)

    assert found["fit"] is False
    problems = {one["code"]: one["number"] for one in found["findings"] if one["severity"] == "problem"}
    assert problems == {"missing": 1427, "label-counts": 4, "speaker-counts": 6}


@pytest.mark.evidence
def test_seven_files_of_emodb_are_examined_to_the_end(voxemo: Command, evidence: Path) -> None:
    found = json.loads(voxemo("check", "emodb", "--root", evidence / "audio" / "emodb", "--json").out)

    missing = next(one for one in found["findings"] if one["code"] == "missing")
    assert missing["number"] == 809
    assert found["sample_rates_hz"] == {"16000": 7}


@pytest.mark.evidence
def test_damage_to_real_audio_is_found_by_name(voxemo: Command, evidence: Path, tmp_path: Path) -> None:
    root = real(evidence, "urdu", tmp_path)
    happy = sorted((root / "Happy").glob("*.wav"))
    happy[0].write_bytes(happy[0].read_bytes()[:10_000])
    happy[1].write_bytes(happy[2].read_bytes())

    found = json.loads(voxemo("check", "urdu", "--root", root, "--json").out)

    named = {one["code"]: one["names"] for one in found["findings"]}
    assert named["cut-short"] == [f"urdu/{happy[0].stem}"]
    assert named["same-samples"] == [f"urdu/{min(happy[1].stem, happy[2].stem)}"]
    assert not found["fit"]
