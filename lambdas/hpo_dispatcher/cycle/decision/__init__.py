"""The third step of a cycle: gathers a snapshot, and plans starts, waits and preemptions."""
