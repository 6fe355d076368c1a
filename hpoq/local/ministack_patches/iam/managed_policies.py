"""AWS managed policies that SageMaker users attach and ministack lacks.

``managed_policies.json`` has the documents of "AWS managed policies for Amazon SageMaker AI" in the
developer guide, and of the policies beside them in its examples, as of the AWS managed policy
reference (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/).
"""

from __future__ import annotations

import json
from pathlib import Path

DOCUMENTS = Path(__file__).with_name("managed_policies.json")


def add_managed_policies() -> None:
    """Add the policies that ministack does not know."""
    from ministack.services import iam

    for name, document in json.loads(DOCUMENTS.read_text()).items():
        record = iam._make_aws_managed_record(name, json.dumps(document))
        iam._aws_managed_policies.setdefault(record["Arn"], record)
