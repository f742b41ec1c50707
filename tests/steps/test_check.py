import shutil
from pathlib import Path

import pytest
import soundfile as sf

from voxemo.catalog import lookup
from voxemo.core.errors import CardError, CorpusNotFound, UnknownName
from voxemo.steps.check import check_corpus
from voxemo.steps.prepare import prepare_corpus
from voxemo.store.files import read_json, write_json
from voxemo.store.layout import Workspace


@pytest.fixture
def corpus(toy_workspace: Workspace, tmp_path: Path) -> Path:
    """A copy of the folder that the workspace was prepared from."""
    return Path(shutil.copytree(toy_workspace.root.parent / "corpus", tmp_path / "corpus"))


def test_a_folder_is_compared_with_its_manifest(workspace: Workspace, corpus: Path) -> None:
    samples, rate = sf.read(corpus / "clips/t00_sad_0.wav")
    sf.write(corpus / "clips/t00_sad_0.wav", samples[::-1], rate)
    (corpus / "clips/t00_sad_1.wav").unlink()

    result = check_corpus(workspace, "toy", corpus)

    named = {finding.code: finding.names for finding in result.diagnosis.problems}
    assert named["altered"] == ("toy/t00_sad_0",)
    assert named["missing"] == ("toy/t00_sad_1",)
    assert result.diagnosis.compared_with_manifest


def test_without_a_manifest_the_card_is_enough(toy_workspace: Workspace, tmp_path: Path) -> None:
    result = check_corpus(Workspace(tmp_path / "empty"), "toy", toy_workspace.root.parent / "corpus")

    assert result.diagnosis.fit
    assert not result.diagnosis.compared_with_manifest
    assert not (tmp_path / "empty").exists()


def test_a_manifest_of_another_card_is_noted_and_left_out(workspace: Workspace, corpus: Path) -> None:
    report = read_json(workspace.prepare_report("toy"))
    write_json(workspace.prepare_report("toy"), report | {"corpus_card_sha256": "0" * 64})

    result = check_corpus(workspace, "toy", corpus)

    (noted,) = (finding for finding in result.diagnosis.findings if finding.code == "manifest-unread")
    assert noted.severity == "note"
    assert "another version of its card" in noted.text
    assert result.diagnosis.fit
    assert not result.diagnosis.compared_with_manifest


def test_a_manifest_of_a_part_does_not_make_the_whole_unfit(
    toy_workspace: Workspace, corpus: Path, tmp_path: Path
) -> None:
    for path in (corpus / "clips").glob("t00_sad_*.wav"):
        path.unlink()
    part = Workspace(tmp_path / "part")
    prepare_corpus(part, "toy", corpus, partial=True)

    result = check_corpus(part, "toy", toy_workspace.root.parent / "corpus")

    (new,) = (finding for finding in result.diagnosis.findings if finding.code == "not-in-manifest")
    assert (new.severity, new.number) == ("warning", 5)
    assert result.diagnosis.fit


OWN_CLIPS = [f"clips/t00_{label}_{take}.wav" for label in ("happy", "sad") for take in range(4)]


@pytest.fixture
def own_card(tmp_path: Path) -> Path:
    """A user's own card and table about eight clips of the toy corpus."""
    toy = lookup.corpus_card("toy").model_dump(exclude={"perception"})
    rule = {"policy": "stratified_random", "seed": 1, "source": "made up", "why": "made up"}
    write_json(
        tmp_path / "mine/card.json",
        toy
        | {"corpus_id": "mine", "manifest": "table.csv", "label_sources": ["expressed"], "gold": "expressed"}
        | {"labels": {"names": ["happy", "sad"], "raw": {"happy": "happy", "sad": "sad"}}}
        | {"expected": {"n_utterances": 8}, "split": rule},
    )
    rows = [f"{name},{name[10:].partition('_')[0]},t00" for name in OWN_CLIPS]
    (tmp_path / "mine/table.csv").write_text("\n".join(["audio_path,expressed,speaker_id", *rows]), encoding="utf-8")
    return tmp_path / "mine/card.json"


def test_audio_that_a_users_own_table_names_in_vain_is_named_file_by_file(
    corpus: Path, own_card: Path, tmp_path: Path
) -> None:
    (corpus / OWN_CLIPS[0]).unlink()

    result = check_corpus(Workspace(tmp_path / "empty"), str(own_card), corpus)

    (problem,) = result.diagnosis.problems
    assert (problem.code, problem.number) == ("missing-file", 1)
    assert "t00_happy_0" in problem.names[0]
    assert result.diagnosis.report.n_utterances == 8


def test_codes_that_a_users_own_card_lacks_are_counted(corpus: Path, own_card: Path, tmp_path: Path) -> None:
    table = own_card.with_name("table.csv")
    table.write_text(table.read_text().replace("t00_sad_0.wav,sad", "t00_sad_0.wav,blue"))

    result = check_corpus(Workspace(tmp_path / "empty"), str(own_card), corpus)

    named = {finding.code: finding.names for finding in result.diagnosis.problems}
    assert named["unmapped-label"] == ("blue",)


def test_a_users_own_card_that_prepare_refuses_is_refused_here_too(
    corpus: Path, own_card: Path, tmp_path: Path
) -> None:
    card = read_json(own_card)
    card["labels"]["names"].append("weary")
    write_json(own_card, card)

    with pytest.raises(CardError, match=r"no code of labels\.raw means 'weary'"):
        check_corpus(Workspace(tmp_path / "empty"), str(own_card), corpus)


@pytest.mark.parametrize(("name", "error"), [("toy", CorpusNotFound), ("nonsense", UnknownName)])
def test_no_folder_and_no_corpus_are_errors(workspace: Workspace, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_corpus(workspace, name, workspace.root / "nowhere")
