"""A checkpoint from disk or hub, checked against its card before anything is asked.

Everything that would otherwise change answers without an error is refused here: another class than the card's, weights
that the checkpoint lacks, a chat template that drops the audio or the text, limits that the model does not keep.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from packaging.requirements import Requirement
from safetensors import SafetensorError

from voxemo.audio.load import SAMPLE_RATE_HZ
from voxemo.backends.base import Question
from voxemo.backends.local.clips import AskedClip, n_samples
from voxemo.backends.local.families import FAMILIES, find_family
from voxemo.backends.local.families.base import Family
from voxemo.backends.local.memory import is_out_of_memory
from voxemo.catalog.lookup import IN_PACKAGE, checkpoint_folder
from voxemo.core.cards import ModelCard
from voxemo.core.errors import BackendError, listing

DTYPES = ("bfloat16", "float16", "float32")
PROMPT_MARK = "{prompt}"
MISSING_LIBRARY = re.compile(r"requires the (\S+) library")
"""How transformers names a library that it does not find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model and its processor, ready to answer."""

    family: Family
    model: Any
    processor: Any
    prompt_frame: str
    """The rendered chat with ``{prompt}`` for the prompt: system prompt, place of the audio and generation prompt."""


def load_model(
    card: ModelCard,
    *,
    device: str | None,
    dtype: str | None,
    trust_remote_code: bool,
    folder: Path | str | None = None,
) -> LoadedModel:
    """Load the checkpoint of a card, in evaluation mode, and check that it is what the card declares.

    Args:
        card: ``repository`` is a folder, relative to the working folder, one of an installed package, or a hub id,
            taken at ``revision``.
        device: torch's name of a device; the GPU if there is one, else the CPU, when None.
        dtype: one of ``DTYPES``; the card's when None, and the checkpoint's own when the card names none.
        trust_remote_code: run code that the checkpoint brings.
        folder: of a fine-tuned model: where its card and its adapter lie.

    Raises:
        BackendError: it cannot be loaded, or differs from the card.
    """
    family = find_family(card.family, model_id=card.model_id)
    model, processor = load_checkpoint(
        card,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        folder=folder,
        choose_class=lambda config: _check_architecture(card, family, config.architectures or []),
    )
    _check_limits(card, family, processor)
    frame = _prompt_frame(card, processor)
    return LoadedModel(family=family, model=model, processor=processor, prompt_frame=frame)


def load_checkpoint(
    card: ModelCard,
    *,
    device: str | None,
    dtype: str | None,
    trust_remote_code: bool,
    folder: Path | str | None = None,
    choose_class: Callable[[Any], str],
    read_processor: Callable[[str, Any, Mapping[str, Any]], Any] | None = None,
) -> tuple[Any, Any]:
    """A checkpoint's model, in evaluation mode with all its weights, and its processor for audio at 16 kHz.

    Args:
        card: as for `load_model`.
        device: as for `load_model`.
        dtype: as for `load_model`.
        trust_remote_code: as for `load_model`.
        folder: as for `load_model`.
        choose_class: name of the transformers class to load, given the checkpoint's configuration. Raises BackendError
            where the checkpoint is not what the card declares.
        read_processor: makes the processor of a repository, given the configuration and where to read;
            ``AutoProcessor`` when None.

    Raises:
        BackendError: it cannot be loaded, or differs from the card.
    """
    _check_versions()
    _check_card(card)
    # Before the weights, so that a wrong word does not cost a minute of loading.
    target, weights_dtype = _device(device), find_dtype(dtype or card.dtype)
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    place: dict[str, Any] = {"revision": card.revision, "trust_remote_code": trust_remote_code}
    repository = find_repository(card)
    with explained(card):
        config = transformers.AutoConfig.from_pretrained(repository, **place)
        model, loading = getattr(transformers, choose_class(config)).from_pretrained(
            repository, dtype=weights_dtype, output_loading_info=True, **place
        )
        model = model.to(target).eval()
        if read_processor is None:
            processor = transformers.AutoProcessor.from_pretrained(repository, **place)
        else:
            processor = read_processor(repository, config, place)
    _check_weights(card, loading)
    _check_sampling_rate(card, processor)
    if card.training is not None and not card.training.merged:
        from voxemo.backends.local.adapters import load_adapter

        load_adapter(model, card, folder)
    return model, processor


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A checkpoint as its files describe it, without its weights."""

    family: Family
    repository: str
    """A folder of this machine, or a hub id."""
    config: Any
    own_generation: Any
    """The checkpoint's own generation settings, of which only the token ids are used."""
    processor: Any
    prompt_frame: str
    """As of `LoadedModel`."""


def describe_checkpoint(card: ModelCard, *, trust_remote_code: bool) -> Described:
    """Read what a checkpoint says of itself, and check it as `load_model` does, for an engine with its own loader.

    Raises:
        BackendError: it cannot be read, or differs from the card.
    """
    family = find_family(card.family, model_id=card.model_id)
    _check_card(card)
    if card.training is not None and not card.training.merged:
        raise BackendError(
            f"{card.model_id!r} has an adapter, without which its base would answer. Merge it into the base (voxemo "
            "train merge CARD --out FOLDER), and give the card of the merged model."
        )
    repository = find_repository(card)
    place: dict[str, Any] = {"revision": card.revision, "trust_remote_code": trust_remote_code}
    with explained(card):
        config = transformers.AutoConfig.from_pretrained(repository, **place)
        _check_architecture(card, family, config.architectures or [])
        processor = transformers.AutoProcessor.from_pretrained(repository, **place)
        own = _own_generation(repository, config, card)
    _check_sampling_rate(card, processor)
    _check_limits(card, family, processor)
    return Described(
        family=family,
        repository=repository,
        config=config,
        own_generation=own,
        processor=processor,
        prompt_frame=_prompt_frame(card, processor),
    )


def _own_generation(repository: str, config: Any, card: ModelCard) -> Any:
    try:
        return transformers.GenerationConfig.from_pretrained(repository, revision=card.revision)
    except OSError:
        # As for a loaded model: not every checkpoint has the file.
        return transformers.GenerationConfig.from_model_config(config)


def text_tokeniser(card: ModelCard, *, trust_remote_code: bool) -> Callable[[str], list[int]]:
    """What gives a text's token ids, without those that begin or end one, by the checkpoint's own tokenizer.

    Raises:
        BackendError: the checkpoint is not there, or has no tokenizer.
    """
    with explained(card):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            find_repository(card), revision=card.revision, trust_remote_code=trust_remote_code
        )
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])


@contextmanager
def explained(card: ModelCard) -> Iterator[None]:
    """Turn what goes wrong in reading a card's checkpoint into an error that says what to do.

    Raises:
        BackendError: from the libraries' own error.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as cause:
        raise BackendError(_why_not_loaded(card, cause)) from cause


def render_chat(processor: Any, prompt: str, *, answer: str | None = None) -> str:
    """One user turn, audio first, in the checkpoint's own chat template with its default system prompt.

    Args:
        processor: of the checkpoint.
        prompt: the text after the audio.
        answer: the assistant's turn; when None, the chat ends where that would begin.
    """
    content = [{"type": "audio"}, {"type": "text", "text": prompt}]
    chat: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if answer is not None:
        chat.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return str(processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=answer is None))


def tokenise_chats(processor: Any, prompts: Mapping[str, Question], *, model_id: str) -> dict[str, list[int]]:
    """Token ids of each prompt's chat, with one audio token for any clip.

    Args:
        processor: of the checkpoint.
        prompts: prompt text to a question that asks it.
        model_id: for the message.

    Raises:
        BackendError: a prompt holds the word that stands for the audio.
    """
    tokens: dict[str, list[int]] = {}
    placeholder = processor.audio_token
    for prompt, question in prompts.items():
        chat = render_chat(processor, prompt)
        if chat.count(placeholder) != 1:
            raise prompt_holds_placeholder(question, placeholder, model_id=model_id)
        tokens[prompt] = processor.tokenizer(chat, add_special_tokens=False)["input_ids"]
    return tokens


def check_heard(asked: AskedClip, n_audio_tokens: int, family: Family) -> None:
    """Refuse a clip of which the model would hear another length.

    Raises:
        BackendError: another number of audio tokens than the clip must give.
    """
    n_due = family.n_audio_tokens(asked.clip.samples.size)
    if n_audio_tokens != n_due:
        raise BackendError(
            f"The clip {asked.key!r} of {asked.clip.samples.size / SAMPLE_RATE_HZ:.2f} s gives {n_audio_tokens} audio "
            f"tokens where it should give {n_due}: the model would not hear what was recorded. Check that the "
            "checkpoint's processor files belong to it."
        )


def prompt_holds_placeholder(question: Question, placeholder: str, *, model_id: str) -> BackendError:
    """The error about a prompt with a word that the model takes for audio."""
    return BackendError(
        f"The prompt of variant {question.variant_id!r} holds {placeholder!r}, which {model_id} takes for audio. Write "
        "the prompt without it."
    )


# --- before loading ----------------------------------------------------------------------------------------------


def _check_versions() -> None:
    for line in requires("voxemo") or ():
        needed = Requirement(line)
        if needed.name not in ("torch", "transformers") or needed.marker is None:
            continue
        if needed.marker.evaluate({"extra": "hf"}) and not needed.specifier.contains(
            version(needed.name), prereleases=True
        ):
            raise BackendError(
                f"{needed.name} {version(needed.name)} is installed; the local backend is tested with "
                f'{needed.name}{needed.specifier}. In a checkout: pip install -c constraints.txt -e ".[hf]"'
            )


def _check_card(card: ModelCard) -> None:
    """Refuse what the card declares and this backend would not do."""
    refused = {
        "quantization": card.quantization is not None,
        "training": card.training is not None and card.training.kind != "sft",
        "audio.sample_rate_hz": card.audio.sample_rate_hz != SAMPLE_RATE_HZ,
        "audio.channels": card.audio.channels != 1,
    }
    fields = [field for field, declared in refused.items() if declared]
    if fields:
        raise BackendError(
            f"The card of {card.model_id!r} sets {listing(fields)}. voxemo runs whole, unquantized checkpoints on "
            f"mono audio at {SAMPLE_RATE_HZ} Hz; going on would answer with another model."
        )


def find_repository(card: ModelCard) -> str:
    """Where a card's checkpoint is: a folder on this machine, or a hub id.

    Raises:
        BackendError: the card names none, or a folder that is not there.
    """
    if card.repository is None:
        raise BackendError(f"The card of {card.model_id!r} names no repository. Set it to a hub id or to a folder.")
    if card.repository.startswith(IN_PACKAGE):
        return str(checkpoint_folder(card.repository))
    is_hub_id = re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", card.repository) is not None
    if not is_hub_id and not Path(card.repository).is_dir():
        raise BackendError(
            f"There is no folder {card.repository!r}, which the card of {card.model_id!r} names as its repository. "
            "Relative folders start at the working folder."
        )
    return card.repository


def find_dtype(name: str | None) -> Any:
    """The torch dtype of a name; ``auto``, the checkpoint's own, for none.

    Raises:
        BackendError: the name is none of ``DTYPES``.
    """
    if name is None:
        return "auto"
    if name not in DTYPES:
        raise BackendError(f"There is no dtype {name!r} here. Use one of {', '.join(DTYPES)}.")
    return getattr(torch, name)


def _device(name: str | None) -> Any:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as cause:
        raise BackendError(f"There is no device {name!r}. Use cpu, cuda or cuda:N.") from cause
    n_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise BackendError(f"The device {name!r} was asked for, but torch sees {n_gpus} GPUs here. Use cpu or another.")
    return device


# --- after loading -----------------------------------------------------------------------------------------------


def _check_architecture(card: ModelCard, family: Family, found: list[str]) -> str:
    declared = card.architecture or family.architecture
    if found == [family.architecture] == [declared]:
        return declared
    fitting = [other.family_id for other in FAMILIES.values() if [other.architecture] == found and other != family]
    hint = f"Set family = {fitting[0]!r} on the card" if fitting else "Correct the card"
    raise BackendError(
        f"The card of {card.model_id!r} declares the family {family.family_id!r} with the class {declared}, but the "
        f"checkpoint {card.repository!r} is a {' + '.join(found) or 'model without a class name'}; the family's class "
        f"is {family.architecture}. {hint}, or name another repository."
    )


def _why_not_loaded(card: ModelCard, cause: Exception) -> str:
    lines = str(cause).strip().splitlines()
    said = lines[0].rstrip(".") if lines else repr(cause)
    needed = list(dict.fromkeys(MISSING_LIBRARY.findall(str(cause))))
    if isinstance(cause, ImportError) and needed:
        said = f"its class in transformers needs {listing(needed)}, not installed here"
        step = "Install what is missing, in the version made for this torch, or ask the model through a server."
    elif is_out_of_memory(cause):
        step = "Use a device with more free memory, or a smaller dtype."
    elif "trust_remote_code" in str(cause):
        step = "It brings its own code. Read that code, then pass trust_remote_code, or take another repository."
    elif Path(card.repository or "").is_dir():
        step = "The folder must hold a whole checkpoint: config.json, weights, tokenizer and processor files."
    else:
        step = (
            "No folder of that name is here either. Download it on a machine with network, then set HF_HOME to that "
            "cache here, or name the downloaded folder as the card's repository."
        )
    return f"The repository {card.repository!r} of {card.model_id!r} cannot be loaded: {said}. {step}"


def _check_weights(card: ModelCard, loading: Mapping[str, Any]) -> None:
    missing = sorted(loading["missing_keys"])
    if missing:
        raise BackendError(
            f"The checkpoint {card.repository!r} of {card.model_id!r} lacks weights that its class needs: "
            f"{listing(missing)}. They would be random numbers. Get the whole checkpoint."
        )


def _check_sampling_rate(card: ModelCard, processor: Any) -> None:
    # Some processors call their feature extractor so, others not.
    extractor = getattr(processor, "feature_extractor", None) or getattr(processor, "audio_processor", None)
    rate_hz = getattr(extractor, "sampling_rate", None)
    if rate_hz != SAMPLE_RATE_HZ:
        raise BackendError(
            f"The checkpoint {card.repository!r} wants audio at {rate_hz} Hz; this backend gives {SAMPLE_RATE_HZ} Hz."
        )


def _check_limits(card: ModelCard, family: Family, processor: Any) -> None:
    longest_s = family.longest_s(processor)
    if card.audio.max_s is None or card.audio.max_s > longest_s:
        declared = "no limit" if card.audio.max_s is None else f"{card.audio.max_s:g} s"
        raise BackendError(
            f"The card of {card.model_id!r} declares audio.max_s as {declared}, but the checkpoint hears at most "
            f"{longest_s:g} s and would drop the rest in silence. Set audio.max_s to {longest_s:g} or less."
        )
    n_tokens = family.n_audio_tokens(n_samples(card.audio.min_s))
    if n_tokens < family.min_audio_tokens:
        raise BackendError(
            f"The card of {card.model_id!r} declares audio.min_s as {card.audio.min_s:g} s, which gives {n_tokens} "
            f"audio tokens; {family.family_id} needs {family.min_audio_tokens} to hear anything. Raise it, to 0.1 say."
        )


def _prompt_frame(card: ModelCard, processor: Any) -> str:
    try:
        frame = render_chat(processor, PROMPT_MARK)
    except (ValueError, TemplateError) as cause:
        raise BackendError(
            f"The checkpoint {card.repository!r} of {card.model_id!r} has no usable chat template: {cause} "
            "Put the model's chat_template.jinja into the folder."
        ) from cause
    audio = processor.audio_token
    if frame.count(audio) != 1 or not frame.index(audio) < frame.find(PROMPT_MARK):
        raise BackendError(
            f"The chat template of {card.repository!r} does not put one {audio!r} before the prompt: it renders "
            f"{frame!r}. The benchmark asks with the audio first. Use the model's own chat template."
        )
    return frame
