"""Passwords: hashed with argon2id, and a success remembered for a while.

The rule: what is remembered is bound to the credential's version, which every login reads anyway; so it is quick and
never stale. Whoever is unknown costs the same time as a wrong password.
"""

import asyncio
import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from services.mail.errors import TooManyAttempts
from services.mail.sasl.keys import Keys, make_keys

REMEMBERED_SECONDS: Final = 600
_REMEMBERED_MOST: Final = 10_000
# Waiting logins beyond this are refused: a bounded queue in front of a pool as wide as the cores.
MAX_WAITING: Final = 500


class Passwords:
    """Hashes and checks; at most as many at once as there are cores."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="argon2")
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, float] = OrderedDict()
        self._clock = clock
        self._nobody = self._hasher.hash(secrets.token_bytes(16)).encode()
        self.waiting = 0

    def close(self) -> None:
        """Ends the threads once their work is done."""
        self._pool.shutdown(wait=False)

    async def hash(self, password: bytes) -> bytes:
        """The secret to keep."""
        return (
            await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, password)
        ).encode()

    async def make_keys(self, password: bytes, salt: bytes) -> Keys:
        """SCRAM's, of the same password."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, make_keys, password, salt)

    async def is_right(self, password: bytes, account_id: int, version: int, secret: bytes | None) -> bool:
        """Whether the password matches; secret None is nobody's. Raises TooManyAttempts where too many wait."""
        mark = self._mark(password, account_id, version)
        if secret is not None and self._remembers(mark):
            return True
        if self.waiting >= MAX_WAITING:
            raise TooManyAttempts
        self.waiting += 1
        try:
            is_right = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._verify, secret or self._nobody, password
            )
        finally:
            self.waiting -= 1
        if not is_right or secret is None:
            return False
        self._remembered[mark] = self._clock() + REMEMBERED_SECONDS
        while len(self._remembered) > _REMEMBERED_MOST:
            self._remembered.popitem(last=False)
        return True

    def _verify(self, secret: bytes, password: bytes) -> bool:
        try:
            return self._hasher.verify(secret, password)
        except (VerificationError, InvalidHashError):
            return False

    def _mark(self, password: bytes, account_id: int, version: int) -> bytes:
        return hmac.digest(self._key, b"%d %d " % (account_id, version) + password, hashlib.sha256)

    def _remembers(self, mark: bytes) -> bool:
        until = self._remembered.get(mark)
        if until is None:
            return False
        if until < self._clock():
            del self._remembered[mark]
            return False
        return True
