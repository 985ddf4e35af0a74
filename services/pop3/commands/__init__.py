"""What answers each command of `services.mail.pop3.commands.TABLE`; that says where it may be given."""

from collections.abc import Awaitable, Callable
from typing import Final

from services.mail.pop3.commands import Command
from services.pop3.commands import auth, authorization, languages, transaction
from services.pop3.session import Session

ANSWERS: Final[dict[str, Callable[[Session, Command], Awaitable[None]]]] = {
    "CAPA": authorization.capa,
    "LANG": languages.lang,
    "UTF8": languages.utf8,
    "STLS": authorization.stls,
    "USER": authorization.user,
    "PASS": authorization.pass_,
    "APOP": authorization.apop,
    "AUTH": auth.auth,
    "QUIT": transaction.quit_,
    "STAT": transaction.stat,
    "LIST": transaction.list_,
    "UIDL": transaction.uidl,
    "RETR": transaction.retr,
    "TOP": transaction.top,
    "DELE": transaction.dele,
    "NOOP": transaction.noop,
    "RSET": transaction.rset,
}
