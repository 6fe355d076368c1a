"""What the scheduler remembers from cycle to cycle: timers, delays, queue counts, run times."""
