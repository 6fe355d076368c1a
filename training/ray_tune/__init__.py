"""Ray Tune inside SageMaker training jobs, on one node or many."""
