"""AWS errors as errors that name what the user can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.errors import NotDeployed, NotPermitted, NotReachable

_MISSING = (
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
)
_DENIED = ("AccessDenied", "AccessDeniedException")
# Codes of credentials that AWS no longer or never accepted: "Common errors" in the references of
# DynamoDB and SQS, and of STS for temporary credentials.
_REFUSED = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
_LOG_IN = 'Log in, or for the embedded cloud: eval "$(hpoq local env)"'
# The fix for what botocore could not do.
_FIXES: dict[type[BotoCoreError], str] = {
    ConfigParseError: "Fix that file, or name another one in AWS_CONFIG_FILE",
    EndpointConnectionError: "Check the network, the Region and AWS_ENDPOINT_URL",
    InvalidRegionError: "Set AWS_DEFAULT_REGION to a Region such as eu-central-1",
    PartialCredentialsError: _LOG_IN,
    ProfileNotFound: "Set AWS_PROFILE to one of `aws configure list-profiles`",
    ProxyConnectionError: "Check HTTPS_PROXY and HTTP_PROXY",
    SSLError: "Check AWS_CA_BUNDLE",
    TokenRetrievalError: _LOG_IN,
    UnauthorizedSSOTokenError: _LOG_IN,
}


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Convert AWS errors to errors that name what the user can do."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise explanation(error, what) from None


def explanation(error: BotoCoreError | ClientError, what: str) -> HpoqError:
    """Return an AWS error as an error that names what the user can do.

    Args:
        error: raised by botocore.
        what: the resource of the call.
    """
    if isinstance(error, ClientError):
        return _answer(error, what)
    if isinstance(error, NoCredentialsError):
        return NotReachable(f"no AWS credentials. {_LOG_IN}")
    if isinstance(error, NoRegionError):
        return NotReachable("no AWS Region. Set AWS_DEFAULT_REGION")
    fixes = [fix for kind, fix in _FIXES.items() if isinstance(error, kind)]
    text = " ".join(str(error).split()).rstrip(".")
    return NotReachable(f"{what}: {text}. {fixes[0]}" if fixes else f"{what}: {text}")


def _answer(error: ClientError, what: str) -> HpoqError:
    """Return the explanation of an answer of AWS."""
    answer = error.response.get("Error", {})
    code, message = answer.get("Code"), answer.get("Message", str(error))
    if code in _MISSING:
        return NotDeployed(
            f"there is no {what}. Check the deployment's name (HPOQ_DEPLOYMENT), "
            "the team, the account and the Region"
        )
    if code in _DENIED:
        return NotPermitted(
            f"{what}: your credentials do not allow {error.operation_name}. "
            "Check --team, or ask your administrator for the team's policy"
        )
    if code in _REFUSED:
        return NotReachable(f"{what}: {message.rstrip('.')}. {_LOG_IN}")
    return NotReachable(f"{what}: {message}")
