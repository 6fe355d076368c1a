"""Expected starts of queued requests, and how well they have held."""
