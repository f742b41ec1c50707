import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from voxemo_example.toy import make_toy_corpus

from voxemo.catalog import lookup
from voxemo.cli import main
from voxemo.cli.common import command_line, progress
from voxemo.cli.prepare import header_lines
from voxemo.core.schemas import SCHEMAS
from voxemo.store.layout import RunPaths

Command = Callable[..., "Outcome"]  # noqa: F821 the fixture of conftest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """The toy corpus with an eighth of its clips, so that each command is quick; partial against its card."""
    return make_small_corpus(tmp_path / "corpus")


def make_small_corpus(folder: Path) -> Path:
    make_toy_corpus(folder)
    for path in (folder / "clips").glob("*_[1-4].wav"):
        if path.stem.endswith(("_2", "_3", "_4")):
            path.unlink()
    return folder


@pytest.fixture
def prepared(voxemo: Command, corpus: Path) -> Path:
    assert voxemo("prepare", "toy", "--root", corpus, "--partial").code == 0
    assert voxemo("split", "toy").code == 0
    return corpus


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the acoustic baseline was run on the toy corpus once, for all tests that only read the run."""
    folder = tmp_path_factory.mktemp("first")
    make_small_corpus(folder / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VOXEMO_HOME", str(folder / "home"))
        for words in (
            "prepare toy --root corpus --partial",
            "split toy",
            "run --corpus toy --model acoustic-baseline",
        ):
            patch.setattr(sys, "argv", ["voxemo", *words.split(" ")])
            with pytest.raises(SystemExit) as ended:
                main.run()
            assert not ended.value.code
    return folder


@pytest.fixture
def scored(voxemo: Command, first_run: Path, tmp_path: Path) -> str:
    """A run of the acoustic baseline, copied to where commands are called."""
    for name in ("corpus", "home", "runs"):
        shutil.copytree(first_run / name, tmp_path / name)
    (run,) = (path for path in (tmp_path / "runs").iterdir() if path.name.startswith("toy."))
    return str(run)


# --- what is there -----------------------------------------------------------------------------------------------


VERBS = "list show check new prepare split train plan infer parse score report run compare bundle verify demo"


@pytest.mark.parametrize("words", [("--help",), ()], ids=["asked", "no words"])
def test_help_names_every_verb(voxemo: Command, words: tuple[str, ...]) -> None:
    done = voxemo(*words)

    assert done.code == 0
    for verb in VERBS.split(" "):
        assert f" {verb} " in done.out


@pytest.mark.parametrize("kind", ["corpus", "language", "model", "prompt", "metric", "backend"])
def test_every_list_is_shown_and_is_json_on_request(voxemo: Command, kind: str) -> None:
    assert voxemo("list", kind).code == 0

    rows = json.loads(voxemo("list", kind, "--json").out)

    assert len(rows) >= 3


def test_list_corpus_says_whose_layout_was_seen(voxemo: Command) -> None:
    rows = {row["corpus"]: row["layout"] for row in json.loads(voxemo("list", "corpus", "--json").out)}

    assert (rows["urdu"], rows["biic-podcast"]) == ("verified", "documented")
    assert len(set(rows) & set(lookup.builtin_names("corpora"))) == 35


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("crema-d:iemocap", "crema-d to iemocap: label set, audio source, label source change"),
        ("urdu:urdu", "urdu to urdu: nothing changes"),
        ("en:pl", "polish can test: angry, fear, neutral"),
    ],
)
def test_show_transfer_says_what_lies_between_two_corpora_or_languages(voxemo: Command, pair: str, told: str) -> None:
    assert told in voxemo("show", "transfer", pair).out
    assert json.loads(voxemo("show", "transfer", pair, "--json").out)["shared_labels"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "SOURCE:TARGET"),
        (("urdu", "emodb"), "SOURCE:TARGET, two corpora or two languages, such as crema-d:iemocap or en:pl; got urdu"),
        (("crema-d",), "SOURCE:TARGET"),
        (("crema-d:",), "SOURCE:TARGET"),
        (("en:xx",), "no language called 'xx'"),
        (("crema-d:nowhere",), "no corpus called 'nowhere'"),
        (("urdu:en",), "a corpus and a language cannot be mixed"),
        (("German:English",), "languages are BCP-47 tags, as in de:en"),
    ],
)
def test_a_transfer_of_unknown_ends_is_refused(voxemo: Command, words: tuple[str, ...], message: str) -> None:
    done = voxemo("show", "transfer", *words)

    assert done.code == 1
    assert message in done.err


def test_one_thing_is_shown_at_a_time(voxemo: Command) -> None:
    assert "voxemo show corpus NAME; got urdu emodb" in voxemo("show", "corpus", "urdu", "emodb").err


def test_the_table_of_corpora_fits_a_narrow_terminal(voxemo: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    table = [line for line in voxemo("list", "corpus").out.splitlines() if "│" in line]

    assert len(table) >= 35
    assert max(map(len, table)) <= 80


def test_show_prompt_prints_exactly_what_the_model_gets(voxemo: Command) -> None:
    shown = voxemo("show", "prompt", "direct", "--corpus", "iemocap", "--form", "distribution").out
    as_json = json.loads(
        voxemo("show", "prompt", "direct", "--corpus", "iemocap", "--form", "distribution", "--json").out
    )

    assert shown == as_json["text"] + "\n"
    assert "Angry, Happy, Neutral, Sad" in shown


def test_show_prompt_prints_the_training_pairs_too(voxemo: Command) -> None:
    hard = voxemo("show", "prompt", "direct", "--corpus", "urdu").out
    shown = voxemo("show", "prompt", "direct", "--corpus", "urdu", "--form", "sft").out

    assert shown.startswith(hard)
    assert "target for sad:\nFINAL LABEL: Sad" in shown


@pytest.mark.parametrize("name", ["urdu", "toy"])
def test_show_corpus_prints_the_card(voxemo: Command, name: str) -> None:
    assert f"corpus_id: {name}" in voxemo("show", "corpus", name).out
    assert json.loads(voxemo("show", "corpus", name, "--json").out)["corpus_id"] == name


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_show_schema_prints_the_versioned_schema(voxemo: Command, name: str) -> None:
    assert json.loads(voxemo("show", "schema", name).out)["$id"] == f"urn:voxemo:schema:{name}:{SCHEMAS[name][1]}"


# --- the line ----------------------------------------------------------------------------------------------------


def test_each_verb_of_the_line_in_turn_leads_to_a_report(voxemo: Command, prepared: Path, tmp_path: Path) -> None:
    assert voxemo("train", "toy").code == 0
    planned = json.loads(voxemo("plan", "--corpus", "toy", "--model", "acoustic-baseline", "--json").out)
    run = planned["run"]
    assert voxemo("infer", run).code == 0
    assert voxemo("parse", run).code == 0
    assert voxemo("score", run, "--resamples", "20").code == 0

    refused = voxemo("report", run)
    shown = voxemo("report", run, "--partial", "--out", tmp_path / "report")

    assert refused.code == 1
    assert "is partial (the corpus on disk is incomplete)" in refused.err
    assert shown.code == 0
    assert "uniform guess" in shown.out
    assert "no speaker shared" in shown.out
    assert (tmp_path / "report" / "scoreboard.md").is_file()
    assert pl.read_csv(tmp_path / "report" / "scoreboard.csv").height > 20
    assert (Path(run) / "report" / "disclosure.md").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--ray", "auto", "--shard", "1/2"), "--ray asks the whole run"),
        (("--ray", "auto", "--limit", "5"), "--ray asks the whole run"),
        (("--ray", "auto", "--answers", "a.jsonl"), "--ray asks the whole run"),
        (("--ray-cpus", "4"), "give --ray ADDRESS too"),
    ],
    ids=["shard", "limit", "answers", "cpus alone"],
)
def test_what_a_cluster_cannot_do_is_refused_before_anything_is_read(
    voxemo: Command, words: tuple[str, ...], told: str
) -> None:
    done = voxemo("infer", "no-such-run", *words)

    assert done.code == 1
    assert told in done.err


def test_run_does_the_whole_line_and_again_goes_on(voxemo: Command, prepared: Path) -> None:
    first = json.loads(voxemo("run", "--corpus", "toy", "--model", "acoustic-baseline", "--json").out)
    again = json.loads(voxemo("run", "--corpus", "toy", "--model", "acoustic-baseline", "--json").out)

    assert first["infer"]["n_pending"] == again["infer"]["n_pending"] == 0
    assert again["infer"]["n_answered"] == 0
    assert again["run"] == first["run"]


def test_report_takes_what_the_shell_finds(voxemo: Command, scored: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "scoreboard.md").write_text("an earlier report", encoding="utf-8")

    assert voxemo("report", *(tmp_path / "runs").iterdir(), "--partial").code == 0


def test_lenient_scores_are_a_board_of_their_own(voxemo: Command, scored: str, tmp_path: Path) -> None:
    assert "lenient reading" in voxemo("report", scored, "--partial", "--reading", "lenient").out
    assert "lenient reading" not in voxemo("report", scored, "--partial").out


def test_compare_prints_the_difference_with_its_interval(voxemo: Command, scored: str) -> None:
    other = json.loads(
        voxemo("run", "--corpus", "toy", "--model", "acoustic-baseline", "--split", "speaker-disjoint", "--json").out
    )["run"]

    done = voxemo("compare", scored, other)

    assert done.code == 0
    assert "95 % interval" in done.out
    assert "split: protocol" in done.out


def test_answers_from_a_file_are_scored(voxemo: Command, prepared: Path, tmp_path: Path) -> None:
    run = json.loads(voxemo("plan", "--corpus", "toy", "--model", "scripted", "--form", "hard", "--json").out)["run"]
    plan = pl.read_parquet(RunPaths(Path(run)).plan)
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "\n".join(
            json.dumps({"utterance_id": u, "variant_id": v, "form": f, "text": "FINAL LABEL: Sad"})
            for u, v, f in plan.select("utterance_id", "variant_id", "form").iter_rows()
        ),
        encoding="utf-8",
    )

    assert voxemo("infer", run, "--answers", answers).code == 0
    assert voxemo("parse", run).code == 0
    assert voxemo("score", run, "--resamples", "20").code == 0
    assert "vote of 5" in voxemo("report", run, "--partial").out


# --- bad input ---------------------------------------------------------------------------------------------------


def test_a_missing_folder_is_named(voxemo: Command, tmp_path: Path) -> None:
    done = voxemo("prepare", "urdu", "--root", tmp_path / "nowhere")

    assert done.code == 1
    assert "CorpusNotFound" in done.err
    assert "nowhere" in done.err


def test_another_corpus_in_the_folder_is_recognised(voxemo: Command, tmp_path: Path) -> None:
    folder = tmp_path / "given" / "Sound Source" / "Angry"
    folder.mkdir(parents=True)
    soundfile.write(folder / "1157_kz_acik.wav", np.zeros(1600), 16_000)

    done = voxemo("prepare", "urdu", "--root", tmp_path / "given")

    assert done.code == 1
    assert "This does not look like urdu" in done.err
    assert "turev-db" in done.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("show", "corpus", "cremad"), "Did you mean 'crema-d'?"),
        (("show", "model", "qwen2-audio"), "Did you mean 'qwen2-audio-7b-instruct'?"),
        (("show", "prompt", "dirct", "--corpus", "urdu"), "Did you mean 'direct'?"),
        (("list", "corpora"), "Did you mean 'corpus'?"),
        (("split", "toy", "--policy", "speaker-disjunct"), "Did you mean 'speaker-disjoint'?"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(voxemo: Command, words: tuple[str, ...], hint: str) -> None:
    done = voxemo(*words)

    assert done.code == 1
    assert hint in done.err


def test_a_damaged_clip_is_named_kept_and_counted_as_a_failed_answer(voxemo: Command, corpus: Path) -> None:
    broken = sorted((corpus / "clips").glob("*.wav"))[5]
    broken.write_bytes(broken.read_bytes()[:20])

    prepared = voxemo("prepare", "toy", "--root", corpus, "--partial")
    assert f"toy/{broken.stem}" in prepared.out
    result = json.loads(voxemo("run", "--corpus", "toy", "--model", "acoustic-baseline", "--json").out)

    assert result["infer"]["n_unusable"] == 2
    assert result["parse"]["counts"]["strict.failed"] == 2


def test_prepare_and_split_name_the_command_that_comes_next(voxemo: Command, corpus: Path, tmp_path: Path) -> None:
    place = ("--workspace", tmp_path / "my work")

    prepared = voxemo("prepare", "toy", "--root", corpus, "--partial", *place).out
    split = voxemo("split", "toy", *place).out
    other = json.loads(voxemo("split", "toy", "--policy", "speaker-disjoint", "--json", *place).out)

    assert prepared.endswith(f"\nNext: voxemo split toy --workspace '{tmp_path}/my work'\n")
    assert split.endswith(
        f"\nNext: voxemo run --corpus toy --model acoustic-baseline --workspace '{tmp_path}/my work'\n"
    )
    assert "--model acoustic-baseline --split speaker-disjoint --workspace" in other["next"]


def test_what_prepare_leaves_unnamed_stands_in_its_report(voxemo: Command, corpus: Path) -> None:
    for path in sorted((corpus / "clips").glob("*.wav"))[:7]:
        path.write_bytes(b"")

    told = voxemo("prepare", "toy", "--root", corpus, "--partial").out

    assert told.count(": the file is empty") == 5
    assert "    and 2 more, which prepare.json names\n" in told


def test_a_single_name_is_not_replaced_by_its_number(voxemo: Command, corpus: Path) -> None:
    for path in sorted((corpus / "clips").glob("*.wav"))[:6]:
        path.write_bytes(b"")

    assert voxemo("prepare", "toy", "--root", corpus, "--partial").out.count(": the file is empty") == 6


def test_logs_hold_no_progress_bar_and_a_terminal_only_once_there_is_something_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*updates: tuple[int, int]) -> str:
        with progress("reading audio", unit="clips") as update:
            for done, total in updates:
                update(done, total)
        return capsys.readouterr().err

    assert shown((0, 4), (4, 4)) == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown() == ""
    assert shown((0, 0)) == ""
    assert "reading audio" in shown((0, 4), (4, 4))


@pytest.mark.parametrize(("n", "told"), [(0, "speakers unknown"), (1, "1 speaker"), (2, "2 speakers")])
def test_speakers_that_nobody_tells_apart_are_unknown(n: int, told: str) -> None:
    report = {"n_utterances": 1, "n_speakers": n, "hours": None, "per_label": {}, "subset": "benchmark"}

    first, *_ = header_lines(lookup.corpus_card("toy"), report | {"voted": {}, "excluded": {}})

    assert first == f"Toy tones (synthetic): 1 utterance, {told}"


def test_run_does_not_ask_for_the_scores_that_it_makes_itself(voxemo: Command, prepared: Path) -> None:
    words = ("run", "--corpus", "toy", "--model", "acoustic-baseline")
    assert voxemo(*words).code == 0

    again = voxemo(*words).out

    assert "answers read" in again
    assert "voxemo score" not in again


def test_an_incomplete_corpus_needs_partial(voxemo: Command, corpus: Path) -> None:
    done = voxemo("prepare", "toy", "--root", corpus)

    assert done.code == 1
    assert "96 utterances, its card expects 240" in done.err
    assert "--partial" in done.err


def test_check_writes_nothing_and_exits_with_1_on_a_difference(voxemo: Command, corpus: Path, tmp_path: Path) -> None:
    done = voxemo("check", "toy", "--root", corpus)

    assert done.code == 1
    assert "96 found, 240 expected" in done.out
    assert not (tmp_path / "home").exists()


def test_a_changed_plan_is_refused(voxemo: Command, prepared: Path) -> None:
    run = json.loads(voxemo("plan", "--corpus", "toy", "--model", "scripted", "--json").out)["run"]
    plan = pl.read_parquet(RunPaths(Path(run)).plan)
    plan.reverse().write_parquet(RunPaths(Path(run)).plan)

    done = voxemo("parse", run)

    assert done.code == 1
    assert "was changed after it was made" in done.err


def test_answers_with_unknown_ids_are_refused(voxemo: Command, prepared: Path, tmp_path: Path) -> None:
    run = json.loads(voxemo("plan", "--corpus", "toy", "--model", "scripted", "--form", "hard", "--json").out)["run"]
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        json.dumps({"utterance_id": "toy/x", "variant_id": "direct", "form": "hard", "text": ""}), encoding="utf-8"
    )

    done = voxemo("infer", run, "--answers", answers)

    assert done.code == 1
    assert "toy/x" in done.err


def test_an_error_is_one_json_object_on_request(voxemo: Command) -> None:
    done = voxemo("show", "corpus", "cremad", "--json")

    assert json.loads(done.out)["error"] == "UnknownName"


def test_a_wrong_option_is_the_users_to_mend(voxemo: Command) -> None:
    assert voxemo("prepare", "urdu").code == 1
    assert voxemo("nonsense").code == 1


def test_a_run_named_twice_is_shown_once(voxemo: Command, scored: str) -> None:
    done = voxemo("report", scored, scored, "--partial")

    assert done.code == 0
    assert done.out.count("acoustic-baseline│") == 2


def test_a_wrong_prompt_is_found_before_anything_is_trained(voxemo: Command, prepared: Path, tmp_path: Path) -> None:
    done = voxemo("run", "--corpus", "toy", "--model", "acoustic-baseline", "--prompt", "dirct")

    assert done.code == 1
    assert "Did you mean 'direct'?" in done.err
    assert not (tmp_path / "home" / "models").exists()


def test_a_narrow_terminal_loses_columns_but_no_digit(
    voxemo: Command, scored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")

    shown = voxemo("report", scored, "--partial").out

    assert "Not shown in this narrow terminal" in shown
    assert "…" not in shown


def test_report_without_a_run_says_so(voxemo: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")

    done = voxemo("report", tmp_path / "notes.txt")

    assert done.code == 1
    assert "no run folder among what was given" in done.err


def test_what_is_no_scored_run_is_skipped_and_named(voxemo: Command, scored: str, tmp_path: Path) -> None:
    voxemo("plan", "--corpus", "toy", "--model", "scripted")
    (tmp_path / "runs" / "board").mkdir()

    done = voxemo("report", *(tmp_path / "runs").iterdir(), "--partial")

    assert done.code == 0
    assert "acoustic-baseline" in done.out
    assert done.out.count("SKIPPED:") == 2
    assert "Run: voxemo score" in done.out


def test_one_run_with_two_sets_of_answers_is_refused(voxemo: Command, scored: str, tmp_path: Path) -> None:
    shutil.copytree(scored, tmp_path / "copy")

    done = voxemo("report", scored, tmp_path / "copy", "--partial")

    assert done.code == 1
    assert "hold the same run with answers of their own" in done.err


def test_answers_for_unusable_clips_may_come_in_a_later_file(voxemo: Command, corpus: Path, tmp_path: Path) -> None:
    broken = sorted((corpus / "clips").glob("*.wav"))[5]
    broken.write_bytes(b"")
    voxemo("prepare", "toy", "--root", corpus, "--partial")
    voxemo("split", "toy")
    words = ("plan", "--corpus", "toy", "--model", "scripted", "--form", "hard", "--prompt", "direct", "--json")
    run = json.loads(voxemo(*words).out)["run"]
    names = pl.read_parquet(RunPaths(Path(run)).plan)["utterance_id"].to_list()
    same = {"variant_id": "direct", "form": "hard", "text": "FINAL LABEL: Sad"}
    answers = tmp_path / "answers.jsonl"

    def give(names: list[str]) -> dict[str, int]:
        answers.write_text("\n".join(json.dumps({"utterance_id": n, **same}) for n in names), encoding="utf-8")
        return json.loads(voxemo("infer", run, "--answers", answers, "--json").out)

    first = give([name for name in names if not name.endswith(broken.stem)])
    then = give(names)

    assert (first["n_unusable"], first["n_pending"]) == (1, 0)
    assert (then["n_answered"], then["n_pending"], then["n_unused"]) == (1, 0, len(names) - 1)
    counts = json.loads(voxemo("parse", run, "--json").out)["counts"]
    assert counts["strict.ok"] == counts["planned"] == len(names)


def test_report_names_the_policy_that_was_not_scored(voxemo: Command, scored: str) -> None:
    voxemo("score", scored, "--failure-policy", "excluded", "--resamples", "10")

    done = voxemo("report", scored, "--partial", "--failure-policy", "wrong")

    assert done.code == 1
    assert "under the failure policy 'wrong'" in done.err


def test_a_corpus_of_pointer_files_is_refused(voxemo: Command, corpus: Path) -> None:
    for clip in (corpus / "clips").glob("*.wav"):
        clip.write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")

    done = voxemo("prepare", "toy", "--root", corpus, "--partial")

    assert done.code == 1
    assert "None of the 96 clips of toy can be used" in done.err
    assert "git lfs pull" in done.err


def test_answers_given_twice_are_counted_as_not_used(voxemo: Command, prepared: Path, tmp_path: Path) -> None:
    words = ("plan", "--corpus", "toy", "--model", "scripted", "--form", "hard", "--prompt", "direct", "--json")
    run = json.loads(voxemo(*words).out)["run"]
    plan = pl.read_parquet(RunPaths(Path(run)).plan)
    answers = tmp_path / "answers.jsonl"
    same = {"variant_id": "direct", "form": "hard", "text": "FINAL LABEL: Sad"}
    lines = [json.dumps({"utterance_id": name, **same}) for name in plan["utterance_id"]]
    answers.write_text("\n".join(lines), encoding="utf-8")
    voxemo("infer", run, "--answers", answers)

    again = voxemo("infer", run, "--answers", answers)

    assert f"{plan.height} answers of the file were NOT used" in again.out


def test_answers_of_others_are_refused_under_the_name_of_a_model_that_is_asked_here(
    voxemo: Command, prepared: Path, tmp_path: Path
) -> None:
    voxemo("train", "toy")
    run = json.loads(voxemo("plan", "--corpus", "toy", "--model", "acoustic-baseline", "--json").out)["run"]
    (tmp_path / "answers.jsonl").write_text("", encoding="utf-8")

    done = voxemo("infer", run, "--answers", tmp_path / "answers.jsonl")

    assert done.code == 1
    assert "which voxemo asks itself" in done.err


def test_a_bug_ends_with_2_and_asks_to_be_reported(voxemo: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one over nothing")

    monkeypatch.setattr(main, "app", fail)
    done = voxemo("list", "corpus")

    assert done.code == 2
    assert "This is a bug in voxemo" in done.err
    assert "ZeroDivisionError" in done.err


def test_the_command_line_in_a_manifest_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["voxemo", "infer", "../me/runs/r", "--model", "/home/me/card.toml", "--runs=/scratch/runs", "--shard", "3/16"],
    )

    assert command_line() == "voxemo infer r --model card.toml --runs=runs --shard 3/16"


# --- what would be said twice ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("--corpus", "toy"), ("--max-new-tokens", "16"), ("--audio", "silence"), ("--label-source", "perceived")]
)
def test_a_study_file_and_options_that_it_has_too_are_refused(
    voxemo: Command, tmp_path: Path, words: tuple[str, str]
) -> None:
    (tmp_path / "study.toml").write_text('[[run]]\ncorpus = ["toy"]\nmodel = ["scripted"]\n', encoding="utf-8")

    done = voxemo("run", "--study", "study.toml", *words)

    assert done.code == 1
    assert words[0] in done.err


def test_options_in_front_of_a_doctors_verb_are_refused(voxemo: Command) -> None:
    done = voxemo("doctor", "--json", "hearing", "run")

    assert done.code == 1
    assert "stand behind it" in done.err
