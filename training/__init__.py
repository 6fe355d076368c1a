"""Training scripts that the queue, the notebooks and the campaigns run."""
