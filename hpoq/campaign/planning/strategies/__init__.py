"""The strategies: one module each, listed in ``registry``."""
