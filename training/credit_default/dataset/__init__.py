"""The credit-default data set: its columns, where it comes from, and its rows as tensors."""
