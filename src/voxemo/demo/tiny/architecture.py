"""`voxemo-tiny` before training: a Qwen2-Audio of 4 million parameters, its processor, and what they hear at most."""

from typing import Any

import numpy as np
import torch
import transformers

LONGEST_S = 10
N_MELS = 128
POSITIONS_PER_S = 50

D_MODEL = 160

AUDIO = {
    "model_type": "qwen2_audio_encoder",
    "d_model": D_MODEL,
    "encoder_layers": 5,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 640,
    "num_mel_bins": N_MELS,
    "max_source_positions": LONGEST_S * POSITIONS_PER_S,
}
TEXT = {
    "model_type": "qwen2",
    # Heads of 64, the smallest that every serving engine takes.
    "hidden_size": 192,
    "intermediate_size": 576,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}


def make_processor(tokenizer: Any) -> Any:
    """The processor of a tokenizer: Qwen2-Audio's own chat template, and features of ``LONGEST_S`` at most."""
    extractor = transformers.WhisperFeatureExtractor(
        feature_size=N_MELS, chunk_length=LONGEST_S, return_attention_mask=True
    )
    return transformers.Qwen2AudioProcessor(extractor, tokenizer)


def make_model(tokenizer: Any) -> Any:
    """The untrained model; torch's random state decides its weights."""
    text = {
        **TEXT,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = transformers.Qwen2AudioConfig(
        audio_config=AUDIO,
        text_config=text,
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    model = transformers.Qwen2AudioForConditionalGeneration(config)
    model.model.audio_tower.embed_positions.weight.data = sinusoids(LONGEST_S * POSITIONS_PER_S, D_MODEL)
    return model


def sinusoids(n_positions: int, width: int) -> torch.Tensor:
    """Whisper's fixed positions, shape (n_positions, width): wave lengths from 2 pi to 20,000 pi in even steps."""
    rates = np.exp(-np.log(10_000) * np.arange(width // 2) / (width // 2 - 1))
    angles = np.arange(n_positions)[:, np.newaxis] * rates
    return torch.tensor(np.concatenate([np.sin(angles), np.cos(angles)], axis=1), dtype=torch.float32)
