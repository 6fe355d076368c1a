"""The root users' credentials: one access key for each account, whose signature is verified.

Without this patch, ministack accepts ``test``, any twelve digits and requests without a key as
the root user, and does not verify the root user's signature. Whoever may call the account can
run code as the user who started it, and every user of this machine can reach the port.
"""

from __future__ import annotations

import ministack.app
from ministack.core import iam_evaluator
from ministack.services import s3, sts

from hpoq.local.accounts import RootUser, account_of


def accept_only_root_keys(root: RootUser) -> None:
    """Accept only these access keys as those of root users, and verify their signatures.

    Args:
        root: the root user of the cloud's own account.
    """

    def is_root(key: str) -> bool:
        return account_of(root, key) is not None

    account_of_user = iam_evaluator.find_iam_access_key_account

    def find_account(key: str) -> str | None:
        found: str | None = account_of(root, key) or account_of_user(key)
        return found

    for module in (ministack.app, iam_evaluator, s3, sts):
        module.find_iam_access_key_account = find_account
    iam_evaluator.is_root_access_key = is_root
    # It decides which account GetAccessKeyInfo returns: the cloud's own, or else as found above.
    sts.is_root_access_key = lambda key: key == root.access_key_id
    # ministack skips signature verification for keys of which this function returns True.
    iam_evaluator._is_root_key = lambda _: False
