"""Checkpoints of the classes that the generic family runs, small and random, written to disk as real ones are.

Processors of models that also see are written in parts, as real ones are too: what they need for images is not
installed where the tests run.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from safetensors.torch import save_file

from tiny_checkpoints import (
    AUDIO_FLAMINGO3_TEMPLATE,
    SAMPLING_GENERATION,
    build_audio_flamingo3,
    build_qwen2_audio,
    new_tokenizer,
    text_config,
    whisper_features,
    write_checkpoint,
    write_model,
)

GEMMA_TOKENS = {
    "image_token": "<|image|>",
    "audio_token": "<|audio|>",
    "video_token": "<|video|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}


def chat_template(audio: str) -> str:
    """A template that puts the parts of a turn in their order, with so much for audio."""
    return (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% for item in message['content'] %}"
        "{% if item['type'] == 'audio' %}" + audio + "{% else %}{{ item['text'] }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def build_qwen25_omni(folder: Path) -> Path:
    """Write a Qwen2.5-Omni without its voice: the thinker's weights as part of the whole model."""
    tokens = _qwen_tokens("<|IMAGE|>", "<|AUDIO|>", "<|VIDEO|>", "<|vision_bos|>", "<|audio_bos|>")
    tokenizer = new_tokenizer(**tokens)
    thinker = {
        "audio_config": _qwen_encoder(n_window=100),
        "vision_config": {**_QWEN_EYES, "intermediate_size": 32, "fullatt_block_indexes": [0]},
        "text_config": _qwen_text(tokenizer),
        **_qwen_ids(tokenizer, tokens, suffix="index"),
    }
    config = transformers.Qwen2_5OmniConfig(thinker_config=thinker, enable_audio_output=False)
    write_model(
        folder,
        lambda: transformers.Qwen2_5OmniForConditionalGeneration(config),
        tokenizer,
        SAMPLING_GENERATION,
        unsaid=tuple(tokens.values()),
    )
    features = transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=300, return_attention_mask=True)
    template = chat_template("<|audio_bos|><|AUDIO|><|audio_eos|>")
    return _write_parts(folder, tokenizer, features, template, processor="Qwen2_5OmniProcessor")


def build_qwen3_omni(folder: Path) -> Path:
    """Write a Qwen3-Omni of four experts, without its voice: the thinker's weights as part of the whole model."""
    tokens = _qwen_tokens("<|image_pad|>", "<|audio_pad|>", "<|video_pad|>", "<|vision_start|>", "<|audio_start|>")
    tokenizer = new_tokenizer(**tokens)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
    thinker = {
        "audio_config": {**_qwen_encoder(n_window=50), "downsample_hidden_size": 32},
        "vision_config": {
            **_QWEN_EYES,
            "intermediate_size": 32,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
        "text_config": _qwen_text(tokenizer) | experts,
        **_qwen_ids(tokenizer, tokens, suffix="id"),
    }
    config = transformers.Qwen3OmniMoeConfig(thinker_config=thinker, enable_audio_output=False)
    write_model(
        folder,
        lambda: transformers.Qwen3OmniMoeForConditionalGeneration(config),
        tokenizer,
        SAMPLING_GENERATION,
        unsaid=tuple(tokens.values()),
    )
    template = chat_template("<|audio_start|><|audio_pad|><|audio_end|>")
    return _write_parts(folder, tokenizer, whisper_features(), template, processor="Qwen3OmniMoeProcessor")


def build_music_flamingo(folder: Path) -> Path:
    """Write a Music Flamingo."""
    tokenizer = new_tokenizer("<sound>", "<|sound_bos|>", "<|sound_eos|>")
    ids = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in (
            ("audio_token_id", "<sound>"),
            ("audio_bos_token_id", "<|sound_bos|>"),
            ("audio_eos_token_id", "<|sound_eos|>"),
        )
    }
    encoder = {
        "model_type": "audioflamingo3_encoder",
        "hidden_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "num_mel_bins": 128,
        "max_source_positions": 1500,
    }
    config = transformers.MusicFlamingoConfig(audio_config=encoder, text_config=text_config(tokenizer), **ids)
    processor = transformers.MusicFlamingoProcessor(
        whisper_features(), tokenizer, chat_template=AUDIO_FLAMINGO3_TEMPLATE
    )
    return write_checkpoint(
        folder, transformers.MusicFlamingoForConditionalGeneration, config, processor, SAMPLING_GENERATION
    )


def build_phi4_multimodal(folder: Path) -> Path:
    """Write a Phi-4-multimodal, with the adapter for speech in a folder of its own."""
    tokens = {"image_token": "<|image|>", "audio_token": "<|audio|>"}
    tokenizer = new_tokenizer(**tokens)
    image_id, audio_id = tokenizer.convert_tokens_to_ids(list(tokens.values()))
    config = transformers.Phi4MultimodalConfig(
        **{name: value for name, value in text_config(tokenizer).items() if name != "model_type"},
        original_max_position_embeddings=8192,
        bos_token_id=None,
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "crop_size": 28,
            "feature_layer": -1,
            "image_token_id": image_id,
        },
        audio_config={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_blocks": 1,
            "num_attention_heads": 2,
            "ext_pw_out_channel": 64,
            "depthwise_separable_out_channel": 64,
            "nemo_conv_channels": 64,
            "feature_layer": -1,
            "audio_token_id": audio_id,
        },
    )
    write_model(
        folder,
        lambda: transformers.Phi4MultimodalForCausalLM(config),
        tokenizer,
        SAMPLING_GENERATION,
        # An answer with an audio token in it would be given the clip again, and fail.
        unsaid=tuple(tokens.values()),
    )
    model = peft.get_peft_model(
        transformers.Phi4MultimodalForCausalLM.from_pretrained(folder),
        peft.LoraConfig(r=4, target_modules=["qkv_proj"], init_lora_weights=False),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(0, 0.2)
    model.save_pretrained(folder / "speech-lora")
    features = transformers.Phi4MultimodalFeatureExtractor()
    return _write_parts(folder, tokenizer, features, chat_template("<|audio|>"), processor="Phi4MultimodalProcessor")


def build_gemma4(folder: Path) -> Path:
    """Write a Gemma 4 with a conformer for ears."""
    tokenizer = new_tokenizer(**GEMMA_TOKENS)
    config = transformers.Gemma4Config(
        tie_word_embeddings=False,
        text_config=_gemma_text(tokenizer)
        | {"hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": len(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "position_embedding_size": 64,
        },
        audio_config={
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "output_proj_dims": 128,
        },
        **_gemma_ids(tokenizer),
    )
    write_model(
        folder,
        lambda: transformers.Gemma4ForConditionalGeneration(config),
        tokenizer,
        SAMPLING_GENERATION,
        unsaid=tuple(GEMMA_TOKENS.values()),
    )
    features = transformers.Gemma4AudioFeatureExtractor()
    return _write_parts(folder, tokenizer, features, chat_template("<|audio|>"), processor="Gemma4Processor")


def build_gemma4_unified(folder: Path) -> Path:
    """Write a Gemma 4 that hears without an encoder."""
    tokenizer = new_tokenizer(**GEMMA_TOKENS)
    config = transformers.Gemma4UnifiedConfig(
        tie_word_embeddings=False,
        text_config=_gemma_text(tokenizer),
        vision_config={"mm_embed_dim": 32, "output_proj_dims": 32, "mm_posemb_size": 16},
        audio_config={},
        **_gemma_ids(tokenizer),
    )
    write_model(
        folder,
        lambda: transformers.Gemma4UnifiedForConditionalGeneration(config),
        tokenizer,
        SAMPLING_GENERATION,
        unsaid=tuple(GEMMA_TOKENS.values()),
    )
    features = transformers.Gemma4UnifiedAudioFeatureExtractor()
    return _write_parts(folder, tokenizer, features, chat_template("<|audio|>"), processor="Gemma4UnifiedProcessor")


def build_voxtral(folder: Path) -> Path:
    """Write a Voxtral whose tokenizer is not of mistral-common, so that its processor drops audio in silence."""
    tokenizer = new_tokenizer("[AUDIO]")
    config = transformers.VoxtralConfig(
        audio_config={
            "hidden_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 256,
        },
        text_config=text_config(tokenizer) | {"model_type": "llama"},
        # The number that the processor's own code has for it.
        audio_token_id=24,
    )
    write_model(folder, lambda: transformers.VoxtralForConditionalGeneration(config), tokenizer, SAMPLING_GENERATION)
    return _write_parts(folder, tokenizer, whisper_features(), chat_template("[AUDIO]"), processor="VoxtralProcessor")


def build_granite_speech(folder: Path) -> Path:
    """Write a Granite Speech."""
    tokenizer = new_tokenizer("<|audio|>")
    config = transformers.GraniteSpeechConfig(
        text_config=text_config(tokenizer) | {"model_type": "granite"},
        encoder_config={
            "num_layers": 1,
            "hidden_dim": 32,
            "num_heads": 2,
            "dim_head": 16,
            "context_size": 100,
            "output_dim": 20,
        },
        projector_config={
            "model_type": "blip_2_qformer",
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "intermediate_size": 32,
            "encoder_hidden_size": 32,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|audio|>"),
        has_lora_adapter=False,
    )
    write_model(
        folder, lambda: transformers.GraniteSpeechForConditionalGeneration(config), tokenizer, SAMPLING_GENERATION
    )
    tokenizer.save_pretrained(folder)
    # Its feature extractor cannot be made here to be written.
    own = {"feature_extractor_type": "GraniteSpeechFeatureExtractor", "processor_class": "GraniteSpeechProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(own))
    (folder / "chat_template.jinja").write_text(chat_template("<|audio|>"))
    return folder


def build_gemma3n(folder: Path) -> Path:
    """Write the configuration of a Gemma 3n and no weights: its class cannot be made here."""
    tokenizer = new_tokenizer(**GEMMA_TOKENS)
    tokenizer.save_pretrained(folder)
    config = transformers.Gemma3nConfig(architectures=["Gemma3nForConditionalGeneration"])
    config.save_pretrained(folder)
    save_file({"unused": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


GENERIC_BUILDERS: Mapping[str, Callable[[Path], Path]] = {
    "AudioFlamingo3ForConditionalGeneration": build_audio_flamingo3,
    "Gemma4ForConditionalGeneration": build_gemma4,
    "Gemma4UnifiedForConditionalGeneration": build_gemma4_unified,
    "MusicFlamingoForConditionalGeneration": build_music_flamingo,
    "Phi4MultimodalForCausalLM": build_phi4_multimodal,
    "Qwen2AudioForConditionalGeneration": build_qwen2_audio,
    "Qwen2_5OmniThinkerForConditionalGeneration": build_qwen25_omni,
    "Qwen3OmniMoeThinkerForConditionalGeneration": build_qwen3_omni,
}
"""Class that answers to the builder of a checkpoint that it is loaded from."""

_QWEN_EYES = {"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 128}


def _qwen_tokens(image: str, audio: str, video: str, vision_start: str, audio_start: str) -> dict[str, str]:
    def end(start: str) -> str:
        return start.replace("bos", "eos").replace("start", "end")

    return {
        "image_token": image,
        "audio_token": audio,
        "video_token": video,
        "vision_bos_token": vision_start,
        "vision_eos_token": end(vision_start),
        "audio_bos_token": audio_start,
        "audio_eos_token": end(audio_start),
    }


def _qwen_ids(tokenizer: Any, tokens: Mapping[str, str], *, suffix: str) -> dict[str, int]:
    names = {
        "audio_token": f"audio_token_{suffix}",
        "image_token": f"image_token_{suffix}",
        "video_token": f"video_token_{suffix}",
        "audio_bos_token": "audio_start_token_id",
        "audio_eos_token": "audio_end_token_id",
        "vision_bos_token": "vision_start_token_id",
        "vision_eos_token": "vision_end_token_id",
    }
    return {name: tokenizer.convert_tokens_to_ids(tokens[token]) for token, name in names.items()}


def _qwen_encoder(*, n_window: int) -> dict[str, Any]:
    return {
        "d_model": 64,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "num_mel_bins": 128,
        "output_dim": 128,
        "n_window": n_window,
    }


def _qwen_text(tokenizer: Any) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 8, 8]}
    return {**_text(tokenizer), "rope_parameters": rope}


def _gemma_text(tokenizer: Any) -> dict[str, Any]:
    return {
        **_text(tokenizer),
        "head_dim": 64,
        "layer_types": ["sliding_attention", "full_attention"],
        "tie_word_embeddings": False,
    }


def _gemma_ids(tokenizer: Any) -> dict[str, int]:
    names = {"eoa_token": "eoa_token_index"}
    return {
        names.get(name, f"{name}_id"): tokenizer.convert_tokens_to_ids(token) for name, token in GEMMA_TOKENS.items()
    }


def _text(tokenizer: Any) -> dict[str, Any]:
    return {name: value for name, value in text_config(tokenizer).items() if name != "model_type"}


def _write_parts(folder: Path, tokenizer: Any, features: Any, template: str, *, processor: str) -> Path:
    """Write a processor file by file, with settings for images in it that nothing here can read."""
    tokenizer.save_pretrained(folder)
    features.save_pretrained(folder)
    settings = folder / "preprocessor_config.json"
    own = {"processor_class": processor, "image_processor_type": "Qwen2VLImageProcessor", "merge_size": 2}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | own))
    (folder / "chat_template.jinja").write_text(template)
    return folder
