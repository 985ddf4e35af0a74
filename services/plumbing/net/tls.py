"""TLS as a server offers it: version 1.2 and up, the certificate re-read when its files change.

Rule: a certificate that cannot be read never replaces one that works.
"""

import ssl
from pathlib import Path

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

Stamp = tuple[int, int, int, int]


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

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 1
        context.load_cert_chain(self._certificate, self._key)
        return context
