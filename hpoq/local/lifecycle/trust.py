"""The authorities that clients of the cloud trust: its own and all that they trusted before.

``SSL_CERT_FILE`` and similar variables replace the usual authorities instead of adding one. With
the cloud's authority alone, clients in the same shell could not reach any other server.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import botocore

from hpoq.local.lifecycle.home import Home

HEADER = "# trusted by clients of an hpoq embedded cloud\n"
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def write(home: Home, environ: Mapping[str, str]) -> None:
    """Write every authority once to ``home.trust``, beginning with the cloud's."""
    found = [_CERTIFICATE.findall(home.ca.read_text())]
    found += [_CERTIFICATE.findall(content) for content in _trusted_so_far(environ)]
    certificates = dict.fromkeys(each for bundle in found for each in bundle)
    home.trust.write_text(HEADER + "\n".join(certificates) + "\n")


def _trusted_so_far(environ: Mapping[str, str]) -> Iterator[str]:
    paths = [environ[name] for name in VARIABLES if environ.get(name)]
    for path in dict.fromkeys([*paths, *_system_authorities()]):
        content = _read(Path(path))
        if not content.startswith(HEADER):  # a shell that is configured for another cloud
            yield content


def _system_authorities() -> Iterator[str]:
    paths = ssl.get_default_verify_paths()
    if Path(paths.openssl_cafile).exists():
        yield paths.openssl_cafile
        return
    yield str(Path(botocore.__file__).parent / "cacert.pem")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
