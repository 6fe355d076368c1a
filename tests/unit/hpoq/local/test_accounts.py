"""The access keys of the root users of an embedded cloud's accounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hpoq.local.accounts import account_of, is_account, is_region, root_key

KEY = "AKIAJ7QXNMDW3PCT5KVA"


class Root:
    account = "111111111111"
    access_key_id = KEY


@given(some.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}"))
def test_every_account_has_a_key_from_which_its_number_can_be_read(account: str) -> None:
    key = root_key(Root(), account)

    assert len(key) == 20
    assert account_of(Root(), key) == account


def test_the_cloud_s_own_account_keeps_its_key() -> None:
    assert root_key(Root(), Root.account) == KEY
    assert account_of(Root(), KEY) == Root.account


def test_a_key_has_the_account_where_keys_of_aws_have_it() -> None:
    # "A short note on AWS KEY ID" (2023) decodes ASIAQNZGKIQY56JQ7WML as account 029608264753.
    assert root_key(Root(), "029608264753")[4:12] == "QNZGKIQY"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "test",
        "222222222222",
        KEY.lower(),
        KEY[:-1],
        "ASIA" + root_key(Root(), "222222222222")[4:],
        root_key(Root(), "222222222222")[:-1] + "B",
        root_key(Root(), "222222222222") + "A",
        root_key(Root(), "222222222222")[:13] + "7" + KEY[14:],
        "AKIA7777777777" + KEY[14:],
    ],
)
def test_other_keys_are_of_no_root_user(key: str) -> None:
    assert account_of(Root(), key) is None


def test_accounts_and_regions_are_recognized() -> None:
    assert is_account("012345678901")
    assert not any(map(is_account, ("12345678901", "1234567890123", "12345678901a", "١" * 12)))
    assert all(map(is_region, ("us-east-1", "ap-southeast-2", "us-gov-west-1")))
    assert not any(map(is_region, ("", "us-east", "us-east-1/..", "US-EAST-1", "../..", "a-b-1\n")))
