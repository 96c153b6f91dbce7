"""A store whose process dies at a write: just before it, or just after; and a small world of applicants."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.testclient import TestClient
from structlog.testing import capture_logs
from tests.server.conftest import Clock

from hutong.adapters.objects.open import open_objects
from hutong.adapters.store.memory.store import MemoryStore
from hutong.config import Settings
from hutong.core.accounts import registry as r
from hutong.core.accounts.roles import Role
from hutong.core.book.store import Record
from hutong.core.kernel.quantities import DAY_MS
from hutong.server.api.app import make_app
from hutong.server.people import grant_token, index_member
from hutong.server.registry import document
from hutong.server.services import Services, make_services
from hutong.wire.base import rfc3339

YUAN = 1_000_000
_WRITES = frozenset({"put", "remove", "open_lot", "post", "span_lot"})


class KilledError(Exception):
    """The process died here."""


class Mortal:
    """Passes everything to a store, and dies at the write that is told."""

    def __init__(self, store: MemoryStore, writes: frozenset[str] = _WRITES) -> None:
        self._store = store
        self._writes = writes
        self.left = -1
        self.after = False

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        return self._dying(real) if name in self._writes else real

    def _dying(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any, **named: Any) -> Any:
            if self.left < 0:
                return real(*args, **named)
            self.left -= 1
            if self.left >= 0:
                return real(*args, **named)
            if self.after:
                real(*args, **named)
            raise KilledError

        return write


class Town:
    """The API over a mortal store in memory: universities with projects, reviewers, two officers."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.stack.enter_context(capture_logs())  # a traceback for each death would take most of the time
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.mortal = Mortal(MemoryStore())
        self.clock = Clock()
        store: Any = self.mortal
        settings = Settings(data=folder)
        objects = open_objects(settings.objects_url)
        self.services: Services = make_services(settings, store, objects, clock=self.clock)
        self.stack.callback(self.services.close)
        self.http = self.stack.enter_context(
            TestClient(make_app(self.services), raise_server_exceptions=False)
        )
        self.headers: dict[str, dict[str, str]] = {}
        for name in ("thu", "pku", "cau", "city"):
            kind = r.InstitutionKind.OPERATOR if name == "city" else r.InstitutionKind.UNIVERSITY
            store.put(Record("institution", name, document(r.Institution(name, kind, name, name))), 0)
        for name, institution in (
            ("li", "thu"), ("wang", "pku"), ("zhao", "cau"), ("sun", "cau"), ("qian", "pku"),
            ("chen", "city"), ("zhou", "city"),
        ):  # fmt: skip
            self.person(name, institution, operator=institution == "city")
        for project, institution, owner in (
            ("physics", "thu", "li"), ("maths", "thu", "li"), ("law", "pku", "wang"),
        ):  # fmt: skip
            made = r.Project(project, institution, project, ((owner, Role.OWNER),))
            store.put(Record("project", project, document(made), institution), 0)
            index_member(store, owner, project)

    def person(self, name: str, institution: str, *, operator: bool) -> None:
        """Make a person, with a token."""
        store = self.services.store
        person = r.Person(name, name, institution, operator)
        store.put(Record("person", name, document(person), institution), 0)
        grant = grant_token(
            store, self.services.new_id(), kind="person", owner=name, name="t",
            now_ms=self.clock(), lives_ms=9000 * DAY_MS,
        )  # fmt: skip
        self.headers[name] = {"Authorization": f"Bearer {grant.secret}"}

    def ask(self, who: str, method: str, path: str, body: Any = None) -> Any:
        """Call the API as somebody; only a death of the process may be a failure of ours."""
        armed = self.mortal.left >= 0
        answer = self.http.request(method, path, json=body, headers=self.headers[who])
        died = armed and self.mortal.left < 0
        assert answer.status_code < 500 or died, answer.text
        return answer

    def call(self, name: str, budget: int, **policy: Any) -> None:
        """Make a call that is open for ever, for use over 400 days from now on."""
        self.ask("chen", "POST", "/v1/programmes", {"id": "science", "name_zh": "科", "name_en": "S"})
        now_ms = self.clock()
        body = {
            "id": name, "programme": "science", "title": name, "opens": rfc3339(now_ms - DAY_MS),
            "closes": "2090-01-01T00:00:00Z", "starts": rfc3339(now_ms),
            "ends": rfc3339(now_ms + 400 * DAY_MS), "budget": money(budget), "policy": policy,
        }  # fmt: skip
        answer = self.ask("chen", "POST", "/v1/calls", body)
        assert answer.status_code == 201, answer.text

    def draft(self, who: str, project: str, call: str, amount: int) -> Any:
        """Keep a draft."""
        body = {"call": call, **ask_of(amount)}
        return self.ask(who, "POST", f"/v1/projects/{project}/applications", body)


def money(yuan: int) -> dict[str, str]:
    """Return an amount as the wire says it."""
    return {"amount": str(yuan)}


def ask_of(amount: int) -> dict[str, Any]:
    """Return what is applied for."""
    return {"title": "rain", "narrative": "We train a model that tells rain.", "amount": money(amount)}
