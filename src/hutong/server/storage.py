"""The meter of storage: once a day, what each project's models cost is booked, a bounded piece at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog

from hutong.core.book.prices import PRICE, TIMELINES_MAX, Timeline
from hutong.core.book.store import Record, Store
from hutong.core.catalog.models import Model
from hutong.core.kernel.errors import Conflict, Later
from hutong.core.kernel.ids import ProjectId
from hutong.core.ledger.prices import Tariff, tariff_at
from hutong.core.ledger.storage import Day, Kept, book_day, byte_hours
from hutong.server.prices import books, tenant_of
from hutong.server.refunds import read_all
from hutong.server.registry import document, every, read

METER = "storage_meter"
SKUS = ("storage",)
_ID = "models"
_PROJECTS_AT_ONCE = 50
_MODELS_AT_ONCE = 200
_DAYS_AT_ONCE = 400
_TRIES = 20
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the meter is: the day that it works on, and the last project of it that is booked."""

    day: str
    project: str = ""


def meter_storage(store: Store, now_ms: int, zone: str) -> int:
    """Book storage of days that are over, some projects at a time; return how many were looked at.

    A day is paid at the price at its begin. The first day is the one before the meter first ran. Killed at
    any line, it goes on with the same project, whose day is booked once.
    """
    yesterday = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).date() - timedelta(days=1)
    record = store.get(METER, _ID)
    progress = Progress(yesterday.isoformat()) if record is None else read(Progress, record)
    if date.fromisoformat(progress.day) > yesterday:
        return 0
    lines = _timelines(store)
    page: Sequence[Record] = ()
    for _ in range(_DAYS_AT_ONCE):
        day = day_of(progress.day, zone)
        tariff = tariff_at(books(store).books, lines, day.from_ms) if lines else None
        priced = tariff is not None and bool(tariff.prices)
        if tariff is not None and priced:
            page = store.records("project", "", progress.project, _PROJECTS_AT_ONCE)
            for each in page:
                _book(store, ProjectId(each.id), day, tariff, now_ms)
        if len(page) == _PROJECTS_AT_ONCE:
            progress = Progress(progress.day, page[-1].id)
            break
        progress = Progress((date.fromisoformat(progress.day) + timedelta(days=1)).isoformat())
        if priced or date.fromisoformat(progress.day) > yesterday:
            break
    made = record or Record(METER, _ID, {})
    try:
        store.put(replace(made, doc=document(progress)), expect=made.version)
    except Conflict:  # another process was faster, and booked the same
        return 0
    return len(page)


def day_of(name: str, zone: str) -> Day:
    """Return a day of a zone; where the clock changes it has not 24 hours."""
    start = date.fromisoformat(name)
    moments = (
        datetime.combine(each, time(), ZoneInfo(zone)).timestamp()
        for each in (start, start + timedelta(days=1))
    )
    from_ms, upto_ms = (round(each * 1000) for each in moments)
    return Day(name, from_ms, upto_ms)


def _timelines(store: Store) -> tuple[Timeline, ...]:
    """Return what storage ever cost, by book."""
    lines = (read(Timeline, record) for record in every(store, PRICE, "", TIMELINES_MAX))
    return tuple(each for each in lines if each.sku in SKUS)


def _book(store: Store, project: ProjectId, day: Day, tariff: Tariff, now_ms: int) -> None:
    price = tariff.price(tenant_of(store, project, day.from_ms), SKUS)
    if price is None:
        return
    quantity = byte_hours(_kept(store, project), day)
    if not quantity:
        return
    prefix = f"storage:{project}:{day.id}:"
    for _ in range(_TRIES):
        before = read_all(lambda after, limit: store.usage(project, day.key(project), after, limit))
        if any(each.id.startswith(prefix) for each in before):
            return
        posting = book_day(project, day, quantity, price, before, store.lots(project), now_ms)
        try:
            store.post(posting)
        except Conflict as conflict:
            if conflict.code == "already_there":
                return
            log.info("storage_again", project=project, detail=conflict.message)
            continue  # others move the same money
        log.info("stored", project=project, day=day.id, byte_hours=quantity)
        return
    raise Later(f"the money of project {project} is moved by others all the time", 1)


def _kept(store: Store, project: ProjectId) -> Iterator[Kept]:
    """Yield the files of all models of a project."""
    prefix = after = f"{project}/"
    while page := store.records("model", "", after, _MODELS_AT_ONCE):
        for record in page:
            if not record.id.startswith(prefix):
                return
            model = read(Model, record)
            for each in model.files:
                yield Kept(each.digest, each.size_bytes, model.created_ms)
        after = page[-1].id
