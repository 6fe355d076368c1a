"""A Ray Tune search of the credit-default classifier inside one training job of any size."""
