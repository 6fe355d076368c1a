"""All checks, in the order in which a fault of one explains those of the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hpoq.doctor.checks import alarms, caller, dispatcher, quotas, storage, targets, training
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding

Check = Callable[[Examined], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "identity": caller.identity,
    "stack": dispatcher.stack,
    "function": dispatcher.function,
    "rules": dispatcher.rules,
    "ledger": storage.ledger,
    "alarm topic": alarms.topic,
    "alarms": alarms.alarms,
    "cycles": dispatcher.cycles,
    "targets": targets.answer,
    "permissions": dispatcher.permissions,
    "queues": storage.queues,
    "removed teams": storage.removed_teams,
    "bucket": storage.bucket,
    "role": training.role,
    "request": training.request,
    "quotas": quotas.instances,
}
# A fault of one of these leaves the checks after it nothing to look at.
NECESSARY = ("identity", "clock", "stack", "first cycle")
