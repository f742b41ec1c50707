import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.core.errors import CorpusError, CorpusNotFound, WrongLayout
from voxemo.corpora.tree import CorpusTree

NAMES = st.text("abcXYZ019 _()é", min_size=1, max_size=6).map(str.strip).filter(bool)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def names(paths: tuple[PurePosixPath, ...]) -> list[str]:
    return [str(path) for path in paths]


def write(root: Path, files: dict[str, str]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    return root


# --- listing -----------------------------------------------------------------------------------------------------


@given(paths=st.lists(PATHS, unique=True, max_size=8), data=st.data())
def test_listing_does_not_depend_on_the_order_in_which_files_are_found(paths: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(paths))

    assert CorpusTree(dict.fromkeys(paths, "")).files() == CorpusTree(dict.fromkeys(shuffled, "")).files()


@given(path=PATHS)
def test_a_name_without_wildcards_matches_itself(path: str) -> None:
    assert names(CorpusTree({path: "", f"{path}x": "", f"x/{path}": ""}).glob(path)) == [path]


def test_a_folder_and_a_mapping_of_the_same_files_are_the_same_tree(tmp_path: Path) -> None:
    files = {"b/2.wav": "", "b/1.wav": "", "a b/c/x (1).wav": "", "table.csv": "one,two\n1,2\n"}

    on_disk, in_memory = CorpusTree(write(tmp_path, files)), CorpusTree(files)

    assert on_disk.files() == in_memory.files()
    assert on_disk.glob("**/*.wav") == in_memory.glob("**/*.wav")
    assert on_disk.read_csv("table.csv") == in_memory.read_csv("table.csv") == [{"one": "1", "two": "2"}]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.wav", ["top.wav"]),
        ("*/*.wav", ["JL(wav+txt)/f_1.wav", "a/m1.wav", "a/m2.wav", "a/x1.wav"]),
        ("a/[mx]1.wav", ["a/m1.wav", "a/x1.wav"]),
        ("a/[!m]?.wav", ["a/x1.wav"]),
        ("a/[a-m]*", ["a/m1.wav", "a/m2.wav"]),
        ("**/m?.wav", ["a/b/m3.wav", "a/m1.wav", "a/m2.wav"]),
        ("a/**/m3.wav", ["a/b/m3.wav"]),
        ("JL(wav+txt)/*", ["JL(wav+txt)/f_1.wav"]),
        ("A/*.wav", []),
        ("a", []),
    ],
)
def test_patterns_match_whole_names_folder_by_folder(pattern: str, found: list[str]) -> None:
    files = ["top.wav", "a/m1.wav", "a/m2.wav", "a/x1.wav", "a/b/m3.wav", "JL(wav+txt)/f_1.wav", "notes.txt"]
    tree = CorpusTree(dict.fromkeys(files, ""))

    assert names(tree.glob(pattern)) == found
    assert tree.has(pattern) is bool(found)


def test_a_bracket_in_a_name_is_matched_by_a_bracketed_bracket() -> None:
    tree = CorpusTree({"F_02_S_3].wav": "", "F_02_S_3.wav": "", "a[b.wav": "", "a^b.wav": ""})

    assert names(tree.glob("*[]].wav")) == ["F_02_S_3].wav"]
    assert names(tree.glob("a[[^]b.wav")) == ["a[b.wav", "a^b.wav"]
    assert names(tree.glob("a[!^]b.wav")) == ["a[b.wav"]


def test_hidden_files_and_archive_litter_are_not_there(tmp_path: Path) -> None:
    litter = ["a/._1.wav", ".git/x.wav", "a/.cache/y.wav", "__MACOSX/a/1.wav", ".DS_Store"]
    files = dict.fromkeys(["a/1.wav", *litter], "")

    for tree in (CorpusTree(files), CorpusTree(write(tmp_path, files))):
        assert names(tree.files()) == ["a/1.wav"]
        assert not tree.exists("a/._1.wav")


def test_decomposed_accents_match_composed_ones_and_keep_their_stored_form(tmp_path: Path) -> None:
    stored = unicodedata.normalize("NFD", "OréauFR_02/é.txt")
    tree = CorpusTree(write(tmp_path, {stored: "found"}))

    assert names(tree.glob("OréauFR_02/é.*")) == [stored]
    assert tree.exists("OréauFR_02/é.txt")
    assert tree.read_text("OréauFR_02/é.txt") == "found"


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = write(tmp_path / "corpus", {"a/1.wav": ""})
    elsewhere = write(tmp_path / "elsewhere", {"2.wav": ""})
    (root / "linked").symlink_to(elsewhere, target_is_directory=True)
    (root / "a" / "up").symlink_to(root, target_is_directory=True)

    assert names(CorpusTree(root).files()) == ["a/1.wav", "linked/2.wav"]


def test_a_link_to_nothing_is_a_file_so_that_it_is_reported(tmp_path: Path) -> None:
    (tmp_path / "1.wav").symlink_to(tmp_path / "never-fetched")

    assert names(CorpusTree(tmp_path).files()) == ["1.wav"]


def test_the_top_level_tells_folders_from_files() -> None:
    assert CorpusTree({"b/c/1.wav": "", "b/2.wav": "", "a.txt": ""}).top_level() == ("a.txt", "b/")


def test_a_missing_folder_and_an_archive_are_named(tmp_path: Path) -> None:
    (tmp_path / "urdu.zip").write_bytes(b"PK")

    with pytest.raises(CorpusNotFound, match=r"no folder .*gone.*Check --root"):
        CorpusTree(tmp_path / "gone")
    with pytest.raises(CorpusNotFound, match=r"to read urdu from\. This is a file: unpack it"):
        CorpusTree(tmp_path / "urdu.zip", corpus_id="urdu")


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path, {"a/1.wav": "", "b/1.wav": ""})

    def refuse(folder: str) -> None:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr("voxemo.corpora.tree.os.scandir", refuse)

    with pytest.raises(CorpusError, match=r"The folder '\.' of urdu cannot be read \(Permission denied\)"):
        CorpusTree(root, corpus_id="urdu").files()


# --- names -------------------------------------------------------------------------------------------------------


def test_of_tables_of_one_name_the_nearest_to_the_root_is_taken() -> None:
    tree = CorpusTree(dict.fromkeys(["a/b/t.csv", "z/t.csv", "z/not_t.csv", "c/splits/t.txt"], ""))

    assert str(tree.nearest("t.csv")) == "z/t.csv"
    assert str(tree.nearest("splits/t.txt")) == "c/splits/t.txt"
    assert tree.nearest("u.csv") is None


def test_a_file_in_another_folder_than_its_name_tells_is_refused() -> None:
    tree, path = CorpusTree({}, corpus_id="urdu"), PurePosixPath("Sad/Angry/a.wav")

    tree.check_folder(path, "Angry", by="its letter says")
    tree.check_folder(path, "Sad", by="its letter says", found="Sad")
    with pytest.raises(WrongLayout, match=r"'a\.wav' in the folder 'Sad', as its letter says, found it in 'Angry'"):
        tree.check_folder(path, "Sad", by="its letter says")


# --- text and tables ---------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_not_part_of_the_first_column() -> None:
    tree = CorpusTree({"t.csv": "\ufefffile,emotion\r\na.wav,Wut\r\n\r\n".encode(), "t.tsv": "x\ty\n1\t\n"})

    assert tree.read_csv("t.csv") == [{"file": "a.wav", "emotion": "Wut"}]
    assert tree.read_csv("t.tsv", delimiter="\t") == [{"x": "1", "y": ""}]


def test_quoted_fields_may_hold_delimiters_and_line_breaks() -> None:
    assert CorpusTree({"t.csv": '"",text\n"1","a, ""b""\nc"\n'}).read_csv("t.csv") == [{"": "1", "text": 'a, "b"\nc'}]


def test_only_the_asked_columns_are_kept() -> None:
    assert CorpusTree({"t.csv": "a,b,c\n1,2,3\n"}).read_csv("t.csv", columns=("c", "a")) == [{"a": "1", "c": "3"}]


def test_text_in_another_encoding_is_read_when_named() -> None:
    assert CorpusTree({"t.txt": "Dégoût".encode("cp850")}).read_text("t.txt", encoding="cp850") == "Dégoût"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "different column names in line 1 of 't.csv', found no line"),
        ("a,a\n1,2\n", "different column names in line 1 of 't.csv', found 'a', 'a'"),
        ("a,b\n1,2\n\n1,2,3\n", "expected 2 fields in line 4 of 't.csv', found 3 fields"),
        ("a,b\n1\n", "expected 2 fields in line 2 of 't.csv', found 1 fields"),
        ("a,c\n1,2\n", "expected a column 'b' in 't.csv', found the columns 'a', 'c'"),
        (b"a,b\n\xff,2\n", "'t.csv' to be text in utf-8, found a byte that is not at position 4"),
        ("version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer. Run `git lfs pull`"),
        ("a,b\n1," + "x" * 200_000, "expected a table in 't.csv', found field larger than field limit"),
    ],
    ids=["empty", "twin columns", "long row", "short row", "missing column", "not utf-8", "lfs pointer", "open quote"],
)
def test_a_damaged_table_is_refused_with_the_place(content: str | bytes, message: str) -> None:
    with pytest.raises(WrongLayout) as caught:
        CorpusTree({"t.csv": content}, corpus_id="urdu").read_csv("t.csv", columns=("a", "b"))

    assert message in str(caught.value)
    assert caught.value.corpus_id == "urdu"


def test_a_missing_table_is_named_with_what_is_there() -> None:
    tree = CorpusTree({"processedResults/summaryTable.csv": "", "AudioWAV/1.wav": ""}, corpus_id="crema-d")

    with pytest.raises(
        WrongLayout, match=r"expected the file 'processedResults/votes\.csv', found 'summaryTable\.csv' in"
    ):
        tree.read_csv("processedResults/votes.csv")
    with pytest.raises(
        WrongLayout, match=r"expected the file 'meta/votes\.csv', found 'AudioWAV/', 'processedResults/'"
    ):
        tree.read_text("meta/votes.csv")
    with pytest.raises(WrongLayout, match="found an empty folder"):
        CorpusTree({}).read_text("votes.csv")
