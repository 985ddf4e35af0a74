"""A certificate that nobody but this machine vouches for, so that TLS works from the first start.

The rule: for trying things out and for localhost; who serves others sets RESTANTE_TLS_CERTIFICATE and RESTANTE_TLS_KEY.
"""

import datetime as dt
import ipaddress
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services.plumbing.files import write_secret

YEARS = 10


def make_certificate(certificate: Path, key: Path, hostname: str) -> None:
    """Writes a key and a self-signed certificate for localhost and this machine's names. RFC 5280 §4."""
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Restante on this machine")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectAlternativeName(names(hostname)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(secret.public_key()), critical=False)
        .sign(secret, hashes.SHA256())
    )
    for file in (certificate, key):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_secret(key, pem.decode("ascii"))
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def names(hostname: str) -> list[x509.GeneralName]:
    """What a client on this machine may call it; names that a certificate cannot hold are left out."""
    # Some clients (mbsync, offlineimap) compare what they were told with names only, even where it is an address.
    found = dict.fromkeys(["localhost", hostname, socket.gethostname(), "127.0.0.1"])
    dns = [x509.DNSName(each) for each in found if each.isascii() and 0 < len(each) <= 253]
    return [*dns, *(x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1"))]
