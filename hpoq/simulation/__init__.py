"""Simulations: the real dispatch cycle over an account in memory, with a virtual clock."""
