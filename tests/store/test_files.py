from pathlib import Path

import polars as pl
import pytest

from voxemo.core.errors import RunError
from voxemo.core.types import Fold, Utterance
from voxemo.store.files import read_json, write_atomically, write_json
from voxemo.store.tables import (
    SPLIT,
    UTTERANCES,
    read_table,
    split_folds,
    split_frame,
    utterance_frame,
    utterance_rows,
    write_table,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})

    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match=r"facts\.json could not be written \(No space left on device\)"):
        write_atomically(path, fail)

    assert read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["facts.json"]


def test_a_missing_file_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the step that writes it has not run"):
        read_json(tmp_path / "prepare.json")


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{", encoding="utf-8")

    with pytest.raises(RunError, match=r"is damaged .*Run the step that writes it again"):
        read_json(tmp_path / "x.json")


def test_utterances_survive_their_table(tmp_path: Path) -> None:
    one = Utterance(
        utterance_id="c/a", corpus_id="c", audio_path="a.wav", language="en", speaker_age=3, expressed="sad"
    )
    two = Utterance(utterance_id="c/b", corpus_id="c", audio_path="ü b.wav", language="en", duration_s=1.5)
    write_table(tmp_path / "t.parquet", utterance_frame([one, two]), UTTERANCES)

    assert utterance_rows(read_table(tmp_path / "t.parquet", UTTERANCES)) == (one, two)


def test_folds_survive_their_table_in_order() -> None:
    folds = (
        Fold(fold_id="10", partitions={"train": ("b", "c"), "test": ("a",)}),
        Fold(fold_id="2", partitions={"train": ("a", "c"), "test": ("b",)}),
    )

    assert split_folds(split_frame(folds)) == folds


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    folds = (Fold(fold_id="1", partitions={"train": ("b",), "test": ("a",)}),)
    for name in ("x", "y"):
        write_table(tmp_path / name, split_frame(folds), SPLIT)

    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"fold": ["1"]}).write_parquet(tmp_path / "t.parquet")

    with pytest.raises(RunError, match="other columns than this version writes: fold"):
        read_table(tmp_path / "t.parquet", SPLIT)


def test_a_damaged_table_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nonsense")

    with pytest.raises(RunError, match=r"is damaged .*Run the step that writes it again"):
        read_table(tmp_path / "t.parquet", SPLIT)
