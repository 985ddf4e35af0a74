"""A view, against the plain list that it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap.session.flags import UNKNOWN
from services.imap.session.view import View
from services.mail.errors import ProtocolError
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import RECENT
from services.mail.store.uids import each, intersect, normalise, runs_of

UIDS = st.sets(st.integers(1, 80)).map(sorted)


def view(uids: list[int], first_recent: int | None = None) -> View:
    """A view of these uids."""
    return View(runs_of(uids), 100, 1, (), first_recent)


@given(UIDS, st.lists(st.integers(1, 90)).map(lambda uids: sorted(set(uids))))
def test_numbers_count_from_one(uids: list[int], asked: list[int]) -> None:
    """RFC 9051 §2.3.1.2."""
    seen = view(uids)
    assert seen.count == len(uids)
    assert list(seen.numbers(asked)) == [uids.index(uid) + 1 if uid in uids else 0 for uid in asked]
    assert [seen.number(uid) for uid in uids] == list(range(1, len(uids) + 1))


def test_as_many_uids_as_numbers_between_need_not_be_the_same() -> None:
    assert list(view([1, 2, 3, 100]).numbers([2, 99, 100])) == [2, 0, 4]
    assert list(view([1, 2, 5, 100]).numbers([2, 5, 100])) == [2, 3, 4]


@given(UIDS, st.data())
def test_sets_of_numbers_become_uids(uids: list[int], data: st.DataObject) -> None:
    if uids:
        pairs = data.draw(st.lists(st.tuples(*[st.integers(1, len(uids))] * 2), min_size=1))
        octets = b",".join(b"%d:%d" % pair for pair in pairs)
        members = sorted(set(each(normalise(pairs))))
        assert list(each(view(uids).uids(Numbers.parse(octets)))) == [uids[number - 1] for number in members]


@given(UIDS, UIDS)
def test_each_expunge_counts_as_of_its_moment(uids: list[int], gone: list[int]) -> None:
    """RFC 9051 §7.5.1."""
    seen, client = view(uids), list(uids)
    for number in seen.leaving(intersect(seen.runs, runs_of(gone))):
        del client[number - 1]
    assert seen.remove(runs_of(gone)) == runs_of(sorted(set(uids) & set(gone)))
    assert client == [uid for uid in uids if uid not in gone] == list(each(seen.runs))


@given(UIDS, st.integers(1, 100))
def test_only_what_was_claimed_is_recent(uids: list[int], first: int) -> None:
    """RFC 3501 §2.3.2."""
    flags = view(uids, first).with_recent(uids, [1] * len(uids))
    assert list(flags) == [1 | RECENT if uid >= first else 1 for uid in uids]


def test_a_number_without_a_message_is_an_error_and_a_uid_is_not() -> None:
    """RFC 9051 §9, seq-number; §6.4.9."""
    for octets in (b"4", b"1:4", b"4:*"):
        with pytest.raises(ProtocolError):
            view([5, 6, 9]).uids(Numbers.parse(octets))
    assert view([5, 6, 9]).uids(Numbers.parse(b"1:6,70", are_uids=True)) == ((5, 6),)
    assert view([5, 6, 9]).uids(Numbers.parse(b"70:*", are_uids=True)) == ((9, 9),)
    with pytest.raises(ProtocolError):
        view([]).uids(Numbers.parse(b"1:*"))
    assert view([]).uids(Numbers.parse(b"1:*", are_uids=True)) == ()


def test_a_large_mailbox_costs_what_its_runs_cost() -> None:
    seen = View(((1, 1_000_000),), 1_000_001, 1)
    assert seen.uids(Numbers.parse(b"1:*")) == ((1, 1_000_000),)
    assert seen.numbers(range(999_001, 1_000_001)) == range(999_001, 1_000_001)
    assert seen.leaving(((5, 5),)) == [5]
    assert seen.remove(((5, 5),)) == ((5, 5),)
    assert seen.number(1_000_000) == 999_999


@given(UIDS, st.data())
def test_flags_follow_their_messages(uids: list[int], data: st.DataObject) -> None:
    """Whatever goes, comes or changes, a number's flags are those of its message."""
    seen = view(uids)
    model = {uid: 7 * uid for uid in uids}
    seen.flags.load(list(model.values()))
    gone = data.draw(UIDS)
    seen.remove(runs_of(gone))
    model = {uid: bits for uid, bits in model.items() if uid not in gone}
    fresh = range(100, 100 + data.draw(st.integers(1, 70)))
    seen.add(runs_of(fresh), fresh[-1] + 1)
    model |= dict.fromkeys(fresh, UNKNOWN)
    changed = sorted(data.draw(st.sets(st.sampled_from(sorted({*model, 99})))))
    seen.flags.put(seen.numbers(changed), [5] * len(changed))
    model |= {uid: 5 for uid in changed if uid in model}
    for asked in (sorted(model), sorted(data.draw(st.sets(st.sampled_from(sorted(model)))))):
        assert list(seen.flags.of(seen.numbers(asked))) == [model[uid] for uid in asked]
    seen.remove(seen.runs)
    assert seen.flags.of(()) == []
