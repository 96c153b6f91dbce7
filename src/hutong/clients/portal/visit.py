"""One visit of one page: the request, the visitor's language and token, the client, and how to answer."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import httpx2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hutong.clients.portal import session, show
from hutong.clients.portal.assets import Asset
from hutong.clients.portal.words import Words, choose
from hutong.clients.sdk.client import AsyncClient
from hutong.core.kernel.errors import HutongError, Refused
from hutong.wire.accounts import Me

FORM_BYTES_MAX = 512 * 1024
ISSUERS_SHOWN = 50
_TEMPLATES = Path(__file__).parent / "templates"


def make_environment(assets: Mapping[str, Asset]) -> Environment:
    """Return the templates: everything is escaped, and a name that does not exist is an error."""
    env = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    env.globals.update(assets=assets, exact=show.exact, rounded=show.rounded)
    env.filters.update(
        money=show.money, exact=show.exact, moment=show.moment, size=show.size, share=show.share,
        short_digest=show.short_digest,
        plain=show.plain,
        day=show.day,
    )  # fmt: skip
    return env


@dataclass(frozen=True, slots=True)
class House:
    """What all visits share."""

    transport: httpx2.AsyncBaseTransport
    env: Environment
    assets: Mapping[str, Asset]


class Visit:
    """One request and all that is needed to answer it."""

    def __init__(self, house: House, request: Request) -> None:
        self.house = house
        self.request = request
        accept = request.headers.get("accept-language", "")
        self.words = Words(choose(session.read_cookie(request, session.LANGUAGE), accept))
        self.token = session.read_cookie(request, session.SESSION)
        known = session.read_cookie(request, session.VISITOR)
        self._fresh_visitor = "" if known or self.token else session.new_visitor()
        self.secret = self.token or known or self._fresh_visitor
        self.api = self.client()
        self.me: Me | None = None

    def client(self) -> AsyncClient:
        """Return a client that acts as the visitor; whoever makes one closes it."""
        return AsyncClient("http://portal", self.token, trials=1, transport=self.house.transport)

    @property
    def here(self) -> str:
        """The path and query of this page."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    @property
    def enhanced(self) -> bool:
        """True if htmx asks and will put the answer into the page."""
        return self.request.headers.get("hx-request") == "true"

    def query(self, name: str, default: str = "") -> str:
        """Return a value of the page's query."""
        return self.request.query_params.get(name, default).strip()

    def number(self, name: str) -> int | None:
        """Return a whole number of the query, None if it has none; raises Refused for anything else."""
        text = self.query(name)
        if not text:
            return None
        if len(text) > 9 or not text.removeprefix("-").isdecimal() or not text.isascii():
            raise Refused("bad_number", f"{name}: {text[:40]!r} is not a whole number")
        return int(text)

    def path(self, name: str) -> str:
        """Return a part of the page's path."""
        return str(self.request.path_params[name])

    def link(self, path: str, **query: object) -> str:
        """Return a link with a query of those values that say something."""
        said = {name: str(value) for name, value in query.items() if value not in {None, ""}}
        return f"{path}?{urlencode(said)}" if said else path

    async def form(self) -> dict[str, str]:
        """Return the form's fields, once it is known to be ours. Raises Refused if it is too large."""
        body = b""
        async for piece in self.request.stream():
            body += piece
            if len(body) > FORM_BYTES_MAX:
                error = Refused("too_large", f"a form may have {FORM_BYTES_MAX // 1024} kB")
                error.status = 413
                raise error
        try:
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
        except ValueError as err:
            raise Refused("bad_form", "this form cannot be read") from err
        session.require_own_form(self.request, fields.get("form_token", ""), self.secret)
        return fields

    async def signed_in(self) -> Me:
        """Return who is signed in; raises Denied (`unauthenticated`) if nobody is."""
        if self.me is None:
            self.me = await self.api.me()
        return self.me

    async def issuers(self) -> list[tuple[str, str]]:
        """Return the identity providers by id, with their names in the visitor's language."""
        zh = self.words.language == "zh"
        found = self.api.issuers.list(limit=ISSUERS_SHOWN)
        return [(each.id, each.name_zh if zh else each.name_en) async for each in found]

    async def site_names(self) -> dict[str, str]:
        """Return the centres' full names in the visitor's language; nothing where they cannot be had."""
        zh = self.words.language == "zh"
        try:
            return {site.id: site.name_zh if zh else site.name_en async for site in self.api.sites.list()}
        except HutongError:
            return {}

    def render(self, template: str, values: Mapping[str, object], status: int = 200) -> Response:
        """Return the page that a template makes of these values."""
        common = {
            "t": self.words, "visit": self, "me": self.me, "form_token": session.form_token(self.secret),
            "duration": lambda total_ms: show.duration(self.words, total_ms),
        }  # fmt: skip
        page = self.house.env.get_template(template).render({**common, **values})
        response = HTMLResponse(page, status)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Vary"] = "Cookie, Accept-Language"
        if self._fresh_visitor:
            session.keep_cookie(response, self.request, session.VISITOR, self._fresh_visitor)
        return response

    def go(self, path: str) -> Response:
        """Return a redirect to a page of ours."""
        return RedirectResponse(path, 303)

    def ask_to_sign_in(self) -> Response:
        """Return a redirect to the sign-in page, which leads back here."""
        target = self.here if self.request.method == "GET" else "/jobs"
        place = f"/sign-in?next={quote(target, safe='')}" if target != "/" else "/sign-in"
        response: Response
        if self.enhanced:
            response = Response(status_code=401, headers={"HX-Redirect": place})
        else:
            response = self.go(place)
        session.drop_cookie(response, self.request, session.SESSION)
        return response

    async def show_error(self, status: int, error: HutongError | None = None) -> Response:
        """Return the page for an error; it names the fields that are wrong, if any."""
        if self.me is None and self.token and status != 500:
            with suppress(HutongError):
                await self.signed_in()
        problems = error.problems if isinstance(error, Refused) else ()
        code = error.code if isinstance(error, Refused) else ""
        title = self.words.of("error.", status, self.words("error.422"))
        detail = str(error) if isinstance(error, Refused) else ""
        values = {"title": title, "status": status, "code": code, "detail": detail, "problems": problems}
        return self.render("error.html", values, status)
