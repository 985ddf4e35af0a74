"""The structure of a message, found in one pass over its octets and rendered once. RFC 2045, RFC 9051 §7.5.2.

The rule: what is rendered here is stored. Whoever changes what comes out for any message, or how a part map is encoded,
raises STRUCTURE_VERSION.
"""

from typing import Final

from services.mail.mime.parts import Kind, Part, PartMap
from services.mail.mime.rendering import body_of
from services.mail.mime.scanner import Scanner, Structure, scan

STRUCTURE_VERSION: Final = 1

__all__ = ["STRUCTURE_VERSION", "Kind", "Part", "PartMap", "Scanner", "Structure", "body_of", "scan"]
