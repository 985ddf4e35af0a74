"""What a login is bound to: the hash of the certificate that was shown. RFC 5929 §4.1."""

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from services.plumbing.net.tls import ServerContext, TlsContext, end_point_of

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def made(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    algorithm: hashes.SHA256 | hashes.SHA384 | None,
) -> x509.Certificate:
    """A certificate that signs itself."""
    return (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(DAY)
        .not_valid_after(DAY + dt.timedelta(days=1))
        .sign(key, algorithm)
    )


@pytest.mark.parametrize(("algorithm", "name"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384")])
def test_the_hash_is_that_of_the_signature(algorithm: hashes.SHA256 | hashes.SHA384, name: str) -> None:
    """Of the first certificate of the file, whatever follows it."""
    leaf, other = (made(ec.generate_private_key(ec.SECP256R1()), algorithm) for _ in range(2))
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (leaf, other))
    assert end_point_of(pem) == hashlib.new(name, leaf.public_bytes(serialization.Encoding.DER)).digest()


def test_a_certificate_without_a_hash_binds_nothing() -> None:
    """The RFC does not say what then; -PLUS is not offered."""
    certificate = made(ed25519.Ed25519PrivateKey.generate(), None)
    assert end_point_of(certificate.public_bytes(serialization.Encoding.PEM)) == b""


def test_a_new_certificate_has_a_hash_of_its_own(certificate: Path, tls: TlsContext, tmp_path: Path) -> None:
    """Connections keep the one that their client has seen."""
    before = tls.current()
    assert isinstance(before, ServerContext)
    other = made(key := ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    fresh_key = tmp_path / "fresh"
    fresh_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    fresh_key.replace(certificate.with_name("key.pem"))
    certificate.write_bytes(other.public_bytes(serialization.Encoding.PEM))
    after = tls.current()
    assert isinstance(after, ServerContext)
    assert after.end_point == end_point_of(certificate.read_bytes())
    assert before.end_point not in (after.end_point, b"")
