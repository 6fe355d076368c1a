"""What CreateHyperParameterTuningJob answers when it creates nothing. Pure.

This is the only module that reads the texts of AWS. ``tests/fixtures/aws_answers.yaml`` has them,
each with its source.
"""

from __future__ import annotations

import re

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.ports import AccountFault, AtLimit, Refused

# ``'<quota>' is 4 Instances`` today, ``for training-job/<type> is 0 Instances`` in older answers.
_LIMIT = re.compile(
    r"The account-level service limit (?:'(?P<name>[^']+)'|for (?P<old_name>\S+)) is (?P<limit>\d+)"
    r"\D*? with current utilization of (?P<in_use>\d+)\D*? a request delta of (?P<requested>\d+)"
)
# Texts of a ValidationException about the account, not about the request. The Terraform AWS
# provider retries most of them in aws_sagemaker_hyper_parameter_tuning_job.
_ACCOUNT_FAULTS = (
    "Could not assume role",
    "No S3 objects found under S3 URL",
    "The AWS Access Key Id you provided does not exist in our records",
    "Access denied when describing algorithm",
    # An instance type that a template names for another Region.
    "is not available in this region",
    # "Please check if your ECR repository and image exist and role ... has proper pull permissions"
    "Access denied for repository",
    "with an explicit deny",
)
# "because no <type> policy allows the <action> action", for each type of policy: "Troubleshoot
# access denied error messages" in the IAM user guide.
_NOT_ALLOWED = re.compile(r"because no [\w -]+ allows the ")
# "<key ARN> is disabled." and "<key ARN> is pending deletion." are KMS's DisabledException and
# KMSInvalidStateException: "Key states of AWS KMS keys" in the KMS developer guide.
# A deleted key is NotFoundException.
_KEY_FAULT = re.compile(
    r":key/\S+ is (?:disabled|pending deletion|pending import|unavailable)\b"
    r"|[Kk]ey '\S+' does not exist"
)
# InvalidSubnetID.NotFound, InvalidGroup.NotFound and InsufficientFreeAddressesInSubnet: "Error
# codes for the Amazon EC2 API". The guardrails of the deployment choose the VPC.
_VPC_FAULT = re.compile(
    r"subnet ID '\S+' does not exist|security group '\S+' does not exist"
    r"|not (?:contain|have) enough free (?:private IP )?addresses",
    re.IGNORECASE,
)

# "Resource being access is not found": Describe... and Stop... in the SageMaker API reference.
NOT_FOUND = ("ResourceNotFound", "ResourceNotFoundException")
# Codes for a caller whose credentials are not accepted, who lacks a permission, or whose account
# has no access to the service or the Region: "Common errors" in the SageMaker API reference.
# Nothing was created, whether sagemaker:Create... or iam:PassRole is missing.
_DENIED = (
    "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired",
    "SubscriptionRequiredException", "ExpiredTokenException", "ExpiredToken", "RequestExpired",
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken",
)  # fmt: skip


def creation_error(code: str, message: str) -> AtLimit | AccountFault | Refused | None:
    """Return what an error means for the request; None if the tuning job may exist."""
    match code:
        case "ResourceLimitExceeded":
            return AtLimit(message, exceeded_quota(message))
        case "ValidationException":
            return AccountFault(message) if _of_account(message) else Refused(message)
        case _ if code in _DENIED:
            return AccountFault(message)
        case _ if code in NOT_FOUND:  # a warm start parent, which somebody may have deleted
            return Refused(message)
    return None


def exceeded_quota(message: str) -> QuotaExceeded | None:
    """Return the quota that a ResourceLimitExceeded names; None if its text is not known."""
    found = _LIMIT.search(message)
    if found is None:
        return None
    return QuotaExceeded(
        name=found["name"] or found["old_name"],
        limit=int(found["limit"]),
        in_use=int(found["in_use"]),
        requested=int(found["requested"]),
    )


def _of_account(message: str) -> bool:
    patterns = (_NOT_ALLOWED, _KEY_FAULT, _VPC_FAULT)
    return any(text in message for text in _ACCOUNT_FAULTS) or any(
        each.search(message) for each in patterns
    )
