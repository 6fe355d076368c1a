"""Resources of a stack whose names another resource already has.

On AWS, such a stack fails: a table or queue that an earlier stack kept needs an import, see
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html.
Without this patch, ministack replaces the kept resource by an empty one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Create = Callable[[str, dict[str, Any], str], tuple[str, dict[str, Any]]]


def refuse_existing_names() -> None:
    """Let the creation of a queue or table fail if one with its name exists."""
    from ministack.services import dynamodb, sqs
    from ministack.services.cloudformation import provisioners

    for kind, name_property, existing in (
        ("AWS::SQS::Queue", "QueueName", lambda: sqs._queue_name_to_url),
        ("AWS::DynamoDB::Table", "TableName", lambda: dynamodb._tables),
    ):
        handler = provisioners._RESOURCE_HANDLERS[kind]
        handler["create"] = _refusing(handler["create"], kind, name_property, existing)


def _refusing(
    create: Create, kind: str, name_property: str, existing: Callable[[], dict[str, Any]]
) -> Create:
    def refuse_or_create(
        logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        name = properties.get(name_property)
        if name and name in existing():
            raise ValueError(
                f"Resource of type '{kind}' with identifier '{name}' already exists. "
                "(HandlerErrorCode: AlreadyExists)"
            )
        return create(logical_id, properties, stack)

    return refuse_or_create
