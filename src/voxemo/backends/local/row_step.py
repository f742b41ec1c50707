"""One token more in every row: through gathered pages anywhere, or through a kernel that reads pages where they lie."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AttentionInterface

from voxemo.backends.local.paged_rows import PagedRows, head_dim

KERNEL_ATTENTION = "voxemo-rows"
"""Name under which transformers finds the kernel."""
TOLERANCE = {torch.float32: 1e-3, torch.float16: 5e-3, torch.bfloat16: 2e-2}
"""Largest difference from plain attention that a kernel may show on values of about 1."""


class GatheredStep:
    """A step by PyTorch's own attention over a copy of what rows hold: on any device, in any dtype.

    Args:
        model: of a class with a language model and ``lm_head``.
        rows: its rows.
    """

    attention = "gathered pages, sdpa"
    """How a step attends, for the record."""

    def __init__(self, model: Any, rows: PagedRows) -> None:
        self._model, self._rows = model, rows
        self.last = torch.zeros_like(rows.n_own)
        """The last token of each row, shape (n_rows,)."""

    def __call__(self) -> torch.Tensor:
        """The next token of every row, shape (n,); those of free rows mean nothing."""
        self._write()
        return self.last[: self._rows.n].clone()

    def forget(self) -> None:
        """What was recorded no longer holds: tensors of rows have been made anew."""

    def keep(self, places: Sequence[int]) -> None:
        """Go on with these rows only, numbered anew."""
        self.last[: len(places)] = self.last[torch.tensor(places, device=self.last.device)]

    def _write(self) -> None:
        self._rows.begin_step()
        self._forward(self._rows.masks())

    def _forward(self, masks: Any, **options: Any) -> None:
        rows = self._rows
        output = self._model.model.language_model(
            input_ids=self.last[: rows.n, None],
            attention_mask=masks,
            position_ids=rows.positions[:, None],
            past_key_values=rows.cache,
            use_cache=True,
            **options,
        )
        self.last[: rows.n] = self._model.lm_head(output.last_hidden_state[:, -1]).argmax(-1)
        rows.advance()


class KernelStep(GatheredStep):
    """A step by a Triton kernel that reads every row's pages where they lie, shared ones once for rows side by side.

    On a GPU it is recorded once for each number of rows, and then replayed: Python takes longer over some forty layers
    than the GPU does.
    """

    attention = "Triton kernel over pages"

    def __init__(self, model: Any, rows: PagedRows) -> None:
        super().__init__(model, rows)
        self._recorded: dict[int, Callable[[], None]] = {}
        self._is_gpu = model.device.type == "cuda"

    def forget(self) -> None:
        """Record again when the next token is due."""
        self._recorded.clear()

    def __call__(self) -> torch.Tensor:
        """The next token of every row, shape (n,); those of free rows mean nothing."""
        n = self._rows.n
        if not self._is_gpu:
            self._write()
        else:
            if n not in self._recorded:
                self._recorded[n] = self._record()
            self._recorded[n]()
        return self.last[:n].clone()

    def _write(self) -> None:
        with _attention(self._model, KERNEL_ATTENTION):
            self._forward(dict.fromkeys(self._rows.layer_types), paged_rows=self._rows)

    def _record(self) -> Callable[[], None]:
        """Record one step; nothing is written by it."""
        state = self.last, self._rows.n_own
        before = [part.clone() for part in state]
        side = torch.cuda.Stream(self._model.device)
        side.wait_stream(torch.cuda.current_stream(self._model.device))
        with torch.cuda.stream(side):
            # What kernels and libraries set up when they first run must not be recorded.
            for _ in range(2):
                self._write()
        torch.cuda.current_stream(self._model.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._write()
        for part, was in zip(state, before, strict=True):
            part.copy_(was)
        return graph.replay  # type: ignore[no-any-return]


def make_step(model: Any, rows: PagedRows) -> GatheredStep:
    """The fastest step that this machine and this model allow, and that gives what plain attention gives here."""
    why_not = _why_no_kernel(model)
    if why_not is None:
        return KernelStep(model, rows)
    step = GatheredStep(model, rows)
    step.attention += f" ({why_not})"
    return step


def _why_no_kernel(model: Any) -> str | None:
    config = model.model.language_model.config
    width = head_dim(config)
    if model.device.type != "cuda":
        return "no CUDA device"
    if find_spec("triton") is None:
        return "Triton is not installed"
    if width & (width - 1):
        return f"the kernel wants heads of a power of two, not of {width}"
    from voxemo.backends.local.row_kernel import difference_from_plain

    try:
        difference = difference_from_plain(
            n_heads=config.num_attention_heads,
            n_kv_heads=config.num_key_value_heads,
            head_dim=width,
            dtype=model.dtype,
            device=model.device,
        )
    # Triton raises errors of many kinds where it cannot compile for a device; none of them concerns the user.
    except Exception as cause:
        return f"the kernel does not run here: {type(cause).__name__}"
    return None if difference <= TOLERANCE[model.dtype] else f"the kernel differs from sdpa by {difference:.2g} here"


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """Let the language model attend by another function for a while."""
    from voxemo.backends.local.row_kernel import attend_pages

    AttentionInterface.register(name, attend_pages)
    config = model.model.language_model.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
