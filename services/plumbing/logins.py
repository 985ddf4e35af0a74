"""How a door runs a SASL exchange: the client answers the challenges, the store the questions.

The rule: whoever this returns was let in by the store in this exchange; there is no other way through.
"""

from collections.abc import Awaitable, Callable

from services.mail.errors import BadCredentials
from services.mail.sasl.exchange import Challenge, Exchange, PasswordGiven, decode, encode
from services.mail.store.accounts import Account, Accounts

Ask = Callable[[str], Awaitable[bytes]]


async def authenticate(exchange: Exchange, ask: Ask, accounts: Accounts, network: str) -> Account:
    """Runs an exchange to its end.

    ask: says a challenge to the client and gives the line that it answers, both in base64. network: the peer's address.
    Raises ProtocolError; BadCredentials, AccountDisabled, TooManyAttempts.
    """
    account: Account | None = None
    answer = b""
    step = next(exchange, None)
    while step is not None:
        match step:
            case Challenge(octets):
                answer = decode(await ask(encode(octets)))
            case PasswordGiven(authorize, login, password):
                if authorize not in ("", login):
                    raise BadCredentials
                account = await accounts.authenticate(login, password, network)
                answer = b""
        try:
            step = exchange.send(answer)
        except StopIteration:
            break
    if account is None:
        raise BadCredentials
    return account
