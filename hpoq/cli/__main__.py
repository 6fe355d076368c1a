"""Entry point of ``python -m hpoq.cli``."""

from hpoq.cli import main

main()
