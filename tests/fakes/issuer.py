"""An issuer of tokens: a real HTTP server on loopback that hands out its keys. RFC 7517."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "mail"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Issuer:
    """keys: by name, what tokens are signed with. asked: how often the keys were fetched. extra: further entries."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.extra: list[dict[str, Any]] = []
        self.asked = 0
        self.is_down = False
        self.url = ""
        self.add_key("first")

    @property
    def keys_url(self) -> str:
        """Where the keys are."""
        return f"{self.url}/keys"

    def add_key(self, name: str, key: Key | None = None) -> None:
        """Signs with one more key from now on."""
        self.keys[name] = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> bytes:
        """The public keys."""
        entries: list[dict[str, Any]] = list(self.extra)
        for name, key in self.keys.items():
            algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            public: Any = key.public_key()
            entries.append({**algorithm.to_jwk(public, as_dict=True), "kid": name, "use": "sig"})
        return json.dumps({"keys": entries}).encode()

    def token(self, login: str, key: str = "first", algorithm: str = "RS256", **claims: Any) -> str:
        """A token of this login; claims replace what it would say, None leaves one out."""
        said = {"iss": self.url, "aud": AUDIENCE, "exp": int(time.time()) + 600, "email": login} | claims
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(kept, self.keys[key], algorithm, headers={"kid": key})


@contextmanager
def serving() -> Iterator[Issuer]:
    """An issuer that runs."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(503 if issuer.is_down else 200)
            self.end_headers()
            self.wfile.write(issuer.jwks())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield issuer
        finally:
            server.shutdown()
