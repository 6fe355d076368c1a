"""The pages: each function renders one."""
