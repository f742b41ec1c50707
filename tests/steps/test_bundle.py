"""What a bundle holds, and that `verify` finds whatever was changed in it, from the bundle alone."""

import getpass
import io
import json
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toy import licensed, make, toy_answer
from voxemo.backends.base import Question
from voxemo.core.errors import BundleError, RunError
from voxemo.core.ids import sha256_lines
from voxemo.core.types import FAILURE_POLICIES, Response
from voxemo.steps import verify_answers, verify_plan
from voxemo.steps.bundle import bundle_files, bundle_run, shared_command, speaker_codes, without_paths
from voxemo.steps.bundle_contents import Finding
from voxemo.steps.infer import infer_run
from voxemo.steps.parse import parse_run
from voxemo.steps.plan import PlanOptions, deafened_plan, plan_run
from voxemo.steps.score import score_run
from voxemo.steps.verify import VerifyResult, verify_bundle, verify_files
from voxemo.store import bundles
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import RunPaths, Workspace

# What these tests share takes long to make: one process makes it, once.
pytestmark = pytest.mark.xdist_group("bundle")

RESAMPLES = 20
HEARD = "quokka marmalade zeppelin"
"""Words that a model wrote down from the audio; they stand nowhere else."""
PLACE = "/srv/nightingale/clips"
HOST = "gpu-box-17"


class Writing:
    """Answers as the toy does, quoting what it heard; some in the label's place. Weighs the truth highest."""

    questions_per_call = 64

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        return [self._answer(one) for one in questions]

    def _answer(self, question: Question) -> Response:
        if question.form == "likelihood":
            truth = question.utterance_id.split("_")[1]
            weights = tuple(-1.0 if name == truth else -3.0 for name in question.label_set.names)
            silent = tuple(-2.0 for _ in question.label_set.names)
            return Response(request_id=question.request_id, label_logprobs=weights, silent_logprobs=silent)
        said = toy_answer(question)
        text = f"FINAL LABEL: {HEARD}, I hear" if said == "I hear something." else f"TRANSCRIPT: {HEARD}\n{said}"
        return Response(request_id=question.request_id, text=text, worker=HOST)

    def effective(self) -> Mapping[str, Any]:
        return {"backend": "scripted", "host": HOST, "warnings": [f"no cache at {PLACE}"]}


def scored(workspace: Workspace, runs: Path, **options: Any) -> Path:
    run = plan_run(
        workspace,
        runs,
        corpus="toy",
        model="scripted",
        options=PlanOptions(**options),
        command=f"voxemo plan --corpus toy --workspace nightingale --runs={PLACE}",
    )
    infer_run(workspace, run, make_backend=lambda card, generation, **given: Writing())
    parse_run(run)
    score_run(workspace, run, resamples=RESAMPLES)
    return run


@pytest.fixture(scope="module")
def run(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All prompts and forms about a few clips; do not change it."""
    made = scored(
        toy_workspace,
        tmp_path_factory.mktemp("bundled"),
        forms=("hard", "distribution", "likelihood"),
        folds=("1", "2", "3", "4"),
        limit=2,
    )
    write_json(RunPaths(made).parity_check, {"n_questions": 3, "examples": [{"fast": HEARD, "plain": HEARD}]})
    return made


@pytest.fixture(scope="module")
def files(toy_workspace: Workspace, run: Path) -> dict[str, bytes]:
    """The files of its bundle; do not change them."""
    return bundle_files(toy_workspace, run, resamples=RESAMPLES)[0]


@pytest.fixture(scope="module")
def small(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A bundle that is verified in a moment."""
    made = scored(
        toy_workspace,
        tmp_path_factory.mktemp("small"),
        forms=("hard", "distribution", "likelihood"),
        variants=("direct",),
        folds=("1", "2"),
        limit=8,
    )
    return bundle_files(toy_workspace, made, resamples=RESAMPLES)[0]


def forged(files: Mapping[str, bytes], **changed: bytes | None) -> dict[str, bytes]:
    """The files with some replaced or taken out, and an index that lists them as if nothing had been."""
    kept = {**files, **changed}
    result = {name: content for name, content in kept.items() if content is not None and name != bundles.INDEX}
    index = json.loads(files[bundles.INDEX])
    index["files"] = {name: bundles.sha256(content) for name, content in sorted(result.items())}
    return {**result, bundles.INDEX: bundles.document_bytes(index)}


def edited(files: Mapping[str, bytes], name: str, edit: Callable[[list[dict[str, Any]]], Any]) -> dict[str, bytes]:
    """A forged bundle in which the rows of a table are edited in place, or replaced by what ``edit`` returns."""
    rows = [json.loads(line) for line in files[name].splitlines()]
    return forged(files, **{name: bundles.lines_bytes(edit(rows) or rows)})


def redocumented(files: Mapping[str, bytes], name: str, edit: Callable[[dict[str, Any]], Any]) -> dict[str, bytes]:
    content = json.loads(files[name])
    edit(content)
    return forged(files, **{name: bundles.document_bytes(content)})


def codes(result: VerifyResult) -> set[str]:
    return {finding.code for finding in result.findings if finding.kind == "wrong"}


def notes(result: VerifyResult) -> set[str]:
    return {finding.code for finding in result.findings if finding.kind == "note"}


# --- what holds --------------------------------------------------------------------------------------------------


def test_a_bundle_holds_without_any_workspace(
    toy_workspace: Workspace, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = bundle_run(toy_workspace, run, tmp_path / "run.zip", resamples=RESAMPLES)
    monkeypatch.setenv("VOXEMO_HOME", str(tmp_path / "nothing here"))

    result = verify_bundle(packed.path)

    assert result.holds
    assert codes(result) == set()
    assert result.n_scores == result.n_scores_hold == pl.read_parquet(RunPaths(run).scores).height
    assert result.n_texts_read == read_json(RunPaths(run).manifest)["n_requests"]
    assert result.sha256 == packed.sha256
    assert not (tmp_path / "nothing here").exists()


def test_the_same_run_gives_the_same_bytes_wherever_it_lies(
    toy_workspace: Workspace, run: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / run.name
    shutil.copytree(run, moved)

    for folder, name in ((run, "a.zip"), (run, "b.zip"), (moved, "c.zip")):
        bundle_run(toy_workspace, folder, tmp_path / name, resamples=RESAMPLES)

    contents = {(tmp_path / name).read_bytes() for name in ("a.zip", "b.zip", "c.zip")}
    assert len(contents) == 1


def test_a_bundle_of_a_corpus_without_votes_holds(workspace: Workspace, tmp_path: Path) -> None:
    from toy import without_votes

    without_votes(workspace)
    made = scored(workspace, tmp_path / "runs", forms=("hard", "distribution"), variants=("direct",), limit=5)

    packed = bundle_run(workspace, made, tmp_path / "run.zip", resamples=RESAMPLES)

    assert verify_bundle(packed.path).holds


def test_only_the_policies_that_were_scored_are_recomputed(workspace: Workspace, run: Path, tmp_path: Path) -> None:
    one = tmp_path / run.name
    shutil.copytree(run, one)
    score_run(workspace, one, policies=("excluded",), resamples=RESAMPLES)

    made, index = bundle_files(workspace, one, resamples=RESAMPLES)

    assert index.failure_policies == ("excluded",)
    assert verify_files("one", made).holds


def test_a_partial_run_and_other_deviations_are_noted(small: dict[str, bytes]) -> None:
    assert {"partial", "deviation"} <= notes(verify_files("run", small))


def test_a_bundle_of_another_scorer_says_so(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_plan, "SCORER_VERSION", "99")
    monkeypatch.setattr(verify_answers, "PARSER_VERSION", "99")

    result = verify_files("run", files)

    assert {"scorer_version", "parser_version"} <= notes(result)
    assert result.n_scores_hold == result.n_scores


# --- what is refused before it is packed -------------------------------------------------------------------------


def test_a_run_with_unanswered_requests_is_not_packed(toy_workspace: Workspace, tmp_path: Path) -> None:
    made = plan_run(
        toy_workspace, tmp_path / "runs", corpus="toy", model="scripted", options=PlanOptions(forms=("hard",), limit=4)
    )
    infer_run(toy_workspace, made, make_backend=make(), limit=2)
    parse_run(made)
    score_run(toy_workspace, made, resamples=RESAMPLES, allow_incomplete=True)

    with pytest.raises(RunError, match="have no answer yet"):
        bundle_run(toy_workspace, made, tmp_path / "run.zip")

    assert not (tmp_path / "run.zip").exists()


def test_other_resamples_than_the_run_was_scored_with_are_named(
    toy_workspace: Workspace, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="Give --resamples as `voxemo score` was given it"):
        bundle_run(toy_workspace, run, tmp_path / "run.zip", resamples=RESAMPLES + 1)


def test_scores_that_were_edited_in_the_run_folder_are_not_packed(
    toy_workspace: Workspace, run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    table = pl.read_parquet(RunPaths(copy).scores)
    table.with_columns(pl.col("value") + 0.01).write_parquet(RunPaths(copy).scores)

    with pytest.raises(RunError, match="would not hold as a bundle"):
        bundle_run(toy_workspace, copy, tmp_path / "run.zip", resamples=RESAMPLES)


# --- what is not in it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "why"),
    [
        ({"redistributable": False}, "may not be passed on"),
        ({"kind": "request", "downloads": ()}, "has to be asked for"),
    ],
    ids=["not to be passed on", "to be asked for"],
)
def test_no_word_of_the_answers_is_in_a_bundle_of_a_licensed_corpus(
    workspace: Workspace, tmp_path: Path, run: Path, access: dict[str, Any], why: str
) -> None:
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    report = workspace.prepare_report("toy")
    write_json(report, {**read_json(report), "corpus_card_sha256": licensed(copy, **access).sha256()})

    packed = bundle_run(workspace, copy, tmp_path / "run.zip", resamples=RESAMPLES)

    made = bundles.read_bundle(packed.path)
    assert packed.redacted is not None
    assert why in packed.redacted
    for name, content in made.items():
        assert not [word for word in HEARD.split() if word.encode() in content], name
    result = verify_bundle(packed.path)
    assert result.holds
    assert "redacted" in notes(result)


def test_texts_are_in_the_bundle_of_an_open_corpus_unless_they_are_asked_to_be_left_out(
    toy_workspace: Workspace, run: Path, files: dict[str, bytes]
) -> None:
    left_out, _ = bundle_files(toy_workspace, run, redact=True, resamples=RESAMPLES)

    word = HEARD.split()[0].encode()
    assert {name for name, content in files.items() if word in content} >= {"responses.jsonl", "predictions.jsonl"}
    assert not [name for name, content in left_out.items() if word in content]


def test_likelihoods_are_read_again_even_where_texts_are_left_out(toy_workspace: Workspace, run: Path) -> None:
    made, _ = bundle_files(toy_workspace, run, redact=True, resamples=RESAMPLES)
    asked = [json.loads(line)["form"] for line in made["plan.jsonl"].splitlines()]

    assert verify_files("run", made).n_texts_read == asked.count("likelihood") > 0


def test_nothing_in_a_bundle_tells_of_a_machine_or_its_user(files: dict[str, bytes], run: Path, tmp_path: Path) -> None:
    traces = [PLACE, "nightingale", HOST, str(run.parent), str(tmp_path), str(Path.home()) + "/"]
    own = [name for name in (getpass.getuser(), socket.gethostname()) if name not in ("root", "localhost")]

    for name, content in files.items():
        assert not [trace for trace in traces + own if trace.encode() in content], name


def test_no_audio_and_no_speaker_of_the_corpus_is_named(files: dict[str, bytes]) -> None:
    assert all(name.endswith((".json", ".jsonl")) for name in files)
    gold = [json.loads(line) for line in files["gold.jsonl"].splitlines()]
    for name in ("unit_counts.jsonl", "unit_sums.jsonl"):
        units = [json.loads(line)["unit"] for line in files[name].splitlines()]

        assert {row["speaker"] for row in gold} == set(units)
        assert all(unit.startswith("s") and unit[1:].isdigit() for unit in units)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see /data/corpora/urdu for more", "see (removed) for more"),
        (r"C:\Users\ann\clips is gone", "(removed) is gone"),
        ("~/clips/1.wav", "(removed)"),
        ("and/or, 1/2 and </s>", "and/or, 1/2 and </s>"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("'/srv/x/y'", "'(removed)'"),
    ],
)
def test_absolute_paths_are_taken_out_of_texts_and_nothing_else(text: str, kept: str) -> None:
    assert without_paths(text) == kept


def test_a_command_keeps_what_was_asked_and_no_place() -> None:
    command = "voxemo run --corpus urdu --root corpus --workspace=ws --model 'my model'"

    assert shared_command(command) == (
        "voxemo run --corpus urdu --root '(removed)' --workspace='(removed)' --model 'my model'"
    )


# --- tampering ---------------------------------------------------------------------------------------------------

NAMES = [name for name in (*bundles.NEEDED, *bundles.FURTHER) if name != bundles.INDEX]
FOLDER_NAMES = ["checks/parity.json", "workers/0001.json"]


@pytest.mark.parametrize("name", [*NAMES, *FOLDER_NAMES])
def test_a_changed_byte_is_found_in_every_file(small: dict[str, bytes], files: dict[str, bytes], name: str) -> None:
    bundle = small if name in small else files
    content = bytearray(bundle[name] or b"\n")
    content[len(content) // 2] ^= 1

    result = verify_files("run", {**bundle, name: bytes(content)})

    assert not result.holds
    assert ("file_changed", name) in {(finding.code, finding.file) for finding in result.findings}


@pytest.mark.parametrize("name", [*NAMES, "workers/0001.json"])
def test_a_file_that_was_taken_out_is_found(small: dict[str, bytes], name: str) -> None:
    result = verify_files("run", {other: content for other, content in small.items() if other != name})

    assert not result.holds
    assert ("file_missing", name) in {(finding.code, finding.file) for finding in result.findings}


def test_a_file_that_was_put_in_is_found(small: dict[str, bytes]) -> None:
    assert codes(verify_files("run", {**small, "checks/extra.json": b"{}"})) == {"file_unlisted"}


def swap_label(rows: list[dict[str, Any]]) -> None:
    rows[0]["label"] = "sad" if rows[0]["label"] != "sad" else "angry"


def swap_votes(rows: list[dict[str, Any]]) -> None:
    rows[0]["votes"] = rows[0]["votes"][::-1]


def swap_speaker(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["speaker"] = "s1" if row["speaker"] == "s2" else row["speaker"]


def raise_score(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["metric"] == "unweighted_accuracy" and row["value"] is not None)
    row["value"] += 0.01


def narrow_interval(rows: list[dict[str, Any]]) -> None:
    next(row for row in rows if row["ci_low"] is not None and row["ci_low"] < row["value"])["ci_low"] += 1e-3


def miscount(rows: list[dict[str, Any]]) -> None:
    rows[0]["n"] += 1


def relabel(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["form"] == "hard" and row["status"] == "ok")
    row["label"] = "sad" if row["label"] != "sad" else "angry"


def mend_failure(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["status"] == "failed" and row["form"] == "hard")
    row |= {"status": "ok", "label": "angry", "reason": None}


def reverse_distribution(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["form"] == "distribution" and row["status"] == "ok")
    row["distribution"] = row["distribution"][::-1]


def rewrite_answer(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["text"].startswith("TRANSCRIPT") and "DISTRIBUTION" not in row["text"])
    row["text"] = "FINAL LABEL: nothing of the kind"


def reweigh(rows: list[dict[str, Any]]) -> None:
    row = next(row for row in rows if row["label_logprobs"])
    row["label_logprobs"] = row["label_logprobs"][::-1]


def regroup(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"utterance_id": name, "kind": "speaker_gender", "group": "female"} for name in _utterances(rows)]


def _utterances(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from sorted({row["utterance_id"] for row in rows})


@pytest.mark.parametrize(
    ("name", "edit", "found"),
    [
        ("gold.jsonl", swap_label, "scores_differ"),
        ("gold.jsonl", swap_speaker, "unit_counts_differ"),
        ("gold.jsonl", lambda rows: rows[1:], "gold_utterances"),
        ("gold.jsonl", lambda rows: [*rows, rows[0]], "gold_utterances"),
        ("votes.jsonl", swap_votes, "scores_differ"),
        ("votes.jsonl", lambda rows: [*rows, rows[0]], "votes"),
        ("scores.jsonl", raise_score, "scores_differ"),
        ("scores.jsonl", narrow_interval, "scores_differ"),
        ("scores.jsonl", lambda rows: rows[1:], "scores_differ"),
        ("scores.jsonl", lambda rows: [*rows, {**rows[0], "metric": "best_metric"}], "scores_differ"),
        ("scores.jsonl", lambda rows: [*rows, rows[0]], "score_twice"),
        ("scores.jsonl", lambda rows: [{**row, "scorer_version": "0"} for row in rows], "scorer_version"),
        ("confusions.jsonl", miscount, "confusions_differ"),
        ("analyses.jsonl", miscount, "analyses_differ"),
        ("unit_counts.jsonl", miscount, "unit_counts_differ"),
        ("unit_sums.jsonl", miscount, "unit_sums_differ"),
        ("predictions.jsonl", relabel, "predictions_differ"),
        ("predictions.jsonl", relabel, "scores_differ"),
        ("predictions.jsonl", mend_failure, "counts"),
        ("predictions.jsonl", reverse_distribution, "predictions_differ"),
        ("predictions.jsonl", lambda rows: rows[2:], "predictions_missing"),
        ("predictions.jsonl", lambda rows: rows[1:], "predictions_missing"),
        ("predictions.jsonl", lambda rows: [*rows, rows[0]], "predictions_twice"),
        ("predictions.jsonl", lambda rows: [*rows, {**rows[0], "request_id": "f" * 32}], "predictions_unplanned"),
        ("predictions.jsonl", lambda rows: [{**row, "system_id": "best"} for row in rows], "predictions_stray"),
        ("predictions.jsonl", lambda rows: [{**row, "label": "joyful"} for row in rows], "predictions_label"),
        (
            "predictions.jsonl",
            lambda rows: [{**row, "distribution": [2.0]} for row in rows],
            "predictions_distribution",
        ),
        ("responses.jsonl", rewrite_answer, "predictions_differ"),
        ("responses.jsonl", reweigh, "predictions_differ"),
        (
            "responses.jsonl",
            lambda rows: [{**row, "label_logprobs": row["label_logprobs"] or [0.5]} for row in rows],
            "responses_likelihood",
        ),
        ("responses.jsonl", lambda rows: rows[1:], "responses"),
        ("responses.jsonl", lambda rows: [*rows, rows[0]], "responses_twice"),
        ("responses.jsonl", lambda rows: [{**row, "text": None} for row in rows], "texts_missing"),
        ("responses.jsonl", lambda rows: [{**row, "finish": "well"} for row in rows], "responses_finish"),
        ("plan.jsonl", lambda rows: rows[1:], "plan_changed"),
        ("plan.jsonl", lambda rows: [*rows, {**rows[0], "fold_id": rows[-1]["fold_id"]}], "plan_changed"),
        ("plan.jsonl", lambda rows: [*rows, rows[0]], "plan_twice"),
        ("plan.jsonl", lambda rows: [{**row, "audio_sha256": "0" * 64} for row in rows], "request_id"),
        ("plan.jsonl", lambda rows: [{**row, "fold_id": None} for row in rows], "plan_gaps"),
        ("plan.jsonl", lambda rows: [{**row, "partition": "train"} for row in rows], "plan_folds"),
        ("plan.jsonl", lambda rows: [{**row, "prompt_sha256": "0" * 64} for row in rows], "plan_prompts"),
        ("prompts.jsonl", lambda rows: rows[1:], "prompts"),
        ("traits.jsonl", lambda rows: [{"utterance_id": "toy/x", "kind": "mood", "group": "a"}], "traits"),
    ],
)
def test_a_forgery_with_a_mended_index_is_found(
    small: dict[str, bytes], name: str, edit: Callable[[list[dict[str, Any]]], Any], found: str
) -> None:
    result = verify_files("run", edited(small, name, edit))

    assert not result.holds
    assert found in codes(result)
    assert not codes(result) & {"file_changed", "file_missing", "file_unlisted"}


@pytest.mark.parametrize(
    ("name", "edit", "found"),
    [
        ("manifest.json", lambda m: m["generation"].update(temperature=0.5), "plan_changed"),
        ("manifest.json", lambda m: m["prompts"][0].update(text="What label?"), "plan_changed"),
        ("manifest.json", lambda m: m["corpus_card"].update(version="7"), "plan_changed"),
        ("manifest.json", lambda m: m["model_cards"]["all"].update(name="A better model"), "plan_changed"),
        ("manifest.json", lambda m: m["counts"].update({"strict.failed": 0}), "counts"),
        ("manifest.json", lambda m: m.update(n_requests=3), "counts"),
        ("manifest.json", lambda m: m.update(training_overlap="nothing to worry about"), "manifest_field"),
        ("manifest.json", lambda m: m.update(audio_handling="as it comes"), "manifest_field"),
        ("manifest.json", lambda m: m.update(protocol="sft"), "manifest_field"),
        ("manifest.json", lambda m: m.update(deviations=[]), "deviation_hidden"),
        ("manifest.json", lambda m: m.update(partial=None), "partial_hidden"),
        ("manifest.json", lambda m: m.update(audio_condition="noise"), "plan_audio"),
        ("manifest.json", lambda m: m.update(run_id="toy.better.zero-shot.00000000"), "run_id"),
        ("manifest.json", lambda m: m.update(label_names=["angry", "angry"]), "label_set"),
        ("manifest.json", lambda m: m.update(surprise=1), "unreadable"),
        ("manifest.json", lambda m: m.update(model_cards={}), "no_model"),
        ("priors.json", lambda p: p["label_counts"].update({"1": [0, 0, 0, 9]}), "scores_differ"),
        ("priors.json", lambda p: p["label_counts"].update({"1": [10**12, 0, 0, 9]}), "priors"),
        ("priors.json", lambda p: p["label_counts"].pop("1"), "priors"),
        ("priors.json", lambda p: p["soft_priors"].update({"all/1": [0.25, 0.25, 0.25, 0.25]}), "scores_differ"),
        ("priors.json", lambda p: p["soft_priors"].update({"all/1": [0.25, 0.25]}), "priors"),
        ("priors.json", lambda p: p.update(rules=[]), "votes"),
        ("priors.json", lambda p: p.update(rules="all"), "priors"),
        ("parts.json", lambda p: p.pop("1"), "parts"),
        ("parts.json", lambda p: p["1"]["test"].update(n=-1), "unreadable"),
        ("parts.json", lambda p: p["1"].update(test="all"), "unreadable"),
    ],
)
def test_a_forged_document_is_found(
    small: dict[str, bytes], name: str, edit: Callable[[dict[str, Any]], Any], found: str
) -> None:
    result = verify_files("run", redocumented(small, name, edit))

    assert not result.holds
    assert found in codes(result)


@pytest.fixture(scope="module")
def limited(toy_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A bundle of a run over every fold, two utterances of each part."""
    runs = tmp_path_factory.mktemp("limited")
    return bundle_files(
        toy_workspace, scored(toy_workspace, runs, forms=("hard",), variants=("direct",), limit=2), resamples=RESAMPLES
    )[0]


def test_a_limited_run_that_says_it_is_whole_is_found_by_the_size_of_the_split_s_parts(
    limited: dict[str, bytes],
) -> None:
    assert verify_files("run", limited).holds

    hidden = verify_files("run", redocumented(limited, "manifest.json", lambda m: m.update(partial=None)))

    assert codes(hidden) == {"partial_hidden"}
    (text,) = [finding.text for finding in hidden.findings if finding.code == "partial_hidden"]
    n = json.loads(limited[bundles.PARTS])["1"]["test"]["n"]
    assert f"fold 1, test: 2 of {n} utterances are asked" in text


def test_to_pass_for_whole_a_limited_run_needs_parts_that_are_made_up_too(limited: dict[str, bytes]) -> None:
    folds: dict[str, list[str]] = {}
    for line in limited["plan.jsonl"].splitlines():
        row = json.loads(line)
        folds.setdefault(row["fold_id"], []).append(row["utterance_id"])

    def shrink(parts: dict[str, Any]) -> None:
        for fold, names in folds.items():
            digest = sha256_lines(sorted(names))
            parts[fold]["test"] = {
                "n": len(names),
                "utterances_sha256": digest,
                "n_labelled": len(names),
                "labelled_sha256": digest,
            }

    claimed = redocumented(limited, "manifest.json", lambda m: m.update(partial=None))

    # What the guide says that verify cannot find: a scoreboard compares parts.json with one of its own.
    assert verify_files("run", redocumented(claimed, "parts.json", shrink)).holds


def test_what_differs_is_named_row_by_row_with_both_numbers(small: dict[str, bytes]) -> None:
    result = verify_files("run", edited(small, "scores.jsonl", raise_score))

    (one,) = result.differences
    assert (one.metric, one.column) == ("unweighted_accuracy", "value")
    assert one.size == pytest.approx(0.01)
    assert result.n_scores_hold == result.n_scores - 1


def test_a_row_that_is_about_something_else_does_not_hold(small: dict[str, bytes]) -> None:
    result = verify_files("run", redocumented(small, "manifest.json", lambda m: m.update(run_id="toy.x.y.00000000")))

    assert result.n_scores_hold == 0


@pytest.mark.parametrize(
    "options", [{"audio_condition": "silence"}, {"label_source": "perceived"}, {"variants": ("direct",)}]
)
def test_a_run_that_says_how_it_deviates_holds(
    toy_workspace: Workspace, tmp_path: Path, options: dict[str, Any]
) -> None:
    made = scored(toy_workspace, tmp_path, folds=("1",), limit=4, **options)

    result = verify_files("run", bundle_files(toy_workspace, made, resamples=RESAMPLES)[0])

    assert result.holds
    assert "deviation" in notes(result)


def test_a_run_without_sound_may_ask_the_hard_prompts_alone(toy_workspace: Workspace, tmp_path: Path) -> None:
    heard = plan_run(toy_workspace, tmp_path, corpus="toy", model="scripted", options=PlanOptions(limit=4))
    deaf = deafened_plan(heard, "silence")
    infer_run(toy_workspace, deaf, make_backend=lambda card, generation, **given: Writing())
    parse_run(deaf)
    score_run(toy_workspace, deaf, resamples=RESAMPLES)

    assert verify_files("run", bundle_files(toy_workspace, deaf, resamples=RESAMPLES)[0]).holds


def test_an_index_that_claims_other_resamples_or_policies_is_found(small: dict[str, bytes]) -> None:
    for change in ({"resamples": RESAMPLES + 1}, {"failure_policies": ["wrong"]}):
        index = {**json.loads(small[bundles.INDEX]), **change}

        assert "scores_differ" in codes(verify_files("run", {**small, bundles.INDEX: bundles.document_bytes(index)}))


def test_a_bundle_that_says_it_is_redacted_may_hold_no_text(small: dict[str, bytes]) -> None:
    index = {**json.loads(small[bundles.INDEX]), "redacted": "so I say"}

    assert "texts_left" in codes(verify_files("run", {**small, bundles.INDEX: bundles.document_bytes(index)}))


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"[]\n",
        b'{"utterance_id":1,"label":null,"speaker":null}\n',
        b'{"utterance_id":"a","label":null}\n',
        b'{"utterance_id":"\\ud800","label":null,"speaker":null}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b'{"utterance_id":NaN,"label":null,"speaker":null}\n',
    ],
)
def test_a_line_that_is_no_row_is_said_and_nothing_breaks(small: dict[str, bytes], line: bytes) -> None:
    result = verify_files("run", forged(small, **{"gold.jsonl": small["gold.jsonl"] + line}))

    assert codes(result) == {"unreadable", "not_scored"}


# Whatever a stranger writes, `verify` says what is wrong with it; it never ends in an error of its own.
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["sad", "strict", "likelihood", "1", "test", "wrong", "all"]),
    st.lists(st.one_of(st.none(), st.floats(0, 1), st.integers(0, 9)), max_size=5),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_verifying_ends_whatever_stands_in_a_table(small: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in NAMES if name.endswith(".jsonl") and small[name]]))
    rows = [json.loads(line) for line in small[name].splitlines()]
    row = rows[data.draw(st.integers(0, len(rows) - 1))]
    column = data.draw(st.sampled_from(sorted(row)))
    before, row[column] = row[column], data.draw(STRANGE)

    result = verify_files("run", forged(small, **{name: bundles.lines_bytes(rows)}))

    # Tokens and seconds are nobody's score; 1 and 1.0 are one number.
    told = column in ("n_prompt_tokens", "n_new_tokens", "latency_s", "attempt", "audio_handling", "error_kind")
    assert not result.holds or told or row[column] == before or (column, row[column]) == ("finish", "length")


# --- codes -------------------------------------------------------------------------------------------------------


@given(st.sets(st.one_of(st.none(), st.text(min_size=1)), max_size=120))
def test_speaker_codes_tell_speakers_apart_and_keep_their_order(speakers: set[str | None]) -> None:
    found = speaker_codes(speakers)

    named = sorted(speaker for speaker in speakers if speaker is not None)
    assert list(found) == named
    assert sorted(set(found.values())) == [found[name] for name in named]


def test_every_failure_policy_can_be_named_in_an_index(files: dict[str, bytes]) -> None:
    assert json.loads(files[bundles.INDEX])["failure_policies"] == list(FAILURE_POLICIES)


def test_a_finding_is_wrong_or_a_note(files: dict[str, bytes]) -> None:
    found = verify_files("run", files).findings

    assert all(isinstance(one, Finding) and one.kind == "note" for one in found)


# --- zips of strangers -------------------------------------------------------------------------------------------


def zipped(entries: Mapping[str, bytes] | Sequence[tuple[zipfile.ZipInfo | str, bytes]], path: Path) -> Path:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in entries.items() if isinstance(entries, Mapping) else entries:
            packed.writestr(name, data)
    path.write_bytes(content.getvalue())
    return path


@pytest.mark.parametrize(
    "name",
    ["../scores.jsonl", "/etc/passwd", "checks/../../x.json", "scores.pkl", "a\\b.json", "checks/", "audio/1.wav"],
)
def test_names_that_no_bundle_holds_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="which no bundle holds"):
        verify_bundle(zipped({bundles.INDEX: b"{}", name: b"x"}, tmp_path / "a.zip"))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="unpacks from"):
        verify_bundle(zipped({bundles.INDEX: b"{}", bundles.SCORES: b" " * 2**22}, tmp_path / "a.zip"))


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (bundles.Limits(zip_bytes=10), "at most 10 are read"),
        (bundles.Limits(total_bytes=10), "it unpacks to"),
        (bundles.Limits(files=1), "it holds 2 files"),
    ],
)
def test_what_is_larger_than_a_bundle_may_be_is_refused(tmp_path: Path, limits: bundles.Limits, why: str) -> None:
    path = zipped({bundles.INDEX: b"{}" * 10, bundles.SCORES: b"x" * 20}, tmp_path / "a.zip")

    with pytest.raises(BundleError, match=why):
        verify_bundle(path, limits=limits)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo(bundles.SCORES)
    link.create_system, link.external_attr = 3, 0o120777 << 16

    with pytest.raises(BundleError, match="is no plain file"):
        verify_bundle(zipped([(link, b"/etc/passwd")], tmp_path / "a.zip"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="twice"):
        verify_bundle(zipped([(bundles.SCORES, b"a"), (bundles.SCORES, b"b")], tmp_path / "a.zip"))


def test_an_encrypted_or_strangely_packed_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({bundles.INDEX: b"{}"}, tmp_path / "a.zip").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    (tmp_path / "b.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_BZIP2) as packed:
        packed.writestr(bundles.INDEX, b"{}")

    for name, why in (("b.zip", "is encrypted"), ("c.zip", "packed in a way")):
        with pytest.raises(BundleError, match=why):
            verify_bundle(tmp_path / name)


def test_a_zip_that_claims_another_size_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({bundles.INDEX: b"{}" * 50}, tmp_path / "a.zip").read_bytes())
    size = content.index(b"PK\x01\x02") + 24
    content[size : size + 4] = (10).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(BundleError):
        verify_bundle(tmp_path / "a.zip")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "empty zip"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(BundleError, match=r"a\.zip"):
        verify_bundle(tmp_path / "a.zip")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such file"):
        verify_bundle(tmp_path / "a.zip")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_zip_is_refused_or_found_not_to_hold(
    small: dict[str, bytes], tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "damaged.zip"
    bundles.write_bundle(path, {name: small[name] for name in (bundles.INDEX, bundles.GOLD, bundles.PRIORS)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])

    try:
        result = verify_bundle(path)
    except BundleError:
        return
    assert not result.holds


# --- tables as lines ---------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "utterance_id": st.none() | st.text(st.characters(codec="utf-8")),
                "rule": st.none() | st.text(st.characters(codec="utf-8")),
                "votes": st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
            }
        )
    )
)
def test_a_table_comes_back_from_its_lines_to_the_last_digit(rows: list[dict[str, Any]]) -> None:
    table = pl.DataFrame(rows, schema=dict(bundles.VOTE_COLUMNS))

    again = bundles.read_rows("t", bundles.table_bytes(table, bundles.VOTE_COLUMNS), bundles.VOTE_COLUMNS)

    assert again.equals(table)
