"""What clients of the cloud trust: its own authority, and all that they trusted before.

``SSL_CERT_FILE`` and its like replace the usual authorities instead of adding one, so with
the cloud's alone nothing else on the internet could be reached from the same shell.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import botocore

from hpoq.local.lifecycle.home import Home

OURS = "# trusted by clients of an hpoq embedded cloud\n"
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def write(home: Home, environ: Mapping[str, str]) -> None:
    """Gather every authority into ``home.trust``, the cloud's first, none twice."""
    found = [_CERTIFICATE.findall(home.ca.read_text())]
    found += [_CERTIFICATE.findall(content) for content in _trusted_so_far(environ)]
    certificates = dict.fromkeys(each for bundle in found for each in bundle)
    home.trust.write_text(OURS + "\n".join(certificates) + "\n")


def _trusted_so_far(environ: Mapping[str, str]) -> Iterator[str]:
    paths = [environ[name] for name in VARIABLES if environ.get(name)]
    for path in dict.fromkeys([*paths, *_of_the_system()]):
        content = _read(Path(path))
        if not content.startswith(OURS):  # another cloud's, from a shell it was exported to
            yield content


def _of_the_system() -> Iterator[str]:
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
