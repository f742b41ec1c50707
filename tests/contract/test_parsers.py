"""What every parser promises, checked on ten made-up utterances in its provider's own form."""

import json
from pathlib import Path, PurePosixPath
from pkgutil import iter_modules

import pytest

from voxemo.catalog.lookup import builtin_names, corpus_card
from voxemo.core.cards import CorpusCard
from voxemo.core.errors import WrongLayout
from voxemo.core.types import ParsedUtterance
from voxemo.corpora import parsers
from voxemo.corpora.parsers import parser_for
from voxemo.corpora.prepare import check_layout, describe, unread_audio
from voxemo.corpora.tree import CorpusTree

FIXTURES = Path(__file__).parents[1] / "corpora"

# Their names repeat in folders that lie at two depths.
SECOND_COPY_REFUSED = {"emov-db", "enterface"}

pytestmark = pytest.mark.parametrize("corpus_id", builtin_names("corpora"))


@pytest.fixture
def card(corpus_id: str) -> CorpusCard:
    return corpus_card(corpus_id)


@pytest.fixture
def folder(corpus_id: str) -> Path:
    return FIXTURES / corpus_id / "tree"


@pytest.fixture
def parsed(corpus_id: str, folder: Path) -> list[ParsedUtterance]:
    return list(parser_for(corpus_id)(CorpusTree(folder)))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_parser_reads_its_ten_utterances(corpus_id: str, parsed: list[ParsedUtterance]) -> None:
    lines = (FIXTURES / corpus_id / "expected.jsonl").read_text(encoding="utf-8").splitlines()

    assert parsed == [ParsedUtterance(**json.loads(line)) for line in lines]
    assert len(parsed) == 10


def test_the_card_describes_all_that_the_parser_yields(card: CorpusCard, parsed: list[ParsedUtterance]) -> None:
    codes = {code for one in parsed for code in (one.expressed_raw, one.perceived_raw) if code is not None}
    codes |= {code for one in parsed for votes in one.votes_raw.values() for code in votes}
    rules = {rule for one in parsed for rule in one.votes_raw}

    assert codes <= {*card.labels.raw, *card.labels.dropped}
    assert rules <= set(card.perception.vote_rules if card.perception is not None else ())
    assert {one.speaker_gender for one in parsed} <= {"female", "male", None}
    assert len({one.stem for one in parsed}) == len(parsed)


def test_every_label_source_of_the_card_is_read(card: CorpusCard, parsed: list[ParsedUtterance]) -> None:
    report = describe(card, parsed).report

    assert all(report.labelled[source] > 0 for source in card.label_sources)
    assert all(n > 0 for n in report.voted.values())


def test_the_card_knows_the_audio_files_and_none_is_left(
    card: CorpusCard, folder: Path, parsed: list[ParsedUtterance]
) -> None:
    tree = CorpusTree(folder)

    check_layout(card, tree)
    assert {one.audio_path for one in parsed} <= set(map(str, tree.files()))
    assert {one.audio_path for one in parsed} <= {
        str(path) for pattern in card.audio_files for path in tree.glob(pattern)
    }
    assert unread_audio(card, tree, parsed) == []


def test_the_order_of_the_folder_does_not_matter(corpus_id: str, folder: Path, parsed: list[ParsedUtterance]) -> None:
    backwards = dict(reversed(contents(folder).items()))

    assert list(parser_for(corpus_id)(CorpusTree(backwards))) == parsed


def test_parsing_writes_and_prints_nothing(
    corpus_id: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    monkeypatch.chdir(tmp_path)

    list(parser_for(corpus_id)(CorpusTree(folder)))

    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_files_of_foreign_names_are_left_to_the_report(
    corpus_id: str, card: CorpusCard, folder: Path, parsed: list[ParsedUtterance]
) -> None:
    ending = Path(card.audio_files[0]).suffix
    strays = {f"zz stray{ending}", str(PurePosixPath(parsed[0].audio_path).with_name(f"zz stray{ending}"))}
    tree = CorpusTree(contents(folder) | dict.fromkeys(strays, b""))

    assert list(parser_for(corpus_id)(tree)) == parsed
    assert unread_audio(card, tree, parsed) == sorted(strays)


def test_a_second_copy_below_the_root_counts_nothing_twice(
    corpus_id: str, card: CorpusCard, folder: Path, parsed: list[ParsedUtterance]
) -> None:
    once = contents(folder)
    tree = CorpusTree(once | {f"again/{path}": content for path, content in once.items()})

    if corpus_id in SECOND_COPY_REFUSED:
        with pytest.raises(WrongLayout, match="every utterance once"):
            describe(card, list(parser_for(corpus_id)(tree)))
        return

    assert list(parser_for(corpus_id)(tree)) == parsed
    assert unread_audio(card, tree, parsed) == sorted({f"again/{one.audio_path}" for one in parsed})


def test_a_form_that_only_documents_tell_is_refused_with_what_was_found(
    corpus_id: str, card: CorpusCard, parsed: list[ParsedUtterance]
) -> None:
    wrong = FIXTURES / corpus_id / "wrong"
    if card.layout == "verified":
        assert not wrong.exists(), "real files were seen, so there is no doubt to guard against"
        return

    with pytest.raises(WrongLayout) as caught:
        describe(card, list(parser_for(corpus_id)(CorpusTree(wrong))))

    assert caught.value.expected
    assert caught.value.found


def test_every_parser_module_has_a_card(corpus_id: str) -> None:
    modules = {module.name for module in iter_modules(parsers.__path__) if not module.name.startswith("_")}

    assert corpus_id.replace("-", "_") in modules
    assert modules <= {name.replace("-", "_") for name in builtin_names("corpora")}
