"""How `voxemo-tiny` is made: from other voices and sentences than the corpus's, and the same each time."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from voxemo.demo.design import sentences, voices
from voxemo.demo.tiny.architecture import make_processor
from voxemo.demo.tiny.batches import Schedule, batches_of_like_length
from voxemo.demo.tiny.learn_answering import IGNORED, write_dialogues
from voxemo.demo.tiny.questions import tokenizer_texts
from voxemo.demo.tiny.sentences import draw_sentences
from voxemo.demo.tiny.speech import SPREAD, Reading, read_aloud, shares_of_votes, speakers
from voxemo.demo.tiny.tokenizer import AUDIO_TOKEN, STOP_TOKEN, train_tokenizer
from voxemo.demo.tiny.train import TRAINING_RECORD, Plan, train, what_is_heard

TWO_STEPS = Schedule(n_steps=2, batch_size=6, peak=1e-3)
SMALL = Plan(seed=7, n_sentences=1, hearing=TWO_STEPS, answering=TWO_STEPS)


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    return list(read_aloud(speakers(1, seed=7)[::18], n_sentences=2, seed=7))


def test_no_voice_no_sentence_and_no_phrase_of_the_corpus_is_trained_on() -> None:
    """A longer phrase may begin with the words of one of the corpus's."""
    who = speakers(Plan().speakers_per_voice, seed=Plan().seed)
    said = [one for voice in who for one in draw_sentences(voice, Plan().n_sentences, seed=Plan().seed)]
    tested = {sentence.text for sentence in sentences("corpus")}
    phrases = {phrase for sentence in sentences("corpus") for phrase in (sentence.opening, sentence.ending)}

    assert not {voice.espeak.partition("+")[2] for voice in who} & {
        voice.espeak.partition("+")[2] for voice in voices("corpus")
    }
    assert not {one.text for one in said} & tested
    assert not {phrase for one in said for phrase in (one.opening, one.ending)} & phrases
    assert not [one.text for one in said if any(one.text.startswith(text.rstrip(".")) for text in tested)]


def test_speakers_are_many_and_differ_from_their_voice_in_their_habits_alone() -> None:
    who = speakers(3, seed=1)

    assert len({voice.voice_id for voice in who}) == len(who) == 3 * len(voices("training"))
    for voice, speaker in zip([v for v in voices("training") for _ in range(3)], who, strict=True):
        assert (speaker.espeak, speaker.gender) == (voice.espeak, voice.gender)
        for habit, spread in SPREAD.items():
            assert abs(getattr(speaker, habit) - getattr(voice, habit)) < 5 * spread
    assert who == speakers(3, seed=1) != speakers(3, seed=2)


def test_readings_come_again_and_are_voted_on_by_ear(readings: list[Reading]) -> None:
    again = list(read_aloud(speakers(1, seed=7)[::18], n_sentences=2, seed=7))

    assert [one.name for one in again] == [one.name for one in readings]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(again, readings, strict=True))
    shares = shares_of_votes(readings, seed=7)
    assert all(sum(share.values()) == pytest.approx(1) for share in shares)
    # They learned on these very clips, so they are often right, and not always.
    agreed = np.mean([share.get(one.label, 0.0) for one, share in zip(readings, shares, strict=True)])
    assert 0.3 < agreed < 1.0


def test_dialogues_are_what_the_engine_asks_and_stop_after_the_answer(readings: list[Reading]) -> None:
    heard = what_is_heard(readings, seed=7)
    tokenizer = train_tokenizer(tokenizer_texts(heard, seed=7))
    n_tokens = [10 + place for place in range(len(heard))]

    dialogues = write_dialogues(heard, n_tokens, make_processor(tokenizer), np.random.default_rng(1))

    for one, expected in zip(dialogues, n_tokens, strict=True):
        assert one.prompt.count(tokenizer.convert_tokens_to_ids(AUDIO_TOKEN)) == expected
        prompt = tokenizer.decode(one.prompt)
        assert prompt.startswith(
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1:"
        )
        assert prompt.endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert tokenizer.decode(one.answer).count(STOP_TOKEN) == 1
        assert one.answer[-1] == tokenizer.eos_token_id
        assert IGNORED not in one.answer


def test_every_clip_is_in_one_batch_with_clips_of_its_like() -> None:
    lengths = np.array([5, 100, 7, 90, 6, 95, 8, 92])

    drawn = list(batches_of_like_length(lengths, size=4, rng=np.random.default_rng(0)))

    assert sorted(np.concatenate(drawn)) == list(range(8))
    assert max(np.ptp(lengths[batch]) for batch in drawn) == 10


def test_the_same_seed_trains_the_same_model_and_its_record_says_how(tmp_path: Path) -> None:
    who = speakers(1, seed=7)[::18]
    weights = []
    for name in ("one", "two"):
        train(tmp_path / name, SMALL, who=who)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    record = json.loads((tmp_path / "one" / TRAINING_RECORD).read_text(encoding="utf-8"))

    assert weights[0] == weights[1]
    assert (record["plan"]["seed"], record["n_clips"], record["n_threads"]) == (7, 12, torch.get_num_threads())
    assert record["n_parameters"] < 6_000_000
