"""The training scripts as a shell or SageMaker runs them: in processes of their own."""
