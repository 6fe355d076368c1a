"""Who may see the pages and act on them.

Other users of the machine reach the port, too, and every web page that is open in a browser can
send requests to it. Therefore the address that ``hpoq ui`` prints contains a random token. Opening
it stores the token in a cookie, which every page needs. A change also needs the page's own origin
and a second token that only its forms contain.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Request, Response

from hpoq.ui import render

TOKEN = "token"  # noqa: S105  the name of a field
ENTER = "Open the address that `hpoq ui` printed in the terminal: it contains the access token"
FOREIGN = "The change was not sent by a page of this server. Reload the page and try again"


class PageAccess:
    """The tokens of one server.

    Args:
        hosts: names by which a browser may reach the server. Others are refused, so that no page
            of another site can read this one through a name of its own that leads here.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = list(hosts)
        self.token = secrets.token_urlsafe(32)  # in the address, then in a cookie
        self.form_token = secrets.token_urlsafe(32)  # in the forms of the pages

    def check_host(self, request: Request) -> None:
        """Raise an HTTP error if the request names another host."""
        request.trusted_hosts = self._hosts
        _ = request.host

    def entrance(self, request: Request) -> Response | None:
        """Return the answer to the address with the right token: a cookie; None for others.

        The answer is no redirect: browsers leave a strict cookie out of a redirect that another
        program has caused.
        """
        if not _equal(request.args.get(TOKEN, ""), self.token):
            return None
        page = render.page("enter.html")
        entered = Response(page, mimetype="text/html")
        entered.headers["Referrer-Policy"] = "no-referrer"  # the address contains the token
        entered.set_cookie(self._cookie(request), self.token, httponly=True, samesite="Strict")
        return entered

    def check(self, request: Request) -> None:
        """Raise ``Forbidden`` for a request without the cookie."""
        if not _equal(request.cookies.get(self._cookie(request), ""), self.token):
            raise Forbidden(ENTER)

    def check_change(self, request: Request) -> None:
        """Raise ``Forbidden`` for a change that no form of these pages has sent."""
        same_origin = request.headers.get("Origin") == request.host_url.rstrip("/")
        if not same_origin or not _equal(request.form.get(TOKEN, ""), self.form_token):
            raise Forbidden(FOREIGN)

    def _cookie(self, request: Request) -> str:
        """Return the name of the cookie: browsers share cookies among the ports of a host."""
        return f"hpoq-{request.host.rpartition(':')[2]}"


def _equal(found: str, expected: str) -> bool:
    return hmac.compare_digest(found.encode(), expected.encode())
