"""What the dispatcher tells workflows that wait for requests."""
