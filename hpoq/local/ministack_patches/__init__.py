"""Every change to ministack, and none anywhere else."""
