"""Checkpoints of real classes, small and random, written to disk as real ones are. Built in a second, about 1 MB each.

Their answers are noise, but noise that depends on the audio and on every word of the prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from voxemo.core.cards import AudioLimits, ModelCard

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PAD_TOKEN, STOP_TOKEN = "<|endoftext|>", "<|im_end|>"

TRAINING_TEXT = (
    "You are a helpful assistant. system user assistant",
    "Choose exactly one emotion label from this closed set: Angry, Happy, Neutral, Sad.",
    "Transcribe the spoken content from the audio as accurately as possible. Describe acoustic cues you hear.",
    "Response format: EMOTION DISTRIBUTION: {} FINAL LABEL: <one label> REASONING: <reasoning>",
)

AUDIO_FLAMINGO3_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for item in message['content'] if item['type'] == 'audio' %}<sound>{% endfor %}"
    "{% for item in message['content'] if item['type'] == 'text' %}{{ item['text'] }}{% endfor %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# As unfit for a greedy benchmark as those of real checkpoints, and a little more, so that it shows when one is used.
SAMPLING_GENERATION: Mapping[str, Any] = {
    "do_sample": True,
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
}


def build_qwen2_audio(folder: Path, *, generation: Mapping[str, Any] = SAMPLING_GENERATION) -> Path:
    """Write a Qwen2-Audio of 0.3 million random parameters into the folder, and return the folder."""
    tokenizer = new_tokenizer("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>")
    config = transformers.Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "d_model": 64,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "num_mel_bins": 128,
            "max_source_positions": 1500,
        },
        text_config=text_config(tokenizer),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    processor = transformers.Qwen2AudioProcessor(whisper_features(), tokenizer)
    return write_checkpoint(folder, transformers.Qwen2AudioForConditionalGeneration, config, processor, generation)


def build_audio_flamingo3(folder: Path, *, generation: Mapping[str, Any] = SAMPLING_GENERATION) -> Path:
    """Write an Audio Flamingo 3 of 0.3 million random parameters into the folder, and return the folder."""
    tokenizer = new_tokenizer("<sound>")
    config = transformers.AudioFlamingo3Config(
        audio_config={
            "model_type": "audioflamingo3_encoder",
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "num_mel_bins": 128,
            "max_source_positions": 1500,
        },
        text_config=text_config(tokenizer),
        audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
    )
    processor = transformers.AudioFlamingo3Processor(
        whisper_features(), tokenizer, chat_template=AUDIO_FLAMINGO3_TEMPLATE
    )
    return write_checkpoint(folder, transformers.AudioFlamingo3ForConditionalGeneration, config, processor, generation)


BUILDERS: Mapping[str, Callable[..., Path]] = {
    "audio-flamingo-3": build_audio_flamingo3,
    "qwen2-audio": build_qwen2_audio,
}

AUDIO_LIMITS = {
    "audio-flamingo-3": AudioLimits(max_s=600.0, beyond="window"),
    "qwen2-audio": AudioLimits(max_s=30.0, beyond="truncate"),
}


def tiny_card(folder: Path, family_id: str, **changes: Any) -> ModelCard:
    """A model card for a checkpoint that a builder wrote; ``changes`` replaces fields of it."""
    fields: dict[str, Any] = {
        "model_id": f"tiny-{family_id}",
        "name": f"Tiny random {family_id}",
        "backend": "local",
        "family": family_id,
        "repository": str(folder),
        "dtype": "float32",
        "audio": AUDIO_LIMITS[family_id],
        "training_corpora": (),
        "training_data": "None: the weights are random.",
        "license": "Apache-2.0",
        "reference": "none",
        "support": "tested",
    }
    return ModelCard(**(fields | changes))


def new_tokenizer(*placeholders: str, **named: str) -> Any:
    """A tokenizer with tokens for what is not text; ``named`` ones are its attributes too."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [*SPECIAL_TOKENS, *placeholders, *named.values()]
    # Only the bytes of ASCII text: other bytes would decode to marks that make different answers look equal.
    alphabet = [char for char in pre_tokenizers.ByteLevel.alphabet() if char in "ĠĊ" or "!" <= char <= "~"]
    tokenizer.train_from_iterator(
        TRAINING_TEXT * 20,
        trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=STOP_TOKEN,
        pad_token=PAD_TOKEN,
        # The wrong side on purpose: the engine must ask for the right one.
        padding_side="right",
        # Named ones become attributes, as some processors want them.
        extra_special_tokens=named or [token for token in specials if token not in (PAD_TOKEN, STOP_TOKEN)],
    )


def whisper_features() -> Any:
    return transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=30, return_attention_mask=True)


def text_config(tokenizer: Any) -> dict[str, Any]:
    return {
        "model_type": "qwen2",
        "vocab_size": len(tokenizer),
        # Heads of 64, the smallest that every serving engine takes.
        "hidden_size": 128,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def write_checkpoint(
    folder: Path,
    model_class: Any,
    config: Any,
    processor: Any,
    generation: Mapping[str, Any],
) -> Path:
    write_model(folder, lambda: model_class(config), processor.tokenizer, generation)
    processor.save_pretrained(folder)
    return folder


def write_model(
    folder: Path,
    make_model: Callable[[], Any],
    tokenizer: Any,
    generation: Mapping[str, Any],
    *,
    unsaid: Sequence[str] = (),
) -> None:
    """Write random weights and generation settings.

    Args:
        folder: where to.
        make_model: builds the model.
        tokenizer: names the stop and the padding token.
        generation: the checkpoint's own settings.
        unsaid: tokens that the model never answers with.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make_model()
        for name, parameter in model.named_parameters():
            # The usual 0.02 gives one answer to everything; with 0.2 answers depend on what was heard.
            if parameter.dim() >= 2 and "embed_positions" not in name:
                parameter.data.normal_(0, 0.2)
            if "lm_head" in name:
                parameter.data[tokenizer.convert_tokens_to_ids(list(unsaid))] = 0
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id], pad_token_id=tokenizer.pad_token_id, **generation
    )
    model.save_pretrained(folder)
