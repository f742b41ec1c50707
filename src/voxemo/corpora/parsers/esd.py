"""ESD: Emotion Speech Dataset/<speaker>/<Emotion>/<speaker>_<6 digits>.wav, and <speaker>/<speaker>.txt with the texts.

An older layout has the folders train, evaluation and test below the emotion.
"""

import codecs
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from voxemo.core.types import ParsedUtterance
from voxemo.corpora.tree import CorpusTree, nearest_copies

SPEAKER = "**/[0-9][0-9][0-9][0-9]"
AUDIO = "[0-9][0-9][0-9][0-9]_*.wav"
NAME = re.compile(r"(?P<speaker>\d{4})_(?P<number>\d{6})")

# Every speaker read the same sentences in this order of emotions, 350 numbers each.
EMOTIONS = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
PER_EMOTION = 350
N_EVALUATION, N_TEST = 20, 30
PARTS = {"train": "train", "evaluation": "valid", "test": "test"}

LAST_MANDARIN = 10
# From the corpus's readme.
FEMALE = {1, 2, 3, 7, 9, 15, 16, 17, 18, 19}
MALE = {4, 5, 6, 8, 10, 11, 12, 13, 14, 20}


def parse(tree: CorpusTree) -> Iterator[ParsedUtterance]:
    """Yield every recording with the speaker's intended label, its text and the provider's partition.

    The label is the folder's. The tables of texts name emotions too, but in other languages and encodings.

    Raises:
        WrongLayout: a file's name says another speaker or emotion than its folders.
    """
    texts = cache(lambda folder: _texts(tree, folder))
    for path in nearest_copies((*tree.glob(f"{SPEAKER}/*/{AUDIO}"), *tree.glob(f"{SPEAKER}/*/*/{AUDIO}"))):
        part = PARTS.get(path.parent.name)
        folder = path.parent if part is None else path.parent.parent
        name = NAME.fullmatch(path.stem)
        if name is None or folder.name not in EMOTIONS:
            continue
        speaker, number = name["speaker"], int(name["number"])
        tree.check_folder(path, speaker, by="its name says", found=folder.parent.name)
        emotion, own_part = _block(number)
        if emotion is not None:
            tree.check_folder(path, emotion, by="its number says", found=folder.name)
        yield ParsedUtterance(
            stem=path.stem,
            audio_path=str(path),
            expressed_raw=folder.name,
            speaker_id=speaker,
            speaker_gender="female" if int(speaker) in FEMALE else "male" if int(speaker) in MALE else None,
            language="zh" if int(speaker) <= LAST_MANDARIN else "en",
            transcript=texts(folder.parent).get(path.stem),
            provider_partition=part or own_part,
        )


def _block(number: int) -> tuple[str | None, str | None]:
    """Emotion and partition that a running number stands for; None for numbers that the corpus does not have."""
    if not 1 <= number <= PER_EMOTION * len(EMOTIONS):
        return None, None
    block, place = divmod(number - 1, PER_EMOTION)
    part = "valid" if place < N_EVALUATION else "test" if place < N_EVALUATION + N_TEST else "train"
    return EMOTIONS[block], part


def _texts(tree: CorpusTree, folder: PurePosixPath) -> dict[str, str]:
    """Sentence of each utterance, from lines of name, text and emotion; empty where the copy has no such table."""
    table = folder / f"{folder.name}.txt"
    if not tree.exists(table):
        return {}
    # Latin-1 maps every byte to a character and back, so this is how to get at the bytes.
    content = tree.read_text(table, encoding="latin-1").encode("latin-1")
    text = _decoded(content, otherwise="gb18030" if int(folder.name) <= LAST_MANDARIN else "cp1252")
    rows = [line.split("\t") for line in text.splitlines()]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) > 1 and row[1].strip()}


def _decoded(content: bytes, *, otherwise: str) -> str:
    """A table's text: every speaker's has its own encoding. Bytes that fit none become stand-ins."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode(otherwise, errors="replace")
