"""Tokens of an issuer, signed by a real one that runs on loopback. RFC 7519, RFC 8725."""

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.mail.errors import AccountDisabled, BadCredentials, TooManyAttempts
from services.storage.credentials import logins, tokens
from services.storage.credentials.tokens import Tokens, TokenSettings
from services.storage.store import PostgresStore, StoreSettings, open_store
from tests.fakes.issuer import AUDIENCE, Issuer, serving

LOGIN = "someone@example.org"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """One that runs."""
    with serving() as started:
        yield started


def settings_of(issuer: Issuer) -> TokenSettings:
    """What takes its tokens."""
    return TokenSettings(issuer.url, AUDIENCE, issuer.keys_url)


@pytest.fixture
async def store(database_url: str, issuer: Issuer) -> AsyncIterator[PostgresStore]:
    """A store that takes the issuer's tokens, with an account."""
    async with open_store(database_url, settings=StoreSettings(tokens=settings_of(issuer))) as opened:
        await opened.accounts.add_domain("example.org")
        await opened.accounts.add_account(LOGIN, b"secret")
        yield opened


async def test_a_token_lets_in_whose_it_is(store: PostgresStore, issuer: Issuer) -> None:
    """Whoever is named besides must be the same."""
    let_in = store.credentials.authenticate_token
    account = await store.accounts.find_account(LOGIN)
    token = issuer.token(LOGIN)
    for login in ("", LOGIN, LOGIN.upper()):
        assert await let_in(login, token, "192.0.2.1") == account
    for login, wrong in (("other@example.org", token), ("", issuer.token("other@example.org")), ("", "x")):
        with pytest.raises(BadCredentials):
            await let_in(login, wrong, "192.0.2.1")
    await store.accounts.set_enabled(account.account_id, False)
    with pytest.raises(AccountDisabled):
        await let_in("", token, "192.0.2.1")


async def test_without_an_issuer_no_token_is_good(database_url: str, issuer: Issuer) -> None:
    """The default."""
    async with open_store(database_url) as opened:
        await opened.accounts.add_domain("example.org")
        await opened.accounts.add_account(LOGIN, b"secret")
        with pytest.raises(BadCredentials):
            await opened.credentials.authenticate_token(LOGIN, issuer.token(LOGIN), "")


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "calendar"},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iss": None},
        {"aud": None},
        {"email": None},
        {"email": ["someone@example.org"]},
        {"email_verified": False},
        {"nbf": int(time.time()) + 3600},
    ],
    ids=str,
)
async def test_what_a_token_says_is_checked(issuer: Issuer, claims: dict[str, Any]) -> None:
    """RFC 7519 §4.1; each of these alone makes it worth nothing."""
    checked = Tokens(settings_of(issuer))
    assert await checked.login_of(issuer.token(LOGIN)) == LOGIN
    with pytest.raises(BadCredentials):
        await checked.login_of(issuer.token(LOGIN, **claims))


async def test_what_needs_no_secret_or_ours_signs_nothing(issuer: Issuer) -> None:
    """RFC 8725 §2.1, §3.1: `none`, the public key as a secret, a symmetric key of the list, another algorithm."""
    issuer.extra = [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0" * 8}]
    issuer.add_key("curve", ec.generate_private_key(ec.SECP256R1()))
    checked = Tokens(settings_of(issuer))
    assert await checked.login_of(issuer.token(LOGIN, "curve", "ES256")) == LOGIN
    claims = {"iss": issuer.url, "aud": AUDIENCE, "exp": int(time.time()) + 600, "email": LOGIN}
    public = (
        issuer.keys["first"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def part(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    unsigned = f"{part({'alg': 'HS256', 'kid': 'first'})}.{part(claims)}"
    mac = urlsafe_b64encode(hmac.digest(public, unsigned.encode(), "sha256")).rstrip(b"=").decode()
    good = issuer.token(LOGIN)
    head, body, signature = good.split(".")
    for wrong in (
        f"{part({'alg': 'none', 'kid': 'first'})}.{part(claims)}.",
        f"{unsigned}.{mac}",
        jwt.encode(claims, b"secret" * 8, "HS256", headers={"kid": "shared"}),
        issuer.token(LOGIN, algorithm="RS512"),
        f"{part({'alg': 'ES256', 'kid': 'first'})}.{body}.{signature}",
        f"{head}.{part({**claims, 'email': 'other@example.org'})}.{signature}",
        f"{head}.{body}.",
        good[:-20],
        "",
        "..",
    ):
        with pytest.raises(BadCredentials):
            await checked.login_of(wrong)


async def test_keys_are_read_again_for_a_new_one_but_not_for_every_stranger(issuer: Issuer) -> None:
    """Once a minute at most, whatever names tokens come with; and hourly, so that what is withdrawn goes."""
    now = 0.0
    checked = Tokens(settings_of(issuer), lambda: now)
    await checked.login_of(issuer.token(LOGIN))
    issuer.add_key("second")
    for _ in range(5):
        with pytest.raises(BadCredentials):
            await checked.login_of(issuer.token(LOGIN, "second"))
    assert issuer.asked == 1
    now += tokens.REFRESH_SECONDS + 1
    assert await checked.login_of(issuer.token(LOGIN, "second")) == LOGIN
    assert issuer.asked == 2
    withdrawn = issuer.token(LOGIN)
    del issuer.keys["first"]
    assert await checked.login_of(withdrawn) == LOGIN
    now += tokens.MAX_AGE_SECONDS + 1
    with pytest.raises(BadCredentials):
        await checked.login_of(withdrawn)
    assert issuer.asked == 3


async def test_keys_stay_while_the_issuer_is_away(issuer: Issuer) -> None:
    """Whoever had a token before still comes in."""
    now = 0.0
    checked = Tokens(settings_of(issuer), lambda: now)
    await checked.login_of(issuer.token(LOGIN))
    issuer.is_down = True
    now += tokens.MAX_AGE_SECONDS + 1
    assert await checked.login_of(issuer.token(LOGIN)) == LOGIN
    assert issuer.asked == 2


async def test_keys_may_be_a_file(issuer: Issuer, tmp_path: Path) -> None:
    """Where storage should ask nobody."""
    path = tmp_path / "keys.json"
    path.write_bytes(issuer.jwks())
    checked = Tokens(TokenSettings(issuer.url, AUDIENCE, str(path)))
    assert await checked.login_of(issuer.token(LOGIN)) == LOGIN
    assert issuer.asked == 0


async def test_wrong_tokens_slow_down_their_network_and_no_login(
    store: PostgresStore, issuer: Issuer
) -> None:
    """Nobody guesses a signature; the same old token again is not counted."""
    let_in = store.credentials.authenticate_token
    old = issuer.token(LOGIN, exp=int(time.time()) - 3600)
    for _ in range(logins.FREE_FAILURES_OF_NETWORK + 5):
        with pytest.raises(BadCredentials):
            await let_in(LOGIN, old, "192.0.2.1")
    for each in range(logins.FREE_FAILURES_OF_NETWORK):
        with pytest.raises(BadCredentials):
            await let_in(LOGIN, f"wrong{each}", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await let_in(LOGIN, issuer.token(LOGIN), "192.0.2.1")
    await let_in(LOGIN, issuer.token(LOGIN), "192.0.2.2")
    await store.accounts.authenticate(LOGIN, b"secret", "192.0.2.2")
