"""The ledger's table in the template."""

from __future__ import annotations

from hpo_dispatcher.contract import names
from tests.support.synthesized_stack import synthesize


def test_the_table_deletes_by_the_attribute_that_is_written() -> None:
    synthesize().has_resource_properties(
        "AWS::DynamoDB::Table",
        {"TimeToLiveSpecification": {"AttributeName": names.EXPIRES_AT, "Enabled": True}},
    )
