"""A letter's octets, and what the scanner sees in them: asked only when somebody wants to know.

The rule: it is the scanner that storage uses; a head in front of the octets only moves what was seen.
"""

from functools import cached_property
from typing import Any


class Content:
    """What all copies of a letter share."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    @cached_property
    def seen(self) -> Any:
        """ENVELOPE, BODYSTRUCTURE and the part map."""
        from services.mail.mime import scan

        return scan(self.octets)
