"""Set right a ledger that was restored from a backup, by what SageMaker knows."""
