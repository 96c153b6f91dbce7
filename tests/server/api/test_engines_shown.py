"""What an engine cannot do is shown with its site, and a check names it."""

from typing import Any

import pytest
from tests.server.conftest import SITE, SPEC

from hutong.core.book.store import Sighting
from hutong.core.kernel.ids import SiteId


def test_a_site_shows_what_its_engine_can_do(platform: Any, li: dict[str, str]) -> None:
    platform.post("/v1/sites", SITE)

    def site() -> dict[str, Any]:
        (found,) = platform.http.get("/v1/sites", headers=li).json()["items"]
        return {name: found[name] for name in ("can", "lacks")}

    assert site() == {"can": None, "lacks": []}
    store, now_ms, none = platform.services.store, platform.clock(), frozenset[Any]()
    told = Sighting(now_ms, none, none, isolation="none", can=("energy", "gangs"))
    store.report(SiteId(SITE["id"]), [], told, now_ms)
    assert site() == {"can": ["energy", "gangs"], "lacks": ["services", "isolation"]}


@pytest.mark.parametrize(
    ("more", "code"), [({}, ""), ({"num_nodes": 2}, "unable"), ({"ports": [8080]}, "unable")]
)
def test_a_check_says_that_the_engine_cannot(
    platform: Any, li: dict[str, str], more: dict[str, Any], code: str
) -> None:
    platform.post("/v1/sites", SITE)
    store, now_ms, none = platform.services.store, platform.clock(), frozenset[Any]()
    store.report(SiteId(SITE["id"]), [], Sighting(now_ms, none, none, can=()), now_ms)
    found = platform.post("/v1/jobs/check", {"project": "physics", "spec": {**SPEC, **more}}, headers=li)
    rows = [each["why_not"]["code"] if each["why_not"] else "" for each in found["alternatives"]]
    assert rows[0] == code
