"""Every built-in prompt over two corpora's labels, as the model gets it."""

import pytest

from golden_files import check_golden
from label_sets import CREMA_D, IEMOCAP, label_set_of
from voxemo.catalog.lookup import prompt, prompt_names
from voxemo.prompts.render import render_prompt

LABELS = {"crema-d": CREMA_D, "iemocap": IEMOCAP}


@pytest.mark.parametrize("form", ["hard", "distribution"])
@pytest.mark.parametrize("variant_id", prompt_names())
@pytest.mark.parametrize("corpus_id", LABELS)
def test_prompt_text_is_the_known_one(corpus_id: str, variant_id: str, form: str) -> None:
    variant, template = prompt(variant_id)

    text = render_prompt(variant, template, form=form, label_set=label_set_of(*LABELS[corpus_id]))

    check_golden(f"prompts/{corpus_id}.{variant_id}.{form}.txt", text + "\n")
