"""The data of training jobs in S3: which channels read it, whether it is there, its upload."""
