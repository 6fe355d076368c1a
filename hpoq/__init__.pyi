from hpoq.tuning_queue import TuningQueue as TuningQueue
from hpoq.tuning_queue import TuningQueuedJob as TuningQueuedJob
