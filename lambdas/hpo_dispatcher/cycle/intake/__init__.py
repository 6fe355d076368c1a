"""The first step of a cycle: receives messages, accounts for them, applies team actions."""
