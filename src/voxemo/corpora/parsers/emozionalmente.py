"""Emozionalmente: audio/<time stamp in ms>.wav, and metadata/{samples,users,evaluations}.csv."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from voxemo.core.errors import listing
from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

SAMPLES = "metadata/samples.csv"
USERS = "metadata/users.csv"
EVALUATIONS = "metadata/evaluations.csv"

NAME = re.compile(r"\d{13}")
GENDERS = ("female", "male")
N_HASH = 12
"""Characters of an actor's hash that published lists keep; they tell all actors apart."""


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every clip with its intended emotion, and the listeners' votes with their plurality; ties have none.

    The votes are every row of the evaluations, whatever it says about the audio's quality.

    Raises:
        WrongLayout: the table of clips is missing, or a table is not in its provider's form.
    """
    if not tree.exists(SAMPLES):
        raise tree.wrong_layout(
            f"the table {SAMPLES!r}",
            listing(tree.top_level()),
            "It is in the same archive as the audio: unpack all of it.",
        )
    columns = ("file_name", "sentence", "actor", "emotion_expressed")
    samples = {row["file_name"]: row for row in tree.read_csv(SAMPLES, columns=columns)}
    users = _users(tree)
    votes = _votes(tree)
    for path in tree.glob("audio/*.wav"):
        sample = samples.get(path.name)
        if sample is None or not NAME.fullmatch(path.stem):
            continue
        gender, age = users.get(sample["actor"], (None, None))
        counts = votes.get(path.name, Counter())
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=sample["emotion_expressed"],
            perceived_raw=_plurality(counts),
            votes_raw={"all": dict(counts)} if counts else {},
            speaker_id=sample["actor"][:N_HASH],
            speaker_gender=gender,
            speaker_age=age,
            transcript=sample["sentence"],
        )


def _users(tree: CorpusTree) -> dict[str, tuple[str | None, int | None]]:
    if not tree.exists(USERS):
        return {}
    rows = tree.read_csv(USERS, columns=("username", "gender", "age"))
    return {
        row["username"]: (
            row["gender"] if row["gender"] in GENDERS else None,
            int(row["age"]) if row["age"].isdecimal() else None,
        )
        for row in rows
    }


def _votes(tree: CorpusTree) -> dict[str, Counter[str]]:
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    if tree.exists(EVALUATIONS):
        for row in tree.read_csv(EVALUATIONS, columns=("file_name", "emotion_recognized")):
            votes[row["file_name"]][row["emotion_recognized"]] += 1
    return votes


def _plurality(counts: Counter[str]) -> str | None:
    most = max(counts.values(), default=0)
    leaders = [emotion for emotion, n in counts.items() if n == most]
    return leaders[0] if len(leaders) == 1 else None
