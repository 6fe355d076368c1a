"""The embedded cloud: an AWS account on this machine, with SageMaker jobs that really train.

``hpoq.local.cloud`` starts, finds and stops it. The packages ``server``, ``ministack_patches`` and
``sagemaker`` run in the cloud's process, in a Python environment of its own
(docs/decisions/0002-embedded-cloud.md).
"""
