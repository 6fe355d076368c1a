"""Runs the checks one after another; an API error is a finding, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.doctor.checks.answers import error_code
from hpoq.doctor.checks.registry import CHECKS, NECESSARY, Check
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, Verdict, fault
from hpoq.errors import NotPermitted

_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId")
_SKEWED = ("SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException")


def examine(examined: Examined, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """Yield what each check finds, and stop where the rest has nothing to look at."""
    for name, check in checks.items():
        for finding in _findings(name, check, examined):
            yield finding
            if finding.verdict is Verdict.FAULT and finding.check in NECESSARY:
                return


def _findings(name: str, check: Check, examined: Examined) -> Iterator[Finding]:
    try:
        yield from check(examined)
    except NoCredentialsError:
        fix = "Set AWS_PROFILE, or run `aws configure` or `aws sso login`"
        yield fault(name, "there are no AWS credentials", fix)
    except ClientError as error:
        yield _explained(name, error)
    except BotoCoreError as error:
        yield fault(name, str(error), "Check the Region, the profile and the network")
    except NotPermitted as error:
        yield Finding(check=name, verdict=Verdict.UNKNOWN, text=str(error))
    except HpoqError as error:
        yield fault(name, str(error), "")


def _explained(name: str, error: ClientError) -> Finding:
    code = error_code(error)
    if code in _DENIED:
        text = f"not permitted: {error.operation_name}"
        fix = "Ask for a role that may read the deployment, as docs/first-deployment.md lists"
        return Finding(check=name, verdict=Verdict.UNKNOWN, text=text, fix=fix)
    if code in _EXPIRED:
        return fault(name, f"the credentials are not valid ({code})", "Sign in again")
    if code in _SKEWED:
        fix = "Synchronize the clock (NTP); if it is right, the secret access key is wrong"
        return fault("clock", f"AWS refuses the signature ({code})", fix)
    message = error.response.get("Error", {}).get("Message", "")
    return fault(name, f"{error.operation_name}: {code} {message}".rstrip(), "")
