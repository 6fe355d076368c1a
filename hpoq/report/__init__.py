"""A campaign as one self-contained HTML file: no network, no other file."""

from hpoq.report.page import write

__all__ = ["write"]
