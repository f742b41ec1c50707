from voxemo.corpora.parsers.subesco import parse
from voxemo.corpora.tree import CorpusTree


def test_a_stray_bracket_after_the_take_is_read_over() -> None:
    (one,) = parse(CorpusTree({"F_91_ALPHA_S_2_SURPRISE_3].wav": ""}))

    assert (one.stem, one.expressed_raw) == ("F_91_ALPHA_S_2_SURPRISE_3]", "SURPRISE")


def test_a_woman_and_a_man_of_one_number_are_two_speakers() -> None:
    parsed = list(parse(CorpusTree({"F_91_ALPHA_S_1_SAD_1.wav": "", "M_91_GAMMA_S_1_SAD_1.wav": ""})))

    assert [(one.speaker_id, one.speaker_gender) for one in parsed] == [("F_91", "female"), ("M_91", "male")]


def test_an_emotion_in_the_speakers_name_is_not_read_as_the_emotion() -> None:
    (one,) = parse(CorpusTree({"F_91_HAPPY_S_1_SAD_1.wav": ""}))

    assert one.expressed_raw == "SAD"


def test_the_archives_own_folder_may_stand_above_the_files() -> None:
    (one,) = parse(CorpusTree({"SUBESCO/M_91_GAMMA_S_10_FEAR_5.wav": ""}))

    assert one.audio_path == "SUBESCO/M_91_GAMMA_S_10_FEAR_5.wav"
