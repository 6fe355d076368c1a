"""A serverless queue for Amazon SageMaker hyperparameter tuning jobs."""
