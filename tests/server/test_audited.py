"""Nothing that people change passes by the audit: each method of the store is read, told, or excused."""

import inspect
from typing import Any

import pytest

from hutong.adapters.store.memory.store import MemoryStore
from hutong.core.book.audit import UNTOLD, AuditQuery, Author
from hutong.core.book.store import Record, Store
from hutong.server.audited import _Audited, audited, marked, untold

METHODS = {name: each for name, each in inspect.getmembers(Store, inspect.isfunction) if name[0] != "_"}
READS = frozenset(
    {
        "job", "jobs", "facts", "receipt", "page", "snapshot", "statuses", "watched", "dials", "lots",
        "holds", "hold", "usage", "txns", "balances", "check_ledger", "get", "find", "records", "audit",
        "pulse", "txn", "reversals", "periods", "takings", "booked", "records_of", "unpriced", "moved",
        "received", "suspended", "day_counts", "due_lots", "waivers", "billed", "billed_keys", "newest",
        "records_for", "records_on", "spendings", "tallies", "uses", "readings", "meter_hours",
        "region_hours", "due_hours", "card_ms_in", "site_hours", "job_hours", "matches", "sealed",
        "sealed_head", "pool_hours", "site_energy",
        "rollup", "waiting", "first_uses",
        "pool_notes", "turn", "array_states", "summons",
    }
)  # fmt: skip
# Methods that write and of which the audit does not tell, and why.
EXCUSED = {
    "submit": "the job's first fact says who",
    "ask": "a fact of the job says who",
    "ask_all": "a fact of each job says who",
    "lead": "the loop's own lease",
    "apply": "the loop's own decisions, in the facts of jobs",
    "take": "an agent's work, in the facts of jobs",
    "report": "an agent's work, in the facts of jobs",
    "watch": "somebody reads a log: nothing of theirs changes",
    "dial": "somebody opens a tunnel to their own job; the gateway keeps a log",
    "receive": "a record names who sent it, and is never dropped or changed",
    "rest_lots": "the keeper's own memory of when to look again",
    "drop_waiver": "the keeper's own memory of what is still to be booked",
    "tally": "a site's agent says what its accounting holds of a day",
    "keep_sealed": "what a site's agent sealed, in a chain of its own that is never changed",
    "settle_again": "hours are made due by what people change, and that is told",
    "settle_hour": "the energy desk's own sums over readings and usage records, made anew at will",
    "rebuild_uses": "sums are made anew from records that it does not change",
    "rebuild_rollups": "sums are made anew from what it does not change",
    "note_pools": "the keeper notes what sites are, which is told itself",
    "close": "it lets go of connections",
}
TOLD = {name for name, each in METHODS.items() if "author" in inspect.signature(each).parameters}
LI = Author("li", 7)


def test_each_method_of_the_store_is_a_read_is_told_or_is_excused() -> None:
    assert not READS & EXCUSED.keys()
    assert METHODS.keys() - READS - EXCUSED.keys() == TOLD
    assert all(EXCUSED.values())
    assert all(UNTOLD.values())


def test_what_is_told_has_its_author_from_the_route_s_store() -> None:
    own = {name for name, each in vars(_Audited).items() if inspect.isfunction(each) and name[0] != "_"}
    assert own == TOLD
    for name in sorted(TOLD):
        assert list(inspect.signature(getattr(_Audited, name)).parameters) == list(
            inspect.signature(METHODS[name]).parameters
        )


@pytest.mark.parametrize("name", sorted(READS))
def test_what_counts_as_a_read_does_not_write(name: str) -> None:
    assert "_writing(" not in inspect.getsource(getattr(MemoryStore, name))


@pytest.mark.parametrize("name", sorted(TOLD))
def test_each_told_method_passes_the_author_on(name: str) -> None:
    seen: list[Any] = []

    class Recorder:
        def __getattr__(self, asked: str) -> Any:
            bound = inspect.signature(METHODS[asked])

            def note(*args: Any, **named: Any) -> None:
                seen.append(bound.bind(None, *args, **named).arguments["author"])

            return note

    recorder: Any = Recorder()
    parameters = list(inspect.signature(METHODS[name]).parameters.values())[1:]
    given: dict[str, Any] = {
        each.name: Record("project", "p", {}) if each.name == "record" else "project"
        for each in parameters
        if each.default is each.empty and each.kind is not each.VAR_POSITIONAL
    }
    getattr(audited(recorder, lambda _: LI), name)(**given)
    assert seen == [LI]


def test_an_author_may_be_named_marked_or_left_out() -> None:
    store = MemoryStore()
    told = audited(store, lambda owner: Author(owner, 7, reason="asked"))
    told.put(Record("token", "a", {"owner": "li"}))
    told.put(Record("identity", "a", {"person": "mei"}))
    told.put(Record("person", "hua", {"name": "Hua"}))
    marked(told, actor="issuer:north").remove("token", "a")
    marked(told, "break-glass", "at night").remove("identity", "a")
    untold(told).put(Record("project", "quiet", {}))
    told.put(Record("token_use", "a", {}))
    assert untold(store) is store
    assert marked(store, "x") is store

    assert [(each.actor, each.action, each.mark, each.reason) for each in store.audit(AuditQuery())] == [
        ("li", "token.create", "", "asked"),
        ("mei", "identity.create", "", "asked"),
        ("hua", "person.create", "", "asked"),
        ("issuer:north", "token.remove", "", "asked"),
        ("", "identity.remove", "break-glass", "at night"),
    ]
