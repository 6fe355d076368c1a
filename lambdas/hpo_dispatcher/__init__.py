"""The dispatcher: turns queued requests into SageMaker tuning jobs.

``handler`` is what Lambda calls, ``dispatch`` the order of a cycle, ``plan`` who starts next,
``tuning_job`` what SageMaker is asked for. ``ports`` is what they need of the world, and ``aws``
how AWS gives it.
"""
