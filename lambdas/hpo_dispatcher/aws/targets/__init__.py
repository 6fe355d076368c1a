"""The clients of targets, as the role that each of them lets the dispatcher assume."""
