"""The expected errors of a client, each with the problem and the fix."""

from hpo_dispatcher.contract.errors import HpoqError


class NotDeployed(HpoqError):
    """An unknown deployment or team."""


class NotReachable(HpoqError):
    """An account without credentials, Region, permission or answer."""


class NotPermitted(NotReachable):
    """A call that the user's policies do not allow."""


class NotFound(HpoqError):
    """An unknown request, template or job."""


class UnreadableFile(HpoqError):
    """A file of requests that is not valid JSON or YAML."""


class NotInstalled(HpoqError):
    """A part of hpoq whose packages are not installed."""


class UnusableData(HpoqError):
    """A file or folder that cannot be uploaded as the data of training jobs."""


class MissingData(HpoqError):
    """A request whose training jobs would find no data."""


class InvalidFields(HpoqError):
    """A request in which several fields are wrong: one line for each of them."""


class NotConfirmed(HpoqError):
    """A change that its user did not confirm."""


class UnusableTuner(HpoqError):
    """An object that is not a tuner of the SageMaker SDK."""


class NotCompleted(HpoqError):
    """A request that ended without the result that the caller waits for."""
