"""The cloud's certificate authority and the certificate of its port."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hpoq.local.lifecycle import state_files
from hpoq.local.lifecycle.home import Home

LIFETIME = timedelta(days=397)  # the longest that strict clients accept
RENEW_BEFORE = timedelta(days=1)
CLOCK_SKEW = timedelta(hours=1)
AUTHORITY = "hpoq embedded cloud CA"
SERVER = "hpoq embedded cloud"
_PEM = serialization.Encoding.PEM


def ensure(home: Home) -> None:
    """Create CA, certificate and key if they are missing, damaged or about to expire.

    The authority's private key is not stored, so that no other
    certificate can be issued that clients of this cloud would trust.
    """
    if not _usable(home):
        _issue(home)


def _usable(home: Home) -> bool:
    """Return whether the three files can be read, belong together, and are valid for a day."""
    try:
        authority = x509.load_pem_x509_certificate(home.ca.read_bytes())
        certificate, *chain = x509.load_pem_x509_certificates(home.certificate.read_bytes())
        key = serialization.load_pem_private_key(home.key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(authority)
    except (FileNotFoundError, ValueError, InvalidSignature):
        return False
    belong_together = chain == [authority] and key.public_key() == certificate.public_key()
    return belong_together and certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE


def _issue(home: Home) -> None:
    authority_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    authority = _authority(authority_key)
    certificate = _server(key, authority, authority_key)
    chain = certificate.public_bytes(_PEM) + authority.public_bytes(_PEM)
    _write(home.key, _private(key))
    _write(home.certificate, chain)
    _write(home.ca, authority.public_bytes(_PEM))


def _authority(key: EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name(AUTHORITY)
    return (
        _builder(key, name)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: EllipticCurvePrivateKey, authority: x509.Certificate, signer: EllipticCurvePrivateKey
) -> x509.Certificate:
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        _builder(key, _name(SERVER))
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(server_only, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer, critical=False)
        .sign(signer, hashes.SHA256())
    )


def _builder(key: EllipticCurvePrivateKey, subject: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(identifier, critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    state_files.write(path, content.decode(), keep_previous=False)
