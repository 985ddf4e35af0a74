"""What a message says, read as plainly as can be: the reference that searches are compared with."""

import base64
import html
import quopri
import re
from dataclasses import dataclass

from services.mail.address import entries
from services.mail.mime.content import content_type
from services.mail.mime.parts import Part, PartMap
from services.mail.mime.transfer import is_known
from services.mail.text import decode, decode_header

INLINE = frozenset(
    (
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "cite",
            "code",
            "data",
            "del",
            "dfn",
            "em",
            "font",
            "i",
        ),
        *(
            "ins",
            "kbd",
            "label",
            "mark",
            "nobr",
            "o:p",
            "q",
            "s",
            "samp",
            "small",
            "span",
            "strike",
            "strong",
            "sub",
        ),
        *("sup", "time", "tt", "u", "var", "wbr"),
    )
)


@dataclass(frozen=True)
class Read:
    """fields: of the message itself, on one line each. inner_fields: of the parts. bodies: of the text parts."""

    fields: list[tuple[str, str]]
    inner_fields: list[tuple[str, str]]
    bodies: list[str]


def read(head: bytes, content: bytes, parts: PartMap) -> Read:
    """Everything that can be searched in a message."""
    everything = list(parts.walk())
    root = everything[0]
    inner = [
        field for part in everything[1:] for field in fields_of(content[part.header_start : part.body_start])
    ]
    bodies = [
        text
        for part in everything
        if not part.children
        and part.media_type.split(b"/")[0] in (b"text", b"message")
        and is_known(part.encoding)
        for text in texts_of(part, content)
    ]
    fields = fields_of(head + content[: root.body_start])
    return Read([*fields, *plain_addresses(fields)], inner, bodies)


def plain_addresses(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The address fields once more, as the envelope tells their addresses."""
    return [
        (name, f"{mailbox.decode()}@{host.decode()}")
        for name, value in fields
        if name.lower() in ("bcc", "cc", "from", "to")
        for _, _, mailbox, host in entries(value.encode())
        if mailbox and host
    ]


def fields_of(header: bytes) -> list[tuple[str, str]]:
    """Names and decoded values; a line that is no field has no name."""
    lines = header.replace(b"\r", b"").replace(b"\n\t", b" ").replace(b"\n ", b" ").split(b"\n")
    found = []
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and name and all(33 <= octet <= 126 for octet in name):
            text = re.sub("[\r\n]", " ", decode_header(value)).rstrip()
            found.append((name.decode("ascii"), text))
        elif line:
            found.append(("", re.sub("[\r\n]", " ", decode_header(line)).rstrip()))
    return [*found, *((name, " ".join(re.split("[ \t]+", value))) for name, value in found)]


def texts_of(part: Part, content: bytes) -> list[str]:
    """The text of a part, and of HTML what is seen of it."""
    values = [
        value
        for name, value in raw_fields(content[part.header_start : part.body_start])
        if name == b"content-type"
    ]
    kind = content_type(values[0] if values else b"text/plain")
    octets = content[part.body_start : part.end]
    if part.encoding == b"base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", octets)
        whole = letters if len(letters) % 4 != 1 else letters[:-1]
        octets = base64.b64decode(whole + b"=" * (-len(whole) % 4))
    elif part.encoding == b"quoted-printable":
        octets = quopri.decodestring(octets)
    text = decode(octets, (kind.parameter(b"charset") or b"").decode("ascii", "replace"))
    return [text, seen_in(text)] if part.media_type == b"text/html" else [text]


def raw_fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """Names in lower case and unfolded values."""
    lines = re.sub(rb"\r?\n(?=[ \t])", b"", header).splitlines()
    return [(line.partition(b":")[0].strip().lower(), line.partition(b":")[2].strip()) for line in lines]


def seen_in(text: str) -> str:
    """HTML without comments, scripts, styles and tags."""
    text = re.sub(r"(?s)<!--.*?(?:-->|\Z)", "", text)
    text = re.sub(r"(?is)<(script|style)(?![a-z0-9:-]).*?(?=</\1|\Z)", " ", text)

    def tag(found: re.Match[str]) -> str:
        return "" if (found[1] or "").lower() in INLINE else " "

    pieces = re.split(r"(<[A-Za-z/!?][^>]*>)", text)
    pieces[1::2] = [tag(re.match(r"</?([A-Za-z][A-Za-z0-9:-]*)?", piece)) for piece in pieces[1::2]]  # type: ignore[arg-type]
    pieces[::2] = [html.unescape(piece) for piece in pieces[::2]]
    return re.sub(r"\s+", " ", "".join(pieces)).lstrip(" ")
