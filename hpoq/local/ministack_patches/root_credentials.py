"""The root user's credentials: one access key, whose signature is verified.

Without this patch, ministack accepts ``test``, any twelve digits and requests without a key as
the root user, and does not verify the root user's signature. Whoever may call the account can
run code as the user who started it, and every user of this machine can reach the port.
"""

from __future__ import annotations

from ministack.core import iam_evaluator
from ministack.services import sts


def accept_only_root_key(access_key_id: str) -> None:
    """Accept only this access key as the root user's, and verify its signature."""

    def is_root(key: str) -> bool:
        return key == access_key_id

    iam_evaluator.is_root_access_key = is_root
    sts.is_root_access_key = is_root
    # ministack skips signature verification for keys of which this function returns True.
    iam_evaluator._is_root_key = lambda _: False
