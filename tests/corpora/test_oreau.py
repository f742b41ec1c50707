import unicodedata

import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.oreau import parse
from voxemo.corpora.prepare import check_layout
from voxemo.corpora.tree import CorpusTree

ROOT = "OréauFR_02"


def test_a_letter_that_contradicts_the_folder_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'91a01Sa\.wav' in the folder 'sesss'.*found it in 'sesst'"):
        list(parse(CorpusTree({f"{ROOT}/f/sesst/91a01Sa.wav": ""})))


@pytest.mark.parametrize(
    "root",
    [f"{unicodedata.normalize('NFD', ROOT)}/", f"{unicodedata.normalize('NFC', ROOT)}/", "Or\u201aauFR_02/", ""],
    ids=["combining accent", "composed accent", "accent spoilt by unpacking", "the folder itself"],
)
def test_the_roots_accent_does_not_matter_and_paths_are_handed_out_as_stored(root: str) -> None:
    path = f"{root}f/sessc/91a01Ca.wav"
    tree = CorpusTree({path: ""})

    check_layout(corpus_card("oreau"), tree)
    (one,) = parse(tree)

    assert (one.audio_path, one.stem, one.speaker_gender) == (path, "91a01Ca", "female")


def test_two_files_have_z_after_the_speaker() -> None:
    parsed = list(parse(CorpusTree({f"{ROOT}/m/sesss/93a03Sa.wav": "", f"{ROOT}/m/sesss/93z03Sa.wav": ""})))

    assert [(one.stem, one.speaker_id, one.expressed_raw) for one in parsed] == [
        ("93a03Sa", "93", "S"),
        ("93z03Sa", "93", "S"),
    ]
