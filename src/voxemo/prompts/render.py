"""From a variant and a label set to the prompt text that a model gets (PROTOCOL section 4).

Composition only: the texts are in ``catalog/prompts``, and putting audio and text into a chat turn is the backend's.
"""

from typing import Literal

from voxemo.core.cards import PromptTemplate, PromptVariant
from voxemo.core.ids import sha256_text
from voxemo.core.labels import LabelSet


def render_prompt(
    variant: PromptVariant,
    template: PromptTemplate,
    *,
    form: Literal["hard", "distribution"],
    label_set: LabelSet,
) -> str:
    """Compose the text of one prompt: one instruction per line, then the response format, no line end at the end.

    The order is that of PROTOCOL section 4: task, categories, the variant's blocks, Distribution for the distribution
    form; then the response header, the blocks' format lines, the distribution's, and always last the label's.

    Args:
        variant: the composition; each of its blocks has a text in ``template``.
        template: the texts.
        form: what is asked for, one label or a probability for each.
        label_set: the closed set, shown in its own order as ``Angry, Happy``.
    """
    as_distribution = form == "distribution"
    lines = [
        template.task,
        template.categories_distribution if as_distribution else template.categories_hard,
        *(template.blocks[block] for block in variant.blocks),
        *([template.block_distribution] if as_distribution else []),
        template.response_header,
        *(template.formats[block] for block in variant.blocks if block != "direct" and block in template.formats),
        *([template.format_distribution] if as_distribution else []),
        template.format_label,
    ]
    labels = ", ".join(label_set.display)
    # Not str.format: the distribution's format line is JSON, whose braces must survive.
    return "\n".join(line.replace("{labels}", labels) for line in lines)


def prompt_sha256(text: str) -> str:
    """The id of a rendered prompt: SHA-256 of its text in UTF-8, as 64 hex digits."""
    return sha256_text(text)
