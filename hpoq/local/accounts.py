"""The accounts of an embedded cloud, and the access keys of their root users.

A cloud has the account of its first `up`. Every other account exists as soon as somebody uses it:
its number is in the access key, as on AWS, so that nothing needs to be stored. All root users have
the same secret access key, because one person owns all of these accounts.
"""

from __future__ import annotations

import re
import string
from typing import Protocol

_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]")
_LETTERS = string.ascii_uppercase + "234567"  # of base 32
_PREFIX = "AKIA"
_OF_ACCOUNT = slice(4, 14)  # ten letters of five bits each
_OF_CLOUD = slice(14, 20)


class RootUser(Protocol):
    """The root user of a cloud's own account."""

    @property
    def account(self) -> str:
        """12 digits."""

    @property
    def access_key_id(self) -> str:
        """Of 20 characters."""


def is_account(text: str) -> bool:
    """Return whether a text is the number of an account."""
    return _ACCOUNT.fullmatch(text) is not None


def is_region(text: str) -> bool:
    """Return whether a text may be the name of a Region."""
    return _REGION.fullmatch(text) is not None


def root_key(root: RootUser, account: str) -> str:
    """Return the access key id of an account's root user.

    Its letters 5 to 14 are the number of the account, as in a key of AWS, from which
    sts:GetAccessKeyInfo reads it. Its end is that of the cloud's own key.
    """
    if account == root.account:
        return root.access_key_id
    bits = 1 << 49 | int(account) << 9
    letters = (_LETTERS[bits >> shift & 31] for shift in range(45, -1, -5))
    return _PREFIX + "".join(letters) + root.access_key_id[_OF_CLOUD]


def account_of(root: RootUser, access_key_id: str) -> str | None:
    """Return the account whose root user has an access key, or None if none has."""
    if access_key_id == root.access_key_id:
        return root.account
    if access_key_id[_OF_CLOUD] != root.access_key_id[_OF_CLOUD]:
        return None
    bits = 0
    for letter in access_key_id[_OF_ACCOUNT]:
        bits = bits << 5 | max(_LETTERS.find(letter), 0)
    account = f"{bits >> 9 & (1 << 40) - 1:012d}"
    is_its_key = is_account(account) and root_key(root, account) == access_key_id
    return account if is_its_key else None
