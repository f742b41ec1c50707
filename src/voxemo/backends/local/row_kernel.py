"""Attention of rows that write one token each, over pages where they lie.

One program attends for one head of one row: first over the pages that the row shares with others, then over its own.
Programs of rows that share pages run side by side, so that the device reads these pages from its memory once.
"""

from types import SimpleNamespace
from typing import Any

import torch
import triton
from torch.nn.functional import scaled_dot_product_attention
from triton import language as tl

from voxemo.backends.local.page_table import PAGE, SCRATCH
from voxemo.backends.local.paged_rows import PagedRows

WARPS, STAGES = 1, 3
"""Fastest of those measured on an H100 (one query row leaves nothing for more warps to do)."""


@triton.jit
def _weigh(query, keys, values, offsets, seen, greatest, total, mixed):  # type: ignore[no-untyped-def]
    """Add a page's tokens to a softmax that is kept as its greatest score, its total, and the mixed values."""
    key = tl.load(keys + offsets, mask=seen[:, None], other=0.0).to(tl.float32)
    score = tl.where(seen, tl.sum(key * query[None, :], 1), -float("inf"))
    now = tl.maximum(greatest, tl.max(score))
    shrink, weight = tl.exp(greatest - now), tl.exp(score - now)
    value = tl.load(values + offsets, mask=seen[:, None], other=0.0).to(tl.float32)
    return now, total * shrink + tl.sum(weight), mixed * shrink + tl.sum(weight[:, None] * value, 0)


@triton.jit  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    query_ptr,
    new_key_ptr,
    new_value_ptr,
    keys,
    values,
    out_ptr,
    order_ptr,
    pages_ptr,
    n_shared_ptr,
    n_own_ptr,
    n_columns,
    window,
    scale,
    n_heads: tl.constexpr,
    n_kv_heads: tl.constexpr,
    head_dim: tl.constexpr,
    page_size: tl.constexpr,
):
    row = tl.load(order_ptr + tl.program_id(0))
    head = tl.program_id(1)
    kv_head = head // (n_heads // n_kv_heads)
    n_shared, n_own = tl.load(n_shared_ptr + row), tl.load(n_own_ptr + row)
    n_shared_pages = (n_shared + page_size - 1) // page_size
    first_seen = tl.where(window > 0, tl.maximum(n_shared + n_own - window + 1, 0), 0)
    width, token = tl.arange(0, head_dim), tl.arange(0, page_size)
    pages = pages_ptr + row * n_columns

    query = tl.load(query_ptr + (row * n_heads + head) * head_dim + width).to(tl.float32) * scale
    new = (row * n_kv_heads + kv_head) * head_dim + width
    new_key, new_value = tl.load(new_key_ptr + new), tl.load(new_value_ptr + new)
    if head % (n_heads // n_kv_heads) == 0:
        page = tl.load(pages + n_shared_pages + n_own // page_size)
        place = ((page * n_kv_heads + kv_head) * page_size + n_own % page_size) * head_dim + width
        tl.store(keys + place, new_key)
        tl.store(values + place, new_value)

    # A token always sees itself. What has been stored a moment ago is not read again: no program waits for another.
    greatest = tl.sum(query * new_key.to(tl.float32))
    total, mixed = greatest * 0 + 1.0, new_value.to(tl.float32)
    for start in range(0, n_shared, page_size):
        page = tl.load(pages + start // page_size)
        offsets = ((page * n_kv_heads + kv_head) * page_size + token)[:, None] * head_dim + width[None, :]
        seen = (start + token < n_shared) & (start + token >= first_seen)
        greatest, total, mixed = _weigh(query, keys, values, offsets, seen, greatest, total, mixed)
    for start in range(0, n_own, page_size):
        page = tl.load(pages + n_shared_pages + start // page_size)
        offsets = ((page * n_kv_heads + kv_head) * page_size + token)[:, None] * head_dim + width[None, :]
        seen = (start + token < n_own) & (n_shared + start + token >= first_seen)
        greatest, total, mixed = _weigh(query, keys, values, offsets, seen, greatest, total, mixed)
    tl.store(out_ptr + (row * n_heads + head) * head_dim + width, (mixed / total).to(out_ptr.dtype.element_ty))


def attend_pages(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    paged_rows: PagedRows,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from one new token in every row to all that the row holds, as transformers' attention functions do.

    The new keys and values are written to the rows' pages.

    Args:
        module: the attention layer; its ``layer_idx`` names the layer.
        query: shape (n_rows, n_heads, 1, head_dim).
        key: of the new tokens, shape (n_rows, n_kv_heads, 1, head_dim).
        value: of the same shape.
        attention_mask: none: rows know what they hold.
        scaling: of the scores.
        paged_rows: the rows.
        sliding_window: tokens that this layer looks back at; all when None.
        kwargs: what other attention functions want.

    Returns:
        The attended values, shape (n_rows, 1, n_heads, head_dim), and no weights.
    """
    layer = paged_rows.layers[module.layer_idx]
    n_rows, n_heads, _, head_dim = query.shape
    out = query.new_empty(n_rows, n_heads, head_dim)
    _attend[(n_rows, n_heads)](
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        layer.keys,
        layer.values,
        out,
        paged_rows.order,
        paged_rows.pages,
        paged_rows.n_shared,
        paged_rows.n_own,
        paged_rows.pages.shape[1],
        sliding_window or 0,
        scaling,
        n_heads=n_heads,
        n_kv_heads=key.shape[1],
        head_dim=head_dim,
        page_size=PAGE,
        num_warps=WARPS,
        num_stages=STAGES,
    )
    return out[:, None], None


def difference_from_plain(
    *,
    n_heads: int,
    n_kv_heads: int,
    head_dim: int,
    dtype: torch.dtype,
    device: torch.device,
    sliding_window: int | None = None,
) -> float:
    """Largest difference between this kernel and PyTorch's attention in float32, on rows of many lengths.

    Of attended values, as a share of them where they are beyond 1: keys and values are standard normal, so that a row
    of a few tokens reaches 3. And of what is on pages afterwards, where there must be none.
    """
    config = SimpleNamespace(
        layer_types=["sliding_attention" if sliding_window else "full_attention"],
        sliding_window=sliding_window,
        num_key_value_heads=n_kv_heads,
        num_attention_heads=n_heads,
        head_dim=head_dim,
        num_hidden_layers=1,
    )
    held = [("a", 1, 1), ("a", 1, 70), ("b", 2 * PAGE, PAGE), ("b", 2 * PAGE, PAGE - 1), ("c", 3 * PAGE + 5, 3), None]
    rows = PagedRows(
        SimpleNamespace(config=config, dtype=dtype, device=device), n_rows=len(held), n_pages=4 * len(held)
    )
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    for place, one in enumerate(held):
        if one is not None:
            key, n_shared, n_own = one
            rows.begin(place, key, n_shared=n_shared, n_own=n_own + 1)
            rows.n_shared[place], rows.n_own[place], rows.active[place] = n_shared, n_own, 1
    layer = rows.layers[0]
    layer.keys, layer.values = normal(*layer.keys.shape), normal(*layer.values.shape)
    rows.look_up()
    query = normal(len(held), n_heads, 1, head_dim)
    new_key, new_value = normal(len(held), n_kv_heads, 1, head_dim), normal(len(held), n_kv_heads, 1, head_dim)
    scaling = head_dim**-0.5
    before = layer.keys.clone(), layer.values.clone()
    found, _ = attend_pages(
        SimpleNamespace(layer_idx=0),
        query,
        new_key,
        new_value,
        None,
        scaling=scaling,
        paged_rows=rows,
        sliding_window=sliding_window,
    )
    stored = layer.keys, layer.values
    layer.keys, layer.values = before
    rows.begin_step()
    keys, values = layer.update(new_key, new_value)
    mask = next(iter(rows.masks().values()))
    expected = scaled_dot_product_attention(
        query.float(), keys.float(), values.float(), attn_mask=mask, scale=scaling, enable_gqa=True
    )
    written = [place for place, one in enumerate(held) if one is not None]
    differences = (found.transpose(1, 2) - expected)[written] / expected[written].abs().clamp(min=1)
    # All pages but the first: rows without a question write there, one over the other.
    on_pages = [(one - other)[SCRATCH + 1 :].abs().max() for one, other in zip(stored, before, strict=True)]
    return float(torch.stack([differences.abs().max(), *(one.float() for one in on_pages)]).max())
