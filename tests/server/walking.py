"""Walks of routes that write: each call is made as somebody, and the audit is read for what it told."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hutong.core.book.audit import AuditQuery
from hutong.core.book.store import Store

NEVER = ("argon2", "ht_person_", "ht_session_", "ht_service_", "ht_scim_", "ht_device_", "ht_site_")


@dataclass
class Walk:
    """A walk over the API: `people` are the headers of those who call, by the name that the audit has."""

    http: Any
    store: Store
    people: dict[str, dict[str, str]]
    called: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)

    def __call__(
        self, who: str, route: str, body: Any = None, told: str = "", actor: str = "", **names: Any
    ) -> Any:
        """Call a route; `told` are the actions that it must leave, each by who called (or by `actor`).

        `names` fill its path; `params`, `data` and `more` (headers) go to the client.
        Returns the answer's JSON.
        """
        sent = {name: names.pop(name) for name in ("params", "data") if name in names}
        headers = {**self.people.get(who, {}), **names.pop("more", {})}
        method, _, path = route.partition(" ")
        before = self._head()
        path = re.sub(r"{(\w+)(:path)?}", lambda found: str(names[found[1]]), path)
        answer = self.http.request(method, path, json=body, headers=headers, **sent)
        assert answer.is_success, (route, answer.status_code, answer.text)
        events = self.store.audit(AuditQuery(after=before, limit=1000))
        found = " ".join(each.action for each in events)
        assert found == told, f"{route} left: {found}"
        assert {each.actor for each in events} <= {actor or who}, route
        self.called.add(route)
        return answer.json() if answer.content else None

    def done(self, routes: Iterable[str]) -> None:
        """Check that these routes were walked, and that no secret of anybody is in what was told."""
        assert self.called == set(routes)
        after, text = 0, ""
        while page := self.store.audit(AuditQuery(after=after, limit=1000)):
            text += " ".join(f"{each.before} {each.after} {each.reason}" for each in page)
            after = page[-1].seq
        assert not [each for each in (*NEVER, *self.secrets) if each in text]

    def _head(self) -> int:
        newest = self.store.audit(AuditQuery(newest_first=True, limit=1))
        return newest[0].seq if newest else 0
