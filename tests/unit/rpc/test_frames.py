"""Fields written by hand are those that protobuf writes."""

from hypothesis import given
from hypothesis import strategies as st
from restante.v1 import exchange_pb2, messages_pb2

from services.mail.store.messages import Page
from services.plumbing.rpc.convert.messages import SLICE_OCTETS, page_from_wire, page_to_wire
from services.plumbing.rpc.frames import number_field, octets_field, octets_fields


@given(st.integers(1, 2**64 - 1), st.integers(1, 2**32 - 1), st.binary(max_size=300))
def test_a_call_by_hand_is_a_call_by_protobuf(number: int, milliseconds: int, body: bytes) -> None:
    """https://protobuf.dev/programming-guides/encoding/"""
    inline = exchange_pb2.InlineAppend(body=body)
    call = exchange_pb2.Call(id=number, timeout_ms=milliseconds, append=inline)
    written = (
        number_field(1, number)
        + number_field(2, milliseconds)
        + octets_field(exchange_pb2.Call.APPEND_FIELD_NUMBER, inline.SerializeToString())
    )
    assert written == call.SerializeToString()


@given(st.lists(st.binary(max_size=300)))
def test_repeated_octets_by_hand_are_those_of_protobuf(bodies: list[bytes]) -> None:
    written = b"".join(octets_fields(messages_pb2.FetchResponse.BODIES_FIELD_NUMBER, bodies))
    assert written == messages_pb2.FetchResponse(bodies=bodies).SerializeToString()


@given(st.lists(st.tuples(st.integers(0, 2**200), st.none() | st.binary(max_size=9)), min_size=1))
def test_a_page_comes_back_as_it_went(rows: list[tuple[int, bytes | None]]) -> None:
    """Flags of any width, and bodies that do not travel with the page."""
    page = Page(
        uids=tuple(range(1, len(rows) + 1)),
        flags=tuple(flags for flags, _ in rows),
        modseqs=tuple(range(len(rows))),
        bodies=tuple(body for _, body in rows),
        keywords=("one", "two"),
    )
    parts = list(page_to_wire(page))
    assert [page_from_wire(messages_pb2.FetchResponse.FromString(part)) for part in parts] == [page]


def test_a_page_is_cut_by_octets_and_never_inside_a_row() -> None:
    bodies = (*(bytes(100_000) for _ in range(5)), bytes(256 * 1024))
    page = Page(uids=tuple(range(1, 7)), bodies=bodies)
    parts = [messages_pb2.FetchResponse.FromString(part) for part in page_to_wire(page)]
    assert [list(part.uids) for part in parts] == [[1, 2], [3, 4], [5], [6]]
    assert all(part.ByteSize() <= SLICE_OCTETS for part in parts[:-1])
