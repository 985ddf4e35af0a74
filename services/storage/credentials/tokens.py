"""Tokens of an OAuth issuer: whose login one is, if the issuer made it, for us, and its time is not over.

The rule: only algorithms that the settings list are taken, and none whose verifier needs a secret. RFC 8725 §3.1.
"""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt

from services.mail.errors import BadCredentials
from services.plumbing import logs

log = logs.get(__name__)

# Seconds that clocks may differ.
LEEWAY: Final = 30
# A key that is not known has the keys read again, this many seconds apart at least; and all of them after an hour.
REFRESH_SECONDS: Final = 60.0
MAX_AGE_SECONDS: Final = 3600.0
_FETCH_SECONDS: Final = 5.0
_MOST_OCTETS: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """issuer, audience: what a token must say. keys: a JWKS, by path or http(s). claim: what names the login."""

    issuer: str
    audience: str
    keys: str
    algorithms: Sequence[str] = ("RS256", "ES256")
    claim: str = "email"


class Tokens:
    """Checks tokens by the issuer's keys."""

    def __init__(self, settings: TokenSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def login_of(self, token: str) -> str:
        """The login that the token is of. Raises BadCredentials."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._settings.algorithms:
                raise BadCredentials
            key = await self._key(str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            log.info("token refused", reason=type(error).__name__)
            raise BadCredentials from None
        login = claims.get(self._settings.claim)
        if not isinstance(login, str) or claims.get("email_verified") is False:
            raise BadCredentials
        return login

    async def _key(self, name: str) -> jwt.PyJWK:
        """The key of this name; "" is the only one there is. Raises BadCredentials."""
        async with self._reading:
            age = None if self._read_at is None else self._clock() - self._read_at
            known = self._find(name)
            if age is None or age > MAX_AGE_SECONDS or (known is None and age > REFRESH_SECONDS):
                self._read_at = self._clock()
                await self._read()
                known = self._find(name)
        if known is None:
            raise BadCredentials
        return known

    def _find(self, name: str) -> jwt.PyJWK | None:
        if not name and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name)

    async def _read(self) -> None:
        """Reads all keys again; where that fails those that there are stay."""
        try:
            octets = await asyncio.to_thread(_fetch, self._settings.keys)
            entries = json.loads(octets)["keys"]
            self._keys = dict(filter(None, map(_key_of, entries)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("keys of the token issuer not read", keys=self._settings.keys, reason=str(error))


def _key_of(entry: dict[str, Any]) -> tuple[str, jwt.PyJWK] | None:
    """A key for signatures by its name; None for what is another, or cannot be used."""
    if entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
        return None
    try:
        return str(entry.get("kid", "")), jwt.PyJWK(entry)
    except jwt.PyJWTError:
        return None


def _fetch(place: str) -> bytes:
    """Raises OSError, ValueError."""
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()
    with urllib.request.urlopen(place, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - the settings say where
        octets: bytes = answer.read(_MOST_OCTETS + 1)
    if len(octets) > _MOST_OCTETS:
        raise ValueError("more than a megabyte of keys")
    return octets
