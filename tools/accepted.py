"""Accepted findings of the audit, each with its reason."""

from __future__ import annotations

# Reason by (check, pattern of resources).
CHECKOV = {
    ("CKV_AWS_18", "AWS::S3::Bucket.TrainingArtifacts"): (
        "CloudTrail data events record who read what; see S3BucketLoggingEnabled in infra/nist.py"
    ),
    ("CKV_AWS_27", "AWS::SQS::Queue.*"): (
        "encrypted with SQS managed keys (SqsManagedSseEnabled) unless kms_key_arn is set"
    ),
    ("CKV_AWS_26", "AWS::SNS::Topic.MonitoringAlarms"): (
        "CloudWatch cannot publish with the AWS managed key; kms_key_arn encrypts the topic"
    ),
    ("CKV_AWS_158", "AWS::Logs::LogGroup.DispatcherLog"): (
        "encrypted with CloudWatch's keys unless kms_key_arn is set"
    ),
    ("CKV_AWS_173", "AWS::Lambda::Function.DispatcherFunction"): (
        "the environment contains names but no secrets; kms_key_arn encrypts it"
    ),
    ("CKV_AWS_119", "AWS::DynamoDB::Table.LedgerTable"): (
        "encrypted with the AWS managed key unless kms_key_arn is set"
    ),
    ("CKV_AWS_111", "AWS::IAM::Policy.Training*RoleDefaultPolicy"): (
        "in a VPC, SageMaker attaches network interfaces as the training role; these EC2 actions "
        "do not support narrower resources"
    ),
    ("CKV_AWS_109", "AWS::IAM::Policy.Training*RoleDefaultPolicy"): (
        "CreateNetworkInterfacePermission, for the same reason as CKV_AWS_111"
    ),
    ("CKV_AWS_116", "AWS::Lambda::Function.DispatcherFunction"): (
        "the function has an on-failure destination; see LambdaDLQ in infra/nist.py"
    ),
    ("CKV_AWS_115", "AWS::Lambda::Function.DispatcherFunction"): (
        "the setting reserved_concurrency; see LambdaConcurrency in infra/nist.py"
    ),
    ("CKV_AWS_117", "AWS::Lambda::Function.DispatcherFunction"): (
        "see LambdaInsideVPC in infra/nist.py"
    ),
}

_OWN_COMMANDS = "runs an argument list built here, never a shell"
# Reason by (test, pattern of files).
BANDIT = {
    ("B101", "*"): "asserts only inform the type checker",
    ("B311", "lambdas/hpo_dispatcher/scheduling/forecast/outlooks.py"): (
        "random run times drawn from a seed, not for security"
    ),
    ("B311", "hpoq/campaign/report/advice.py"): "random orders drawn from a seed, not for security",
    ("B311", "training/script_search/samplers.py"): "hyperparameters drawn from a seed",
    ("B311", "tools/mutation/mutants.py"): "a sample drawn from a seed, not for security",
    ("B311", "hpoq/simulation/*"): "random workloads drawn from a seed, not for security",
    ("B108", "hpoq/local/sagemaker/training/processes/isolation.py"): (
        "the places that folders of a job's own replace"
    ),
    ("B108", "hpoq/local/sagemaker/training/temporary_folders.py"): (
        "the places that are replaced; a folder is created with mode 0700, or not at all"
    ),
    ("B110", "training/script_search/execution/workers.py"): (
        "the outcome of the trial, which is read next, has its error"
    ),
    ("B404", "*"): _OWN_COMMANDS,
    ("B603", "*"): _OWN_COMMANDS,
    ("B606", "training/*"): _OWN_COMMANDS,
    ("B606", "app.py"): "starts this program again with the environment's interpreter, no shell",
    ("B403", "training/credit_default/checkpoint.py"): (
        "imported for its exception; torch.load unpickles with weights_only"
    ),
    ("B403", "training/ray_tune/search.py"): "imported for its exception; nothing is unpickled",
    ("B606", "hpoq/local/sagemaker/training/processes/warm_parent.py"): _OWN_COMMANDS,
    ("B102", "hpoq/local/sagemaker/training/processes/warm_parent.py"): (
        "the script of a training job is what the process is for, as the main module of Python"
    ),
    ("B107", "hpoq/ui/account.py"): "an empty pagination token, not a password",
    ("B106", "hpoq/ui/pages/jobs.py"): "an empty pagination token, not a password",
    ("B105", "lambdas/hpo_dispatcher/contract/workflows/callbacks.py"): (
        "the name of a field, not a token"
    ),
    ("B105", "hpoq/ui/access.py"): "the name of a field, not a password",
    ("B607", "*"): "npx, node and ps come from the user's PATH",
    ("B314", "hpoq/local/server/sagemaker_ports.py"): "XML produced by the embedded cloud itself",
    ("B405", "hpoq/local/server/sagemaker_ports.py"): "XML produced by the embedded cloud itself",
    (
        "B608",
        "hpoq/local/sagemaker/store.py",
    ): "only table and column names from the source, never values",
}

# Parts of the names of licenses that allow shipping a package unchanged in the layer.
LICENSES = ("MIT", "Apache", "BSD", "PSF-2.0", "MPL 2.0", "Mozilla Public License 2.0")
# Reason by package whose metadata does not name a license.
UNNAMED_LICENSES = {
    "sagemaker-train": "part of the SageMaker SDK's repository, which is Apache-2.0",
}
