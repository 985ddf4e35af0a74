"""ENVELOPE, rendered from a header's fields. RFC 9051 §7.5.2.

The rule: the answer is bounded whatever the header holds: strings are cut, and addresses beyond the budget dropped,
always at the same place.
"""

import re
from collections.abc import Iterable
from typing import Final

from services.mail.address import GROUP_END, Entry, entries
from services.mail.message import unfold
from services.mail.mime.rendering import NIL, nstring

ENVELOPE_LIMIT: Final = 64 * 1024

ADDRESSES: Final = frozenset({b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"})
STRINGS: Final = frozenset({b"date", b"subject", b"in-reply-to", b"message-id"})
NAMES: Final = ADDRESSES | STRINGS
EMPTY: Final = b"(" + b" ".join([NIL] * 10) + b")"

_CUT: Final = {b"date": 1024, b"subject": 8192, b"in-reply-to": 4096, b"message-id": 2048}
_AUTHORS_LIMIT: Final = 4096
_ENTRY_STRING: Final = 1024
# What keeps an address list from being written down as it stands: a comment and a domain literal may hold quotes.
_SPECIAL = re.compile(rb"[\0\\([\x80-\xff]")


def render_envelope(found: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The envelope of (name, folded value) pairs. RFC 9051 §7.5.2.

    Repeated address fields are one list, so that nobody is hidden; of other fields the last counts. An absent or empty
    sender or reply-to is the from.
    """
    strings: dict[bytes, bytes] = {}
    lists: dict[bytes, bytes] = {}
    for name, value in found:
        if name in STRINGS:
            strings[name] = unfold(value)
        elif name in ADDRESSES:
            text = unfold(value)
            lists[name] = lists[name] + b"," + text if name in lists else text
    if b"subject" in strings:
        strings[b"subject"] = b" ".join(strings[b"subject"].split())
    texts = {name: nstring(strings[name][: _CUT[name]]) if name in strings else NIL for name in STRINGS}
    authors = sender = reply_to = NIL
    if b"from" in lists:
        authors = sender = reply_to = _render_list(lists[b"from"], _AUTHORS_LIMIT)
    if b"sender" in lists and (own := _render_list(lists[b"sender"], _AUTHORS_LIMIT)) != NIL:
        sender = own
    if b"reply-to" in lists and (own := _render_list(lists[b"reply-to"], _AUTHORS_LIMIT)) != NIL:
        reply_to = own
    left = ENVELOPE_LIMIT - sum(map(len, (*texts.values(), authors, sender, reply_to))) - 64
    receivers = []
    for name in (b"to", b"cc", b"bcc"):
        receivers.append(_render_list(lists[name], left) if name in lists else NIL)
        left -= len(receivers[-1])
    return b"(%b)" % b" ".join(
        (
            texts[b"date"],
            texts[b"subject"],
            authors,
            sender,
            reply_to,
            *receivers,
            texts[b"in-reply-to"],
            texts[b"message-id"],
        )
    )


def _render_list(value: bytes, budget: int) -> bytes:
    """An address list of at most `budget` octets; a group that is cut is still closed."""
    rendered: list[bytes] = []
    is_grouped = False
    left = budget - 32
    is_plain = len(value) <= _ENTRY_STRING and _SPECIAL.search(value) is None
    for entry in entries(value):
        text = _render_plain(entry) if is_plain else _render_entry(entry)
        left -= len(text)
        if left < 0:
            break
        rendered.append(text)
        if entry[3] is None:
            is_grouped = entry is not GROUP_END
    else:
        is_grouped = False
    if is_grouped:
        rendered.append(b"(NIL NIL NIL NIL)")
    return b"(%b)" % b"".join(rendered) if rendered else NIL


def _render_plain(entry: Entry) -> bytes:
    """The same as `_render_entry` for an entry of a list without anything special, which most are."""
    name, route, mailbox, host = entry
    if mailbox is None or host is None or route is not None:
        return _render_entry(entry)
    return (
        b'("%b" NIL "%b" "%b")' % (name, mailbox, host) if name else b'(NIL NIL "%b" "%b")' % (mailbox, host)
    )


def _render_entry(entry: Entry) -> bytes:
    name, route, mailbox, host = (None if text is None else text[:_ENTRY_STRING] for text in entry)
    return b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(mailbox), nstring(host))
