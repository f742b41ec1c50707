"""Reading prompts: what all prompts about a clip begin with is read once, and each goes on from there."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from voxemo.backends.local.cache import empty_cache, rows_of


@dataclass(slots=True, eq=False)
class Prefix:
    """What all prompts begin with, as read about each clip of a batch; padded on the left."""

    tokens: Sequence[Sequence[int]]
    """Of each clip, without padding."""
    heard: Sequence[torch.Tensor]
    """Embeddings of each clip, shape (n_audio_tokens, width)."""
    mask: torch.Tensor
    """1 where a token stands, shape (n_clips, n_tokens)."""
    cache: Any
    """Keys and values; None once they were given up."""

    def give_up(self) -> None:
        """Make room for others: keys and values of a clip are a hundred times as large as its embeddings."""
        self.cache = None

    def reread(self, model: Any, rows: Sequence[int]) -> tuple["Prefix", Sequence[int]]:
        """A prefix about some clips that has keys and values, and their rows there: itself while it has its own."""
        if self.cache is not None:
            return self, rows
        tokens, heard = [self.tokens[row] for row in rows], [self.heard[row] for row in rows]
        return read_prefix(model, tokens, heard), range(len(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A prompt about one clip."""

    prefix: Prefix
    row: int
    """Of the prefix: which clip."""
    suffix: tuple[int, ...]
    """Tokens after those that all prompts share; one or more."""

    @property
    def clip(self) -> Hashable:
        """The same for all prompts that go on from the same tokens."""
        return id(self.prefix), self.row

    @property
    def n_shared(self) -> int:
        """Tokens that all prompts about the clip begin with."""
        return len(self.prefix.tokens[self.row])

    @property
    def n_tokens(self) -> int:
        """Tokens of the whole prompt, those of the audio among them."""
        return self.n_shared + len(self.suffix)


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Prompts that were read: one row each."""

    cache: Any
    """Padded on the left."""
    hidden: torch.Tensor
    """Output of the last layer at the last token, shape (n_rows, width)."""


def read_prefix(model: Any, tokens: Sequence[Sequence[int]], heard: Sequence[torch.Tensor]) -> Prefix:
    """Read what all prompts begin with, about clips.

    Args:
        model: of a class with a language model and one audio token for each embedding.
        tokens: for each clip.
        heard: embeddings of each clip, shape (n_audio_tokens, width).
    """
    width = max(map(len, tokens))
    # Which token stands in the padding does not matter: nothing looks at it.
    ids = torch.zeros((len(tokens), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, own in enumerate(tokens):
        ids[row, width - len(own) :] = torch.tensor(own)
        mask[row, width - len(own) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    embeddings = model.get_input_embeddings()(ids)
    audio = (ids == model.config.audio_token_id)[..., None]
    cache = empty_cache(model.config.get_text_config().num_hidden_layers)
    model.model.language_model(
        inputs_embeds=embeddings.masked_scatter(audio, torch.cat(list(heard)).to(embeddings.dtype)),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
    )
    return Prefix(tokens, heard, mask, cache)


def read_on(model: Any, cache: Any, mask: torch.Tensor, tokens: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the same tokens in every row of a cache, which grows by them.

    Args:
        model: whose language model reads.
        cache: padded on the left.
        mask: 1 where the cache holds a token, shape (n_rows, n_tokens).
        tokens: one or more.

    Returns:
        The longer mask, and the last layer's output at each new token, shape (n_rows, n_new, width).
    """
    added = torch.tensor(tokens, device=mask.device).expand(len(mask), -1)
    longer = torch.cat([mask, torch.ones_like(added)], dim=1)
    output = model.model.language_model(
        input_ids=added,
        attention_mask=longer,
        position_ids=(longer.cumsum(-1) - 1)[:, mask.shape[1] :],
        past_key_values=cache,
        use_cache=True,
    )
    return longer, output.last_hidden_state


def read_prompts(model: Any, prefix: Prefix, rows: Sequence[int], suffix: Sequence[int]) -> Read:
    """Read prompts that go on from rows of one prefix with the same suffix, a row for each."""
    cache = rows_of(prefix.cache, rows, n_more=len(suffix))
    _, hidden = read_on(model, cache, prefix.mask[list(rows)], suffix)
    return Read(cache, hidden[:, -1])
