"""PAVOQUE: pavoque-<style>.flac, each with pavoque-<style>.yaml, which gives its utterances' starts and ends."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree

SPEAKER = "Stefan_Roettig"
FIELDS = ("prompt", "text", "style", "start", "end")
# The phones of an utterance are nine tenths of a table, and nothing here is read from them.
PHONES = re.compile(r"^  segments:\n(?:  - .*(?:\n|\Z))+", re.MULTILINE)
# Every scalar stays text: a sentence of one word such as "No" is no truth value.
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every utterance of every file with its style.

    An utterance is named by its prompt and its style, as EmoBox names it: outtakes repeat prompts in several styles.

    Raises:
        WrongLayout: a table is missing or not in its provider's form.
    """
    for path in tree.glob("pavoque-*.flac"):
        for utterance in _utterances(tree, path.with_suffix(".yaml")):
            yield ParsedUtterance(
                stem=f"{utterance['prompt']}-{utterance['style']}",
                audio_path=str(path),
                expressed_raw=utterance["style"],
                speaker_id=SPEAKER,
                speaker_gender="male",
                transcript=utterance["text"],
                start_s=float(utterance["start"]),
                end_s=float(utterance["end"]),
            )


def _utterances(tree: CorpusTree, table: PurePosixPath) -> list[dict[str, Any]]:
    if not tree.exists(table):
        hint = "It is beside the recordings in the releases of github.com/marytts/pavoque-data."
        raise tree.wrong_layout(f"the table {str(table)!r}", "the recording without it", hint)
    try:
        utterances = yaml.load(PHONES.sub("", tree.read_text(table)), Loader=LOADER)
    except yaml.YAMLError as cause:
        raise tree.wrong_layout(f"YAML in {str(table)!r}", " ".join(str(cause).split())) from cause
    for utterance in utterances if isinstance(utterances, list) else [utterances]:
        if not _is_utterance(utterance):
            raise tree.wrong_layout(
                f"a list of utterances with {', '.join(FIELDS)} in {str(table)!r}",
                f"{str(utterance)[:200]}",
                "Earlier versions of the tables have no times; take those of the releases.",
            )
    return list(utterances)


def _is_utterance(utterance: Any) -> bool:
    if not isinstance(utterance, dict) or not all(isinstance(utterance.get(field), str) for field in FIELDS):
        return False
    try:
        return 0 <= float(utterance["start"]) < float(utterance["end"])
    except ValueError:
        return False
