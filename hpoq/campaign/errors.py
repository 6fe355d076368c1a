"""What can be wrong with a campaign."""

from hpo_dispatcher.contract.errors import HpoqError


class InvalidPlan(HpoqError):
    """What was asked for, or a plan file, cannot be planned or run as it stands."""


class OtherCampaign(HpoqError):
    """The account holds a campaign of this name that was made from another plan."""
