import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.corpora.parsers.cafe import parse
from voxemo.corpora.prepare import check_counts, check_layout, describe
from voxemo.corpora.tree import CorpusTree

FOLDERS = {
    "C": "Colère",
    "D": "Dégoût",
    "J": "Joie",
    "N": "Neutre",
    "P": "Peur",
    "S": "Surprise",
    "T": "Tristesse",
}
# What unzip tools make of the archive's names, written with escapes: two of the characters look like others.
SPOILT = {"C": "Col\u0160re", "D": "D\u201ago\u2013t"}


def names(folders: dict[str, str]) -> list[str]:
    """The corpus by its naming scheme, in the given folders."""
    return [
        f"{folders[letter]}/{'' if letter == 'N' else intensity + '/'}{actor:02}-{letter}-{number}-{sentence}.wav"
        for letter in folders
        for number, intensity in enumerate(("Faible", "Fort"), 1)
        for actor in range(1, 13)
        for sentence in range(1, 7)
        if not (letter == "N" and number == 2)
    ]


@pytest.mark.parametrize("folders", [FOLDERS, FOLDERS | SPOILT], ids=["accents", "accents in a DOS encoding"])
@pytest.mark.parametrize("root", ["CaFE_48k/", ""], ids=["with the archive's folder", "without it"])
def test_folders_whose_accents_unpacking_spoils_do_not_matter(folders: dict[str, str], root: str) -> None:
    card = corpus_card("cafe")
    tree = CorpusTree({f"{root}{name}": "" for name in names(folders)})

    check_layout(card, tree)
    parsed = list(parse(tree))

    assert [one.audio_path for one in parsed] == sorted(f"{root}{name}" for name in names(folders))
    assert all(one.expressed_raw == one.stem[3] for one in parsed)
    check_counts(card, describe(card, parsed).report)


def test_neutral_has_no_folder_of_an_intensity() -> None:
    (one,) = parse(CorpusTree({"CaFE_48k/Neutre/91-N-1-1.wav": ""}))

    assert (one.stem, one.speaker_id, one.expressed_raw) == ("91-N-1-1", "91", "N")


def test_of_two_releases_the_one_at_48_khz_is_read() -> None:
    (one,) = parse(CorpusTree({"CaFE_192k_1/Joie/Fort/91-J-2-1.wav": "", "CaFE_48k/Joie/Fort/91-J-2-1.wav": ""}))

    assert one.audio_path == "CaFE_48k/Joie/Fort/91-J-2-1.wav"


def test_the_release_at_192_khz_alone_is_read() -> None:
    tree = CorpusTree({"CaFE_192k_1/Joie/Fort/91-J-2-1.wav": "", "CaFE_192k_2/Peur/Fort/92-P-2-1.wav": ""})

    check_layout(corpus_card("cafe"), tree)
    assert [one.stem for one in parse(tree)] == ["91-J-2-1", "92-P-2-1"]
