"""The workflows that the settings name, of those that wait for answers."""

from __future__ import annotations

from dataclasses import dataclass

from hpo_dispatcher.contract.settings import WorkflowSettings
from hpo_dispatcher.contract.workflows.answers import OwedAnswer, WorkflowFailure, WorkflowResult
from hpo_dispatcher.ports import Reply, Workflows


@dataclass(frozen=True, kw_only=True)
class PermittedWorkflows:
    """``Workflows`` that calls no service for a workflow that the settings no longer name."""

    workflows: Workflows
    settings: WorkflowSettings

    def succeed(self, owed: OwedAnswer, result: WorkflowResult) -> Reply:
        """See ``Workflows``."""
        return self.workflows.succeed(owed, result) if self._names(owed) else Reply.NOT_PERMITTED

    def fail(self, owed: OwedAnswer, failure: WorkflowFailure) -> Reply:
        """See ``Workflows``."""
        return self.workflows.fail(owed, failure) if self._names(owed) else Reply.NOT_PERMITTED

    def heartbeat(self, owed: OwedAnswer) -> Reply:
        """See ``Workflows``."""
        return self.workflows.heartbeat(owed) if self._names(owed) else Reply.NOT_PERMITTED

    def _names(self, owed: OwedAnswer) -> bool:
        return self.settings.permits(owed.callback)
