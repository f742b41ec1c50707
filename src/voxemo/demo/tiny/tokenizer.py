"""The tokenizer of `voxemo-tiny`: a small byte-level BPE over the benchmark's prompts and what the model learns to say.

Any text can be written with it; words it never saw fall apart into pieces.
"""

from collections.abc import Iterable
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD_TOKEN, START_TOKEN, STOP_TOKEN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
AUDIO_TOKEN = "<|AUDIO|>"
SPECIAL_TOKENS = (PAD_TOKEN, START_TOKEN, STOP_TOKEN, "<|audio_bos|>", AUDIO_TOKEN, "<|audio_eos|>")
LARGEST = 2048

PIECES = "|".join(
    (
        r"\d\.\d\d?",  # a probability
        r" ?\p{Ll}+",
        # Without a blank before it, so that a label is the same token in a list, in JSON and at the end of a line.
        r"\p{Lu}\p{Ll}+",
        r"\p{L}+",
        r"\d",
        r"[^\s\p{L}\d]+(?: [\"{]*)?",
        r"\s+",
    )
)


def train_tokenizer(texts: Iterable[str]) -> Any:
    """Learn a tokenizer; the same texts in the same order give the same one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=LARGEST,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=STOP_TOKEN,
        pad_token=PAD_TOKEN,
        padding_side="left",
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (PAD_TOKEN, STOP_TOKEN)],
    )
