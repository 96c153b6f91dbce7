"""Schemes of identifiers are plug-ins: an installed package adds one by an entry point."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.capacity.centres import Centre
from hutong.core.capacity.identifiers import Event
from hutong.core.kernel.errors import Broken
from hutong.server.centres import record_of
from hutong.server.identifiers import find, register, scheme_of, schemes

EVENT = Event("registered", 1, "op", "Energy")
PLUGIN = """
class Numbers:
    name = "{name}"
    issues = True
    about = "a number"

    def issue(self, kind, number):
        return f"N{{number}}"

    def canonical(self, code):
        return code

    def fault(self, code, kind):
        return ""

scheme = Numbers()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Install a package with a scheme of that name, in a module of another."""

    def make(name: str, module: str) -> None:
        (tmp_path / f"{module}.py").write_text(PLUGIN.format(name=name))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[hutong.identifier_schemes]\n{name} = {module}:scheme\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    schemes.cache_clear()
    yield make
    schemes.cache_clear()


def book() -> MemoryStore:
    store = MemoryStore()
    for id in ("a", "b"):
        store.put(record_of(Centre(id, "", id, "R")), expect=0)
    return store


def test_a_scheme_of_a_package_issues_its_own_codes(install: Callable[[str, str], None]) -> None:
    install("numbers", "numbers_of_a_town")
    store = book()
    scheme = scheme_of("numbers")
    assert register(store, "centre/a", scheme, "", EVENT).id == "numbers:N1"
    assert register(store, "centre/b", scheme, "", EVENT).id == "numbers:N2"
    assert find(store, "numbers:N2").subject == "centre/b"


def test_a_scheme_may_not_take_the_name_of_another(install: Callable[[str, str], None]) -> None:
    install("hutong", "impostor_of_a_town")
    with pytest.raises(Broken, match="taken"):
        schemes()


def test_many_at_once_get_one_code_each_and_one_subject_one_code() -> None:
    store = book()
    for at in range(8):
        store.put(record_of(Centre(f"c{at}", "", "c", "R")), expect=0)
    subjects = [f"centre/c{at}" for at in range(8)] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: register(store, each, scheme_of("hutong"), "", EVENT), subjects))
    assert len({each.id for each in found}) == 8
    assert {each.subject: each.id for each in found} == {
        each.subject: find(store, each.id).id for each in found
    }
