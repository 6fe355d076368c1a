"""The WSGI application of the pages, which only reads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound as NoPage
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from hpo_dispatcher.contract.errors import HpoqError
from hpoq.errors import NotFound
from hpoq.ui import jobs, overview, render
from hpoq.ui.account import Account

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

A_DAY = 86_400
# Pages load nothing from other hosts and run only scripts that this server sends.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
ROUTES = Map(
    [
        Rule("/", methods=["GET"], endpoint="overview"),
        Rule("/requests/<team>/<request_id>", methods=["GET"], endpoint="request"),
        Rule("/tuning-jobs", methods=["GET"], endpoint="tuning_jobs"),
        Rule("/tuning-jobs/<name>", methods=["GET"], endpoint="tuning_job"),
        Rule("/tuning-jobs/<name>/figures.json", methods=["GET"], endpoint="tuning_job_figures"),
        Rule("/training-jobs/<name>", methods=["GET"], endpoint="training_job"),
        Rule("/training-jobs/<name>/log.json", methods=["GET"], endpoint="log"),
        Rule("/static/<name>", methods=["GET"], endpoint="static"),
    ]
)


class Application:
    """A WSGI application that shows one account.

    Args:
        account: what is shown.
        hosts: names that a browser may reach it by; others are refused, so that no page of
            another site can read this one through a name of its own that leads here.
    """

    def __init__(self, account: Account, hosts: list[str]) -> None:
        self._account = account
        self._hosts = hosts

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        """Handle one HTTP request."""
        request = Request(environ)
        request.trusted_hosts = self._hosts
        response = self._answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        return response(environ, start)

    def _answer(self, request: Request) -> Response:
        try:
            _ = request.host  # raises for an untrusted host
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
            shown = PAGES[endpoint](self._account, request.args, **values)
        except HTTPException as error:
            return self._error(str(error.name), error.description or "", error.code or 500)
        except HpoqError as error:
            code = 404 if isinstance(error, NotFound) else 502
            title = "Not found" if code == 404 else "No answer from the account"
            return self._error(title, str(error), code)
        if isinstance(shown, Response):
            return shown
        return Response(shown, mimetype="text/html")

    def _error(self, title: str, text: str, code: int) -> Response:
        page = render.page("error.html", title=title, text=text, account=None)
        return Response(page, status=code, mimetype="text/html")


def _static(_: Account, __: Mapping[str, str], name: str) -> Response:
    content = _file(name)
    mimetype = "text/css" if name.endswith(".css") else "text/javascript"
    headers = {"Cache-Control": f"max-age={A_DAY}" if name == render.PLOTLY else "no-cache"}
    return Response(content, mimetype=mimetype, headers=headers)


@functools.cache
def _file(name: str) -> bytes:
    if name == render.PLOTLY:
        from plotly.offline import get_plotlyjs

        return str(get_plotlyjs()).encode()
    found = render.static(name)
    if found is None:
        raise NoPage
    return found


PAGES: dict[str, Callable[..., str | Response]] = {
    "overview": overview.overview,
    "request": overview.request,
    "tuning_jobs": jobs.tuning_jobs,
    "tuning_job": jobs.tuning_job,
    "tuning_job_figures": jobs.tuning_job_figures,
    "training_job": jobs.training_job,
    "log": jobs.log,
    "static": _static,
}
