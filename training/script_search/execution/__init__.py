"""How a trial runs: as a process, or as a call of a function in an actor."""
