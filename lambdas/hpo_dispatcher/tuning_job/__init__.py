"""From a request to a CreateHyperParameterTuningJob request; makes no calls."""
