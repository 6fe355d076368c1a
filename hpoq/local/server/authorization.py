"""Who may do what: our own endpoints ask ministack's IAM, as ministack's services do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

import ministack.app
from ministack.core import iam_evaluator
from ministack.core.responses import set_request_account_id, set_request_region
from ministack.core.router import extract_access_key_id, extract_region
from ministack.core.sigv4 import decode_header_value
from ministack.services import sts

from hpoq.local.server.service import Check

Scope = dict[str, Any]


@dataclass(frozen=True)
class Refusal:
    """Why a call does not happen."""

    code: str
    message: str


def trust_no_other_root(access_key_id: str) -> None:
    """Only the key made at `up`, properly signed, is the account's root.

    ministack takes ``test``, any twelve digits and no key at all for the root user and never
    checks the root's signature. But whoever may call this account may run code as the user
    who started it, and every user of this machine can reach the port.
    """

    def is_root(key: str) -> bool:
        return key == access_key_id

    iam_evaluator.is_root_access_key = is_root
    sts.is_root_access_key = is_root
    iam_evaluator._is_root_key = lambda _: False  # so that its signature is verified, too


class Caller:
    """Whoever sent a request: its signature and what its policies allow."""

    def __init__(self, scope: Scope) -> None:
        headers = _headers(scope)
        query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
        self._key = extract_access_key_id(headers, query) or ""
        self._region = extract_region(headers, query)
        set_request_account_id(ministack.app._request_account_scope(self._key))
        set_request_region(self._region)
        iam_evaluator.pin_request_origin(scope["client"][0], scope.get("scheme") == "https")
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        iam_evaluator.pin_signed_request(
            scope["method"], raw_path.decode("latin-1"), query, scope["headers"]
        )

    def refusal(self, service: str, checks: Sequence[Check], body: bytes) -> Refusal | None:
        """The first thing this caller may not do, or None: go ahead."""
        iam_evaluator.pin_signed_body(body)
        for check in checks:
            result = iam_evaluator.enforce(
                self._key,
                check.action,
                service,
                self._region,
                resource_arn=check.resource,
                service_context=dict(check.keys),
            )
            if result is not None:
                return _refusal(result, check)
        return None


def _refusal(result: Any, check: Check) -> Refusal:
    if isinstance(result, iam_evaluator.AuthError):
        return Refusal(_CODES.get(result.code, result.code), result.message)
    because = (
        "with an explicit deny in an identity-based policy"
        if result.decision == "Deny"
        else f"because no identity-based policy allows the {check.action} action"
    )
    return Refusal(
        "AccessDeniedException",
        f"User: {result.principal_arn} is not authorized to perform: {check.action} "
        f"on resource: {check.resource} {because}",
    )


_CODES = {
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
}


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): decode_header_value(value)
        for name, value in scope["headers"]
    }
