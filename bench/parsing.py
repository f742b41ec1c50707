"""Time of reading one answer: micro-seconds for ordinary ones, milliseconds for hostile ones.

    python bench/parsing.py

Every figure is the CPU time of the best of several runs, by both forms and both readings.
"""

from collections.abc import Callable
from time import process_time
from timeit import Timer
from typing import cast, get_args

from voxemo.catalog.lookup import label_table
from voxemo.core.labels import LabelSet
from voxemo.core.types import ParsedPrediction, Reading
from voxemo.parsing.hard import parse_hard
from voxemo.parsing.soft import parse_distribution

Parse = Callable[..., ParsedPrediction]

NAMES = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
MEGABYTES = 10
SIZE = MEGABYTES * 1_000_000

LABEL = "FINAL LABEL: "
FIELD = "EMOTION DISTRIBUTION: "
PROSE = (
    "ASR TRANSCRIPT: kids are talking by the door\nACOUSTIC CAPTION: " + "a high, loud voice with long pauses, " * 20
)

ORDINARY = {
    "label alone": LABEL + "Happy",
    "prose, then label": f"{PROSE}\n{LABEL}Happy",
    "label in bold": f"{PROSE}\n**FINAL LABEL:** **Happy**",
    "label in a sentence": f"{PROSE}\n{LABEL}The speaker sounds happy (high confidence)",
    "no field": PROSE,
    "distribution": f'{PROSE}\n{FIELD}{{"Angry": 0.1, "Happy": 0.7, "Sad": 0.2}}\n{LABEL}Happy',
    "distribution, single quotes": f"{PROSE}\n{FIELD}{{'Angry': 0.1, 'Happy': 0.7, 'Sad': 0.2}}\n{LABEL}Happy",
}

HOSTILE = {
    "one letter": "a" * SIZE,
    "white space": " " * SIZE,
    "not ASCII": "\u6124" * (SIZE // 3),
    "lone surrogates": "\ud800" * (SIZE // 3),
    "label, then a runaway": f"{LABEL}Happy\n" + "ha " * (SIZE // 3),
    "label line that never ends": LABEL + "Happy " * (SIZE // 6),
    "first word of the field, always": "FINAL " * (SIZE // 6),
    "first word, then blanks": "FINAL" + " " * SIZE,
    "the field, always": LABEL * (SIZE // len(LABEL)),
    "labels and negations": LABEL + "not happy or sad, " * (SIZE // 18),
    "markup": LABEL + "*<b>_`" * (SIZE // 6),
    "brackets and points": LABEL + ").(" * (SIZE // 3),
    "bidirectional marks": LABEL + "\u202e" * (SIZE // 3),
    "open brackets": FIELD + "{" * SIZE,
    "open arrays in a value": f'{FIELD}{{"Happy":' + "[" * SIZE,
    "open strings": FIELD + '{"' * (SIZE // 2),
    "escapes": FIELD + '{"' + "\\" * SIZE,
    "one key, a million times": FIELD + "{" + '"Happy": 1, ' * (SIZE // 12),
    "one loose key, a million times": FIELD + "{" + "'Happy': 1, " * (SIZE // 12),
    "a number of millions of digits": f'{FIELD}{{"Happy": ' + "9" * SIZE + "}",
    "commas": FIELD + "{" + "," * SIZE,
    "quotes": FIELD + "{" + "'" * SIZE,
    "field names of distributions": "EMOTION DISTRIBUTION" * (SIZE // 20),
}


def labels() -> LabelSet:
    """Eight labels with every word that the table has for them."""
    table = label_table()
    entries = {name: table.labels[name] for name in NAMES}
    return LabelSet(
        NAMES,
        aliases={word: name for name, entry in entries.items() for word in entry.aliases},
        translations={w: name for name, entry in entries.items() for ws in entry.translations.values() for w in ws},
    )


def best_s(parse: Parse, text: str, label_set: LabelSet, reading: Reading, *, number: int, repeat: int) -> float:
    """CPU seconds of one call."""
    timer = Timer(lambda: parse(text, label_set, reading=reading), timer=process_time)
    return min(timer.repeat(repeat=repeat, number=number)) / number


def print_table(title: str, answers: dict[str, str], *, scale: float, number: int, repeat: int) -> None:
    """Measure every answer by both forms and readings, and print a line for each."""
    label_set = labels()
    readings = cast(tuple[Reading, ...], get_args(Reading))
    forms: dict[str, Parse] = {"hard": parse_hard, "distribution": parse_distribution}
    heads = [f"{form} {reading}" for form in forms for reading in readings]
    print(f"{title:<34}" + "".join(f"{head:>22}" for head in heads))
    for name, text in answers.items():
        times = [
            best_s(parse, text, label_set, reading, number=number, repeat=repeat) * scale
            for parse in forms.values()
            for reading in readings
        ]
        print(f"{name:<34}" + "".join(f"{time:>22.1f}" for time in times))
    print()


if __name__ == "__main__":
    print_table("ordinary answer, micro-seconds", ORDINARY, scale=1e6, number=200, repeat=5)
    print_table(f"hostile answer of {MEGABYTES} MB, ms", HOSTILE, scale=1e3, number=1, repeat=3)
