"""The real cycle and the real plan over an account in memory, with a virtual clock."""
