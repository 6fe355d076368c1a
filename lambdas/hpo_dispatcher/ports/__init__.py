"""Protocols for everything outside a dispatch cycle; each has an AWS and an in-memory adapter."""

from hpo_dispatcher.contract.events import StateChange
from hpo_dispatcher.ports.errors import LeaseLost, LedgerMissing, Unavailable
from hpo_dispatcher.ports.events import Events
from hpo_dispatcher.ports.ledger import (
    Added,
    Backlog,
    Documents,
    Ending,
    Entries,
    FinishedRequests,
    Lease,
    Leases,
    Preemption,
    QueuedRequests,
    Requests,
    RunningRequests,
)
from hpo_dispatcher.ports.queues import MESSAGES_AT_ONCE, Envelope, Rejection, RequestQueues
from hpo_dispatcher.ports.sagemaker import (
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    NameTaken,
    Quotas,
    Refused,
    TuningJob,
    TuningJobDetail,
    TuningService,
)

__all__ = [
    "MESSAGES_AT_ONCE",
    "Added",
    "AlreadyOurs",
    "AtLimit",
    "Backlog",
    "Created",
    "Creation",
    "Documents",
    "Ending",
    "Entries",
    "Envelope",
    "Events",
    "FinishedRequests",
    "Lease",
    "LeaseLost",
    "Leases",
    "LedgerMissing",
    "NameTaken",
    "Preemption",
    "QueuedRequests",
    "Quotas",
    "Refused",
    "Rejection",
    "RequestQueues",
    "Requests",
    "RunningRequests",
    "StateChange",
    "TuningJob",
    "TuningJobDetail",
    "TuningService",
    "Unavailable",
]
