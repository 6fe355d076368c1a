"""Names that follow from a deployment, a team or a request: resources, events, tuning jobs."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from hpo_dispatcher.contract import aws_limits

# A deployment's events on the event bus.
EVENT_SOURCE = "hpoq"
REQUEST_EVENT = "Request State Change"  # sent by the dispatcher
SUBMITTED_EVENT = "Requests Submitted"  # sent by clients, to start a cycle at once

METRICS_NAMESPACE = "hpoq"

# Message attributes of a rejected message begin so: hpoq-error, hpoq-field, hpoq-fix, ...
DEAD_LETTER_ATTRIBUTES = "hpoq-"

# The index that orders the queued requests of each team.
LEDGER_INDEX = "line"

# When DynamoDB deletes a row of the ledger, in seconds since 1970; absent: never.
EXPIRES_AT = "expires_at"

# The folder of the artifact bucket from which the bundled templates read, for all teams.
EXAMPLE_DATA = "data/credit-default/"

# The folder of the artifact bucket with the workspaces of all teams.
WORKSPACES = "teams/"
# The folder of the artifact bucket that the training jobs of all teams read.
SHARED_PREFIX = "shared/"
# All of these folders; before there were workspaces, all data was in the second one.
SHARED_FOLDERS = (SHARED_PREFIX, "data/")
# Before there were workspaces, each team's results were in a folder of these with its name.
EARLIER_FOLDERS = ("output/", "checkpoints/")

# Stands for the team in the names of tuning jobs that a campaign creates without the queue.
DIRECT = "direct"

# In texts about a team's resources, stands for the team.
ANY_TEAM = "{team}"

# Documents in the ledger that clients read.
SETTINGS_DOCUMENT = "settings"
CAPACITY_DOCUMENT = "capacity"
QUOTAS_DOCUMENT = "quotas"

_HASH_BYTES, _HASH_LENGTH = 5, 8  # 40 bits: a collision is improbable, and tags reveal it
# The ending of every tuning job name that hpoq gives.
NAME_ENDING = rf"-[a-z2-7]{{{_HASH_LENGTH}}}$"

TAG_REQUEST_ID = "hpoq:request-id"
TAG_TEAM = "hpoq:team"
TAG_DEPLOYMENT = "hpoq:deployment"
# Tags of a campaign's requests: its name, and a digest that tells plans of one name apart.
TAG_CAMPAIGN = "campaign"
TAG_PLAN = "campaign-plan"
OWN_TAGS = (TAG_REQUEST_ID, TAG_TEAM, TAG_DEPLOYMENT)
OWN_TAG_PREFIX = "hpoq:"


def request_queue(deployment: str, team: str) -> str:
    """Return the name of a team's request queue."""
    return f"{deployment}-{team}-requests"


def dead_letter_queue(deployment: str, team: str) -> str:
    """Return the name of the queue that holds a team's rejected messages."""
    return f"{deployment}-{team}-dead-letter"


def ledger_table(deployment: str) -> str:
    """Return the name of the DynamoDB table with a deployment's requests."""
    return f"{deployment}-ledger"


def dispatcher_function(deployment: str) -> str:
    """Return the name of the dispatcher's Lambda function; its metrics carry it, too."""
    return f"{deployment}-dispatcher"


def training_role(deployment: str, team: str) -> str:
    """Return the name of the role that a team's training jobs run as."""
    return f"{deployment}-{team}-training"


def training_policy(deployment: str) -> str:
    """Return the name of the managed policy of all training roles of a deployment."""
    return f"{deployment}-training-jobs"


def workspace_prefix(team: str) -> str:
    """Return the folder of the artifact bucket that only this team and its training jobs use."""
    return f"{WORKSPACES}{team}/"


def team_folders(team: str) -> tuple[str, ...]:
    """Return the folders of the artifact bucket that are a team's own, the workspace first."""
    return workspace_prefix(team), *(f"{folder}{team}/" for folder in EARLIER_FOLDERS)


def tuning_job_name(team: str, request_id: str, before: int = 0) -> str:
    """Return the name of a request's tuning job, unique ignoring case.

    Team and request id are cut to fit; a hash of both makes the name unique.

    Args:
        team: team of the request.
        request_id: id of the request.
        before: number of the request's earlier tuning jobs, each stopped by a preemption.
    """
    number = f"-{before + 1}" if before else ""
    digest = hashlib.sha256(f"{team}/{request_id}{number and '/'}{number}".encode()).digest()
    suffix = base64.b32encode(digest[:_HASH_BYTES]).decode().lower()
    named = request_id if request_id.startswith(f"{team}-") else f"{team}-{request_id}"
    readable = _slug(named)[
        : aws_limits.TUNING_JOB_NAME_LENGTH - _HASH_LENGTH - 1 - len(number)
    ].rstrip("-")
    return f"{readable}{number}-{suffix}"


def tuning_job_prefix(team: str) -> str:
    """Return how the names of a team's tuning jobs begin, and so those of its training jobs."""
    return f"{_slug(team)}-"


def longer_prefixes(team: str, teams: Iterable[str]) -> list[str]:
    """Return the prefixes of other teams that begin with a team's own prefix, in order.

    Policies deny the team names with such a prefix. ``claimed_by`` keeps the team's own tuning
    jobs from having one.
    """
    own = tuning_job_prefix(team)
    prefixes = {tuning_job_prefix(each) for each in teams}
    return sorted(each for each in prefixes if each != own and each.startswith(own))


@lru_cache(maxsize=1024)  # intake asks for every message
def _longer_prefixes(team: str, teams: tuple[str, ...]) -> Sequence[str]:
    return longer_prefixes(team, teams)


def claimed_by(team: str, request_id: str, teams: Iterable[str]) -> str | None:
    """Return the prefix of another team that a request's tuning job name would begin with."""
    longer = _longer_prefixes(team, tuple(teams))
    if not longer:
        return None
    name = f"{tuning_job_name(team, request_id)}-"  # as the names of its training jobs begin
    return next((each for each in longer if name.startswith(each)), None)


def may_be_tuning_job_of(team: str, name: str) -> bool:
    """Return whether a name could be one that ``tuning_job_name`` gives a team's tuning job."""
    lowered = name.lower()  # names are unique ignoring case
    return lowered.startswith(tuning_job_prefix(team)) and bool(re.search(NAME_ENDING, lowered))


_NOT_IN_SLUG = re.compile(r"[^a-z0-9]+")


def _slug(text: str) -> str:
    return _NOT_IN_SLUG.sub("-", text.lower()).strip("-")
