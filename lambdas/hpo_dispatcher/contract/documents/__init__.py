"""Documents that other programs read: capacity, settings and events."""
