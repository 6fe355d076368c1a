"""Builds CreateHyperParameterTuningJob requests; makes no AWS calls."""
