"""UTF8 and LANG: RFC 6856. The rule: a message goes out as it came in, whatever mode the session is in."""

from services.mail.errors import ProtocolError
from services.mail.pop3 import languages, replies
from services.mail.pop3.commands import Command
from services.pop3.session import Session


async def utf8(session: Session, _command: Command) -> None:
    """UTF8: RFC 6856 §2.1."""
    session.machine.is_utf8 = True
    await session.send(replies.ok("UTF-8 it is"))


async def lang(session: Session, command: Command) -> None:
    """LANG: RFC 6856 §3; without a range it lists."""
    if not command.text:
        await session.send(replies.language_listing())
        return
    tag = languages.lookup(command.text.decode("ascii", "replace"))
    if tag is None:
        raise ProtocolError("no such language")
    await session.send(replies.ok(f"{tag} Replies are in English"))
