"""AWS errors as errors that name what the user can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from hpoq.errors import NotDeployed, NotReachable

_MISSING = (
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "ResourceNotFoundException",
)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Convert AWS errors to errors that name what the user can do."""
    try:
        yield
    except NoCredentialsError:
        raise NotReachable(
            'no AWS credentials. Log in, or for the embedded cloud: eval "$(hpoq local env)"'
        ) from None
    except NoRegionError:
        raise NotReachable("no AWS Region. Set AWS_DEFAULT_REGION") from None
    except ClientError as error:
        answer = error.response.get("Error", {})
        if answer.get("Code") in _MISSING:
            raise NotDeployed(
                f"there is no {what}. Check the deployment's name (HPOQ_DEPLOYMENT), "
                "the team, the account and the Region"
            ) from None
        raise NotReachable(f"{what}: {answer.get('Message', error)}") from None
    except BotoCoreError as error:
        raise NotReachable(f"{what}: {error}") from None
