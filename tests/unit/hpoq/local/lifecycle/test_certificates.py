"""The cloud's authority and the other authorities that its clients trust."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from hpoq.local.lifecycle import certificates, trust
from hpoq.local.lifecycle.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / ".hpoq")
    home.create()
    certificates.ensure(home)
    return home


def handshake(home: Home, trusted: Path, name: str) -> str:
    """Return the TLS version of a handshake with a server that has the home's certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(home.certificate, home.key)
    ours, theirs = socket.socketpair()
    answering = threading.Thread(target=_answer, args=(server, theirs))
    answering.start()
    client = ssl.create_default_context(cafile=str(trusted))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        with client.wrap_socket(ours, server_hostname=name) as secure:
            return str(secure.version())
    finally:
        ours.close()
        answering.join()


def _answer(context: ssl.SSLContext, connection: socket.socket) -> None:
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)
    except OSError:
        connection.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_client_that_trusts_the_authority_accepts_the_server(home: Home, name: str) -> None:
    assert handshake(home, home.ca, name) == "TLSv1.3"


def test_another_host_name_or_authority_is_rejected(home: Home, tmp_path: Path) -> None:
    stranger = Home(tmp_path / "other")
    stranger.create()
    certificates.ensure(stranger)

    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(home, home.ca, "example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(home, stranger.ca, "localhost")


def test_a_certificate_is_renewed_before_it_expires(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = home.certificate.read_bytes()
    certificates.ensure(home)
    assert home.certificate.read_bytes() == first

    monkeypatch.setattr(certificates, "RENEW_BEFORE", certificates.LIFETIME + timedelta(days=1))
    certificates.ensure(home)
    assert home.certificate.read_bytes() != first
    assert handshake(home, home.ca, "localhost")


@pytest.mark.parametrize("file", ["ca", "certificate", "key"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nMII", b"\0" * 100])
def test_torn_files_are_issued_again(home: Home, file: str, content: bytes) -> None:
    getattr(home, file).write_bytes(content)
    certificates.ensure(home)
    assert handshake(home, home.ca, "localhost")


@pytest.mark.parametrize("file", ["ca", "certificate", "key"])
def test_files_that_do_not_belong_together_are_issued_again(
    home: Home, tmp_path: Path, file: str
) -> None:
    """A cloud may be killed after it has replaced some of them."""
    other = Home(tmp_path / "other")
    other.create()
    certificates.ensure(other)
    getattr(home, file).write_bytes(getattr(other, file).read_bytes())

    certificates.ensure(home)

    assert handshake(home, home.ca, "localhost")


def test_only_the_owner_can_read_the_key(home: Home) -> None:
    assert home.key.stat().st_mode & 0o777 == 0o600


def test_authorities_trusted_before_remain_trusted(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "company")
    other.create()
    certificates.ensure(other)

    trust.write(home, {"SSL_CERT_FILE": str(other.ca), "NODE_EXTRA_CA_CERTS": "/does/not/exist"})

    bundle = home.trust.read_text()
    assert other.ca.read_text().strip() in bundle
    assert handshake(home, home.trust, "localhost")
    assert handshake(other, home.trust, "localhost")
    assert bundle.count("BEGIN CERTIFICATE") > 50  # including those of the system


def test_a_shell_configured_for_one_cloud_does_not_make_another_cloud_trust_it(
    home: Home, tmp_path: Path
) -> None:
    trust.write(home, {})
    other = Home(tmp_path / "other")
    other.create()
    certificates.ensure(other)

    trust.write(other, {"SSL_CERT_FILE": str(home.trust)})

    assert home.ca.read_text().strip() not in other.trust.read_text()
