"""Pages are never given twice, and all come back."""

from hypothesis import given
from hypothesis import strategies as st

from voxemo.backends.local.page_table import PAGE, SCRATCH, Held, PageTable, pages_for

questions = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 3 * PAGE), st.integers(0, 6), st.integers(0, 8)), max_size=40
)
N_SHARED = {"a": 1, "b": PAGE, "c": 2 * PAGE + 5}


@given(questions, st.integers(2, 40))
def test_no_page_has_two_owners_and_none_is_lost(asked: list[tuple[str, int, int, int]], n_pages: int) -> None:
    table, rows = PageTable(n_pages), []
    for key, n_own, n_more, which in asked:
        if table.n_due(key, n_shared=N_SHARED[key], n_own=n_own) <= table.n_free:
            row, is_new = table.begin(key, n_shared=N_SHARED[key], n_own=n_own)
            assert is_new == all(other.key != key for other in rows)
            rows.append(row)
        if rows:
            row = rows[which % len(rows)]
            before = list(row.own)
            if table.grow(row, n_own=n_more * PAGE):
                assert len(row.own) == max(len(before), n_more)
            else:
                assert row.own == before
        if len(rows) > which:
            table.end(rows.pop(which))
        check(table, rows)
    for row in rows:
        table.end(row)
    assert table.n_free == n_pages - 1


def check(table: PageTable, rows: list[Held]) -> None:
    own = [page for row in rows for page in row.own]
    shared = {row.key: tuple(table.pages(row)[: pages_for(N_SHARED[row.key])]) for row in rows}
    held = [*own, *(page for pages in shared.values() for page in pages)]
    assert len(held) == len(set(held))
    assert SCRATCH not in held
    assert len(held) + table.n_free == table.n_pages - 1
    for row in rows:
        assert table.pages(row) == [*shared[row.key], *row.own]


def test_more_pages_can_be_had_later() -> None:
    table = PageTable(2)
    row, _ = table.begin("a", n_shared=1, n_own=0)
    assert not table.grow(row, n_own=1)

    table.enlarge(4)

    assert table.grow(row, n_own=2 * PAGE)
    assert table.n_free == 0
    assert len(set(table.pages(row))) == 3
