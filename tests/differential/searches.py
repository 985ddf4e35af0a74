"""What is searched in a mailbox of many messages: for each message, words of its own, asked of all of them.

The rule: the words come from Python's own email package and not from ours, so that what only we read is not all that is
asked for; what a search finds is compared message by message.
"""

import contextlib
import email
import email.header
import email.utils
import html
import re
from collections.abc import Iterator
from email.message import Message
from typing import Final

from tests.differential.client import Client
from tests.differential.normal import facts

PARTS: Final = 3

_TAG: Final = re.compile(r"<[^>]*>")


def keys(octets: bytes) -> dict[str, bytes]:
    """Search keys out of one message, as people and as they are sent."""
    message = email.message_from_bytes(octets)
    raw = {name.lower(): value for name, value in reversed(list(message.raw_items()))}
    found = {"SENTBEFORE 1-Jan-2005": b"SENTBEFORE 1-Jan-2005"}
    for name in ("Subject", "From", "To", "Cc"):
        text = _decoded(raw.get(name.lower(), ""))
        for word in _words(text)[:2]:
            _add(found, name.upper(), word)
    for name in ("From", "To", "Cc"):
        for _, address in email.utils.getaddresses([raw.get(name.lower(), "")])[:2]:
            if address.isprintable() and address:
                _add(found, name.upper(), address)
    for name in ("Message-ID", "Content-Type", "List-Id"):
        value = raw.get(name.lower(), "")
        for word in _words(value)[:1]:
            _add(found, f"HEADER {name}", word)
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
        day = email.utils.parsedate_to_datetime(raw["date"]).date()
        for key in ("SENTON", "SENTSINCE"):
            found[f"{key} {day:%d-%b-%Y}"] = f"{key} {day:%d-%b-%Y}".encode()
    for part in [each for each in message.walk() if not each.is_multipart()][:PARTS]:
        _ask_part(part, found)
    return found


def _ask_part(part: Message, found: dict[str, bytes]) -> None:
    """What stands in a part: as it is written, decoded, and as it is seen."""
    payload = part.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    try:
        text = octets.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        text = octets.decode("cp1252", "replace")
    if part.get_content_maintype() == "text":
        seen = html.unescape(_TAG.sub("", text))
        for word in sorted(_words(seen), key=len)[-2:]:
            _add(found, "BODY", word)
        for pair in re.findall(r"\w+ \w+", seen[:2000])[:1]:
            _add(found, "TEXT", pair)
    written = str(part.get_payload())
    for word in sorted(_words(written[:4000]), key=len)[-1:]:
        _add(found, "BODY", word)
    for word in _words(str(part.get("Content-Disposition", "")))[-1:]:
        _add(found, "TEXT", word)


def _add(found: dict[str, bytes], key: str, word: str) -> None:
    octets = word.encode("utf-8", "replace")
    found[f"{key} {word}"] = b"%b {%d+}\r\n%b" % (key.encode(), len(octets), octets)


def _decoded(value: str) -> str:
    """Encoded words decoded; octets without a charset as most software means them."""
    try:
        text = str(email.header.make_header(email.header.decode_header(value)))
    except (ValueError, LookupError):
        text = value
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace") if _has_octets(text) else text


def _has_octets(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _words(text: str) -> list[str]:
    """Words of a length that says something, without what cannot travel."""
    return [
        word[:40]
        for word in re.findall(r"[^\s<>()\"';,=]{4,}", text)
        if word.isprintable() and "\ufffd" not in word
    ]


def compare(names: list[str], messages: list[bytes], clients: tuple[Client, Client]) -> dict[str, set[str]]:
    """Every difference of every search, by the name of the message that one side finds and the other does not."""
    asked = {key: sent for octets in messages for key, sent in keys(octets).items()}
    different: dict[str, set[str]] = {}
    for key, *sides in zip(
        asked, *(_search(client, list(asked.values())) for client in clients), strict=True
    ):
        theirs, ours = sides
        for number in sorted(theirs ^ ours):
            one, other = ("found", "–") if number in theirs else ("–", "found")
            different.setdefault(names[number - 1], set()).add(f"SEARCH {key}: {one} ≠ {other}")
    return different


def _search(client: Client, asked: list[bytes]) -> Iterator[set[int]]:
    """One after the other: Dovecot answers searches that come together in any order."""
    for each in asked:
        found = facts(client.command(b"SEARCH CHARSET UTF-8 " + each))
        assert found["tagged"] == "OK", each
        numbers = found.get("SEARCH")
        yield {int(str(number)) for number in numbers} if isinstance(numbers, list) else set()
