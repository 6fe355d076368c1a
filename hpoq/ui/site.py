"""What every page is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpoq.ui import render
from hpoq.ui.account import Account


@dataclass(frozen=True, kw_only=True)
class Site:
    """The pages of one account.

    Attributes:
        account: what is shown.
        form_token: what every form contains; empty if the pages are read-only.
        patience: seconds that a page waits for its figures; the rest appears when it is known.
    """

    account: Account
    form_token: str
    patience: float

    def deadline(self) -> float:
        """Return when a page that is requested now is sent with what is known."""
        return self.account.background.clock() + self.patience

    def page(self, template: str, **values: Any) -> str:
        """Render a page of this site."""
        return render.page(
            template, account=self.account.name, form_token=self.form_token, **values
        )
