"""TLS as a server offers it: version 1.2 and up, the certificate re-read when its files change.

Rule: a certificate that cannot be read never replaces one that works.
"""

import hashlib
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

Stamp = tuple[int, int, int, int]


class ServerContext(ssl.SSLContext):
    """end_point: what a client that sees our certificate binds a login to; b"" where it cannot. RFC 5929 §4.1."""

    end_point: bytes = b""


class TlsContext:
    """The context for the next handshake.

    certificate: PEM, the leaf first, then its chain. key: PEM, not encrypted.
    Raises CannotStart if the files are not there or do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        try:
            self._stamp = self._read_stamp()
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(
                f"the certificate {certificate} and its key {key} cannot be used: {error.strerror or error}; "
                "set RESTANTE_TLS_CERTIFICATE and RESTANTE_TLS_KEY to PEM files"
            ) from None

    def current(self) -> ssl.SSLContext:
        """The context made from the files as they are now."""
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                self._context = self._load()
                log.info("certificate read again", certificate=str(self._certificate))
        except (OSError, ssl.SSLError) as error:
            log.exception(
                "certificate not read, the last one stays",
                certificate=str(self._certificate),
                reason=str(error),
            )
        return self._context

    def _read_stamp(self) -> Stamp:
        certificate, key = self._certificate.stat(), self._key.stat()
        return certificate.st_mtime_ns, certificate.st_ino, key.st_mtime_ns, key.st_ino

    def _load(self) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 1
        context.load_cert_chain(self._certificate, self._key)
        context.end_point = end_point_of(self._certificate.read_bytes())
        return context


def end_point_of(pem: bytes) -> bytes:
    """The hash of the leaf, by the algorithm of its signature, and SHA-256 for those that are weaker. RFC 5929 §4.1."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        algorithm = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return b""  # OpenSSL knows more kinds; it has judged the file already
    if algorithm is None:
        return b""  # Ed25519 has none, and the RFC does not say what then
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()
