"""The WSGI application of the pages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.exceptions import NotFound as NoPage
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.errors import NotDeployed, NotFound, NotPermitted
from hpoq.ui import render
from hpoq.ui.access import PageAccess
from hpoq.ui.account import Account
from hpoq.ui.pages import campaigns, jobs
from hpoq.ui.pages.dead_letters import dead_letters
from hpoq.ui.pages.overview import overview
from hpoq.ui.pages.request import ACTIONS, act, request
from hpoq.ui.site import Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

A_DAY = 86_400
PATIENCE = 1.0  # seconds; a page with its first figures appears within two
# Pages load nothing from other hosts and run only scripts that this server sends.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Forms need an Origin, which browsers leave out under "no-referrer".
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
ANSWERS: dict[type[HpoqError], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    NotDeployed: (404, "Not found"),
    NotPermitted: (403, "Not permitted"),
}
ROUTES = Map(
    [
        Rule("/", methods=["GET"], endpoint="overview"),
        Rule("/requests/<team>/<request_id>", methods=["GET"], endpoint="request"),
        Rule("/campaigns", methods=["GET"], endpoint="campaigns"),
        Rule("/campaigns/<team>/<name>", methods=["GET"], endpoint="campaign"),
        Rule("/campaigns/<team>/<name>/figures.json", methods=["GET"], endpoint="campaign_figures"),
        Rule("/tuning-jobs", methods=["GET"], endpoint="tuning_jobs"),
        Rule("/tuning-jobs/<name>", methods=["GET"], endpoint="tuning_job"),
        Rule("/tuning-jobs/<name>/figures.json", methods=["GET"], endpoint="tuning_job_figures"),
        Rule("/training-jobs/<name>", methods=["GET"], endpoint="training_job"),
        Rule("/training-jobs/<name>/log.json", methods=["GET"], endpoint="log"),
        Rule("/dead-letters", methods=["GET"], endpoint="dead_letters"),
        Rule(
            f"/requests/<team>/<request_id>/<any({', '.join(ACTIONS)}):action>",
            methods=["POST"],
            endpoint="act",
        ),
        Rule("/static/<name>", methods=["GET"], endpoint="static"),
    ]
)


class Application:
    """A WSGI application that shows one account.

    Args:
        account: what is shown.
        access: who may see the pages.
        read_only: offer no actions and refuse them.
        patience: seconds that a page waits for its figures; the rest appears when it is known.
    """

    def __init__(
        self,
        account: Account,
        access: PageAccess,
        *,
        read_only: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self._access = access
        form_token = "" if read_only else access.form_token
        self._site = Site(account=account, form_token=form_token, patience=patience)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        """Handle one HTTP request."""
        response = self._answer(Request(environ))
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response(environ, start)

    def _answer(self, request: Request) -> Response:
        try:
            self._access.check_host(request)
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
            if endpoint == "static":
                return _static(**values)
            return self._access.entrance(request) or self._allowed(request, endpoint, values)
        except HTTPException as error:
            return self._error(str(error.name), error.description or "", error.code or 500)
        except HpoqError as error:
            code, title = next(
                (answer for kind, answer in ANSWERS.items() if isinstance(error, kind)),
                (502, "No answer from the account"),
            )
            return self._error(title, str(error), code)

    def _allowed(self, request: Request, endpoint: str, values: Mapping[str, Any]) -> Response:
        """Answer a request to a page or an action, if it has the access token."""
        self._access.check(request)
        if endpoint == "act":
            return self._change(request, values)
        shown = PAGES[endpoint](self._site, request.args, **values)
        return shown if isinstance(shown, Response) else Response(shown, mimetype="text/html")

    def _change(self, request: Request, values: Mapping[str, Any]) -> Response:
        if not self._site.form_token:
            raise Forbidden("These pages are read-only")
        self._access.check_change(request)
        return act(self._site, request.form, **values)

    def _error(self, title: str, text: str, code: int) -> Response:
        page = render.page("error.html", title=title, text=text, account=None)
        return Response(page, status=code, mimetype="text/html")


def _static(name: str) -> Response:
    content = _file(name)
    mimetype = "text/css" if name.endswith(".css") else "text/javascript"
    headers = {"Cache-Control": f"max-age={A_DAY}" if name == render.PLOTLY else "no-cache"}
    return Response(content, mimetype=mimetype, headers=headers)


@functools.cache
def _file(name: str) -> bytes:
    if name == render.PLOTLY:
        return render.plotly()
    found = render.static(name)
    if found is None:
        raise NoPage
    return found


PAGES: dict[str, Callable[..., str | Response]] = {
    "overview": overview,
    "request": request,
    "dead_letters": dead_letters,
    "campaigns": campaigns.campaigns,
    "campaign": campaigns.campaign,
    "campaign_figures": campaigns.campaign_figures,
    "tuning_jobs": jobs.tuning_jobs,
    "tuning_job": jobs.tuning_job,
    "tuning_job_figures": jobs.tuning_job_figures,
    "training_job": jobs.training_job,
    "log": jobs.log,
}
