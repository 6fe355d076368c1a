"""Programs of other people's libraries, run as their documentation shows."""
