"""The user's access to the targets of a deployment: accounts and Regions besides home."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import ProfileNotFound

from hpo_dispatcher.contract.targets.resources import HOME
from hpo_dispatcher.contract.targets.sites import TargetSite, target_sites
from hpoq.botocore_config import QUICK
from hpoq.client.connection import DeploymentConnection
from hpoq.client.explained import explained
from hpoq.errors import NotReachable

if TYPE_CHECKING:
    from hpo_dispatcher.contract.documents.settings_document import SettingsDocument


RETRY_AFTER = 60.0  # seconds; the user may log in or add the profile meanwhile


class TargetConnections:
    """The connections to the targets of a deployment, each created when it is needed first.

    A target in home's account is read with the user's own credentials, in its Region. One in
    another account is read with the profile of the AWS configuration that has the name of the
    target's stack (docs/decisions/0044-reading-targets.md).

    Args:
        home: the connection to the deployment.
        settings: returns the settings of the deployment, which name the targets.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        home: DeploymentConnection,
        settings: Callable[[], SettingsDocument],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = home
        self._settings = settings
        self._clock = clock
        self._failed: dict[str, tuple[float, NotReachable]] = {}
        self._lock = threading.Lock()
        self._made: dict[str, DeploymentConnection] = {}

    def on(self, target: str) -> DeploymentConnection:
        """Return the connection to a target.

        Raises:
            NotReachable: the settings have no such target, or the user has no usable profile.
        """
        if target == HOME:
            return self._home
        with self._lock:
            if target not in self._made:
                self._made[target] = self._attempted(target)
            return self._made[target]

    def _attempted(self, target: str) -> DeploymentConnection:
        """Connect, or raise the error of an attempt that failed a short time ago.

        A list asks once for each of its requests.
        """
        failed_at, error = self._failed.get(target, (-math.inf, None))
        if error and self._clock() - failed_at < RETRY_AFTER:
            raise error
        try:
            return self._connected(self._site(target))
        except NotReachable as error:
            self._failed[target] = self._clock(), error
            raise

    def _site(self, target: str) -> TargetSite:
        settings = self._settings()
        sites = target_sites(settings.environment, settings.deployment.targets)
        if target not in sites:
            raise NotReachable(f"the settings of {self._home.deployment} have no target {target!r}")
        return sites[target]

    def _connected(self, site: TargetSite) -> DeploymentConnection:
        if site.account == site.home_account:
            return self._home.in_region(site.region)
        where = f"target {site.target}"
        try:
            session = boto3.Session(profile_name=site.name, region_name=site.region)
        except ProfileNotFound:
            raise NotReachable(
                f"{where} is in account {site.account}, {site.region}, and your AWS configuration "
                f"has no profile {site.name}. Add it, as docs/targets.md describes"
            ) from None
        connection = DeploymentConnection(self._home.deployment, session)
        with explained(where):
            account = connection.service("sts", QUICK).get_caller_identity()["Account"]
        if account != site.account:
            raise NotReachable(
                f"{where} is in account {site.account}, but the profile {site.name} is of account "
                f"{account}. Change the profile, as docs/targets.md describes"
            )
        return connection
