import pytest

from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.emovo import parse
from voxemo.corpora.tree import CorpusTree


def test_a_speakers_folder_that_contradicts_the_name_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"'dis-m9-b1\.wav' in the folder 'm9', as its name says, found it in 'f8'"):
        list(parse(CorpusTree({"f8/dis-m9-b1.wav": ""})))


def test_the_archives_own_folder_may_stand_above_the_speakers() -> None:
    (one,) = parse(CorpusTree({"EMOVO/f8/tri-f8-n4.wav": "", "EMOVO/documents/readme.txt": ""}))

    assert (one.stem, one.audio_path, one.speaker_id) == ("tri-f8-n4", "EMOVO/f8/tri-f8-n4.wav", "f8")
