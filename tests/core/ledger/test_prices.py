"""Price books: no overlap, what has begun only ends, the most specific goes first, slices change no sum."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hutong.core.accounts.registry import FOREVER_MS, InstitutionKind
from hutong.core.book.prices import Book, Books, Price, Tier, Timeline
from hutong.core.kernel.errors import Conflict, Refused
from hutong.core.ledger import prices as p

UNI, SME = InstitutionKind.UNIVERSITY, InstitutionKind.SME
EVERYBODY = Book("common", "for everybody")
UNIS = Book("unis", "universities", (UNI,))
OWN = Book("thu", "by contract", (), ("tsinghua",))
BOOKS = (EVERYBODY, UNIS, OWN)


def price(micro: int, from_ms: int = 0, upto_ms: int = FOREVER_MS, id_: str = "", **more: object) -> Price:
    return Price(id_ or f"p{micro}", from_ms, upto_ms, micro, 3_600_000, "agreed", "op", 0, **more)  # type: ignore[arg-type]


class Lives(RuleBasedStateMachine):
    """Any order of operations, with a clock that jumps both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Timeline("common", "card:H100")
        self.now = self.latest = 1_000
        self.made = 0

    @rule(step=st.integers(-50, 50))
    def clock(self, step: int) -> None:
        self.now = max(0, self.now + step)

    @rule(after=st.integers(-20, 60), lasts=st.none() | st.integers(-5, 40), replaces=st.booleans())
    def set(self, after: int, lasts: int | None, replaces: bool) -> None:
        self.made += 1
        from_ms = self.now + after
        upto = FOREVER_MS if lasts is None else from_ms + lasts
        new = price(self.made, from_ms, upto)
        self.change(lambda: p.set_price(self.line, new, self.now, replace_last=replaces))

    @precondition(lambda self: self.line.prices)
    @rule(which=st.integers(0, 10), after=st.integers(-30, 80))
    def end(self, which: int, after: int) -> None:
        id_ = self.line.prices[which % len(self.line.prices)].id
        self.change(lambda: p.end_price(self.line, id_, self.now + after, self.now))

    @precondition(lambda self: self.line.prices)
    @rule(which=st.integers(0, 10))
    def withdraw(self, which: int) -> None:
        id_ = self.line.prices[which % len(self.line.prices)].id
        self.change(lambda: p.withdraw(self.line, id_, self.now))

    def change(self, work: Callable[[], Timeline]) -> None:
        before = self.line
        try:
            self.line = work()
        except (Refused, Conflict):
            return
        # The past, as far as anybody saw it pass when something was changed, is as it was.
        self.latest = max(self.latest, before.seen_ms)
        passed = max(before.seen_ms, min(self.now, FOREVER_MS))
        for at in {each.from_ms for each in before.prices} | {passed - 1, before.seen_ms}:
            if at < passed:
                assert _paid(before, at) == _paid(self.line, at), at
        for each in before.prices:
            if each.from_ms <= passed:
                (kept,) = [one for one in self.line.prices if one.id == each.id]
                assert (kept.micro, kept.from_ms) == (each.micro, each.from_ms)
                assert kept.upto_ms <= each.upto_ms
                assert kept.upto_ms == each.upto_ms or kept.upto_ms >= passed

    @invariant()
    def never_two(self) -> None:
        for one, two in zip(self.line.prices, self.line.prices[1:], strict=False):
            assert one.from_ms < one.upto_ms <= two.from_ms < two.upto_ms


def _paid(line: Timeline, at_ms: int) -> int | None:
    found = line.at(at_ms)
    return None if found is None else found.micro


Lives.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLives = Lives.TestCase


def test_a_repeat_changes_nothing_and_another_price_under_the_id_is_refused() -> None:
    line = p.set_price(Timeline("common", "storage"), price(5, 10, id_="a"), 5)
    assert p.set_price(line, price(5, 10, id_="a"), 50) == line
    with pytest.raises(Conflict, match="Idempotency-Key"):
        p.set_price(line, price(6, 10, id_="a"), 5)
    ended = p.end_price(line, "a", 20, 15)
    assert p.end_price(ended, "a", 20, 99) == ended
    with pytest.raises(Conflict, match="never reopened"):
        p.end_price(ended, "a", 30, 25)
    with pytest.raises(Refused, match="never put off"):
        p.end_price(ended, "a", 21, 16)
    with pytest.raises(Conflict, match="ended, not withdrawn"):
        p.withdraw(line, "a", 10)
    assert p.withdraw(line, "a", 9).prices == ()


def test_a_price_that_replaces_another_ends_it_where_it_begins() -> None:
    line = p.set_price(Timeline("common", "storage"), price(5, 10), 5)
    with pytest.raises(Refused, match="in force for a part"):
        p.set_price(line, price(6, 20), 15)
    line = p.set_price(line, price(6, 20), 15, replace_last=True)
    assert [(each.micro, each.from_ms, each.upto_ms) for each in line.prices] == [
        (5, 10, 20),
        (6, 20, FOREVER_MS),
    ]


def test_own_book_before_kind_before_everybody_and_in_a_book_the_most_specific() -> None:
    lines = [
        Timeline("common", "card:H100@bj/main", (price(9),)),
        Timeline("common", "card:H100", (price(8),)),
        Timeline("unis", "card:H100", (price(7),)),
        Timeline("unis", "card:H100@bj", (price(6, 100),)),
        Timeline("thu", "card:A100", (price(5),)),
    ]
    skus = p.skus_of_pool("H100", "bj", "main")

    def paid(at_ms: int, institution: str, kind: InstitutionKind | None, skus: tuple[str, ...]) -> int | None:
        found = p.tariff_at(BOOKS, lines, at_ms).price(p.Tenant(institution, kind), skus)
        return None if found is None else found.micro

    assert paid(0, "tsinghua", UNI, skus) == 7
    assert paid(100, "tsinghua", UNI, skus) == 6
    assert paid(0, "tsinghua", UNI, p.skus_of_pool("A100", "bj", "main")) == 5
    assert paid(0, "", None, skus) == 9
    assert paid(0, "shop", SME, p.skus_of_pool("H100", "tj", "main")) == 8
    assert paid(0, "shop", SME, p.skus_of_pool("A100", "tj", "main")) is None


def test_no_two_books_are_for_one_tenant() -> None:
    books = Books()
    for each in BOOKS:
        books = p.add_book(books, each)
    assert p.add_book(books, UNIS) == books
    for clash in (Book("x", ""), Book("x", "", (SME, UNI)), Book("x", "", (), ("cau", "tsinghua"))):
        with pytest.raises(Refused, match="another book"):
            p.add_book(books, clash)
    with pytest.raises(Conflict):
        p.add_book(books, Book("unis", "others", (SME,)))


@pytest.mark.parametrize(
    "text", ["card", "card:", "card:H100@", "card:H100@bj/", "token_in:x", "storage:x", "gold", "card:H100\n"]
)
def test_what_is_no_sku_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused) as caught:
        p.parse_sku(text)
    assert caught.value.problems[0].path == "/sku"


def test_skus_are_read_back() -> None:
    for text in (*p.skus_of_pool("H100", "bj", "main"), *p.skus_of_tokens("token_in", "a/b"), "storage"):
        assert p.parse_sku(text).family in p.PER


def test_requests_have_a_price_for_all_deployments_or_for_one() -> None:
    assert p.parse_sku("service_request") == p.Sku("service_request")
    assert p.parse_sku("service_request:weather/chat") == p.Sku("service_request", "weather/chat")
    for text in ("service_request:weather", "service_request@east", "service_requests"):
        with pytest.raises(Refused, match="is no sku"):
            p.parse_sku(text)


tiers = st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**9)), max_size=5).map(
    lambda found: tuple(
        Tier(above, micro)
        for above, micro in zip(
            sorted({a for a, _ in found}), dict.fromkeys(m for _, m in found), strict=False
        )
    )
)


@settings(max_examples=300)
@given(st.integers(0, 10**9), tiers, st.lists(st.integers(0, 10**6), max_size=30))
def test_slicing_of_use_never_changes_what_tiers_charge(
    micro: int, steps: tuple[Tier, ...], slices: list[int]
) -> None:
    tiered = price(micro, tiers=steps)
    total = charged = 0
    for each in slices:
        charged += p.rate_tiers(tiered, total + each) - p.rate_tiers(tiered, total)
        total += each
    assert charged == p.rate_tiers(tiered, total)
    assert sum(part for _, part in p.in_tiers(tiered, total)) == total


def test_tiers_rise_and_differ_and_are_for_no_single_pool() -> None:
    storage, card = p.parse_sku("storage"), p.parse_sku("card:H100@north/a")
    p.check_price(price(5, tiers=(Tier(1, 4), Tier(2, 3))), storage)
    p.check_price(price(5, tiers=(Tier(1, 4),)), p.parse_sku("card:H100@north"))
    p.check_price(price(5, tiers=(Tier(1, 4),)), p.parse_sku("token_in"))
    for steps, sku in (
        ((Tier(1, 4),), card),
        ((Tier(2, 4), Tier(2, 3)), storage),
        ((Tier(0, 4),), storage),
        ((Tier(1, 5),), storage),
    ):
        with pytest.raises(Refused):
            p.check_price(price(5, tiers=steps), sku)
