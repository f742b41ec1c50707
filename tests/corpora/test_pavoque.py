import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.pavoque import parse
from voxemo.corpora.prepare import describe
from voxemo.corpora.tree import CorpusTree

RECORD = "- prompt: zeta9001\n  text: {text}\n  style: {style}\n  start: {start}\n  end: {end}\n"
PHONES = "  segments:\n  - {lab: H#, end: 0.4}\n  - {lab: '?', end: 0.5}\n  - {lab: ':', end: 2.5}\n"


def record(*, text: str = "Der Tee ist kalt.", style: str = "angry", start: str = "0.0", end: str = "2.5") -> str:
    return RECORD.format(text=text, style=style, start=start, end=end)


def tree(table: str) -> CorpusTree:
    return CorpusTree({"pavoque-outtakes.flac": "", "pavoque-outtakes.yaml": table})


def test_utterances_are_segments_of_one_file() -> None:
    first, second = parse(tree("---\n" + record() + PHONES + record(style="sad", start="2.5", end="6") + PHONES))

    assert (first.start_s, first.end_s, second.start_s, second.end_s) == (0.0, 2.5, 2.5, 6.0)
    assert {first.audio_path, second.audio_path} == {"pavoque-outtakes.flac"}


def test_one_prompt_in_several_styles_gives_several_utterances_even_at_the_same_time() -> None:
    parsed = list(parse(tree(record(style="happy") + record(style="poker"))))

    assert [one.stem for one in parsed] == ["zeta9001-happy", "zeta9001-poker"]
    assert describe(corpus_card("pavoque"), parsed).report.n_utterances == 2


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("No", "No"),
        ("1984", "1984"),
        ("'Er sagt: nein.'", "Er sagt: nein."),
        ("'Zwei ''Tassen'''", "Zwei 'Tassen'"),
        ('"Zwei \\"Tassen\\""', 'Zwei "Tassen"'),
        ("Ein langer Satz,\n    umbrochen.", "Ein langer Satz, umbrochen."),
    ],
    ids=["truth value", "number", "colon", "single quotes", "double quotes", "two lines"],
)
def test_what_is_spoken_stays_text(written: str, text: str) -> None:
    (one,) = parse(tree(record(text=written) + PHONES))

    assert one.transcript == text


def test_phones_that_are_indented_otherwise_do_no_harm() -> None:
    (one,) = parse(tree(record() + PHONES.replace("  - ", "    - ")))

    assert one.end_s == 2.5


@pytest.mark.parametrize(
    "table",
    [
        "- file: ./wav/zeta9001.wav\n  date: 2007-11-05T09:14:32+0100\n  style: happy\n",
        "prompt: zeta9001\nstyle: angry\n",
        "",
        "- zeta9001\n",
        record(end="0.0"),
        record(start="early"),
    ],
    ids=["an earlier version", "no list", "empty", "names only", "no length", "no number"],
)
def test_a_table_of_another_form_is_refused(table: str) -> None:
    with pytest.raises(WrongLayout, match=r"prompt, text, style, start, end in 'pavoque-outtakes\.yaml'"):
        list(parse(tree(table)))


def test_what_is_no_yaml_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"YAML in 'pavoque-outtakes\.yaml'"):
        list(parse(tree("- prompt: [zeta9001\n")))


def test_a_recording_without_its_table_is_refused_with_where_to_get_it() -> None:
    with pytest.raises(WrongLayout, match=r"'pavoque-sad\.yaml'.*github\.com/marytts/pavoque-data"):
        list(parse(CorpusTree({"pavoque-sad.flac": ""})))
