"""Errors that any port may raise."""

from __future__ import annotations

from hpo_dispatcher.contract.errors import HpoqError


class Unavailable(HpoqError):
    """An AWS service did not return a usable answer; the call may or may not have taken effect."""


class LeaseLost(HpoqError):
    """Another dispatcher took over the lease; this one must not start anything more."""


class LedgerMissing(HpoqError):
    """The ledger's table does not exist; no cycle can run."""
