"""Promises of every built-in prompt variant, in both forms."""

import itertools

import pytest

from label_sets import CREMA_D, label_set_of
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.prompts.render import prompt_sha256, render_prompt

# PROTOCOL section 4, with the labels of CREMA-D.
LABELS = "Angry, Disgust, Fear, Happy, Neutral, Sad"
TASK = "You are a speech emotion recognition system. You are given an audio clip."
HARD = f"Choose exactly one emotion label from this closed set: {LABELS}."
SOFT = f"Consider the following emotion labels: {LABELS}."
DIRECT = "Decide the emotion directly from the audio."
DISTRIBUTION = (
    "Estimate how likely each emotion is based on the audio. Assign a probability (between 0.0 and 1.0) to every "
    "label. The probabilities must sum to 1.0. Also state which single label is most likely."
)
TRANSCRIPT = "Transcribe the spoken content from the audio as accurately as possible."
CAPTION = (
    "Describe acoustic and paralinguistic cues you hear (e.g., pitch, loudness, speaking rate, pauses, voice quality, "
    "non-speech events)."
)
REASONING = "Explain how the transcript content and the acoustic cues together support your final choice."
HEADER = "Response format:"
TRANSCRIPT_FORMAT = "ASR TRANSCRIPT: <transcript>"
CAPTION_FORMAT = "ACOUSTIC CAPTION: <description>"
REASONING_FORMAT = "REASONING: <reasoning>"
DISTRIBUTION_FORMAT = 'EMOTION DISTRIBUTION: {"Label1": prob1, "Label2": prob2, ...}'
LABEL_FORMAT = f"FINAL LABEL: <one label from {LABELS}>"

INSTRUCTIONS = {
    "direct": [DIRECT],
    "transcript": [TRANSCRIPT],
    "caption": [CAPTION],
    "transcript_caption": [TRANSCRIPT, CAPTION],
    "transcript_caption_reasoning": [TRANSCRIPT, CAPTION, REASONING],
}
FORMATS = {TRANSCRIPT: TRANSCRIPT_FORMAT, CAPTION: CAPTION_FORMAT, REASONING: REASONING_FORMAT}
FORMS = ("hard", "distribution")


def rendered(variant_id: str, form: str, *labels: str) -> str:
    variant, template = prompt(variant_id)
    return render_prompt(variant, template, form=form, label_set=label_set_of(*labels))


def test_the_five_variants_are_there_from_the_simplest_to_the_longest() -> None:
    assert prompt_names() == tuple(INSTRUCTIONS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("variant_id", INSTRUCTIONS)
def test_prompt_is_the_protocols_lines_in_the_protocols_order(variant_id: str, form: str) -> None:
    instructions = INSTRUCTIONS[variant_id]
    formats = [FORMATS[line] for line in instructions if line in FORMATS]
    soft = form == "distribution"
    expected = [
        TASK,
        SOFT if soft else HARD,
        *instructions,
        *([DISTRIBUTION] if soft else []),
        HEADER,
        *formats,
        *([DISTRIBUTION_FORMAT] if soft else []),
        LABEL_FORMAT,
    ]

    assert rendered(variant_id, form, *CREMA_D).split("\n") == expected


@pytest.mark.parametrize("variant_id", INSTRUCTIONS)
def test_card_says_its_version_and_source(variant_id: str) -> None:
    variant, template = prompt(variant_id)

    assert (variant.variant_id, variant.version, template.version) == (variant_id, "1", "1")
    assert "2603.08936" in variant.source
    assert "2603.08936" in template.source


def test_the_ten_prompts_of_a_corpus_have_ten_hashes() -> None:
    hashes = {prompt_sha256(rendered(name, form, *CREMA_D)) for name, form in itertools.product(INSTRUCTIONS, FORMS)}

    assert len(hashes) == 10
