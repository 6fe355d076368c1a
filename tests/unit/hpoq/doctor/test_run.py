"""What the doctor makes of errors that keep it from looking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, Verdict, fault, ok
from hpoq.doctor.run import examine


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "verdict", "line"),
    [
        (
            NoCredentialsError(),
            Verdict.FAULT,
            "there are no AWS credentials. Set AWS_PROFILE, or run `aws configure` or "
            "`aws sso login`",
        ),
        (
            client_error("ExpiredToken"),
            Verdict.FAULT,
            "the credentials are not valid (ExpiredToken). Sign in again",
        ),
        (
            client_error("SignatureDoesNotMatch", "Signature expired"),
            Verdict.FAULT,
            "AWS refuses the signature (SignatureDoesNotMatch). Synchronize the clock (NTP); if it "
            "is right, the secret access key is wrong",
        ),
        (
            client_error("AccessDenied"),
            Verdict.UNKNOWN,
            "not permitted: DescribeStacks. Ask for a role that may read the deployment, as "
            "docs/first-deployment.md lists",
        ),
        (
            client_error("InternalFailure", "try again"),
            Verdict.FAULT,
            "DescribeStacks: InternalFailure try again",
        ),
        (
            EndpointConnectionError(endpoint_url="https://sts.nowhere.amazonaws.com"),
            Verdict.FAULT,
            'Could not connect to the endpoint URL: "https://sts.nowhere.amazonaws.com". Check the '
            "Region, the profile and the network",
        ),
        (
            InvalidRequest("instance_type", "not allowed", "Use ml.m5.large"),
            Verdict.FAULT,
            "instance_type: not allowed. Use ml.m5.large",
        ),
    ],
)
def test_an_error_is_one_line_with_its_fix(
    examined: Examined, error: Exception, verdict: Verdict, line: str
) -> None:
    def fails(_: Examined) -> Iterator[Finding]:
        raise error
        yield

    (found,) = examine(examined, {"any": fails})
    assert found.verdict is verdict
    assert str(found) == line


@pytest.mark.parametrize(("name", "rest"), [("stack", []), ("bucket", ["later"])])
def test_checks_end_where_there_is_nothing_more_to_look_at(
    examined: Examined, name: str, rest: list[str]
) -> None:
    def broken(_: Examined) -> Iterator[Finding]:
        yield fault(name, "broken", "")

    def later(_: Examined) -> Iterator[Finding]:
        yield ok("later", "fine")

    found = [each.check for each in examine(examined, {name: broken, "later": later})]
    assert found == [name, *rest]
