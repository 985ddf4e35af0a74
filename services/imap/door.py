"""What all sessions of this process share.

The rule: whatever way a conversation ends, its session is counted out exactly once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.imap.conversation import Session
from services.imap.session.folders import Folders
from services.imap.settings import Settings
from services.imap.signals import Signals
from services.mail.store import Store
from services.plumbing.net.connection import Connection
from services.plumbing.presence import Presence


@dataclass(slots=True)
class Door:
    """stopping: once set, sessions say BYE behind their running command. sessions: open ones by account."""

    settings: Settings
    store: Store
    signals: Signals
    stopping: asyncio.Event
    presence: Presence
    sessions: dict[int, int] = field(default_factory=dict)
    folders: Folders = field(default_factory=Folders)

    async def serve(self, connection: Connection) -> None:
        """Talks to one client until either side ends it."""
        session = Session(self, connection)
        try:
            await session.converse()
        finally:
            session.leave()
