"""How a door runs a SASL exchange: the client answers the challenges, the store the questions.

The rule: whoever this returns was let in by the store in this exchange; there is no other way through.
"""

import secrets
from collections.abc import Awaitable, Callable

from services.mail.errors import BadCredentials
from services.mail.sasl.exchange import (
    Challenge,
    Channel,
    PasswordGiven,
    ProofGiven,
    SaltAsked,
    TokenGiven,
    decode,
    encode,
)
from services.mail.sasl.mechanisms import begin
from services.mail.store import Store
from services.mail.store.accounts import Account, Scope
from services.plumbing.net.connection import Connection

Ask = Callable[[str], Awaitable[bytes]]


async def authenticate(
    mechanism: str,
    initial: bytes | None,
    ask: Ask,
    store: Store,
    connection: Connection,
    scope: Scope,
    issuer: str,
) -> Account:
    """Runs the exchange of a mechanism that is offered to its end.

    initial: what came with the command, in base64. ask: says a challenge to the client and gives the line that it
    answers, both in base64. scope: which door this is. issuer: whose tokens are taken.
    Raises ProtocolError; BadCredentials, AccountDisabled, TooManyAttempts.
    """
    channel = Channel(secrets.token_urlsafe(18).encode(), connection.end_point, issuer)
    exchange = begin(mechanism, initial, channel)
    network = connection.peer[0]
    account: Account | None = None
    answer = b""
    step = next(exchange, None)
    while step is not None:
        match step:
            case Challenge(octets):
                answer = decode(await ask(encode(octets)))
            case PasswordGiven(authorize, login, password):
                account = await store.accounts.authenticate(login, password, network, scope, authorize)
                answer = b""
            case SaltAsked(login):
                salted = await store.credentials.find_salt(login)
                answer = f"s={encode(salted.salt)},i={salted.iterations}".encode()
            case ProofGiven(authorize, login, message, proof):
                proved = await store.credentials.authenticate_proof(
                    login, message, proof, network, scope, authorize
                )
                account, answer = proved.account, proved.signature
            case TokenGiven(login, token):
                try:
                    account = await store.credentials.authenticate_token(login, token, network)
                    answer = b""
                except BadCredentials:
                    answer = b"refused"
        try:
            step = exchange.send(answer)
        except StopIteration:
            break
    if account is None:
        raise BadCredentials
    return account
