"""Training pairs for supervised fine-tuning: a prompt and the answer to learn (PROTOCOL section 4)."""

from voxemo.core.cards import PromptTemplate, PromptVariant
from voxemo.core.labels import LabelSet, display_name
from voxemo.prompts.render import render_prompt


def training_pair(
    label: str, *, variant: PromptVariant, template: PromptTemplate, label_set: LabelSet
) -> tuple[str, str]:
    """Compose the hard-form prompt and its target for an utterance of the given label.

    Args:
        label: canonical name of the utterance's gold label.
        variant: the protocol trains on the Direct variant.
        template: the texts, ``sft_target`` among them.
        label_set: the corpus's label set.

    Returns:
        The prompt, and a target such as ``FINAL LABEL: Angry`` that the strict reading maps back to ``label``.

    Raises:
        ValueError: the label is not in the label set.
    """
    if label not in label_set.names:
        raise ValueError(f"the label {label!r} is not in the label set {label_set.names!r}")
    prompt = render_prompt(variant, template, form="hard", label_set=label_set)
    return prompt, template.sft_target.replace("{label}", display_name(label))
