"""How a request's tuning job is named and tagged."""

from __future__ import annotations

import base64
import hashlib
import re

NAME_LENGTH = 32  # CreateHyperParameterTuningJob: HyperParameterTuningJobName
_HASH_BYTES, _HASH_LENGTH = 5, 8  # 40 bits: a clash is improbable, and the tags would tell
# How every such name ends; one that ends otherwise is somebody else's.
NAME_ENDING = rf"-[a-z2-7]{{{_HASH_LENGTH}}}$"

TAG_REQUEST_ID = "hpoq:request-id"
TAG_TEAM = "hpoq:team"
TAG_DEPLOYMENT = "hpoq:deployment"


def tuning_job_name(team: str, request_id: str, before: int = 0) -> str:
    """The one name a request's tuning job can have: readable, unique ignoring case.

    Team and id are cut to fit; a hash of both keeps the name apart from any other request's.

    Args:
        team: of the request.
        request_id: of the request.
        before: tuning jobs of the request that were stopped to make room; it goes on under
            another name.
    """
    number = f"-{before + 1}" if before else ""
    digest = hashlib.sha256(f"{team}/{request_id}{number and '/'}{number}".encode()).digest()
    suffix = base64.b32encode(digest[:_HASH_BYTES]).decode().lower()
    named = request_id if request_id.startswith(f"{team}-") else f"{team}-{request_id}"
    readable = _slug(named)[: NAME_LENGTH - _HASH_LENGTH - 1 - len(number)].rstrip("-")
    return f"{readable}{number}-{suffix}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
