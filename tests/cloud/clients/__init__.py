"""Programs that use third-party clients as their documentation shows."""
