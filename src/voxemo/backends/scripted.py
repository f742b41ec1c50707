"""Answers made elsewhere: from a JSONL file, or from a function. For scoring other people's answers, tests and docs."""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeAlias, get_args

from voxemo.backends.base import Question
from voxemo.core.errors import AnswerFileError
from voxemo.core.types import Form, Response

AnswerKey: TypeAlias = tuple[str, str, str]
"""Utterance id, variant id and form."""

KEYS = ("utterance_id", "variant_id", "form", "text")
FORMS: tuple[str, ...] = get_args(Form)
EXPECTED = (
    'Each line must be one JSON object such as {"utterance_id": "urdu/SM1_F10_A010", "variant_id": "direct", '
    f'"form": "hard", "text": "FINAL LABEL: Angry"}}, with the form one of {", ".join(FORMS)}, in a UTF-8 file.'
)
MOST_SHOWN = 3


def read_answers(path: Path) -> dict[AnswerKey, str]:
    """Read a JSONL file of answers, one object with ``utterance_id``, ``variant_id``, ``form`` and ``text`` a line.

    Further keys are ignored, and so are empty lines, a byte order mark and an answer that stands there twice.

    Raises:
        AnswerFileError: the file cannot be read, a line is no answer, or one question has two different answers.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as cause:
        line_number = cause.object.count(b"\n", 0, cause.start) + 1
        raise AnswerFileError(f"{path}, line {line_number}: this is not UTF-8 text. {EXPECTED}") from cause
    except OSError as cause:
        raise AnswerFileError(f"The answer file {path} cannot be read: {cause.strerror}. Check its name.") from cause
    answers: dict[AnswerKey, str] = {}
    first_lines: dict[AnswerKey, int] = {}
    problems: list[str] = []
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            key, text = _answer(line)
        except ValueError as cause:
            problems.append(f"line {line_number}: {cause}")
            continue
        if answers.setdefault(key, text) != text:
            problems.append(f"line {line_number}: another answer than line {first_lines[key]} has for {_shown(key)}")
        first_lines.setdefault(key, line_number)
    if problems:
        raise AnswerFileError(f"The answer file {path} cannot be used: {_first(problems)}. {EXPECTED}")
    return answers


def _answer(line: str) -> tuple[AnswerKey, str]:
    """Read one line; ValueError says what is wrong with it."""
    try:
        content: Any = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply to be an answer") from None
    except ValueError as cause:
        raise ValueError(f"no JSON ({cause})") from cause
    if not isinstance(content, dict):
        raise ValueError("JSON, but no object")
    for name in KEYS:
        if name not in content:
            raise ValueError(f"the key {name!r} is missing")
        if not isinstance(content[name], str):
            raise ValueError(f"{name!r} is no string")
    if content["form"] not in FORMS:
        raise ValueError(f"the form {content['form'][:40]!r} does not exist")
    return (content["utterance_id"], content["variant_id"], content["form"]), content["text"]


def check_answers(answers: Mapping[AnswerKey, str], known_requests: Set[AnswerKey]) -> None:
    """Check that answers belong to a run; a run may ask for more than there are answers.

    Raises:
        AnswerFileError: an answer is to a question that the run does not ask.
    """
    unknown = sorted(answers.keys() - known_requests)
    if not unknown:
        return
    utterances, variants, forms = ({key[part] for key in known_requests} for part in range(3))
    example = f", such as {min(utterances)!r}," if utterances else ""
    raise AnswerFileError(
        f"{len(unknown)} of {len(answers)} answers are to questions that this run does not ask: "
        f"{_first([_shown(key) for key in unknown])}. The run asks about {len(utterances)} utterances{example} with "
        f"variants {', '.join(sorted(variants)) or 'none'} in forms {', '.join(sorted(forms)) or 'none'}. "
        "Check that the file was made for this run."
    )


def _shown(key: AnswerKey) -> str:
    utterance_id, variant_id, form = key
    return f"utterance {utterance_id!r} (variant {variant_id!r}, form {form!r})"


def _first(problems: Sequence[str]) -> str:
    rest = len(problems) - MOST_SHOWN
    return "; ".join(problems[:MOST_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


class ScriptedBackend:
    """A backend that hears nothing and says what it was told to.

    Args:
        answers: what `read_answers` gives, or a function from a question to its answer.
    """

    def __init__(self, answers: Mapping[AnswerKey, str] | Callable[[Question], str]) -> None:
        self._answers = answers

    @property
    def questions_per_call(self) -> int:
        """Questions that one call should hold: many, since nothing is computed."""
        return 1_000

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        """Answer every question, in order. One without an answer gets a transient error, so that it is asked again."""
        return [self._response(question) for question in questions]

    def effective(self) -> Mapping[str, Any]:
        """Where the answers come from, and how many there are."""
        if callable(self._answers):
            return {"backend": "scripted", "source": "function"}
        return {"backend": "scripted", "source": "answers made elsewhere", "n_answers": len(self._answers)}

    def _response(self, question: Question) -> Response:
        key = (question.utterance_id, question.variant_id, question.form)
        text = self._answers(question) if callable(self._answers) else self._answers.get(key)
        if text is None:
            return Response(
                request_id=question.request_id,
                finish="error",
                error=f"the answer file has no answer for {_shown(key)}",
                error_kind="transient",
            )
        return Response(request_id=question.request_id, text=text)
