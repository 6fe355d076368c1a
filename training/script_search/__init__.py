"""A search of any training script on Ray; it imports neither torch nor `credit_default`'s model."""
