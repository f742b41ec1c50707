"""What a frozen audio tower gives of clips, computed once and kept on disk for every fold, seed and recipe.

Files are safetensors, named by what heard the clips, and read through the system's page cache as they are needed.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from voxemo.audio.load import Waveform
from voxemo.backends.local.clips import FittedClip, RefusedClip, fit_clip
from voxemo.backends.local.families.base import Family
from voxemo.backends.local.hearing import Hearing
from voxemo.core.cards import AudioLimits
from voxemo.core.errors import AudioError, TrainingError
from voxemo.core.ids import canonical_json, sha256_text
from voxemo.store.files import write_atomically
from voxemo.training.processes import ALONE, Processes

CLIPS_A_FILE = 128
LOADERS = 4


def encoder_sha256(model: Any, feature_extractor: Any) -> str:
    """What identifies the audio half of a model: its weights, their dtype and device, and its features."""
    digest = hashlib.sha256(json.dumps(feature_extractor.to_dict(), sort_keys=True, default=str).encode())
    digest.update(f"{model.dtype} {model.device.type}".encode())
    for part in (model.model.audio_tower, model.model.multi_modal_projector):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def embedding_key(audio_sha256: str, limits: AudioLimits) -> str:
    """What names a clip's embeddings, beside the encoder: its samples, and what is done to clips too long or short."""
    return sha256_text(f"{audio_sha256} {canonical_json(limits.model_dump(mode='json'))}")


class Embeddings(Mapping[str, torch.Tensor]):
    """Embeddings of clips by key, each of shape (n_audio_tokens, width), in files of a folder.

    Args:
        folder: of one encoder; made when something is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, Any] = {}
        self._places: dict[str, Path] = {}
        self.refresh()

    def refresh(self) -> None:
        """Find what was added since, by other processes too."""
        for path in sorted(self._folder.glob("*.safetensors")):
            if path not in self._files:
                self._files[path] = safe_open(path, "pt")
                self._places.update(dict.fromkeys(self._files[path].keys(), path))

    def add(self, embeddings: Mapping[str, torch.Tensor]) -> None:
        """Keep embeddings in one more file."""
        content = save({key: tensor.cpu().contiguous() for key, tensor in embeddings.items()})
        path = self._folder / f"{secrets.token_hex(8)}.safetensors"
        write_atomically(path, lambda file: file.write(content))
        self.refresh()

    def __getitem__(self, key: str) -> torch.Tensor:
        tensor: torch.Tensor = self._files[self._places[key]].get_tensor(key)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def hear_all(
    clips: Mapping[str, Callable[[], Waveform]],
    hearing: Hearing,
    embeddings: Embeddings,
    *,
    family: Family,
    limits: AudioLimits,
    processes: Processes = ALONE,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Put the embeddings of all clips among those that are kept; what is there already is not heard again.

    Args:
        clips: key to what loads the clip, in an order in which neighbours are of like length.
        hearing: of the model.
        embeddings: where they are kept; the same folder for all processes.
        family: of the model; says how many audio tokens a clip gives.
        limits: the card's policy for clips too short or too long.
        processes: among which the clips are shared out.
        on_progress: called with (clips done, clips in all) of this process.

    Returns:
        Key to the reason, for clips that this process could not hear.

    Raises:
        TrainingError: a clip gives another number of audio tokens than its length says.
    """
    refused: dict[str, str] = {}
    keys = list(clips)
    # Divided before it is known which are there: an interruption leaves no trace in how clips are put together.
    shares = [keys[start : start + CLIPS_A_FILE] for start in range(0, len(keys), CLIPS_A_FILE)]
    done, n_own = 0, sum(map(len, shares[processes.rank :: processes.size]))
    with ThreadPoolExecutor(LOADERS) as pool:
        for share in shares[processes.rank :: processes.size]:
            missing = [key for key in share if key not in embeddings]
            fitted: dict[str, FittedClip] = {}
            loaded = pool.map(lambda key: _load(clips[key], limits), missing)
            for key, clip in zip(missing, loaded, strict=True):
                if isinstance(clip, RefusedClip):
                    refused[key] = clip.reason
                else:
                    fitted[key] = clip
            if fitted:
                embeddings.add(_embed(fitted, hearing, family))
            done += len(share)
            if on_progress is not None:
                on_progress(done, n_own)
    processes.wait()
    embeddings.refresh()
    return refused


def _load(load: Callable[[], Waveform], limits: AudioLimits) -> FittedClip | RefusedClip:
    try:
        return fit_clip(load(), limits)
    except AudioError as cause:
        return RefusedClip(str(cause))


def _embed(clips: Mapping[str, FittedClip], hearing: Hearing, family: Family) -> dict[str, torch.Tensor]:
    samples: Sequence[Waveform] = [clip.samples for clip in clips.values()]
    heard = dict(zip(clips, hearing.embed(samples), strict=True))
    for key, clip in clips.items():
        n_due = family.n_audio_tokens(clip.samples.size)
        if len(heard[key]) != n_due:
            raise TrainingError(
                f"A clip of {clip.samples.size} samples gives {len(heard[key])} audio tokens where it should give "
                f"{n_due}: the model would not hear what was recorded. Check that the processor files belong to it."
            )
    return heard
