"""How the package's clients call AWS. The dispatcher has its own: hpo_dispatcher/aws/clients.py."""

from __future__ import annotations

from botocore.config import Config

USER_AGENT = "hpoq"

# A person waits for the answer.
INTERACTIVE = Config(retries={"mode": "standard"}, user_agent_extra=USER_AGENT)
# Calls that SageMaker limits to a few per second: retries adapt to the rate.
PATIENT = Config(retries={"mode": "adaptive", "max_attempts": 10}, user_agent_extra=USER_AGENT)
# An answer that can be done without.
QUICK = Config(
    retries={"mode": "standard", "total_max_attempts": 2},
    connect_timeout=5,
    read_timeout=20,
    user_agent_extra=USER_AGENT,
)
