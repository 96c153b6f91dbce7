"""Vouchers in the book: twice is once, no spend is paid for twice, wherever whoever is killed."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.server.subsidies.town import DAY_MS, NOW, TOWN, WHOLE, YUAN, Town, programme

from hutong.adapters.store.memory.store import MemoryStore
from hutong.adapters.store.open import open_store
from hutong.core.accounts.institutions import relate
from hutong.core.book.store import Record, Store
from hutong.core.kernel.errors import Conflict, Refused
from hutong.core.ledger.subsidies.parties import ClaimState, VoucherState
from hutong.server.registry import document
from hutong.server.subsidies import shelf


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore()
    else:
        made = open_store(f"sqlite:///{shutil.copy(migrated, tmp_path / 'book.db')}")
    yield made
    made.close()


@pytest.fixture
def town(store: Store) -> Town:
    found = Town(store)
    found.firm("rain")
    found.firm("snow")
    found.contract("c1", "rain", 4000)
    return found


def refusal(work: Callable[[], Any]) -> str:
    """Return the message of the first thing that stands against a step."""
    with pytest.raises(Refused) as refused:
        work()
    return refused.value.problems[0].message


def test_a_voucher_is_issued_on_a_contract_claimed_on_redeemed_and_clawed_back(town: Town) -> None:
    voucher = town.issue("rain", "c1")
    assert (voucher.state, voucher.face_micro) == (VoucherState.BOUND, 800 * YUAN)
    assert (town.taken("town", "issue", firm="rain"), town.taken("town", "issue")) == (800, 800)
    town.use("rain", 1000)
    spent = town.balance("rain")
    claim = town.claims.claim("q1", "v1", WHOLE, "li", "x")
    assert (claim.state, claim.amount_micro) == (ClaimState.RESERVED, 200 * YUAN)
    assert town.balance("rain") == spent
    paid = town.claims.redeem("q1", "", "op")
    assert (paid.state, paid.payment) == (ClaimState.REDEEMED, "lot:subsidy-q1")
    assert town.claims.redeem("q1", "", "op") == paid
    assert town.balance("rain") == spent + 200
    after = shelf.load_voucher(town.store, "v1")[0]
    assert (after.redeemed_micro, after.reserved_micro, after.left_micro) == (200 * YUAN, 0, 600 * YUAN)
    taken = town.claims.claw_back_claim("q1", "audit", "op")
    assert taken.state is ClaimState.CLAWED_BACK
    assert town.claims.claw_back_claim("q1", "audit", "op") == taken
    assert town.balance("rain") == spent
    assert town.taken("town", "claim", firm="rain") == 200, "a claw-back gives no second chance"
    assert not town.faults()


def test_what_was_spent_of_a_claim_that_is_clawed_back_is_owed(town: Town) -> None:
    town.issue("rain", "c1")
    town.use("rain", 1000)
    town.claims.claim("q1", "v1", WHOLE, "li", "x")
    town.claims.redeem("q1", "", "op")
    town.use("rain", 150, lot="subsidy-q1")
    before = town.balance("rain")
    town.claims.claw_back_claim("q1", "audit", "op")
    assert town.balance("rain") == before - 200
    assert town.store.balances(["overrun:rain"])[0].amount_micro == -150 * YUAN
    assert not town.faults()


def test_one_spend_is_claimed_once_whatever_the_programme(town: Town) -> None:
    town.issue("rain", "c1")
    town.issue("rain", "c1", programme="county", name="v2")
    use = town.use("rain", 1000)
    town.claims.claim("q1", "v1", WHOLE, "li", "x")
    for voucher in ("v1", "v2"):
        message = refusal(partial(town.claims.claim, "q2", voucher, WHOLE, "li", "x"))
        assert "no-double-subsidy" in message
        assert "claim q1 has it already" in message
    town.claims.refuse_claim("q1", "wrong invoice", "op")
    assert shelf.load_claimed(town.store, use)[0] == ""
    assert town.taken("town", "claim", firm="rain") == 0
    assert town.claims.claim("q2", "v2", WHOLE, "li", "x").amount_micro == 200 * YUAN


def test_what_a_voucher_paid_as_it_was_charged_cannot_be_claimed(town: Town) -> None:
    town.issue("rain", "c1")
    voucher = town.issue("rain", "c1", programme="prompt", name="v2")
    assert voucher.lot_open
    town.use("rain", 100, lot=voucher.lot)
    message = refusal(lambda: town.claims.claim("q1", "v1", WHOLE, "li", "x"))
    assert message.startswith("town/no-double-subsidy")


def test_related_parties_and_bad_credit_are_refused_by_their_clauses(town: Town) -> None:
    standing = shelf.Standing("rain", ("centre",), NOW - DAY_MS)
    town.store.put(Record(shelf.STANDING, "rain", document(standing)))
    with pytest.raises(Refused) as refused:
        town.issue("rain", "c1")
    found = [problem.message.split(":")[0] for problem in refused.value.problems]
    assert found == ["town/clean-credit", "town/unrelated-provider"]
    assert town.store.get(shelf.VOUCHER, "v1") is None
    assert town.taken("town", "issue") == 0


def test_a_related_party_that_the_platform_knows_of_is_refused_while_it_is_one(town: Town) -> None:
    provider = shelf.load_contract(town.store, "c1").provider
    one, other = sorted(("rain", provider))
    for here, there in ((one, other), (other, one)):
        town.store.put(Record("relation_of", f"{here}/{there}", {}, parent=here))
    span = relate(one, other, "the same owner", 0, town.now_ms + 1)
    town.store.put(Record("relation", span.id, document(span)))
    assert "town/unrelated-provider" in refusal(lambda: town.issue("rain", "c1"))
    past = relate(one, other, "sold", 0, town.now_ms)
    town.store.put(Record("relation", past.id, document(past)))
    assert town.issue("rain", "c1").state is VoucherState.BOUND


def test_a_contract_has_one_voucher_and_where_it_may_have_more_they_share_its_rate(town: Town) -> None:
    town.issue("rain", "c1", face=300)
    assert "one-per-contract" in refusal(lambda: town.issue("rain", "c1", face=1, name="v2"))
    town.issue("rain", "c1", face=300, programme="county", name="v3")
    assert "county/rate" in refusal(lambda: town.issue("rain", "c1", 501, "county", "v4"))
    assert town.issue("rain", "c1", programme="county", name="v4").face_micro == 500 * YUAN


def test_binding_later_lowers_the_face_and_gives_the_rest_back(town: Town) -> None:
    voucher = town.issue("rain", face=1000)
    assert voucher.state is VoucherState.ISSUED
    assert town.taken("town", "issue", firm="rain") == 1000
    assert "cap-per-year" in refusal(lambda: town.issue("rain", face=1, name="v2"))
    bound = town.desk.bind("v1", "c1")
    assert (bound.face_micro, bound.contract) == (800 * YUAN, "c1")
    assert town.desk.bind("v1", "c1") == bound
    assert town.taken("town", "issue", firm="rain") == 800
    with pytest.raises(Conflict):
        town.desk.bind("v1", town.contract("c2", "rain"))


def test_a_voucher_counts_in_its_year_and_a_claim_in_the_year_it_is_made(town: Town) -> None:
    new_year = 1_798_732_800_000  # 2027-01-01 00:00 in Shanghai, still 2026 in UTC
    ends = new_year + 10 * DAY_MS
    town.contract("c9", "rain", 50_000, ends_ms=ends)
    town.now_ms = new_year - 1
    town.issue("rain", "c9", face=600)
    town.now_ms = new_year
    assert town.issue("rain", face=1000, name="v2").year == 2027
    town.use("rain", 2000)
    town.claims.claim("q1", "v1", WHOLE, "li", "x")
    assert town.taken("town", "issue", 2026, "rain") == 600
    assert (town.taken("town", "claim", 2026), town.taken("town", "claim", 2027)) == (0, 400)


def test_an_expired_voucher_gives_its_rest_back(town: Town) -> None:
    voucher = town.issue("rain", "c1")
    town.use("rain", 1000)
    town.claims.claim("q1", "v1", WHOLE, "li", "x")
    with pytest.raises(Conflict):
        town.desk.end("v1", "")
    town.now_ms = voucher.expires_ms
    assert "redeem-by" in refusal(lambda: town.claims.claim("q2", "v1", WHOLE, "li", "x"))
    ended = town.desk.end("v1", "")
    assert (ended.state, ended.left_micro) == (VoucherState.EXPIRED, 0)
    assert town.taken("town", "issue", firm="rain") == 200
    town.claims.refuse_claim("q1", "late", "op")
    assert town.taken("town", "issue", firm="rain") == 0


def test_a_firm_s_voucher_of_one_project_is_not_for_another_s_contract(town: Town) -> None:
    town.contract("other", "snow", demander="rain")
    assert "other is not of project rain" in refusal(lambda: town.issue("rain", "other"))
    town.issue("rain", face=10)
    assert "other is not of project rain" in refusal(lambda: town.desk.bind("v1", "other"))


def test_more_lines_than_a_claim_carries_are_refused_with_what_would_be_right(town: Town) -> None:
    town.issue("rain", "c1")
    town.use_much("rain", 2001)
    with pytest.raises(Refused) as refused:
        town.claims.claim("q1", "v1", WHOLE, "li", "x")
    assert refused.value.problems[0].hint == "claim for a shorter time"


def test_a_voucher_that_is_clawed_back_pays_no_claim(town: Town) -> None:
    town.issue("rain", "c1")
    town.use("rain", 1000)
    town.claims.claim("q1", "v1", WHOLE, "li", "x")
    assert town.desk.end("v1", "fraud").state is VoucherState.CLAWED_BACK
    with pytest.raises(Conflict):
        town.claims.redeem("q1", "", "op")
    assert town.claims.refuse_claim("q1", "fraud", "op").state is ClaimState.REFUSED


def test_a_voucher_that_pays_charges_is_taken_back_with_what_is_left(town: Town) -> None:
    voucher = town.issue("rain", "c1", programme="prompt")
    town.use("rain", 100, lot=voucher.lot)
    assert town.claims.check_claim("v1", WHOLE).refusals[0].clause == "prompt/after-settlement"
    assert voucher.expires_ms == shelf.load_contract(town.store, "c1").ends_ms
    ended = town.desk.end("v1", "fraud")
    assert (ended.redeemed_micro, ended.face_micro) == (100 * YUAN, 100 * YUAN)
    assert town.taken("prompt", "issue", firm="rain") == 100
    assert town.store.balances(["overrun:rain"])[0].amount_micro == -100 * YUAN, "what it paid is owed"
    assert not town.faults()


def test_a_voucher_goes_by_the_rules_of_its_issue(town: Town) -> None:
    town.issue("rain", "c1")
    town.use("rain", 1000)
    town.programmes = {**TOWN, "town": programme("town", evidence={"items": ["oath"]})}
    assert town.claims.check_claim("v1", WHOLE).amount_micro == 200 * YUAN
    town.programmes = {}
    assert town.claims.check_claim("v1", WHOLE).amount_micro == 200 * YUAN


def test_who_owes_or_lacks_evidence_cannot_claim(town: Town) -> None:
    town.issue("rain", "c1")
    town.use("rain", 1000)
    bare = replace(WHOLE, evidence={"invoice": "1"})
    assert "town/evidence" in refusal(lambda: town.claims.claim("q1", "v1", bare, "li", "x"))
    claim = town.claims.claim("q1", "v1", WHOLE, "li", "x")
    assert town.claims.claim("q1", "v1", WHOLE, "li", "x") == claim
    with pytest.raises(Conflict):
        town.claims.claim("q1", "v1", WHOLE, "li", "another request")


def at_once(count: int, work: Callable[[int], Any]) -> None:
    """Run `work` in threads that start together; what they raise is refused, or fails the test."""
    gate, broken = threading.Barrier(count), []

    def one(n: int) -> None:
        gate.wait(60)
        try:
            work(n)
        except Refused:
            pass
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not broken


def test_threads_that_race_pass_no_cap_and_claim_no_spend_twice(town: Town) -> None:
    for n in range(6):
        town.contract(f"r{n}", "rain", 2000)
    at_once(6, lambda n: town.issue("rain", f"r{n}", face=300, programme="pooled", name=f"v{n}"))
    vouchers = [record.id for record in town.store.records(shelf.VOUCHER, "", "", 50)]
    assert len(vouchers) == 3, "900 of 1,000 yuan, and not a fourth"
    assert town.taken("pooled", "issue", firm="rain") == 900
    uses = [town.use("rain", 100) for _ in range(10)]
    at_once(6, lambda n: town.claims.claim(f"q{n}", vouchers[n % 3], WHOLE, "li", str(n)))
    claims = [
        shelf.load_claim(town.store, each.id)[0] for each in town.store.records(shelf.CLAIM, "", "", 50)
    ]
    claimed = [line.spend for claim in claims for line in claim.lines]
    assert sorted(claimed) == sorted(uses)
    assert sum(claim.amount_micro for claim in claims) == 200 * YUAN
    assert town.taken("pooled", "claim") == town.taken("pooled", "claim", firm="rain") == 200
    at_once(4, lambda n: town.claims.redeem(claims[0].id, "", f"op{n}"))
    assert town.balance("rain") == 100_000 - 1000 + claims[0].amount_micro // YUAN


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A store whose process dies before or after its n-th write."""

    def __init__(self, store: Store, after: int) -> None:
        self._store = store
        self._left = after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in {"put", "put_all", "post", "open_lot"}:
            return real

        def write(*words: Any, **named: Any) -> Any:
            self._die()
            done = real(*words, **named)
            self._die()
            return done

        return write

    def _die(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Killed


def live(town: Town, programme: str) -> None:
    """The whole life of a voucher; every step may be repeated."""
    town.issue("rain", "c1", programme=programme)
    if programme == "prompt":
        town.desk.end("v1", "audit")
        return
    town.claims.claim("q1", "v1", replace(WHOLE, upto_ms=NOW - 15 * DAY_MS), "li", "x")
    town.claims.claim("q2", "v1", WHOLE, "li", "x")
    town.claims.redeem("q1", "", "op")
    town.claims.refuse_claim("q2", "no", "op")
    town.claims.claw_back_claim("q1", "audit", "op")
    town.desk.end("v1", "audit")


@pytest.mark.parametrize("rules", ["town", "prompt"])
def test_killed_at_any_write_and_begun_anew_all_is_as_if_never_killed(rules: str) -> None:
    outcomes = set()
    for after in range(40):
        store: Any = MemoryStore()
        town = Town(store)
        town.firm("rain")
        town.contract("c1", "rain", 4000)
        town.use("rain", 1000, days_ago=20)
        town.use("rain", 500, days_ago=10)
        town.store = Mortal(store, after)
        try:
            live(town, rules)
            killed = False
        except Killed:
            killed = True
        town.store = store
        if killed:
            # Whoever repeats begins where the steps are not done yet, as people do.
            finish(town, rules)
        documents = tuple(
            (kind, record.id, repr(record.doc))
            for kind in (shelf.VOUCHER, shelf.CLAIM, shelf.SPEND, shelf.TALLY, shelf.HOLDING)
            for record in store.records(kind, "", "", 100)
        )
        outcomes.add((documents, town.balance("rain")))
        assert not town.faults()
        if after and not killed:
            break
    else:
        pytest.fail("more writes than the test kills at")
    assert len(outcomes) == 1


def finish(town: Town, rules: str) -> None:
    """Repeat the steps that are not done."""
    steps: list[Callable[[], Any]] = [lambda: live(town, rules)]
    if rules == "town":
        steps += [
            lambda: town.claims.redeem("q1", "", "op"),
            lambda: town.claims.refuse_claim("q2", "no", "op"),
            lambda: town.claims.claw_back_claim("q1", "audit", "op"),
            lambda: town.desk.end("v1", "audit"),
        ]
    for step in steps:
        with suppress(Conflict):  # a step that was done, and what came of it went further
            step()
