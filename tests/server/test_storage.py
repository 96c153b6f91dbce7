"""The meter of storage books each day of each project once, whatever is killed or runs twice."""

from typing import Any

import pytest
from tests.server.mortal import KilledError, Mortal

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.accounts.registry import FOREVER_MS, Institution, InstitutionKind, Project
from hutong.core.book.prices import Book, Books, Price, Tier, Timeline
from hutong.core.book.store import Record
from hutong.core.catalog.models import Lineage, Model
from hutong.core.kernel.ids import ProjectId
from hutong.core.kernel.quantities import DAY_MS
from hutong.core.ledger.prices import GB_DAY_BYTE_HOURS
from hutong.core.work.facts import OutputFile
from hutong.server.registry import document
from hutong.server.storage import day_of, meter_storage

ZONE = "Asia/Shanghai"
GB, YUAN = 10**9, 10**6
FIRST = day_of("2027-03-30", ZONE)
A, B = ProjectId("a"), ProjectId("a-b")


def fill(store: Any) -> None:
    """Put two projects into a store, each with 100 GB; one of them names its content twice."""
    store.put(Record("institution", "uni", document(Institution("uni", InstitutionKind.UNIVERSITY, "", ""))))
    for project in (A, B):
        store.put(Record("project", project, document(Project(project, "uni", "")), "uni"))
        for version in (1, 2) if project == A else (1,):
            files = (OutputFile("w.safetensors", 100 * GB, "sha256:" + "0" * 64),)
            lineage = Lineage("j", 1, "bj", "H100", {}, {})
            model = Model(project, "m", version, "", 100 * GB, files, lineage, 0, "li")
            store.put(Record("model", model.id, document(model), f"{project}/m"))
    store.put(Record("price_book", "all", document(Books((Book("all", ""),)))))
    price = Price(
        "all.1", 0, FOREVER_MS, YUAN // 100, GB_DAY_BYTE_HOURS, "agreed", "op", 0,
        (Tier(150 * GB_DAY_BYTE_HOURS, YUAN // 200),),
    )  # fmt: skip
    line = Timeline("all", "storage", (price,))
    store.put(Record("price", line.id, document(line), "all"))


def run(store: Any, now_ms: int) -> int:
    looked = 0
    while more := meter_storage(store, now_ms, ZONE):
        looked += more
    return looked


def charges(store: Any, project: ProjectId) -> list[tuple[str, int]]:
    found = store.usage(project, "", "", 100)
    return [(each.id.removeprefix(f"storage:{project}:"), each.charge_micro) for each in found]


DAYS = [
    ("2027-03-30:00", YUAN),  # 100 GB-days at 0.01
    ("2027-03-31:00", YUAN // 2),  # 50 more at 0.01 in this month,
    ("2027-03-31:01", YUAN // 4),  # and 50 at 0.005
    ("2027-04-01:00", YUAN),  # a new month
]


def test_each_day_is_booked_once_by_the_running_total_of_its_month() -> None:
    store: Any = MemoryStore()
    fill(store)
    run(store, FIRST.upto_ms + 1)
    assert charges(store, A) == charges(store, B) == DAYS[:1]
    assert run(store, FIRST.upto_ms + DAY_MS - 1) == 0
    run(store, FIRST.upto_ms + 2 * DAY_MS + 1)  # two days later, and again
    assert run(store, FIRST.upto_ms + 2 * DAY_MS + 1) == 0
    assert charges(store, A) == charges(store, B) == DAYS
    assert store.check_ledger().faults == ()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(9))
def test_a_meter_that_is_killed_at_any_write_goes_on_where_it_was(at: int, after: bool) -> None:
    store: Any = MemoryStore()
    fill(store)
    mortal = Mortal(store)
    mortal.left, mortal.after = at, after
    for days in (0, 1, 2):
        now_ms = FIRST.upto_ms + days * DAY_MS + 1
        try:
            run(mortal, now_ms)
        except KilledError:
            run(mortal, now_ms)
    assert charges(store, A) == charges(store, B) == DAYS
    assert store.check_ledger().faults == ()


def test_nothing_is_metered_without_a_price_of_the_day() -> None:
    store: Any = MemoryStore()
    fill(store)
    store.remove("price", "all|storage")
    run(store, FIRST.upto_ms + 1)
    run(store, FIRST.upto_ms + DAY_MS + 1)
    assert charges(store, A) == []
