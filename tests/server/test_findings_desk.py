"""The findings' desk: each ended day is looked at, late data counts, decisions stay, a kill costs nothing."""

from dataclasses import replace
from typing import Any

import pytest
from tests.server.mortal import KilledError, Mortal

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.book.audit import AuditQuery
from hutong.core.book.meters import Batch, Counts, Measures, Meter, Reading
from hutong.core.book.received import Fate, Kept, Received
from hutong.core.book.sealed import PoolHour, SealedReport
from hutong.core.book.store import Record
from hutong.core.capacity.accelerators import ACCELERATORS
from hutong.core.capacity.sites import Pool, Site, Supply
from hutong.core.kernel.chain import GENESIS, canonical, seal
from hutong.core.kernel.ids import PoolId, SiteId
from hutong.core.kernel.quantities import DAY_MS, HOUR_MS
from hutong.core.ledger.disputes import Message
from hutong.core.ledger.metering import Limits
from hutong.core.witnesses.life import FindingState, KeptFinding, decide
from hutong.core.witnesses.shapes import Kind
from hutong.server import findings as f
from hutong.server.energy import add_meter
from hutong.server.registry import document, read
from hutong.server.sealing import check_noted, noted_of
from hutong.server.witnessing import LOOK_BACK_DAYS, PAST_DAYS, past_days

DAY = 20_700
CARDS = 16
WATTS = ACCELERATORS["A100"].tdp_w


class Place:
    """A site with one pool, a chain of sealed hours, a meter, and a desk whose clock a test moves."""

    def __init__(self, store: Any = None) -> None:
        self.store = store or MemoryStore()
        pool = Pool(PoolId("a100"), "A100", 2, 8, 1, 1200, "")
        supply = Supply((0,) * 24, (500,) * 24, "test")
        self.site = Site(SiteId("a"), "a", "a", "r", 1, "local", (pool,), supply)
        self.store.put(Record("site", "a", document(self.site)), 0)
        self.meter = Meter("m", Measures.FACILITY, Counts.INTERVAL, "r", 10**12, "test", "a")
        add_meter(self.store, self.meter)
        self.now_ms = DAY * DAY_MS
        self.desk = f.FindingsDesk(self.store, Limits(), lambda: self.now_ms)
        self.seq, self.prev = 0, GENESIS

    def live(self, day: int, more: float = 0.0) -> None:
        """Seal and meter a day; `more` is the part of all cards that draws power beside what is told."""
        reports, hours, readings = [], [], []
        for hour in range(day * 24, day * 24 + 24):
            held = CARDS * HOUR_MS * (4 + hour * 7 % 12) // 20
            self.seq += 1
            event: dict[str, object] = {"seq": self.seq, "prev": self.prev, "hour": hour}
            event["hash"] = digest = seal(event)
            text = canonical(event).decode()
            reports.append(SealedReport("a", self.seq, self.prev, digest, "k", "", text, 0))
            self.prev = digest
            hours.append(
                PoolHour("a", "a100", hour, CARDS, HOUR_MS, CARDS * HOUR_MS, held, 0, None, "", self.seq)
            )
            noise = 1 + (day * 37 % 21 - 10) / 2000
            used = WATTS * (held // 1000 + more * CARDS * 3600)
            joules = int((CARDS * WATTS * 1800 + used * 0.9) * noise)
            readings.append(Reading("m", hour * HOUR_MS, (hour + 1) * HOUR_MS, joules))
        self.store.keep_sealed(reports, hours)
        self.store.read_meter(Batch(self.meter, tuple(readings), "op", (day + 1) * DAY_MS))

    def look(self, day: int) -> list[KeptFinding]:
        """Let the desk look when the day has ended; return what is kept of it."""
        self.now_ms = (day + 1) * DAY_MS + f.SETTLED_MS
        while self.desk.step():
            pass
        return list(f.of_day(self.store, "a", day))

    def decide(self, kept: KeptFinding, outcome: FindingState) -> None:
        reasons = Message("admin", self.now_ms, "so it is")
        f.change(self.store, kept.id, lambda there: decide(there, outcome, reasons))

    def twice(self, day: int, records: tuple[str, ...] = ("r1", "r2")) -> None:
        """Have accounting tell one use twice, of an attempt that is not known."""
        begin = day * DAY_MS + HOUR_MS
        for name in records:
            told = Received("a", name, 1, "ht-x", "card_ms", 8 * HOUR_MS, begin, begin + HOUR_MS)
            self.store.receive(Kept(told, Fate.SUSPENDED, "no such attempt", "site", begin))


def lasting(place: Place, outcome: FindingState | None) -> list[bool]:
    """Live 20 honest days, then 40 with a small side use; tell on which of those it was found."""
    for day in range(DAY, DAY + 20):
        place.live(day)
    place.look(DAY + 19)
    seen = []
    for day in range(DAY + 20, DAY + 60):
        place.live(day, more=0.08)
        found = [each for each in place.look(day) if each.finding.kind is Kind.SIDE_USE]
        seen.append(bool(found))
        for each in found if outcome else ():
            place.decide(each, outcome or FindingState.SETTLED)
    return seen


def test_a_small_side_use_that_lasts_is_found_each_day_once_it_is_confirmed() -> None:
    assert all(lasting(Place(), FindingState.CONFIRMED))


def test_one_that_nobody_confirms_comes_to_look_usual() -> None:
    seen = lasting(Place(), None)
    assert seen[0]
    assert not seen[-1]


def test_only_clean_days_are_a_measure_and_no_more_than_are_looked_back_to() -> None:
    assert past_days(200, ()) == tuple(range(200 - PAST_DAYS, 200))
    late = past_days(200, range(180, 200))
    assert late == tuple(range(180 - PAST_DAYS, 180))
    assert past_days(200, range(200)) == ()
    assert past_days(200, range(90, 200)) == tuple(range(200 - LOOK_BACK_DAYS, 90))
    assert past_days(3, ()) == (0, 1, 2)


def test_the_same_day_again_changes_nothing_and_the_audit_tells_of_each_once() -> None:
    place = Place()
    place.twice(DAY)
    kept = place.look(DAY)
    assert {each.finding.kind for each in kept} == {Kind.REPLAYED, Kind.GHOST}
    head = place.store.audit(AuditQuery(newest_first=True, limit=1))[0]
    assert place.look(DAY) == kept
    assert place.store.audit(AuditQuery(newest_first=True, limit=1))[0] == head
    told = [each for each in place.store.audit(AuditQuery()) if each.action == "finding.create"]
    assert [each.actor for each in told] == ["platform"] * len(kept)


def test_late_data_moves_what_waits_and_never_what_is_decided() -> None:
    place = Place()
    place.twice(DAY)
    kept = {each.finding.kind: each for each in place.look(DAY)}
    one, other = kept[Kind.GHOST], kept[Kind.REPLAYED]
    place.decide(one, FindingState.SETTLED)
    settled = place.store.get(f.KIND, one.id)
    place.twice(DAY, ("r3",))
    assert place.look(DAY + 1) == []
    again = {each.id: each for each in f.of_day(place.store, "a", DAY)}
    assert place.store.get(f.KIND, one.id) == settled
    assert again[other.id].finding.size > other.finding.size
    rows = place.store.records(f.WAITS, "a", "", 10)
    assert set(f.waiting(place.store, rows)) == again.keys() - {one.id}


def test_what_late_data_explains_is_gone() -> None:
    place = Place()
    place.twice(DAY, ("r1",))
    (ghost,) = place.look(DAY)
    begin = DAY * DAY_MS + HOUR_MS
    taken = Received("a", "r1", 2, "ht-x", "card_ms", 0, begin, begin)
    place.store.receive(Kept(taken, Fate.DISMISSED, "withdrawn", "site", begin))
    place.look(DAY + 1)
    (after,) = f.of_day(place.store, "a", DAY)
    assert (after.id, after.state) == (ghost.id, FindingState.GONE)
    assert not place.store.records(f.WAITS, "a", "", 10)


def test_each_day_is_looked_at_once_even_after_a_pause() -> None:
    place = Place()
    place.look(DAY)
    for day in range(DAY + 1, DAY + 6):
        place.twice(day, (f"r{day}",))
    place.look(DAY + 6)
    days = {read(KeptFinding, row).day for row in place.store.records(f.KIND, "a", "", 100)}
    assert days == set(range(DAY + 1, DAY + 6))


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_costs_nothing(after: bool) -> None:
    whole = Place()
    whole.twice(DAY)
    wanted = whole.look(DAY)
    for at in range(8):
        mortal: Any = Mortal(MemoryStore(), frozenset({"put", "put_all", "remove"}))
        place = Place(mortal)
        place.twice(DAY)
        mortal.left, mortal.after = at, after
        try:
            place.look(DAY)
        except KilledError:
            mortal.left = -1
        mortal.left = -1
        assert place.look(DAY) == wanted
        _, noted = noted_of(place.store, "a")
        assert noted is not None
        assert noted.day == DAY


def test_a_chain_is_checked_from_the_noted_head_on_and_must_still_have_it() -> None:
    place = Place()
    place.live(DAY)
    assert place.look(DAY) == []
    place.live(DAY + 1)
    assert check_noted(place.store, "a").reports == 24
    place.look(DAY + 1)
    assert check_noted(place.store, "a").reports == 0
    row, noted = noted_of(place.store, "a")
    assert row is not None
    assert noted is not None
    assert noted.seq == 48
    place.store.put(replace(row, doc={**row.doc, "seq": 48, "hash": "1" * 64}), row.version)
    place.live(DAY + 2)
    found = [each for each in place.look(DAY + 2) if each.finding.kind is Kind.BROKEN_CHAIN]
    assert {each.finding.about for each in found} == {"48", "49"}
    place.live(DAY + 3)
    place.look(DAY + 3)
    states = {each.state for each in f.of_day(place.store, "a", DAY + 2)}
    assert states == {FindingState.OPEN}  # a later look begins after the break, and does not take it back


def test_a_chain_that_was_cut_off_is_found() -> None:
    place = Place()
    place.live(DAY)
    place.look(DAY)
    row, _ = noted_of(place.store, "a")
    assert row is not None
    place.store.put(replace(row, doc={**row.doc, "seq": 99}), row.version)
    (fault,) = check_noted(place.store, "a").faults
    assert "ends at 24; it went on to 99" in fault.text
