"""The report of a campaign: one HTML file that needs no network and no other file."""

from hpoq.campaign.report.page import write

__all__ = ["write"]
