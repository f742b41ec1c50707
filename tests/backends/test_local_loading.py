import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tiny_checkpoints import BUILDERS, tiny_card
from voxemo.backends.local import loading
from voxemo.backends.local.clips import n_samples
from voxemo.backends.local.engine import create
from voxemo.backends.local.families import FAMILIES
from voxemo.catalog.lookup import IN_PACKAGE, model_card, model_names
from voxemo.core.cards import AudioLimits, ModelCard, TrainingRecord
from voxemo.core.errors import BackendError, MissingDependency
from voxemo.core.types import Generation

OTHER = {"qwen2-audio": "audio-flamingo-3", "audio-flamingo-3": "qwen2-audio"}


def load(card: ModelCard, **options: Any) -> Any:
    return create(card, Generation(max_new_tokens=2), **options)


@pytest.fixture
def folder(family_id: str, tmp_path: Path) -> Path:
    """A checkpoint that the test may damage."""
    return BUILDERS[family_id](tmp_path / family_id)


def test_a_checkpoint_is_loaded_from_a_relative_folder(
    folder: Path, family_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)

    assert load(tiny_card(Path(family_id), family_id)).effective()["family"] == family_id


@pytest.mark.parametrize(
    "card", [card for card in map(model_card, model_names()) if card.family in FAMILIES], ids=lambda card: card.model_id
)
def test_a_built_in_card_of_a_known_family_runs_a_checkpoint_of_its_class(
    checkpoints: dict[str, Path], card: ModelCard, ask: Any
) -> None:
    family = FAMILIES[str(card.family)]
    if not str(card.repository).startswith(IN_PACKAGE):
        card = card.model_copy(update={"repository": str(checkpoints[family.family_id])})
    backend = load(card)

    (response,) = backend.answer([ask(0.02)])

    assert (response.error, response.audio_handling) == (None, "padded")
    effective = backend.effective()
    assert (effective["architecture"], effective["dtype"]) == (card.architecture, card.dtype)
    assert effective["audio"]["max_s"] == effective["audio"]["longest_s"]
    assert family.n_audio_tokens(n_samples(4.0)) == 4 * (card.audio.tokens_per_s or 0)


def test_a_card_and_a_checkpoint_of_two_families_are_an_error_that_names_both(
    checkpoints: dict[str, Path], family_id: str
) -> None:
    found = {"qwen2-audio": "Qwen2AudioFor", "audio-flamingo-3": "AudioFlamingo3For"}
    pattern = f"family {OTHER[family_id]!r} .*is a {found[family_id]}.*Set family = {family_id!r}"

    with pytest.raises(BackendError, match=pattern):
        load(tiny_card(checkpoints[family_id], OTHER[family_id]))


def test_a_card_that_names_another_class_than_the_checkpoint_is_refused(
    checkpoints: dict[str, Path], family_id: str
) -> None:
    with pytest.raises(BackendError, match=r"with the class VoxtralForConditionalGeneration, but .* Correct the card"):
        load(tiny_card(checkpoints[family_id], family_id, architecture="VoxtralForConditionalGeneration"))


@pytest.mark.parametrize("unknown", ["voxtral", None])
def test_an_unknown_family_lists_the_known_ones(tmp_path: Path, unknown: str | None) -> None:
    card = tiny_card(tmp_path, "qwen2-audio", family=unknown)

    with pytest.raises(
        BackendError, match=r"knows 'audio-flamingo-3', 'qwen2-audio', and 'generic' for other speech LLMs"
    ):
        load(card)


@pytest.mark.parametrize("missing", ["./no/such/folder", "no/such/folder", "/no/such/folder", "no such folder"])
def test_a_missing_folder_is_named(missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BackendError, match=f"There is no folder '{missing}', which the card of 'tiny-qwen2-audio'"):
        load(tiny_card(tmp_path, "qwen2-audio", repository=missing))


def test_a_repository_that_is_not_here_and_cannot_be_fetched_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(BackendError, match=r"'someone/some-model' .*cannot be loaded.*HF_HOME.*downloaded folder"):
        load(tiny_card(tmp_path, "qwen2-audio", repository="someone/some-model"))


def test_a_card_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="names no repository"):
        load(tiny_card(tmp_path, "qwen2-audio", repository=None))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(folder: Path, family_id: str, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(BackendError, match="must hold a whole checkpoint"):
        load(tiny_card(folder, family_id))


def test_weights_cut_off_by_a_broken_download_are_refused(folder: Path, family_id: str) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])

    with pytest.raises(BackendError, match="cannot be loaded"):
        load(tiny_card(folder, family_id))


def test_weights_that_the_checkpoint_lacks_are_not_made_up(folder: Path, family_id: str) -> None:
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, architecture).from_pretrained(folder)
    weights = {name: value for name, value in model.state_dict().items() if "lm_head" not in name}
    model.save_pretrained(folder, state_dict=weights)

    with pytest.raises(BackendError, match=r"lacks weights that its class needs: 'lm_head\.weight'"):
        load(tiny_card(folder, family_id))


def test_a_model_that_does_not_fit_into_the_devices_memory_is_an_error(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(transformers.Qwen2AudioForConditionalGeneration, "to", exhausted)

    with pytest.raises(BackendError, match=r"cannot be loaded: CUDA out of memory. Use a device with more free memory"):
        load(tiny_card(checkpoints["qwen2-audio"], "qwen2-audio"))


def test_a_tokenizer_without_a_padding_token_is_refused(folder: Path, family_id: str) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    with pytest.raises(BackendError, match="no stop token or no padding token"):
        load(tiny_card(folder, family_id))


def test_code_that_a_checkpoint_brings_is_not_run(tmp_path: Path) -> None:
    config = {
        "model_type": "strange",
        "auto_map": {"AutoConfig": "configuration.Strange"},
        "architectures": ["Strange"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "configuration.py").write_text("raise SystemExit('ran')")

    with pytest.raises(BackendError, match=r"brings its own code\. Read that code, then pass trust_remote_code"):
        load(tiny_card(tmp_path, "qwen2-audio"))


def test_a_checkpoint_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = BUILDERS["audio-flamingo-3"](tmp_path)
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(BackendError, match="no usable chat template"):
        load(tiny_card(folder, "audio-flamingo-3"))


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m['content'][1]['text'] }}{% endfor %}",
        "{% for m in messages %}{{ m['content'][1]['text'] }}<sound>{% endfor %}",
        "{% for m in messages %}<sound><sound>{{ m['content'][1]['text'] }}{% endfor %}",
        "{% for m in messages %}<sound>{% endfor %}",
    ],
    ids=["no audio", "audio last", "two audios", "no text"],
)
def test_a_chat_template_that_does_not_put_the_audio_once_before_the_prompt_is_refused(
    tmp_path: Path, template: str
) -> None:
    folder = BUILDERS["audio-flamingo-3"](tmp_path)
    (folder / "chat_template.jinja").write_text(template)

    with pytest.raises(BackendError, match="does not put one '<sound>' before the prompt"):
        load(tiny_card(folder, "audio-flamingo-3"))


def test_a_chat_template_that_raises_is_refused(tmp_path: Path) -> None:
    folder = BUILDERS["audio-flamingo-3"](tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only text, please') }}")

    with pytest.raises(BackendError, match="no usable chat template: only text, please"):
        load(tiny_card(folder, "audio-flamingo-3"))


@pytest.mark.parametrize("max_s", [None, 601.0])
def test_a_card_may_not_promise_more_audio_than_the_checkpoint_hears(
    checkpoints: dict[str, Path], family_id: str, max_s: float | None
) -> None:
    card = tiny_card(checkpoints[family_id], family_id, audio=AudioLimits(max_s=max_s))

    with pytest.raises(BackendError, match=r"audio\.max_s as .* but the checkpoint hears at most (30|600) s"):
        load(card)


@pytest.mark.parametrize(
    ("family", "min_s", "enough"),
    [
        ("qwen2-audio", 0.06, False),
        ("qwen2-audio", 0.065, True),
        ("audio-flamingo-3", 0.02, False),
        ("audio-flamingo-3", 0.03, True),
    ],
)
def test_the_shortest_clip_of_a_card_must_be_long_enough_to_be_heard(
    checkpoints: dict[str, Path], ask: Any, family: str, min_s: float, enough: bool
) -> None:
    limits = AudioLimits(max_s=30.0, min_s=min_s)
    card = tiny_card(checkpoints[family], family, audio=limits)
    if enough:
        (response,) = load(card).answer([ask(0.01)])
        assert (response.finish, response.audio_handling) == ("length", "padded")
    else:
        with pytest.raises(BackendError, match=rf"audio\.min_s as {min_s} s, which gives [01] audio tokens"):
            load(card)


def test_a_checkpoint_for_another_sampling_rate_is_refused(folder: Path, family_id: str) -> None:
    processor = folder / "processor_config.json"
    processor.write_text(processor.read_text().replace('"sampling_rate": 16000', '"sampling_rate": 15900'))

    with pytest.raises(BackendError, match="wants audio at 15900 Hz"):
        load(tiny_card(folder, family_id))


def a_training_record() -> TrainingRecord:
    text = {
        name: "x"
        for name, field in TrainingRecord.model_fields.items()
        if field.is_required() and name not in ("kind", "partitions", "label_names", "n_utterances", "seed", "recipe")
    }
    return TrainingRecord.model_construct(kind="supervised", **text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantization", "int8"),
        ("training", a_training_record()),
        ("audio", AudioLimits(max_s=30.0, sample_rate_hz=48_000)),
        ("audio", AudioLimits(max_s=30.0, channels=2)),
    ],
    ids=["quantized", "trained", "48 kHz", "stereo"],
)
def test_what_a_card_declares_and_the_backend_would_not_do_is_refused(
    checkpoints: dict[str, Path], family_id: str, field: str, value: Any
) -> None:
    card = tiny_card(checkpoints[family_id], family_id).model_copy(update={field: value})

    with pytest.raises(BackendError, match=f"sets '{field}"):
        load(card)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int4"}, "no dtype 'int4' here. Use one of bfloat16, float16, float32"),
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"device": "cuda"}, "'cuda' was asked for, but torch sees 0 GPUs here"),
        ({"device": "cuda:3"}, "'cuda:3' was asked for"),
        ({"batch_size": 0}, "must be 1 or more, not 0"),
    ],
    ids=["dtype", "device", "no GPU", "no such GPU", "batch size"],
)
def test_options_that_cannot_be_met_are_named(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)

    with pytest.raises(BackendError, match=message):
        load(tiny_card(checkpoints["qwen2-audio"], "qwen2-audio"), **options)


def test_sampling_needs_a_seed(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(BackendError, match="without a seed"):
        create(tiny_card(checkpoints["qwen2-audio"], "qwen2-audio"), Generation(do_sample=True))


def test_the_dtype_is_the_options_then_the_cards_then_the_checkpoints(checkpoints: dict[str, Path]) -> None:
    def dtype(declared: str | None, option: str | None) -> str:
        card = tiny_card(checkpoints["qwen2-audio"], "qwen2-audio", dtype=declared)
        return str(load(card, dtype=option).effective()["dtype"])

    assert [dtype("bfloat16", "float32"), dtype("bfloat16", None), dtype(None, None)] == [
        "float32",
        "bfloat16",
        "float32",
    ]


def test_a_version_outside_the_tested_range_is_refused(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "version", {"transformers": "4.57.1", "torch": "2.9.0+cpu"}.__getitem__)

    with pytest.raises(BackendError, match=r"transformers 4\.57\.1 is installed; .* -e \"\.\[hf\]\""):
        load(tiny_card(checkpoints["qwen2-audio"], "qwen2-audio"))


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_names_the_extra_that_brings_it(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("engine", "loading"):
        monkeypatch.delitem(sys.modules, f"voxemo.backends.local.{module}")
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingDependency, match=rf"needs the package '{package}'.* -e \"\.\[hf\]\""):
        import_module("voxemo.backends.local.engine")


def test_backends_are_imported_without_torch() -> None:
    program = (
        "import sys, voxemo.backends.base, voxemo.backends.scripted, voxemo.backends.local.families\n"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
