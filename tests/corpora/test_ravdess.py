import pytest

from voxemo.catalog.lookup import corpus_card
from voxemo.core.errors import WrongLayout
from voxemo.corpora.parsers.ravdess import parse
from voxemo.corpora.prepare import unread_audio
from voxemo.corpora.tree import CorpusTree


def test_songs_and_videos_are_no_utterances() -> None:
    names = ("01-01-05-01-01-01-12.wav", "02-01-05-01-01-01-12.wav", "03-02-05-01-01-01-12.wav")
    tree = CorpusTree(dict.fromkeys([f"Actor_12/{name}" for name in (*names, "03-01-05-01-01-01-12.wav")], ""))

    (one,) = parse(tree)

    assert one.stem == "03-01-05-01-01-01-12"
    assert unread_audio(corpus_card("ravdess"), tree, [one]) == [f"Actor_12/{name}" for name in names]


@pytest.mark.parametrize("outer", ["", "archive/"], ids=["without a top folder", "below a top folder"])
def test_the_nested_second_copy_is_left_unread(outer: str) -> None:
    inner = f"{outer}audio_speech_actors_01-24/Actor_12/03-01-05-01-01-01-12.wav"
    tree = CorpusTree({f"{outer}Actor_12/03-01-05-01-01-01-12.wav": "", inner: ""})

    (one,) = parse(tree)

    assert one.audio_path == f"{outer}Actor_12/03-01-05-01-01-01-12.wav"
    assert unread_audio(corpus_card("ravdess"), tree, [one]) == [inner]


def test_odd_actors_are_men_and_even_ones_women() -> None:
    man, woman = parse(CorpusTree({f"Actor_{n}/03-01-05-01-02-01-{n}.wav": "" for n in ("11", "12")}))

    assert (man.speaker_gender, woman.speaker_gender) == ("male", "female")
    assert (man.expressed_raw, man.transcript) == ("05", "Dogs are sitting by the door.")


def test_a_file_in_the_folder_of_another_actor_is_refused() -> None:
    with pytest.raises(WrongLayout, match=r"in the folder 'Actor_12', as its last number says, found it in 'Actor_13'"):
        list(parse(CorpusTree({"Actor_13/03-01-05-01-01-01-12.wav": ""})))
