"""ministack gives the same answers with ``hpoq.local.ministack_patches.speed`` as without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hpoq.local.lifecycle import installation

pytestmark = pytest.mark.cloud

ROOT = Path(__file__).parents[2]
COMPARED = r"""
import json, os
from pathlib import Path
from ministack.core import iam_actions, persistence
from ministack.services import dynamodb
from hpoq.local.ministack_patches import speed

ROW = {"team": {"S": "fraud"}, "id": {"S": "é"}, "n": {"N": "1.50"}, "b": {"B": "AA=="},
       "deep": {"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}]}}}}
KEYS = [{"AttributeName": "team", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}]
made, *_ = dynamodb._create_table({
    "TableName": "ledger", "BillingMode": "PAY_PER_REQUEST", "KeySchema": KEYS,
    "AttributeDefinitions": [{"AttributeName": k["AttributeName"], "AttributeType": "S"}
                             for k in KEYS]})
assert made == 200
assert dynamodb._put_item({"TableName": "ledger", "Item": ROW})[0] == 200
BODY = json.dumps({"TransactItems": [{"Put": {"TableName": "ledger", "Item": ROW}}]}).encode()

def tried(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return type(error).__name__, str(error)

def answers():
    persistence.save_state("dynamodb", dynamodb.get_state())
    texts = ["1", "-0", "1e130", "1_0", "x", "", "007.10", None, 5, [], {}]
    numbers = [tried(getattr(dynamodb, name), text) for text in texts
               for name in speed._FUNCTIONS_OF_TEXT if name != "_condition_syntax_error"]
    grammar = [tried(dynamodb._condition_syntax_error, text, slot)
               for text in ("a = :b", "a = = :b", "attribute_not_exists(id)", "a AND", "")
               for slot in ("ConditionExpression", "FilterExpression")]
    read = [tried(iam_actions.json.loads, each) for each in (BODY, BODY, b"{}", b"{", b"{}")]
    stored = Path(os.environ["STATE_DIR"], "dynamodb.json").read_bytes()
    return stored, numbers, grammar, read

before = answers()
speed.speed_up()
assert answers() == before
assert answers() == before, "the same again from the cache"

def lists(tables):
    (table,) = (table for _, table in tables.all_items())
    ((row,),) = (rows.values() for rows in table["items"].values())
    return row["deep"]["M"]["l"]["L"]

kept = lists(dynamodb.get_state()["tables"])
lists(dynamodb._tables).append("changed")
assert len(kept) == 2, "a change of the table does not change the copy"
"""


def test_each_answer_is_the_same_as_without_the_patch(tmp_path: Path) -> None:
    environment = {"PERSIST_STATE": "1", "STATE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    python = installation.cloud_python()
    done = subprocess.run(
        [python, "-c", COMPARED],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
