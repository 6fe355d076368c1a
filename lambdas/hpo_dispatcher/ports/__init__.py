"""Protocols for everything outside a dispatch cycle; each has an AWS and an in-memory adapter."""

from hpo_dispatcher.contract.documents.events import StateChange
from hpo_dispatcher.ports.errors import LeaseLost, LedgerMissing, Unavailable
from hpo_dispatcher.ports.events import Events
from hpo_dispatcher.ports.ledger import (
    Added,
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
from hpo_dispatcher.ports.replicas import NotReplicated, Replicas
from hpo_dispatcher.ports.sagemaker import (
    AccountFault,
    AlreadyOurs,
    AtLimit,
    Created,
    Creation,
    NameTaken,
    NotYetVisible,
    Quotas,
    Refused,
    TuningJob,
    TuningJobDetail,
    TuningService,
    Untagged,
)
from hpo_dispatcher.ports.workflows import OwedAnswers, Reply, Workflows

__all__ = [
    "MESSAGES_AT_ONCE",
    "AccountFault",
    "Added",
    "AlreadyOurs",
    "AtLimit",
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
    "NotReplicated",
    "NotYetVisible",
    "OwedAnswers",
    "Preemption",
    "QueuedRequests",
    "Quotas",
    "Refused",
    "Rejection",
    "Replicas",
    "Reply",
    "RequestQueues",
    "Requests",
    "RunningRequests",
    "StateChange",
    "TuningJob",
    "TuningJobDetail",
    "TuningService",
    "Unavailable",
    "Untagged",
    "Workflows",
]
