"""Which names LIST tells: against the rules of RFC 9051 §6.3.9, written down one after the other."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from services.imap.commands.listing import List, in_turns
from services.mail.errors import MailError, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.listing import Options, Selector, above, patterns_of, prefix_of, select_lsub
from services.mail.imap.names import Pattern
from services.mail.store.mailboxes import SPECIAL_USES, Listing, Mailbox, MailboxKey, superiors

names = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)
patterns = st.text("ab/%*", min_size=1, max_size=5)
uses = st.sampled_from(["", "", *sorted(SPECIAL_USES)])
selections = st.sampled_from(
    [
        frozenset[str](),
        frozenset({"SUBSCRIBED"}),
        frozenset({"SPECIAL-USE"}),
        frozenset({"SUBSCRIBED", "SPECIAL-USE"}),
        frozenset({"SUBSCRIBED", "RECURSIVEMATCH"}),
        frozenset({"SUBSCRIBED", "RECURSIVEMATCH", "SPECIAL-USE"}),
    ]
)


def is_below(name: str, parent: str) -> bool:
    """Whether a name is an inferior of the other."""
    return name.startswith(parent + "/")


@given(
    st.dictionaries(names, uses, max_size=6),
    st.sets(names, max_size=4),
    st.lists(patterns, min_size=1, max_size=3),
    selections,
    st.booleans(),
)
def test_what_is_told_is_what_the_rules_say(
    existing: dict[str, str],
    subscribed: set[str],
    asked: list[str],
    selection: frozenset[str],
    returns_subscribed: bool,
) -> None:
    """RFC 9051 §6.3.9.1 to §6.3.9.6, tables included; from a listing that begins where the patterns do."""
    matched = patterns_of("", asked)
    prefix = prefix_of(matched)
    told_by_store = [
        Mailbox(MailboxKey(1, number), name, number, use, "")
        for number, (name, use) in enumerate(sorted(existing.items()), 1)
        if name.startswith(prefix)
    ]
    listing = Listing(told_by_store, sorted(name for name in subscribed if name.startswith(prefix)))
    returned = frozenset({"SUBSCRIBED", "CHILDREN"}) if returns_subscribed else frozenset[str]()
    found = [each for each in Selector(listing, matched, Options(selection, returned)).found() if each]

    def meets(name: str) -> bool:
        return ("SUBSCRIBED" not in selection or name in subscribed) and (
            "SPECIAL-USE" not in selection or existing.get(name, "") != ""
        )

    def matches(name: str) -> bool:
        return any(Pattern(pattern).matches(name) for pattern in asked)

    # Without SUBSCRIBED only what exists is listed.
    known = set(existing) | (subscribed if "SUBSCRIBED" in selection else set())
    met = {name for name in known if meets(name)}
    everything = known | {superior for name in known for superior in superiors(name)}
    expected = {}
    for name in sorted(everything):
        below = {other for other in met if is_below(other, name)}
        is_recursive = "RECURSIVEMATCH" in selection
        if matches(name) and (name in met or (is_recursive and any(not matches(other) for other in below))):
            expected[name] = ("SUBSCRIBED",) if is_recursive and below else ()
    assert {each.name: each.criteria for each in found} == expected
    assert [each.name for each in found] == sorted(expected)
    for each in found:
        attributes = set(each.attributes)
        assert len(attributes) == len(each.attributes)
        assert each.is_selected == (each.name in met)
        assert (each.mailbox is None) == (each.name not in existing) == ("\\NonExistent" in attributes)
        is_shown = returns_subscribed or "SUBSCRIBED" in selection
        assert ("\\Subscribed" in attributes) == (is_shown and each.name in subscribed)
        if each.mailbox is not None or "CHILDREN" in returned:
            has_children = any(is_below(other, each.name) for other in existing)
            assert ("\\HasChildren" in attributes) == has_children != ("\\HasNoChildren" in attributes)
        if each.mailbox is not None:
            assert told_by_store[each.place] is each.mailbox
            assert attributes & SPECIAL_USES == {existing[each.name]} - {""}


@given(st.sets(names, max_size=6), patterns)
def test_lsub_tells_subscribed_names_and_parents_under_a_percent_sign(
    subscribed: set[str], pattern: str
) -> None:
    """RFC 3501 §6.3.9."""
    found = [each for each in select_lsub(subscribed, [Pattern(pattern)], pattern.endswith("%")) if each]
    expected: dict[str, tuple[str, ...]] = {name: () for name in subscribed if Pattern(pattern).matches(name)}
    if pattern.endswith("%"):
        parents = {parent for name in subscribed for parent in superiors(name)} - subscribed
        expected |= {name: ("\\Noselect",) for name in parents if Pattern(pattern).matches(name)}
    assert {each.name: each.attributes for each in found} == expected


@given(st.sets(names))
def test_what_stands_above_is_found_once(below: set[str]) -> None:
    assert above(below) == {superior for name in below for superior in superiors(name)}


async def test_a_long_listing_lets_others_have_their_turn() -> None:
    """attacks 22: also where nothing of it is told."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert [each async for each in in_turns([None] * 6400)] == []
    counting.cancel()
    assert turns >= 100


words = st.sampled_from(
    [
        *(
            b'""',
            b"%",
            b"*",
            b"INBOX",
            b'"a/b"',
            b"(",
            b")",
            b"()",
            b"{0}\r\n",
            b"{2+}\r\nab",
            b"&",
            b"&AOk-",
        ),
        *(b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE", b"CHILDREN", b"RETURN", b"STATUS"),
        *(
            b"(SUBSCRIBED RECURSIVEMATCH)",
            b"RETURN (CHILDREN)",
            b"(MESSAGES UNSEEN)",
            b"NIL",
            b'"',
            b"\\Sent",
        ),
        *(b"RETURN (STATUS (SIZE))", b"(% *)", b"\xc3\xa9", b'"\xc3\xa9"', b"\0"),
    ]
)


@given(st.lists(words, max_size=7).map(b" ".join) | st.lists(words, max_size=7).map(b"".join), st.booleans())
def test_no_arguments_of_list_are_a_bug(octets: bytes, are_names_utf8: bool) -> None:
    """attacks 15: they are grammar, or refused as none."""
    args = Arguments(b"LIST " + octets)
    args.are_names_utf8 = are_names_utf8
    args.atom("command")
    try:
        asked = List.parse(args)
        args.end()
        found = Selector(
            Listing((), ("a", "a/b")), patterns_of(asked.reference, asked.patterns), asked.options
        ).found()
    except (ProtocolError, MailError):
        return
    assert len([each for each in found if each is not None]) <= 2  # what is only looked at is not told
