"""Calls about computing power: cards, comparisons, conversions, published totals and tables."""

from hutong.clients.sdk.call import Call, Listing, document, nothing, path_of, query_of, shape
from hutong.clients.sdk.verbs import AsyncGroup, Group, ListVerb, Verb
from hutong.wire import capacity as c
from hutong.wire.base import Page


def list_cards(
    *, vendor: str = "", domestic: bool | None = None, limit: int | None = None
) -> Listing[c.CardShort]:
    """List the cards of the catalogue."""
    wanted = "" if domestic is None else str(domestic).lower()
    query = query_of(vendor=vendor, domestic=wanted)
    return Listing(path_of("capacity", "cards"), shape(Page[c.CardShort]), query, limit)


def get_card(card: str) -> Call[c.Card]:
    """Return a card with all its figures."""
    return Call("GET", path_of("capacity", "cards", card), shape(c.Card))


def list_claims(*, limit: int | None = None) -> Listing[c.PublishedClaim]:
    """List the published totals that are known."""
    return Listing(path_of("capacity", "claims"), shape(Page[c.PublishedClaim]), most=limit)


def compare(left: str, right: str) -> Call[c.Comparison]:
    """Compare two like figures: ids of published totals, cards, or quantities."""
    return Call(
        "GET", path_of("capacity", "comparison"), shape(c.Comparison), query_of(left=left, right=right)
    )


def convert(
    amount: str,
    cards: tuple[str, ...] = (),
    *,
    precision: str = "",
    cards_per_rack: int | None = None,
    load_milli: int | None = None,
    pue_milli: int | None = None,
    host_milli: int | None = None,
) -> Call[c.Conversion]:
    """Say what a quantity is in cards, racks, power and energy."""
    named = tuple(("card", card) for card in cards)
    query = query_of(
        amount=amount, precision=precision, cards_per_rack=cards_per_rack,
        load_milli=load_milli, pue_milli=pue_milli, host_milli=host_milli,
    )  # fmt: skip
    return Call("GET", path_of("capacity", "conversion"), shape(c.Conversion), (*query, *named))


def coverage(claim: str, since: str = "", *, regions: tuple[str, ...] = ()) -> Call[c.Coverage]:
    """Say what of a published total is registered, and what it adds to an earlier one."""
    query = (*query_of(claim=claim, since=since), *(("region", each) for each in regions))
    return Call("GET", path_of("capacity", "coverage"), shape(c.Coverage), query)


def add_mix(mix: c.NewMix) -> Call[c.Mix]:
    """Say what cards of several models come to."""
    return Call("POST", path_of("capacity", "mix"), shape(c.Mix), body=document(mix))


def check_table(csv: str) -> Call[c.CheckedTable]:
    """Check the arithmetic of a published table in CSV."""
    body = document(c.NewTable(csv=csv))
    return Call("POST", path_of("capacity", "table"), shape(c.CheckedTable), body=body)


def import_figures(csv: str, *, dry_run: bool = False) -> Call[c.ImportedFigures]:
    """Import figures from CSV (operators)."""
    body = document(c.NewFigures(csv=csv, dry_run=dry_run))
    return Call("POST", path_of("capacity", "figures"), shape(c.ImportedFigures), body=body)


def remove_figure(id: str) -> Call[None]:
    """Take an imported figure away (operators)."""
    return Call("DELETE", path_of("capacity", "figures", id), nothing)


class CapacityVerbs:
    """Computing power: what each card has, who says so, and what totals come to."""

    cards = ListVerb(list_cards)
    card = Verb(get_card)
    claims = ListVerb(list_claims)
    compare = Verb(compare)
    convert = Verb(convert)
    coverage = Verb(coverage)
    add = Verb(add_mix)
    check_table = Verb(check_table)
    import_figures = Verb(import_figures)
    remove_figure = Verb(remove_figure)


class Capacity(CapacityVerbs, Group):
    """Computing power: cards, figures, conversions, published totals."""


class AsyncCapacity(CapacityVerbs, AsyncGroup):
    """Computing power: cards, figures, conversions, published totals."""
