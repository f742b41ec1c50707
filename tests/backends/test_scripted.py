import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxemo.backends.base import Backend
from voxemo.backends.scripted import AnswerKey, ScriptedBackend, check_answers, read_answers
from voxemo.core.errors import AnswerFileError

KEY = ("toy/a", "direct", "hard")


def line(key: AnswerKey = KEY, text: str = "FINAL LABEL: Angry", **further: Any) -> str:
    return json.dumps({"utterance_id": key[0], "variant_id": key[1], "form": key[2], "text": text, **further})


@pytest.fixture
def answer_file(tmp_path: Path) -> Any:
    def write(*lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
        path = tmp_path / "answers.jsonl"
        path.write_bytes("".join(text + end for text in lines).encode(encoding))
        return path

    return write


# --- reading -----------------------------------------------------------------------------------------------------


@given(
    answers=st.dictionaries(
        st.tuples(st.text(), st.text(), st.sampled_from(["hard", "distribution", "likelihood"])), st.text()
    ),
    ascii_only=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_answers_of_any_text_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, answers: dict[AnswerKey, str], ascii_only: bool, end: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    objects = [
        {"utterance_id": utterance_id, "variant_id": variant_id, "form": form, "text": text}
        for (utterance_id, variant_id, form), text in answers.items()
    ]
    path.write_bytes("".join(json.dumps(one, ensure_ascii=ascii_only) + end for one in objects).encode())

    assert read_answers(path) == answers


@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl"
    path.write_bytes(content)

    try:
        assert isinstance(read_answers(path), dict)
    except AnswerFileError as error:
        assert "Each line must be one JSON object" in str(error)  # noqa: PT017


def test_a_mark_empty_lines_repeats_and_further_keys_do_no_harm(answer_file: Any) -> None:
    path = answer_file("", line(model="mine"), "  ", line(), "", encoding="utf-8-sig", end="\r\n")

    assert read_answers(path) == {KEY: "FINAL LABEL: Angry"}


def test_a_last_line_without_an_end_counts(answer_file: Any) -> None:
    assert read_answers(answer_file(line(), end="")) == {KEY: "FINAL LABEL: Angry"}


def test_an_empty_file_holds_no_answers(answer_file: Any) -> None:
    assert read_answers(answer_file()) == {}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("FINAL LABEL: Angry", "no JSON"),
        (line()[:-1], "no JSON"),
        ("[1]", "JSON, but no object"),
        ('"text"', "JSON, but no object"),
        ('{"variant_id": "direct", "form": "hard", "text": ""}', "the key 'utterance_id' is missing"),
        (line().replace('"text"', '"answer"'), "the key 'text' is missing"),
        (line().replace('"FINAL LABEL: Angry"', "null"), "'text' is no string"),
        (line().replace('"toy/a"', "7"), "'utterance_id' is no string"),
        (line(("toy/a", "direct", "soft")), "the form 'soft' does not exist"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5_000, "no JSON"),
    ],
    ids=[
        "text",
        "torn",
        "list",
        "string",
        "no utterance",
        "no text",
        "null text",
        "number as id",
        "unknown form",
        "deep",
        "huge number",
    ],
)
def test_a_line_that_is_no_answer_is_named_with_its_number_and_what_was_expected(
    answer_file: Any, bad: str, reason: str
) -> None:
    path = answer_file(line(), "", bad, line())

    with pytest.raises(AnswerFileError) as raised:
        read_answers(path)

    message = str(raised.value)
    assert f"answers.jsonl cannot be used: line 3: {reason}" in message
    assert 'Each line must be one JSON object such as {"utterance_id": ' in message
    assert len(message) < 1_000


def test_three_bad_lines_are_named_and_the_rest_counted(answer_file: Any) -> None:
    path = answer_file(line(), *["{}"] * 15)

    with pytest.raises(AnswerFileError, match=r"line 2: .*; line 3: .*; line 4: [^;]*; and 12 more\."):
        read_answers(path)


def test_two_different_answers_to_one_question_are_an_error_that_names_both_lines(answer_file: Any) -> None:
    path = answer_file(line(), line(), line(text="FINAL LABEL: Happy"))

    with pytest.raises(
        AnswerFileError, match=r"line 3: another answer than line 1 has for utterance 'toy/a' \(variant"
    ):
        read_answers(path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_named_with_the_line(answer_file: Any, encoding: str) -> None:
    path = answer_file(line(text="laut").replace("laut", "wütend"), encoding=encoding)

    with pytest.raises(AnswerFileError, match=r"answers\.jsonl, line 1: this is not UTF-8 text"):
        read_answers(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnswerFileError, match=r"none\.jsonl cannot be read: No such file"):
        read_answers(tmp_path / "none.jsonl")


# --- belonging to a run ------------------------------------------------------------------------------------------


def test_answers_to_some_of_a_runs_questions_belong_to_it() -> None:
    check_answers({KEY: ""}, {KEY, ("toy/b", "direct", "hard")})
    check_answers({}, set())


def test_answers_to_questions_that_the_run_does_not_ask_are_named_and_counted() -> None:
    answers = dict.fromkeys([KEY, *((f"other/{n}", "caption", "hard") for n in range(9))], "")

    with pytest.raises(AnswerFileError) as raised:
        check_answers(answers, {KEY, ("toy/b", "direct", "distribution")})

    assert str(raised.value) == (
        "9 of 10 answers are to questions that this run does not ask: "
        "utterance 'other/0' (variant 'caption', form 'hard'); utterance 'other/1' (variant 'caption', form 'hard'); "
        "utterance 'other/2' (variant 'caption', form 'hard'); and 6 more. "
        "The run asks about 2 utterances, such as 'toy/a', with variants direct in forms distribution, hard. "
        "Check that the file was made for this run."
    )


def test_a_run_that_asks_nothing_has_no_answers() -> None:
    with pytest.raises(AnswerFileError, match="The run asks about 0 utterances with variants none in forms none"):
        check_answers({KEY: ""}, set())


# --- answering ---------------------------------------------------------------------------------------------------


def test_questions_get_their_answers_in_order(ask: Any) -> None:
    questions = [ask(utterance_id=name, request_id=name) for name in ("toy/b", "toy/a")]
    backend = ScriptedBackend({("toy/a", "direct", "hard"): "first", ("toy/b", "direct", "hard"): ""})

    responses = backend.answer(questions)

    assert isinstance(backend, Backend)
    assert backend.questions_per_call >= 1
    assert [(r.request_id, r.text, r.finish, r.error) for r in responses] == [
        ("toy/b", "", "stop", None),
        ("toy/a", "first", "stop", None),
    ]
    assert backend.effective() == {"backend": "scripted", "source": "answers made elsewhere", "n_answers": 2}


@pytest.mark.parametrize("key", [("toy/b", "direct", "hard"), ("toy/a", "caption", "hard"), ("toy/a", "direct", "x")])
def test_a_question_without_an_answer_can_be_asked_again(ask: Any, key: AnswerKey) -> None:
    (response,) = ScriptedBackend({key: "for another question"}).answer([ask(utterance_id="toy/a")])

    assert (response.finish, response.error_kind, response.text) == ("error", "transient", "")
    assert response.error == "the answer file has no answer for utterance 'toy/a' (variant 'direct', form 'hard')"


def test_a_function_can_answer(ask: Any) -> None:
    backend = ScriptedBackend(lambda question: f"FINAL LABEL: {question.label_set.display[1]}")

    (response,) = backend.answer([ask()])

    assert response.text == "FINAL LABEL: Happy"
    assert backend.effective() == {"backend": "scripted", "source": "function"}
