"""The checks of `hpoq doctor`, one module per part of a deployment."""
