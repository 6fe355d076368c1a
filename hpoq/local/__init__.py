"""A whole AWS account on this machine, with SageMaker tuning that really trains.

``hpoq.local.cloud`` starts, finds and ends it. What runs inside it lives in ``server`` and
below, in a Python environment of its own (docs/decisions/0002-embedded-cloud.md).
"""
