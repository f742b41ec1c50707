"""Where an adapter goes, what it costs, its files, and merging it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

from schools import PROMPT, Load, School
from tiny_checkpoints import tiny_card
from voxemo.backends.base import Question
from voxemo.backends.local import adapters
from voxemo.backends.local.adapters import attach_adapter, check_acts, load_adapter, trainable_share
from voxemo.backends.local.engine import create
from voxemo.backends.local.loading import describe_checkpoint, render_chat
from voxemo.core.cards import ModelCard, TrainingRecord
from voxemo.core.errors import BackendError, TrainingError
from voxemo.core.labels import LabelSet
from voxemo.core.types import Generation, Response
from voxemo.training.adapters import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    adapter_sha256,
    merge_adapter,
    sft_card,
    write_adapter,
)
from voxemo.training.lora import LoraRecipe

RECIPE = LoraRecipe(rank=4, alpha=8)
DECODER_32 = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 156032,
}
"""Qwen2-Audio-7B's decoder: key-value heads as many as heads (0.5 MB of cache per token say so)."""
DECODER_28 = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
"""Qwen2.5-7B's, which is Audio Flamingo 3's: seven query heads for each key head."""
TOWER = {"num_hidden_layers": 32, "num_attention_heads": 20, "num_mel_bins": 128}


def real_shape(family_id: str) -> Any:
    """A model of the real size, without storage."""
    with torch.device("meta"):
        if family_id == "qwen2-audio":
            tower = {
                "model_type": "qwen2_audio_encoder",
                "d_model": 1280,
                "encoder_layers": 32,
                "encoder_attention_heads": 20,
                "encoder_ffn_dim": 5120,
            }
            config = transformers.Qwen2AudioConfig(
                audio_config=tower, text_config={"model_type": "qwen2", "tie_word_embeddings": False, **DECODER_32}
            )
            return transformers.Qwen2AudioForConditionalGeneration(config)
        tower = {"model_type": "audioflamingo3_encoder", "hidden_size": 1280, "intermediate_size": 5120, **TOWER}
        config = transformers.AudioFlamingo3Config(
            audio_config=tower, text_config={"model_type": "qwen2", "tie_word_embeddings": False, **DECODER_28}
        )
        return transformers.AudioFlamingo3ForConditionalGeneration(config)


@pytest.mark.parametrize(
    ("family_id", "n_billions", "n_trained"), [("qwen2-audio", 8.4, 8_388_608), ("audio-flamingo-3", 8.3, 5_046_272)]
)
def test_less_than_0_15_percent_of_the_real_models_is_trained(
    family_id: str, n_billions: float, n_trained: int
) -> None:
    model = real_shape(family_id)
    with torch.device("meta"):
        adapter = attach_adapter(model, rank=8, alpha=16)

    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(n_billions, abs=0.1)
    assert sum(p.numel() for p in adapter.parameters.values()) == n_trained
    assert trainable_share(adapter) < 0.0015


def test_adapters_are_on_the_decoders_attention_and_nowhere_else(school: School) -> None:
    adapter = school.adapter()
    places = {name.rsplit(".lora_", 1)[0] for name in adapter.parameters}

    assert places == {
        f"base_model.model.model.language_model.layers.{layer}.self_attn.{projection}_proj"
        for layer in range(2)
        for projection in "qkvo"
    }
    trained = [name for name, p in school.loaded.model.named_parameters() if p.requires_grad]
    assert len(trained) == len(adapter.parameters) == 16
    assert all(".lora_" in name for name in trained)


def test_an_adapter_on_the_audio_tower_is_refused(qwen_school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "TARGET_MODULES", r".*\.(?:q|k|v|o)_proj")

    with pytest.raises(BackendError, match=r"8 attention projections .* but 11 modules"):
        qwen_school.adapter()


def test_a_fresh_adapter_changes_nothing_and_is_said_to(school: School) -> None:
    fresh = school.adapter()
    with pytest.raises(BackendError, match="base model again"):
        check_acts(fresh, model_id="toy")
    fresh.detach()

    assert check_acts(school.adapter(acts=True), model_id="toy") > 0.01


def test_an_adapter_of_no_numbers_is_noise(qwen_school: School) -> None:
    adapter = qwen_school.adapter(acts=True)
    next(iter(adapter.parameters.values())).data[:] = float("nan")

    with pytest.raises(BackendError, match="noise"):
        check_acts(adapter, model_id="toy")


def test_detached_the_model_is_as_it_was(school: School) -> None:
    model = school.loaded.model
    names = [name for name, _ in model.named_modules()]
    school.adapter(acts=True).detach()

    assert [name for name, _ in model.named_modules()] == names


# --- files -------------------------------------------------------------------------------------------------------


def trained(school: School, folder: Path, base: ModelCard) -> ModelCard:
    """A card and an adapter as `voxemo train` writes them."""
    adapter = school.adapter(acts=True)
    weights = adapter.weights()
    adapter.detach()
    write_adapter(folder / "best", weights, RECIPE, base)
    record = TrainingRecord(
        kind="sft",
        base_model_id=base.model_id,
        corpus_id="toy",
        corpus_card_sha256="0",
        split_id="protocol",
        split_sha256="0",
        fold_id="1",
        partitions=("train",),
        label_source="expressed",
        label_names=("angry", "happy"),
        n_utterances=7,
        seed=0,
        recipe=asdict(RECIPE),
        package_versions={},
        artefact=f"best/{WEIGHTS_FILE}",
        artefact_sha256=adapter_sha256(weights),
    )
    return sft_card(base, "toy-sft", record)


def answers(card: ModelCard, school: School, **options: Any) -> list[Response]:
    questions = [
        Question(
            request_id=key,
            utterance_id=key,
            variant_id="direct",
            form="hard",
            prompt=PROMPT,
            label_set=LabelSet(("angry", "happy")),
            audio_key=key,
            load_audio=lambda key=key: school.samples[key],  # type: ignore[misc]
        )
        for key in school.samples
    ]
    return create(card, Generation(max_new_tokens=12), device="cpu", **options).answer(questions)


def texts(responses: list[Response]) -> list[str]:
    return [response.text for response in responses]


@pytest.fixture
def base(tiny_folders: dict[str, Path], family_id: str) -> ModelCard:
    return tiny_card(tiny_folders[family_id], family_id)


# peft asks transformers by a name that is about to go.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_run_answers_with_the_adapter_as_peft_does(
    school: School, base: ModelCard, tmp_path: Path, load_tiny: Load, family_id: str
) -> None:
    card = trained(school, tmp_path, base)
    model = load_tiny(family_id).model
    peft.PeftModel.from_pretrained(model, tmp_path / "best")

    ours = answers(card, school, folder=tmp_path)

    assert texts(ours) != texts(answers(base, school))
    processor = school.loaded.processor
    model.generation_config = transformers.GenerationConfig(
        max_new_tokens=12,
        do_sample=False,
        eos_token_id=model.generation_config.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
    )
    for key, response in zip(school.samples, ours, strict=True):
        inputs = processor(
            text=[render_chat(processor, PROMPT)],
            audio=[school.samples[key]],
            sampling_rate=16_000,
            return_tensors="pt",
        )
        tokens = model.generate(**inputs)
        text = processor.tokenizer.decode(
            tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        assert response.text == text


def test_the_generic_backend_answers_with_the_adapter_too(school: School, base: ModelCard, tmp_path: Path) -> None:
    card = trained(school, tmp_path, base)
    generic = card.model_copy(update={"family": "generic"})

    assert texts(answers(generic, school, folder=tmp_path, batch_size=1)) == texts(
        answers(card, school, folder=tmp_path)
    )


def test_what_is_in_force_names_the_adapter(qwen_school: School, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    base = tiny_card(tiny_folders["qwen2-audio"], "qwen2-audio")
    card = trained(qwen_school, tmp_path, base)
    assert card.training is not None

    effective = create(card, Generation(), device="cpu", folder=tmp_path).effective()

    assert effective["adapter"] == {"sha256": card.training.artefact_sha256, "merged": False, "rank": 4}
    assert create(base, Generation(), device="cpu").effective()["adapter"] is None


def test_the_files_name_no_path_of_this_machine(qwen_school: School, tmp_path: Path) -> None:
    base = tiny_card(Path("tiny"), "qwen2-audio")
    trained(qwen_school, tmp_path, base)
    config = json.loads((tmp_path / "best" / CONFIG_FILE).read_text())

    assert config["base_model_name_or_path"] == "tiny"
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 8, "LORA")
    assert all(tensor.dtype == torch.float32 for tensor in load_file(tmp_path / "best" / WEIGHTS_FILE).values())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-4] + b"abcd"), "changed or replaced"),
    ],
    ids=["missing", "changed"],
)
def test_another_adapter_than_the_cards_is_refused(
    qwen_school: School, tiny_folders: dict[str, Path], tmp_path: Path, spoil: Any, said: str
) -> None:
    card = trained(qwen_school, tmp_path, tiny_card(tiny_folders["qwen2-audio"], "qwen2-audio"))
    spoil(tmp_path / "best" / WEIGHTS_FILE)

    with pytest.raises(BackendError, match=said):
        create(card, Generation(), device="cpu", folder=tmp_path)


def test_an_adapter_of_another_rank_does_not_fit(qwen_school: School, tmp_path: Path) -> None:
    card = trained(qwen_school, tmp_path, tiny_card(Path("tiny"), "qwen2-audio"))
    assert card.training is not None
    other = card.training.model_copy(update={"recipe": asdict(LoraRecipe(rank=2, alpha=8))})

    with pytest.raises(BackendError, match="does not fit"):
        load_adapter(qwen_school.loaded.model, card.model_copy(update={"training": other}), tmp_path)


def test_a_card_given_without_its_folder_says_so(qwen_school: School, tmp_path: Path) -> None:
    card = trained(qwen_school, tmp_path, tiny_card(Path("tiny"), "qwen2-audio"))

    with pytest.raises(BackendError, match="give the folder"):
        load_adapter(qwen_school.loaded.model, card, None)


def test_an_engine_with_its_own_loader_is_not_given_the_base_in_its_place(qwen_school: School, tmp_path: Path) -> None:
    card = trained(qwen_school, tmp_path, tiny_card(Path("tiny"), "qwen2-audio"))

    with pytest.raises(BackendError, match="Merge it into the base"):
        describe_checkpoint(card, trust_remote_code=False)


# --- merging -----------------------------------------------------------------------------------------------------


def test_a_merged_checkpoint_answers_as_base_and_adapter_do(school: School, base: ModelCard, tmp_path: Path) -> None:
    card = trained(school, tmp_path / "trained", base)
    out = tmp_path / "merged"
    merged = merge_adapter(card, tmp_path / "trained", out, base_repository=str(base.repository))

    assert merged.rounding < 1e-4 < merged.effect
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged", "trained"]
    assert merged.card.training is not None
    assert (merged.card.model_id, merged.card.repository) == ("toy-sft-merged", "merged")
    here = merged.card.model_copy(update={"repository": str(out)})
    assert texts(answers(here, school, folder=out)) == texts(answers(card, school, folder=tmp_path / "trained"))


def test_merging_leaves_what_is_there_alone_and_wants_an_adapter(
    qwen_school: School, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_card(tiny_folders["qwen2-audio"], "qwen2-audio")
    card = trained(qwen_school, tmp_path / "trained", base)

    with pytest.raises(TrainingError, match="there already"):
        merge_adapter(card, tmp_path / "trained", tmp_path, base_repository=str(base.repository))
    with pytest.raises(TrainingError, match="no adapter to merge"):
        merge_adapter(base, tmp_path, tmp_path / "out", base_repository=str(base.repository))
