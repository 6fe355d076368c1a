"""The patches of ministack's CloudWatch Logs."""
