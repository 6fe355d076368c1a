"""The SageMaker API: parses requests, calls the engine, and writes responses."""
