"""Sets of rows as the bits of integers, and what a query makes of them."""

from hypothesis import given
from hypothesis import strategies as st

from services.mail.search.deciding import Bounds, Rows, among, by_columns, chosen, decide, of_uids, where
from services.mail.store.search import Among, Changed, Everything, Flagged, InBody, Key, Operator, Sized
from services.mail.store.uids import normalise

AND, OR, NOT = Operator.AND, Operator.OR, Operator.NOT

columns = st.lists(st.integers(1, 60), unique=True).map(sorted)
wanted = st.lists(st.integers(1, 70), max_size=20)


@given(columns, wanted)
def test_single_uids_are_rows(uids: list[int], single: list[int]) -> None:
    rows = of_uids(single, uids)
    assert chosen(rows, uids) == [uid for uid in uids if uid in single]
    assert rows == where([uid in single for uid in uids])


@given(columns, st.lists(st.tuples(st.integers(1, 70), st.integers(1, 70)), max_size=5))
def test_runs_are_rows(uids: list[int], pairs: list[tuple[int, int]]) -> None:
    runs = normalise(pairs)
    assert chosen(among(runs, uids), uids) == [
        uid for uid in uids if any(first <= uid <= last for first, last in runs)
    ]


def test_columns_decide_what_they_can() -> None:
    rows = Rows([1, 2, 5], [1, 64, 0], [7, 8, 9], [10, 20, 30], ["Work"])
    table: list[tuple[Key, int]] = [
        (Everything(), 0b111),
        (Among(((2, 9),)), 0b110),
        (Flagged("\\Seen"), 0b001),
        (Flagged("work"), 0b010),
        (Flagged("nobody"), 0),
        (Sized(11, 30), 0b110),
        (Changed(8), 0b110),
    ]
    for key, sure in table:
        assert by_columns(key, rows) == Bounds(sure, sure), key
    assert by_columns(InBody("x"), rows) is None


def test_what_is_not_known_stays_open_only_where_it_matters() -> None:
    """A text is not read for rows that a flag has decided."""
    flag, text = Bounds(0b001, 0b001), None
    assert decide((Flagged("a"), InBody("x"), AND), [flag, text, None], 0b111) == Bounds(0, 0b001)
    assert decide((Flagged("a"), InBody("x"), OR), [flag, text, None], 0b111) == Bounds(0b001, 0b111)
    assert decide((InBody("x"), NOT), [text, None], 0b111).open == 0b111
    assert decide((Flagged("a"), NOT), [flag, None], 0b111) == Bounds(0b110, 0b110)
