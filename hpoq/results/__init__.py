"""The results of requests that run or have ended: training jobs, models and logs."""
