"""Errors of campaigns."""

from hpo_dispatcher.contract.errors import HpoqError


class InvalidPlan(HpoqError):
    """A campaign cannot be planned, or a plan file cannot be run, as given."""


class OtherCampaign(HpoqError):
    """The account holds a campaign of the same name that was made from another plan."""
