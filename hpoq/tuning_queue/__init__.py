"""Tuners of the SageMaker SDK, queued: ``hpoq.TuningQueue("fraud").submit(tuner, inputs)``.

Accepts the tuners of versions 2 and 3 of the SDK as they are. The SDK prepares the tuning job as
always; a botocore event hook on its session turns the final API call into a request.
"""

from hpoq.tuning_queue.job import TuningQueuedJob
from hpoq.tuning_queue.queue import TuningQueue

__all__ = ["TuningQueue", "TuningQueuedJob"]
