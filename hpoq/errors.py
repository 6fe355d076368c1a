"""What can go wrong for a client: each says what, where and the fix."""

from hpo_dispatcher.contract.errors import HpoqError


class NotDeployed(HpoqError):
    """There is no such deployment, or no such team in it."""


class NotReachable(HpoqError):
    """No credentials, no Region, no permission, or no answer."""


class NotFound(HpoqError):
    """No request of that id."""


class UnreadableFile(HpoqError):
    """A file of requests that is neither JSON nor YAML."""


class NotInstalled(HpoqError):
    """A part of hpoq whose packages are not there."""
