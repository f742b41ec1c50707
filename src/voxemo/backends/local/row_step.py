"""One token more in every row: through gathered pages anywhere, or through a kernel that reads pages where they lie."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeAlias

import torch
from transformers import AttentionInterface

from voxemo.backends.local.memory import is_out_of_memory
from voxemo.backends.local.paged_rows import PagedRows, head_dim

KERNEL_ATTENTION = "voxemo-rows"
"""Name under which transformers finds the kernel."""
FLOAT32_TOLERANCE = 1e-3
"""What sums of float32 in another order, or PyTorch's products in fewer bits, may come to."""


Recorder: TypeAlias = Callable[[Callable[[], None]], Callable[[], None]]
"""Does something and records it; gives what does it again."""


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


class GraphRecorder:
    """Records what a GPU is told to do, to be told it again at once.

    Recordings use the same memory: no two of them run together, and none leaves anything there for another.

    Args:
        device: the current one.
    """

    def __init__(self, device: torch.device) -> None:
        self._side = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, told: Callable[[], None]) -> Callable[[], None]:
        """Do it once, since what kernels and libraries set up when they first run must not be recorded, and record it.

        Returns:
            What does it again.
        """
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            told()
        torch.cuda.current_stream().wait_stream(self._side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._side):
            told()
        return graph.replay  # type: ignore[no-any-return]


class KernelStep(GatheredStep):
    """A step by a Triton kernel that reads every row's pages where they lie, shared ones once for rows side by side.

    With a recorder it is recorded once for each number of rows, and then replayed: Python takes longer over some forty
    layers than a GPU does. Where that fails, or gives other tokens than the step itself, no step is recorded.
    """

    attention = "Triton kernel over pages"

    def __init__(self, model: Any, rows: PagedRows, recorder: Recorder | None) -> None:
        super().__init__(model, rows)
        self._recorder = recorder
        self._recorded: dict[int, Callable[[], None]] = {}

    def forget(self) -> None:
        """Record again when the next token is due."""
        self._recorded.clear()

    def __call__(self) -> torch.Tensor:
        """The next token of every row, shape (n,); those of free rows mean nothing."""
        n = self._rows.n
        if self._recorder is not None and n not in self._recorded:
            self._record(self._recorder)
        self._recorded.get(n, self._write)()
        return self.last[:n].clone()

    def _write(self) -> None:
        with _attention(self._model, KERNEL_ATTENTION):
            self._forward(dict.fromkeys(self._rows.layer_types), paged_rows=self._rows)

    def _record(self, recorder: Recorder) -> None:
        """Record one step, unless that cannot be done; nothing is written by it."""
        with self._undone() as written:
            self._write()
            expected = written()
        try:
            with self._undone():
                replay = recorder(self._write)
            with self._undone() as written:
                replay()
                is_same = torch.equal(written(), expected)
        # Libraries raise errors of many kinds for what cannot be recorded; a step that does not fit must be halved.
        except Exception as cause:
            if is_out_of_memory(cause):
                raise
            self._record_no_more(type(cause).__name__)
            return
        if is_same:
            self._recorded[self._rows.n] = replay
        else:
            self._record_no_more("it gave other tokens")

    def _record_no_more(self, why: str) -> None:
        self._recorder = None
        self.attention += f", not recorded: {why}"

    @contextmanager
    def _undone(self) -> Iterator[Callable[[], torch.Tensor]]:
        """Take back what is written meanwhile; what lies on pages is written again by the next step.

        Gives what rows that hold a question have then: the last token and the number of tokens, shape (2, n_rows).
        """
        state = self.last, self._rows.n_own
        before = [part.clone() for part in state]
        try:
            yield lambda: torch.stack(state)[:, self._rows.active.bool()]
        finally:
            for part, was in zip(state, before, strict=True):
                part.copy_(was)


def make_recorder(device: torch.device) -> Recorder | None:
    """What records steps; None for devices that are told no faster so."""
    return GraphRecorder(device) if device.type == "cuda" else None


def make_step(model: Any, rows: PagedRows) -> GatheredStep:
    """The fastest step that this machine and this model allow, and that gives what plain attention gives here."""
    why_not = _why_no_kernel(model)
    if why_not is None:
        return KernelStep(model, rows, make_recorder(model.device))
    step = GatheredStep(model, rows)
    step.attention += f" ({why_not})"
    return step


def tolerance(dtype: torch.dtype) -> float:
    """Largest difference from attention in float32 that a kernel may show, as a share of values beyond 1.

    The kernel works in float32 and rounds once: to the nearest number on a GPU, towards zero in Triton's interpreter,
    which is off by half of a dtype's ``eps`` at most, or by one.
    """
    eps: float = torch.finfo(dtype).eps
    return max(FLOAT32_TOLERANCE, eps)


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
    return None if difference <= tolerance(model.dtype) else f"the kernel differs from sdpa by {difference:.2g} here"


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
