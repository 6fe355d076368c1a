"""Authorization of our own services by ministack's IAM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

import ministack.app
from ministack.core import iam_evaluator
from ministack.core.responses import (
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.core.router import extract_access_key_id, extract_region
from ministack.core.sigv4 import decode_header_value

from hpoq.local.server.service import Place, RequiredPermission

Scope = dict[str, Any]


@dataclass(frozen=True)
class AccessDenied:
    """The error of a call that is not authorized."""

    code: str
    message: str


class Caller:
    """The sender of a request, whose signature and policies are checked."""

    def __init__(self, scope: Scope) -> None:
        headers = _headers(scope)
        query = parse_qs(scope.get("query_string", b"").decode(), keep_blank_values=True)
        self._key = extract_access_key_id(headers, query) or ""
        self._region = extract_region(headers, query)
        set_request_account_id(ministack.app._request_account_scope(self._key))
        set_request_region(self._region)
        self.place = Place(get_account_id(), get_region())
        iam_evaluator.pin_request_origin(scope["client"][0], scope.get("scheme") == "https")
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        iam_evaluator.pin_signed_request(
            scope["method"], raw_path.decode("latin-1"), query, scope["headers"]
        )

    def denial(
        self, service: str, permissions: Sequence[RequiredPermission], body: bytes
    ) -> AccessDenied | None:
        """Return the error of the first permission that the caller lacks, or None."""
        iam_evaluator.pin_signed_body(body)
        for permission in permissions:
            result = iam_evaluator.enforce(
                self._key,
                permission.action,
                service,
                self._region,
                resource_arn=permission.resource,
                service_context=dict(permission.condition_keys),
            )
            if result is not None:
                return _denial(result, permission)
        return None


def _denial(result: Any, permission: RequiredPermission) -> AccessDenied:
    if isinstance(result, iam_evaluator.AuthError):
        return AccessDenied(_ERROR_CODES.get(result.code, result.code), result.message)
    because = (
        "with an explicit deny in an identity-based policy"
        if result.decision == "Deny"
        else f"because no identity-based policy allows the {permission.action} action"
    )
    return AccessDenied(
        "AccessDeniedException",
        f"User: {result.principal_arn} is not authorized to perform: {permission.action} "
        f"on resource: {permission.resource} {because}",
    )


_ERROR_CODES = {
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
}


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): decode_header_value(value)
        for name, value in scope["headers"]
    }
