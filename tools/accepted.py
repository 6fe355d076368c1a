"""What the audit's tools object to and is right as it is, each with its reason."""

from __future__ import annotations

# (check, resource as a pattern) -> reason
CHECKOV = {
    ("CKV_AWS_18", "AWS::S3::Bucket.TrainingArtifacts"): (
        "CloudTrail data events tell who read what; see S3BucketLoggingEnabled in infra/nist.py"
    ),
    ("CKV_AWS_27", "AWS::SQS::Queue.*"): (
        "encrypted by SQS's own keys (SqsManagedSseEnabled) unless kms_key_arn is set"
    ),
    ("CKV_AWS_26", "AWS::SNS::Topic.MonitoringAlarms"): (
        "CloudWatch cannot publish through the AWS managed key; kms_key_arn encrypts the topic"
    ),
    ("CKV_AWS_158", "AWS::Logs::LogGroup.DispatcherLog"): (
        "encrypted by CloudWatch's own keys unless kms_key_arn is set"
    ),
    ("CKV_AWS_173", "AWS::Lambda::Function.DispatcherFunction"): (
        "the environment holds names and no secret; kms_key_arn encrypts it"
    ),
    ("CKV_AWS_119", "AWS::DynamoDB::Table.LedgerTable"): (
        "encrypted by the AWS managed key unless kms_key_arn is set"
    ),
    ("CKV_AWS_111", "AWS::IAM::Policy.TrainingRoleDefaultPolicy"): (
        "in a VPC, SageMaker attaches network interfaces as the training role; EC2 knows no "
        "narrower resource for it"
    ),
    ("CKV_AWS_109", "AWS::IAM::Policy.TrainingRoleDefaultPolicy"): (
        "CreateNetworkInterfacePermission, as above"
    ),
    ("CKV_AWS_116", "AWS::Lambda::Function.DispatcherFunction"): (
        "it has an on-failure destination instead; see LambdaDLQ in infra/nist.py"
    ),
    ("CKV_AWS_117", "AWS::Lambda::Function.DispatcherFunction"): (
        "see LambdaInsideVPC in infra/nist.py"
    ),
}

_OWN_COMMANDS = "starts a list of arguments that we build, never a shell"
# (test, file as a pattern) -> reason
BANDIT = {
    ("B101", "*"): "asserts tell the type checker what holds; no decision rests on one",
    ("B311", "hpoq/forecast.py"): "possible ends of tuning jobs, drawn by seed; nothing is secret",
    ("B311", "hpoq/simulation/*"): "made-up workloads, drawn by seed; nothing is secret",
    ("B404", "*"): _OWN_COMMANDS,
    ("B603", "*"): _OWN_COMMANDS,
    ("B606", "training/*"): _OWN_COMMANDS,
    ("B606", "hpoq/local/sagemaker/training/warm_parent.py"): _OWN_COMMANDS,
    ("B107", "hpoq/ui/account.py"): "the empty token that means the first page",
    ("B113", "hpoq/ui/overview.py"): "a list of requests of ours, not the HTTP library",
    (
        "B506",
        "lambdas/hpo_dispatcher/contract/settings.py",
    ): "CSafeLoader is as safe as safe_load",
    ("B607", "*"): "npx, node and ps are whatever the user's PATH says",
    ("B314", "hpoq/local/server/sagemaker_ports.py"): "XML of the embedded cloud's own process",
    ("B405", "hpoq/local/server/sagemaker_ports.py"): "XML of the embedded cloud's own process",
    ("B608", "hpoq/local/sagemaker/store.py"): "table and column names of our own, never values",
}

# Parts of licence names that allow what a layer does: ship unchanged, beside our own code.
LICENCES = ("MIT", "Apache", "BSD", "PSF-2.0", "MPL 2.0", "Mozilla Public License 2.0")
# Package -> why it is all right that its metadata names no licence.
UNNAMED_LICENCES = {
    "sagemaker-train": "part of the SageMaker SDK's repository, which is Apache-2.0",
}
