"""Addresses: the lists in header fields, and the one form in which an account's address is looked up.

The rule: a list is read in one pass that never goes back, and never fails: what is no address still becomes an entry,
as long as it has words. An address of an account is either in canonical form or refused.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.mail.errors import InvalidAddress

# Entries of one field beyond this are dropped.
ENTRIES_LIMIT: Final = 2000

MISSING_MAILBOX: Final = b"MISSING_MAILBOX"
MISSING_DOMAIN: Final = b"MISSING_DOMAIN"

# (display name, source route, mailbox, host); a group is (None, None, name, None) ... (None, None, None, None).
Entry = tuple[bytes | None, bytes | None, bytes | None, bytes | None]
GROUP_END: Final[Entry] = (None, None, None, None)

# A whole entry in its two usual forms: words or a quoted string with <a@b>, or a@b alone.
_USUAL = re.compile(
    rb"""[ \t]*+(?:
        (?: "([^"\\]*+)" | ([^][()<>@,;:\\"]*+) ) [ \t]*+
        <([^][()<>@,;:\\" \t]++)@([^][()<>@,;:\\" \t]++)>
      | ([^][()<>@,;:\\" \t]++)@([^][()<>@,;:\\" \t]++)
    )[ \t]*+(?:,|\Z)""",
    re.VERBOSE,
)
_PIECE = re.compile(
    rb"""(?P<space>[ \t]++)|(?P<quoted>"(?:[^"\\]++|\\.?)*+"?)|(?P<literal>\[[^]]*+\]?)"""
    rb"""|(?P<mark>[<>@,;:()])|(?P<atom>[^][<>@,;:()" \t]++)|(?P<other>.)""",
    re.DOTALL,
)
_PARENTHESIS = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_AROUND_DOT = re.compile(rb" ?\. ?")


def entries(value: bytes) -> list[Entry]:
    """The entries of an unfolded address list, groups as RFC 9051 §7.5.2 writes them. RFC 5322 §3.4, §4.4."""
    found: list[Entry] = []
    position, size = 0, len(value)
    while position < size and len(found) < ENTRIES_LIMIT:
        usual = _USUAL.match(value, position)
        if usual is None:
            _read_unusual(value, position, found)
            break
        position = usual.end()
        quoted, words, mailbox, host, bare, bare_host = usual.groups()
        if bare is not None:
            found.append((None, None, bare, bare_host))
        else:
            found.append((quoted or b" ".join((words or b"").split()) or None, None, mailbox, host))
    return found


def _read_unusual(value: bytes, position: int, found: list[Entry]) -> None:
    """Everything else: groups, comments, routes, obsolete forms and garbage."""
    pieces: list[tuple[str, bytes]] = []
    comment: bytes | None = None
    is_grouped = is_angled = is_route = has_words = False
    for kind, text in _pieces(value, position):
        if len(found) >= ENTRIES_LIMIT:
            pieces, comment = [], None
            break
        if kind == "comment":
            # A name in a comment stands behind its address; one in front is a remark.
            comment = text if has_words else comment
        elif text in {b",", b";"} and kind == "mark" and not (is_route and text == b","):
            _close(pieces, comment, found)
            pieces, comment, is_angled, is_route, has_words = [], None, False, False, False
            if text == b";" and is_grouped:
                found.append(GROUP_END)
                is_grouped = False
        elif text == b":" and kind == "mark" and not is_angled and not is_grouped:
            found.append((None, None, _words(pieces) or b"", None))
            pieces, comment, is_grouped, has_words = [], None, True, False
        else:
            if kind == "mark":
                # A comma inside angle brackets belongs to a source route, which begins with @, or the bracket is open.
                is_route = text == b"@" and (is_route or pieces[-1:] == [("mark", b"<")])
                is_angled = text == b"<" or (is_angled and text != b">")
            pieces.append((kind, text))
            has_words = has_words or kind != "space"
    _close(pieces, comment, found)
    if is_grouped:
        found.append(GROUP_END)


def _pieces(value: bytes, position: int) -> Iterator[tuple[str, bytes]]:
    while position < len(value):
        match = _PIECE.match(value, position)
        if match is None or match.lastgroup is None:
            return
        position, kind, text = match.end(), match.lastgroup, match[0]
        if text == b"(":
            start, depth = position, 1
            end = position = len(value)
            for mark in _PARENTHESIS.finditer(value, start):
                depth += {b"(": 1, b")": -1}.get(mark[0], 0)
                if depth == 0:
                    end, position = mark.span()
                    break
            yield "comment", b" ".join(_ESCAPE.sub(rb"\1", value[start:end]).split())
        elif kind == "quoted":
            yield kind, _ESCAPE.sub(rb"\1", text[1:].removesuffix(b'"') if len(text) > 1 else b"")
        else:
            yield kind, text


def _close(pieces: list[tuple[str, bytes]], comment: bytes | None, found: list[Entry]) -> None:
    """Makes an entry of the pieces between two commas; none of nothing."""
    pieces = _trimmed(pieces)
    if not pieces:
        return
    name: bytes | None = None
    route: bytes | None = None
    marks = [text if kind == "mark" else b"" for kind, text in pieces]
    if b"<" in marks:
        opening = marks.index(b"<")
        closing = marks.index(b">", opening) if b">" in marks[opening:] else len(pieces)
        name = _words(pieces[:opening])
        pieces, marks = pieces[opening + 1 : closing], marks[opening + 1 : closing]
        if b":" in marks:
            colon = marks.index(b":")
            route = b"".join(text for kind, text in pieces[:colon] if kind != "space")
            pieces, marks = pieces[colon + 1 :], marks[colon + 1 :]
    elif b"@" not in marks and len(pieces) > 1:
        found.append((_words(pieces), None, MISSING_MAILBOX, MISSING_DOMAIN))
        return
    at = len(marks) - 1 - marks[::-1].index(b"@") if b"@" in marks else len(marks)
    mailbox = _local(pieces[:at]) or MISSING_MAILBOX
    host = b"".join(text for kind, text in pieces[at + 1 :] if kind != "space") or MISSING_DOMAIN
    found.append((name or comment or None, route or None, mailbox, host))


def _trimmed(pieces: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    start, end = 0, len(pieces)
    while start < end and pieces[start][0] == "space":
        start += 1
    while start < end and pieces[end - 1][0] == "space":
        end -= 1
    return pieces[start:end]


def _words(pieces: list[tuple[str, bytes]]) -> bytes | None:
    """The words as one text, with one space wherever there was white space."""
    parts: list[bytes] = []
    for kind, text in _trimmed(pieces):
        if kind != "space":
            parts.append(text)
        elif parts[-1] != b" ":
            parts.append(b" ")
    return b"".join(parts) or None


def _local(pieces: list[tuple[str, bytes]]) -> bytes | None:
    """The words of a local part; an obsolete one may have white space around its dots. RFC 5322 §4.4."""
    words = _words(pieces)
    return words if words is None else _AROUND_DOT.sub(b".", words)


@dataclass(frozen=True, slots=True)
class Address:
    """An address as RFC 5321 §4.1.2 has it: the local part without quoting, the domain in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        if _DOT_STRING.fullmatch(self.local):
            return f"{self.local}@{self.domain}"
        escaped = self.local.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"@{self.domain}'


_LOCAL_LIMIT: Final = 64
_DOMAIN_LIMIT: Final = 255
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]"
_DOT_STRING = re.compile(rf"{_ATEXT}++(?:\.{_ATEXT}++)*+")
_QUOTED = re.compile(r'"((?:[^"\\\x00-\x1f\x7f]|\\[ -~])++)"')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_DOMAIN_LITERAL = re.compile(r"\[[0-9A-Za-z:.\-]{1,253}\]")


def parse_mailbox(text: str) -> Address:
    """Reads local@domain, quoted local parts and address literals included. RFC 5321 §4.1.2, RFC 6531 §3.3.

    The domain comes back as lower-case A-labels. Raises InvalidAddress.
    """
    local, at, domain = text.rpartition("@")
    if not at or not local or len(text) > 2 * _DOMAIN_LIMIT:
        raise InvalidAddress("an address has a local part, @ and a domain")
    quoted = _QUOTED.fullmatch(local)
    if quoted:
        local = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _DOT_STRING.fullmatch(local):
        raise InvalidAddress("malformed local part")
    try:
        octets = len(local.encode())
    except UnicodeEncodeError:
        raise InvalidAddress("malformed local part") from None
    if octets > _LOCAL_LIMIT:
        raise InvalidAddress("the local part is longer than 64 octets")
    return Address(local, parse_domain(domain))


@lru_cache(maxsize=4096)
def parse_domain(text: str) -> str:
    """The canonical form of a domain name or address literal: lower case, A-labels. Raises InvalidAddress."""
    if _DOMAIN_LITERAL.fullmatch(text):
        return text.lower()
    try:
        # The codec refuses labels over 63 octets and is costly on long input: nothing over 255 reaches it.
        domain = text if text.isascii() else text[: _DOMAIN_LIMIT + 1].encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidAddress("malformed domain") from None
    domain = domain.lower().removesuffix(".")
    if len(domain) > _DOMAIN_LIMIT or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise InvalidAddress("malformed domain")
    return domain


def canonical(address: Address) -> str:
    """The key under which an address is looked up: case folded, composed, unquoted where that is enough."""
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", address.local).casefold())
    return str(Address(local, address.domain))
