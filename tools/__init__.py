"""Scripts for development, most of them targets of make."""
