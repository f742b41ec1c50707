import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxemo.store import bundles

Command = Callable[..., Any]


@pytest.fixture
def run(voxemo: Command, tmp_path: Path) -> str:
    """A small run over the toy corpus, from the commands themselves."""
    from voxemo_example.toy import make_toy_corpus

    make_toy_corpus(tmp_path / "corpus")
    assert voxemo("prepare", "toy", "--root", "corpus").code == 0
    assert voxemo("split", "toy").code == 0
    made = answered(voxemo, tmp_path, limit=3)
    assert voxemo("score", made, "--resamples", "20").code == 0
    return made


def answered(voxemo: Command, tmp_path: Path, *, limit: int) -> str:
    """A parsed run over some clips of the toy corpus, every answer right."""
    planned = voxemo("plan", "--corpus", "toy", "--model", "scripted", "--form", "hard", "--limit", limit, "--json")
    made = str(json.loads(planned.out)["run"])
    plan = _plan(Path(made))
    (tmp_path / "answers.jsonl").write_text(
        "\n".join(
            json.dumps({"utterance_id": u, "variant_id": v, "form": f, "text": f"FINAL LABEL: {u.split('_')[1]}"})
            for u, v, f in plan
        )
    )
    for words in (("infer", made, "--answers", "answers.jsonl"), ("parse", made)):
        assert voxemo(*words).code == 0
    return made


def _plan(run: Path) -> list[tuple[str, str, str]]:
    import polars as pl

    return pl.read_parquet(run / "plan.parquet").select("utterance_id", "variant_id", "form").rows()


def test_a_run_is_packed_verified_and_found_out_when_it_is_changed(voxemo: Command, run: str, tmp_path: Path) -> None:
    packed = voxemo("bundle", run, "--resamples", "20")
    assert packed.code == 0
    bundle = f"{Path(run).name}.bundle.zip"
    assert bundle in packed.out

    shutil.rmtree(tmp_path / "home")
    shutil.rmtree(tmp_path / "runs")
    good = voxemo("verify", bundle)
    assert good.code == 0
    assert "holds" in good.out

    forge(tmp_path / bundle, tmp_path / "forged.zip")
    bad = voxemo("verify", "forged.zip")
    assert bad.code == 1
    assert "DOES NOT HOLD" in bad.out
    assert "scores_differ" in {
        one["code"] for one in json.loads(voxemo("verify", "forged.zip", "--json").out)["findings"]
    }


def forge(bundle: Path, forged: Path) -> None:
    """A bundle whose first score is better, whose index is mended, and whose words would take over a terminal."""
    files = bundles.read_bundle(bundle)
    first, *others = files[bundles.SCORES].splitlines(keepends=True)
    row = json.loads(first) | {"value": 0.99, "metric": "[red]\x1b[2J"}
    index = json.loads(files[bundles.INDEX]) | {"run_id": "toy\x1b]0;taken over\x07"}
    changed = bundles.lines_bytes([row]) + b"".join(others)
    index["files"][bundles.SCORES] = bundles.sha256(changed)
    bundles.write_bundle(forged, {**files, bundles.SCORES: changed, bundles.INDEX: bundles.document_bytes(index)})


def test_a_stranger_s_words_do_not_reach_the_terminal_as_commands(voxemo: Command, run: str, tmp_path: Path) -> None:
    voxemo("bundle", run, "--out", "good.zip", "--resamples", "20")
    forge(tmp_path / "good.zip", tmp_path / "forged.zip")

    shown = voxemo("verify", "forged.zip").out

    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]" in shown


def test_texts_can_be_left_out(voxemo: Command, run: str, tmp_path: Path) -> None:
    done = json.loads(voxemo("bundle", run, "--out", "a.zip", "--redact", "--resamples", "20", "--json").out)

    assert done["redacted"]
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        assert b"FINAL LABEL: angry" not in packed.read(bundles.RESPONSES)


@pytest.mark.parametrize("words", [("verify", "nothing.zip"), ("bundle", "runs")])
def test_what_is_not_there_is_named(voxemo: Command, words: tuple[str, str]) -> None:
    done = voxemo(*words)

    assert done.code == 1
    assert words[1] in done.err


def test_compare_writes_its_table_and_ranks_three_runs(voxemo: Command, run: str, tmp_path: Path) -> None:
    done = voxemo("compare", run, run, "--prompt", "direct", "--out", "table.csv", "--resamples", "20")

    assert done.code == 0
    assert "harmless: nothing" in done.out
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0].startswith("test part,prompt,A,B,A - B")
    assert len(lines) == 2
    refused = voxemo("compare", run, run, run)
    assert refused.code == 1
    assert "is given twice" in refused.err


def test_compare_says_which_utterances_are_paired_and_how_many_are_left_out(
    voxemo: Command, run: str, tmp_path: Path
) -> None:
    fewer = answered(voxemo, tmp_path, limit=2)
    asked = ("--prompt", "direct", "--resamples", "20")

    shown = voxemo("compare", run, fewer, *asked, "--out", "table.csv")
    found = json.loads(voxemo("compare", run, fewer, *asked, "--json").out)["comparisons"][0]["utterances"]

    n = len({name for name, *_ in _plan(Path(fewer))})
    n_more = len({name for name, *_ in _plan(Path(run))}) - n
    assert n_more > 0
    said = f"toy: {n} utterances are compared; LEFT OUT, as the other run does not answer them: {n_more} of A, 0 of B"
    assert said in " ".join(shown.out.split())
    assert (tmp_path / "table.csv").read_text().splitlines()[1].endswith(f",{n},{n_more},0,left out")
    assert found == {"n_shared": n, "n_alone": [n_more, 0], "left_out": True}


@pytest.mark.parametrize("words", [(), ("one",), ("one", "--a", "two", "--b", "three"), ("--a", "one")])
def test_compare_says_what_it_takes(voxemo: Command, words: tuple[str, ...]) -> None:
    done = voxemo("compare", *words)

    assert done.code == 1
    assert "give two or more run folders" in done.err
