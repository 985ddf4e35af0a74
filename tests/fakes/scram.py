"""A SCRAM-SHA-256 client that shares no line with what it is talked to by. RFC 5802 §3, RFC 7677."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from services.mail.store import Store
from services.mail.store.accounts import NO_SCOPE, Scope
from services.mail.store.credentials import Proved


@dataclass
class ScramClient:
    """Answers the challenges of one exchange, in octets.

    flag: gs2-cbind-flag. bound: what the channel binding is of. name: as it goes over the wire.
    """

    name: str
    password: bytes
    nonce: str = "rOprNGfwEbeRWgbNEkqO"
    flag: str = "n"
    authorize: str = ""
    bound: bytes = b""
    signature: bytes = b""

    @property
    def header(self) -> str:
        """gs2-header."""
        return f"{self.flag},{f'a={self.authorize}' if self.authorize else ''},"

    @property
    def first(self) -> bytes:
        """client-first-message."""
        return f"{self.header}n={self.name},r={self.nonce}".encode()

    def final(self, server_first: bytes) -> bytes:
        """client-final-message; `signature` is what the server has to answer."""
        fields = dict(field.split(b"=", 1) for field in server_first.split(b","))
        assert fields[b"r"].startswith(self.nonce.encode())
        assert len(fields[b"r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.password, base64.b64decode(fields[b"s"]), int(fields[b"i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        binding = base64.b64encode(self.header.encode() + self.bound)
        unproved = b"c=%b,r=%b" % (binding, fields[b"r"])
        message = b",".join((f"n={self.name},r={self.nonce}".encode(), server_first, unproved))
        mask = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        self.signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return unproved + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, mask, strict=True)))

    def is_answered(self, server_final: bytes) -> bool:
        """Whether the server has shown that it knows the password too."""
        return server_final == b"v=" + base64.b64encode(self.signature)


async def prove(
    store: Store, login: str, password: bytes, scope: Scope = NO_SCOPE, authorize: str = ""
) -> tuple[ScramClient, Proved]:
    """One exchange, as a door runs it with the store."""
    client = ScramClient(login, password)
    salted = await store.credentials.find_salt(login)
    first = f"r={client.nonce}x,s={base64.b64encode(salted.salt).decode()},i={salted.iterations}".encode()
    unproved, _, proof = client.final(first).rpartition(b",p=")
    message = b",".join((client.first.removeprefix(b"n,,"), first, unproved))
    proved = await store.credentials.authenticate_proof(
        login, message, base64.b64decode(proof), "127.0.0.1", scope, authorize
    )
    return client, proved
