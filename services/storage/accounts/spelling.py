"""The one spelling of an address and of a domain, by which they are looked up.

The rule: two spellings that reach the same mailbox have one canonical form, so that an address is unique.
"""

import re
import unicodedata
from typing import Final

from services.mail.errors import InvalidAddress

POSTMASTER: Final = "postmaster"

_LABEL: Final = re.compile(r"(?!-)[\w-]{1,63}(?<!-)")
_LITERAL: Final = re.compile(r"\[[0-9a-zA-Z:.]{3,60}\]")
_DOT_STRING: Final = re.compile(
    r"[^\s\x00-\x20\x7f-\x9f()<>@,;:\\\"\[\].]+(?:\.[^\s\x00-\x20\x7f-\x9f()<>@,;:\\\"\[\].]+)*"
)
_MAX_LOCAL_OCTETS: Final = 64
_MAX_ADDRESS_OCTETS: Final = 254


def canonical_domain(domain: str) -> str:
    """Lower case, Unicode composed, no dot at the end. RFC 5321 §2.3.5. Raises InvalidAddress."""
    folded = unicodedata.normalize("NFC", domain).lower().removesuffix(".")
    if _LITERAL.fullmatch(folded):
        return folded
    if len(folded.encode("utf-8", "replace")) > 253 or not all(
        _LABEL.fullmatch(label) for label in folded.split(".")
    ):
        raise InvalidAddress("not a domain")
    return folded


def canonical_address(address: str) -> str:
    """Local part and domain folded to lower case; quotes that are not needed go. RFC 5321 §4.1.2.

    Raises InvalidAddress.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        raise InvalidAddress("an address has a local part and a domain")
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    local = unicodedata.normalize("NFC", local).lower()
    if any("\ud800" <= char <= "\udfff" for char in local) or not _DOT_STRING.fullmatch(local):
        raise InvalidAddress("not a local part that is taken here")
    canonical = f"{local}@{canonical_domain(domain)}"
    if len(local.encode()) > _MAX_LOCAL_OCTETS or len(canonical.encode()) > _MAX_ADDRESS_OCTETS:
        raise InvalidAddress("the address is too long")
    return canonical


def candidates(address: str) -> list[str]:
    """The addresses under which a letter's recipient may be known, the best first: itself, then without +detail."""
    local, _, domain = address.rpartition("@")
    user, plus, _ = local.partition("+")
    return [address, f"{user}@{domain}"] if plus and user else [address]
